"""What an operator decides is part of the log: matched by hand, set aside, asked for now, foretold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone, translation

from business_os_banking.exceptions import NotAllowed
from business_os_banking.facts import preview
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.facts.replay import replay
from business_os_banking.flows.assign import assign, find_session, ignore, stop_ignoring
from business_os_banking.flows.read import read_account
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.flows.silence import watch
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Silence
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)


def stray(link: str = "777", token: object = None) -> ConnectionEvent:
    """Return an event that matches nothing."""
    event = deliver(callbacks.success(token, link, time="2026-11-01T10:00:00Z"))
    assert event.outcome == "unmatched"
    return event


# --- matched by hand ---


@pytest.mark.parametrize("token", [None, "unknown"])
def test_an_event_is_matched_by_hand_and_the_log_says_the_same(
    upstream: Upstream, user: User, token: str | None
) -> None:
    session = start(user)
    event = assign(stray(token=token and uuid4()), session)
    assert (event.outcome, event.session, event.by_hand) == ("applied", session, True)
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.upstream_id) == ("active", "777")
    assert list(rebuild(check=True)) == []
    result = replay(ConnectionEvent.objects.order_by("pk"))
    assert (result.applied, result.failed) == (0, 0)
    BankingConnection.objects.update(status="pending", state={})
    ConnectSession.objects.update(status="open", succeeded_at=None)
    assert list(rebuild())
    connection.refresh_from_db()
    session.refresh_from_db()
    assert (connection.status, session.status) == ("active", "succeeded")


def test_what_else_was_said_of_the_link_follows(upstream: Upstream, user: User) -> None:
    session = start(user)
    waiting = deliver(callbacks.notify(None, "fetch_accounts", connection_id="777"))
    assign(stray(), session)
    waiting.refresh_from_db()
    assert (waiting.connection, waiting.by_hand) == (session.connection, False)


def test_the_facts_of_the_event_are_kept_as_they_came(upstream: Upstream, user: User) -> None:
    token = uuid4()
    event = assign(stray(token=token), start(user))
    event.refresh_from_db()
    assert (event.pending_token, event.session_reference) == (token, None)


def test_a_reference_of_a_connection_means_its_latest_session(upstream: Upstream, user: User) -> None:
    first = start(user)
    deliver(callbacks.success(first.pending_token, "111"))
    second = start(user, connection=BankingConnection.objects.get())
    event = stray()
    assert find_session(event, first.reference) == first
    assert find_session(event, first.connection.reference) == second
    assert find_session(event, uuid4()) is None


def test_a_session_of_another_account_is_not_found(upstream: Upstream, user: User) -> None:
    session = start(user)
    event = stray()
    event.account = "berlin"
    assert find_session(event, session.reference) is None
    with pytest.raises(NotAllowed, match="another Business OS account"):
        assign_unsaved(event, session)


def assign_unsaved(event: ConnectionEvent, session: ConnectSession) -> None:
    event.save()
    assign(event, session)


def test_the_bank_of_another_owner_cannot_be_taken(upstream: Upstream, user: User, other_user: User) -> None:
    theirs = start(other_user)
    mine = start(user)
    # It names a token that nobody knows, and a link that turns out to be somebody's.
    event = stray("777", token=uuid4())
    deliver(callbacks.success(theirs.pending_token, "777"))
    with pytest.raises(NotAllowed, match="belongs to another owner"):
        assign(event, mine)
    event.refresh_from_db()
    assert (event.outcome, event.by_hand, event.session) == ("unmatched", False, None)
    assert mine.connection.status == "pending"


def test_what_contradicts_itself_or_is_settled_is_not_matched(upstream: Upstream, user: User) -> None:
    one, two = start(user), start(user, email="two@kunde.example")
    contradicting = deliver(
        callbacks.success(
            one.pending_token,
            "777",
            custom_fields={"pending_token": str(one.pending_token), "session": str(two.reference)},
        )
    )
    assert contradicting.note
    with pytest.raises(NotAllowed, match="contradicts"):
        assign(contradicting, one)
    settled = deliver(callbacks.success(one.pending_token, "888"))
    with pytest.raises(NotAllowed, match="had its effect"):
        assign(settled, two)


def test_a_crash_after_the_decision_is_made_up_for(upstream: Upstream, user: User) -> None:
    session = start(user)
    event = stray()
    # As it is committed before it is applied.
    ConnectionEvent.objects.filter(pk=event.pk).update(
        by_hand=True, session=session, connection=session.connection_id, outcome="failed"
    )
    upstream.lists()
    reconcile(timezone.now() + timedelta(minutes=1))
    assert BankingConnection.objects.get().status == "active"
    assert list(rebuild(check=True)) == []


@pytest.mark.parametrize("token", [None, "unknown"])
def test_a_decision_that_cannot_be_carried_out_at_once_stands(
    upstream: Upstream, user: User, token: str | None
) -> None:
    session = start(user)
    event = stray(token=token and uuid4())
    good = BankingConnection.objects.get().state
    BankingConnection.objects.update(state={"links": {"A": "broken"}})
    with pytest.raises(AttributeError):
        assign(event, session)
    event.refresh_from_db()
    assert (event.outcome, event.by_hand, event.session) == ("failed", True, session)
    BankingConnection.objects.update(state=good)
    upstream.lists()
    assert reconcile(timezone.now() + timedelta(minutes=1)).applied == 1
    session.refresh_from_db()
    assert (session.status, BankingConnection.objects.get().status) == ("succeeded", "active")
    assert list(rebuild(check=True)) == []


# --- set aside ---


def test_ignored_events_are_no_longer_counted_and_come_back(upstream: Upstream, user: User) -> None:
    event = stray()
    assert ignore([event.pk], timezone.now()) == 1
    assert ignore([event.pk], timezone.now()) == 0
    assert not ConnectionEvent.objects.unmatched().exists()
    assert stop_ignoring([event.pk]) == 1
    assert ConnectionEvent.objects.unmatched().get() == event


def test_an_ignored_event_that_is_matched_by_hand_is_set_aside_no_longer(
    upstream: Upstream, user: User
) -> None:
    event = stray()
    ignore([event.pk], timezone.now())
    assert assign(event, start(user)).outcome == "applied"
    event.refresh_from_db()
    assert (event.outcome, event.ignored_at) == ("applied", None)


def test_only_what_matches_nothing_is_ignored(upstream: Upstream, user: User) -> None:
    start(user)
    assert ignore(list(ConnectionEvent.objects.values_list("pk", flat=True)), timezone.now()) == 0


def test_an_ignored_event_that_turns_out_to_be_ours_is_applied(upstream: Upstream, user: User) -> None:
    event = stray()
    ignore([event.pk], timezone.now())
    session = start(user)
    deliver(callbacks.notify(session.pending_token, "start", connection_id="777"))
    assert BankingConnection.objects.get().status == "active"


def test_ignored_events_raise_no_alarm(upstream: Upstream) -> None:
    events = [stray(str(number)) for number in range(3)]
    assert watch("default", timezone.now()) is Silence.NOTHING_MATCHES
    ignore([event.pk for event in events], timezone.now())
    assert watch("default", timezone.now()) is None


# --- asked for now ---


def test_a_reading_that_is_asked_for_need_not_be_due_but_once_a_minute(
    upstream: Upstream, user: User
) -> None:
    now = timezone.now()
    upstream.lists(row("777"))
    assert read_account("default", now).pages == 0
    assert read_account("default", now, by_hand=True).pages == 1
    again = read_account("default", now + timedelta(seconds=59), by_hand=True)
    assert (again.pages, again.problem) == (0, "it was asked for less than a minute ago")
    assert read_account("default", now + timedelta(seconds=60), by_hand=True).pages == 1


def test_a_reading_that_is_asked_for_keeps_to_the_budget_and_to_the_pause(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": 1}
    now = timezone.now().replace(hour=12)  # the budget is one of a day, and midnight may be near
    upstream.lists(status=500)
    assert read_account("default", now, by_hand=True).pages == 0
    later = now + timedelta(minutes=1)
    paused = read_account("default", later, by_hand=True)
    assert (paused.problem[:12], paused.problem[-18:]) == ("paused until", " UTC after trouble")
    with translation.override("de"):
        assert paused.problem.startswith("paused until")
        assert paused.problem_in_words().startswith("nach Schwierigkeiten bis")
    AccountState.objects.update(paused_until=None)
    assert "used up" in read_account("default", later, by_hand=True).problem


def test_a_reading_that_is_asked_for_ends_after_ten_pages(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": 400}
    start(user)
    for page in range(12):
        answer = {"data": [row(str(page))], "meta": {"next_id": str(page + 1)}}
        upstream.mock.get("https://api.business-os.test/v2/banking/connections", json=answer)
    reading = read_account("default", timezone.now(), by_hand=True)
    assert (reading.pages, reading.complete) == (10, False)
    assert "first 10 pages" in reading.problem


# --- foretold ---


def snapshot() -> list[Any]:
    models = (BankingConnection, ConnectSession, ConnectionEvent, AccountState)
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_what_a_replay_would_change_is_foretold_and_nothing_written(upstream: Upstream, user: User) -> None:
    session = start(user)
    before = BankingConnection.objects.values("state", "status").get()
    event = deliver(callbacks.success(session.pending_token, "777"))
    assert preview.of_event(event) == []
    assert preview.of_connection(BankingConnection.objects.get()) == []
    BankingConnection.objects.update(**before)
    kept = snapshot()
    changes = {(change.model, change.column): change.after for change in preview.of_event(event)}
    assert changes[BankingConnection, "status"] == "active"
    assert changes[ConnectSession, "status"] == "succeeded"
    whole = {
        (change.model, change.column) for change in preview.of_connection(BankingConnection.objects.get())
    }
    assert (BankingConnection, "status") in whole
    assert snapshot() == kept
    replay(ConnectionEvent.objects.filter(pk=event.pk))
    assert BankingConnection.objects.get().status == "active"
    assert preview.of_event(event) == []
