"""Explain, replay, rebuild, prune and erase: the log can be read, trusted, mended and forgotten."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.facts.record import record_return
from business_os_banking.flows import connect
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.erase import erase
from business_os_banking.flows.explain import explain
from business_os_banking.flows.prune import prune
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, Removal
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def journey(upstream: Upstream, user: User) -> ConnectSession:
    """A connection with a little of everything in its log."""
    session = start(user, email="ada@kunde.example")
    deliver(
        callbacks.notify(session.pending_token, "start", connection_id="777", time="2026-11-01T09:00:00Z")
    )
    deliver(callbacks.fail(session.pending_token, time="2026-11-01T09:01:00Z"))
    deliver(callbacks.success(session.pending_token, "777", time="2026-11-01T09:02:00Z"))
    deliver(callbacks.success(session.pending_token, "777", time="2026-11-01T09:02:00Z"))
    record_return(session, {})
    renewal = start(user, connection=session.connection)
    deliver(callbacks.success(None, "888", time="2026-11-02T09:00:00Z"))
    deliver(
        callbacks.notify(renewal.pending_token, "start", connection_id="888", time="2026-11-02T08:59:00Z")
    )
    deliver(callbacks.destroy(None, "777", time="2026-11-03T09:00:00Z"))
    change = {"provider_code": "demobank_xf", "provider_status": "inactive"}
    deliver({"data": change, "meta": {"version": "6", "time": "2026-11-04T09:00:00Z"}})
    upstream.lists(row("888"))
    reconcile(timezone.now() + timedelta(minutes=1))
    session.refresh_from_db()
    return session


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


# --- explain ---


def test_explain_tells_every_fact_once(journey: ConnectSession) -> None:
    connection = journey.connection
    text = run("banking_explain", str(connection.reference))
    assert text == run("banking_explain", str(journey.reference))
    lines = [
        line for line in text.splitlines()[1:] if not line.startswith("  ")
    ]  # without the record of consent
    assert len(lines) == ConnectionEvent.objects.count()
    assert "Webhook: Failed (InvalidCredentials)" in text
    assert "connection_activated" in text
    assert "received 2 times" in text
    assert lines == sorted(lines, key=lambda line: line[:19])
    for secret in (str(journey.pending_token), "ada@kunde.example", "connect?token"):
        assert secret not in text


def test_explain_tells_what_happened_to_the_bank(journey: ConnectSession) -> None:
    assert journey.connection.status_reason == "bank_disabled"
    assert "Bank switched on or off" in run("banking_explain", str(journey.connection.reference))


def test_explain_as_json(journey: ConnectSession) -> None:
    lines = run("banking_explain", str(journey.reference), "--json").splitlines()
    assert {json.loads(line)["source"] for line in lines} >= {"Webhook", "Browser", "Answer of the API"}


def test_explain_says_how_often_a_fact_came_and_why_it_changed_nothing(
    upstream: Upstream, user: User
) -> None:
    session = start(user)
    times = ("09:00", "08:00", "07:00")
    told = {time: callbacks.fail(session.pending_token, time=f"2026-11-01T{time}:00Z") for time in times}
    latest, outdone, outdone_too = (deliver(body) for body in told.values())
    for time in ("09:00", "09:00", "07:00"):
        deliver(told[time])
    effects = {entry.event: entry.effect for entry in explain(session.connection)}
    assert effects[latest.pk] == "Applied; connect_session_finished; received 3 times"
    known = "Nothing to change; what it says was known, or is outdone by something later"
    assert effects[outdone.pk] == known
    assert effects[outdone_too.pk] == "Nothing to change; received 2 times"


def test_explain_of_nothing(db: None) -> None:
    with pytest.raises(CommandError):
        run("banking_explain", str(uuid.uuid4()))


# --- rebuild ---


def test_state_is_what_the_log_says(journey: ConnectSession) -> None:
    assert list(rebuild(check=True)) == []
    assert "0 differences found" in run("banking_rebuild", "--check")


def test_a_difference_is_shown_and_mended(journey: ConnectSession) -> None:
    BankingConnection.objects.update(status="active", state={})
    ConnectSession.objects.filter(pk=journey.pk).update(status="failed")
    out = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("banking_rebuild", "--check", stdout=out)
    assert caught.value.code == 1
    reference = journey.connection.reference
    assert f"connection {reference}: status is 'active', the log says 'inactive'" in out.getvalue()
    assert f"session {journey.reference}: status is 'failed', the log says 'succeeded'" in out.getvalue()
    assert "mended" in run("banking_rebuild")
    assert list(rebuild(check=True)) == []
    journey.refresh_from_db()
    assert journey.status == "succeeded"


def test_what_a_site_imported_is_not_a_difference(user: User) -> None:
    connection = BankingConnection.objects.create(user=user, status="active", upstream_id="777")
    deliver(callbacks.fail(None, "InvalidCredentials", connection_id="777", time="2036-01-01T00:00:00Z"))
    assert list(rebuild(check=True)) == []
    connection.refresh_from_db()
    assert connection.status == "inactive"


def test_an_imported_row_that_nobody_spoke_of_is_left_alone(user: User) -> None:
    BankingConnection.objects.create(user=user, status="active", upstream_id="777")
    assert "0 differences mended" in run("banking_rebuild")
    assert BankingConnection.objects.get().status == "active"


def test_links_that_two_connections_share_are_no_difference(upstream: Upstream, user: User) -> None:
    first, second = start(user), start(user, next_url="/b/")
    deliver(callbacks.success(first.pending_token, "777", time="2026-11-01T10:00:00Z"))
    deliver(callbacks.success(second.pending_token, "777", time="2026-11-01T11:00:00Z"))
    deliver(callbacks.fail(first.pending_token, connection_id="777", time="2026-11-02T11:00:00Z"))
    assert set(BankingConnection.objects.values_list("status", flat=True)) == {"inactive"}
    assert list(rebuild(check=True)) == []


# --- replay ---


def test_replaying_everything_changes_nothing(journey: ConnectSession) -> None:
    before = list(BankingConnection.objects.values()), list(ConnectSession.objects.values())
    events = list(ConnectionEvent.objects.values("pk", "outcome", "announcements"))
    out = run("banking_replay", "--since", "2026-01-01")
    assert "0 failed" in out
    after = list(BankingConnection.objects.values()), list(ConnectSession.objects.values())
    assert after == before
    assert list(ConnectionEvent.objects.values("pk", "outcome", "announcements")) == events


def test_replay_repairs_what_was_lost(journey: ConnectSession) -> None:
    BankingConnection.objects.update(status="pending", state={})
    ids = [str(pk) for pk in ConnectionEvent.objects.values_list("pk", flat=True)]
    assert " 0 failed" in run("banking_replay", "--id", *ids)
    assert BankingConnection.objects.get().status == "inactive"


def test_replay_by_outcome_applies_what_failed(upstream: Upstream, user: User) -> None:
    session = start(user)
    event = deliver(callbacks.success(session.pending_token))
    ConnectionEvent.objects.filter(pk=event.pk).update(outcome="failed")
    assert run("banking_replay", "--outcome", "failed").startswith("1 applied")
    event.refresh_from_db()
    assert event.outcome == "no_change"


def test_replay_tells_those_again_who_have_heard_if_asked(upstream: Upstream, user: User) -> None:
    session = start(user)
    heard: list[int] = []

    def receiver(event: ConnectionEvent, **_: Any) -> None:
        heard.append(event.pk)

    signals.connection_activated.connect(receiver)
    try:
        event = deliver(callbacks.success(session.pending_token))
        assert heard == [event.pk]
        run("banking_replay", "--id", str(event.pk))
        assert heard == [event.pk]
        run("banking_replay", "--id", str(event.pk), "--announce")
    finally:
        signals.connection_activated.disconnect(receiver)
    assert heard == [event.pk, event.pk]


def test_replay_tells_at_once_what_it_repairs_and_only_once(upstream: Upstream, user: User) -> None:
    session = start(user)
    lost = BankingConnection.objects.values("state", "status").get()
    heard: list[str] = []

    def receiver(connection: BankingConnection, **_: Any) -> None:
        heard.append(connection.status)

    signals.connection_activated.connect(receiver)
    try:
        event = deliver(callbacks.success(session.pending_token))
        BankingConnection.objects.update(**lost)
        heard.clear()
        run("banking_replay", "--id", str(event.pk))
        assert heard == ["active"]
        run("banking_replay", "--id", str(event.pk))
        assert reconcile(timezone.now() + timedelta(minutes=1)).announced == 0
    finally:
        signals.connection_activated.disconnect(receiver)
    assert heard == ["active"]


class Stopped(BaseException):
    """The process ends in the middle of a receiver: no clean-up of ours comes after it."""


@pytest.mark.parametrize("end", [Stopped, ValueError])
def test_what_a_replay_repairs_is_told_until_it_is_heard(
    upstream: Upstream, user: User, end: type[BaseException]
) -> None:
    session = start(user)
    lost = BankingConnection.objects.values("state", "status").get()
    tries: list[str] = []

    def hears_all_but_the_second(connection: BankingConnection, **_: Any) -> None:
        tries.append(connection.status)
        if len(tries) == 2:
            raise end

    upstream.lists()
    signals.connection_activated.connect(hears_all_but_the_second)
    try:
        event = deliver(callbacks.success(session.pending_token))
        BankingConnection.objects.update(**lost)
        with suppress(Stopped):
            run("banking_replay", "--id", str(event.pk))
        assert len(tries) == 2
        assert reconcile(timezone.now() + timedelta(minutes=1)).announced == 1
    finally:
        signals.connection_activated.disconnect(hears_all_but_the_second)
    assert tries == ["active"] * 3


def test_an_event_that_still_fails_is_said(upstream: Upstream, user: User) -> None:
    session = start(user)
    event = deliver(callbacks.success(session.pending_token))
    BankingConnection.objects.update(state={"links": {"A": "broken"}})
    with pytest.raises(SystemExit):
        run("banking_replay", "--id", str(event.pk))


def test_replay_wants_to_know_which(db: None) -> None:
    with pytest.raises(CommandError):
        run("banking_replay")


# --- prune ---


def test_prune_forgets_bodies_first_and_events_later(journey: ConnectSession) -> None:
    now = timezone.now()
    assert prune(now).payloads == 0
    pruned = prune(now + timedelta(days=31))
    assert pruned.payloads > 0
    assert (pruned.events, pruned.sessions) == (0, 2)
    assert not ConnectionEvent.objects.exclude(payload={}).exists()
    journey.refresh_from_db()
    assert journey.email == ""
    assert list(rebuild(check=True)) == []
    pruned = prune(now + timedelta(days=401))
    assert pruned.events > 0
    kept = ConnectionEvent.objects.filter(connection=journey.connection)
    assert set(kept.values_list("kind", flat=True)) == {
        "opened",
        "succeeded",
        "removed",
    }  # the proof of consent
    assert kept.filter(kind="succeeded").count() == 2  # one for each consent
    assert prune(now + timedelta(days=1_096)).events > 0
    assert not kept.all().exists()
    assert list(rebuild(check=True)) == []
    assert "0 events deleted" in run("banking_prune")


def test_after_pruning_new_facts_still_add_up(journey: ConnectSession) -> None:
    prune(timezone.now() + timedelta(days=401))
    deliver(callbacks.destroy(None, "888", time="2026-11-20T09:00:00Z"))
    assert BankingConnection.objects.get().status == "disconnected"
    assert list(rebuild(check=True)) == []


def test_after_pruning_a_shared_link_is_still_no_difference(upstream: Upstream, user: User) -> None:
    first, second = start(user), start(user, next_url="/b/")
    deliver(callbacks.success(first.pending_token, "777", time="2026-11-01T10:00:00Z"))
    deliver(callbacks.success(second.pending_token, "777", time="2026-11-01T11:00:00Z"))
    assert prune(timezone.now() + timedelta(days=1_096)).events == 4
    assert list(rebuild(check=True)) == []


def test_prune_leaves_what_is_still_needed(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.notify(session.pending_token, connection_id="777"))
    done = start(user, next_url="/b/")
    event = deliver(callbacks.success(done.pending_token, "888"))
    ConnectionEvent.objects.filter(pk=event.pk).update(announced_at=None)
    waiting = deliver(callbacks.success(uuid.uuid4(), "999"))
    ConnectionEvent.objects.filter(pk=waiting.pk).update(outcome="failed")
    left = set(ConnectionEvent.objects.exclude(session=done).values_list("pk", flat=True)) | {event.pk}
    prune(timezone.now() + timedelta(days=1_096))
    assert set(ConnectionEvent.objects.values_list("pk", flat=True)) == left


# --- erase ---


def test_erase_leaves_nothing_of_a_person(
    journey: ConnectSession, upstream: Upstream, other_user: User
) -> None:
    kept = start(other_user)
    stray = deliver(callbacks.success(uuid.uuid4(), "888"))
    # That 777 is removed, only a callback says.
    upstream.deletes("777")
    upstream.deletes("888")
    ConnectSession.objects.filter(connection=journey.connection).update(expires_at=timezone.now())
    out = run("banking_erase", "--user", "ada")
    assert out == "1 connection erased\n"
    assert list(ConnectSession.objects.all()) == [kept]
    assert not ConnectionEvent.objects.filter(pk=stray.pk).exists()
    assert (
        not ConnectionEvent.objects.exclude(connection=kept.connection)
        .exclude(kind="provider_changed")
        .exists()
    )
    assert len(upstream.calls("DELETE")) == 2


def test_erase_waits_for_nobody(journey: ConnectSession, upstream: Upstream) -> None:
    upstream.deletes("777", 503, {})
    upstream.deletes("888", 503, {})
    out = run("banking_erase", "--user", str(journey.connection.user_id))
    assert "1 connection erased" in out
    assert "2 of their links are not removed" in out
    assert not BankingConnection.objects.exists()
    assert set(Removal.objects.due().values_list("upstream_id", flat=True)) == {"777", "888"}


def test_what_is_to_be_kept_upstream_is_kept(journey: ConnectSession, upstream: Upstream) -> None:
    assert run("banking_erase", "--user", "ada", "--keep-upstream") == "1 connection erased\n"
    assert not BankingConnection.objects.exists()
    assert not Removal.objects.due().exists()


def test_erase_of_a_tenant(upstream: Upstream, user: User) -> None:
    for tenant in ("a", "a", "b"):
        connect.start(
            owner=(user, tenant), return_to=lambda s: "https://x.example/", next_url=str(uuid.uuid4())
        )
    assert run("banking_erase", "--tenant", "a") == "2 connections erased\n"
    assert BankingConnection.objects.get().tenant == "b"


def test_erase_ends_all_before_it_removes_what_they_share(upstream: Upstream, user: User) -> None:
    first, second = start(user), start(user, next_url="/b/")
    deliver(callbacks.success(first.pending_token, "777", time="2026-11-01T10:00:00Z"))
    deliver(callbacks.success(second.pending_token, "777", time="2026-11-01T11:00:00Z"))
    upstream.deletes("777")
    assert run("banking_erase", "--user", "ada") == "2 connections erased\n"
    assert len(upstream.calls("DELETE")) == 1


def test_erase_wants_to_know_whom(db: None) -> None:
    with pytest.raises(CommandError):
        run("banking_erase")
    with pytest.raises(CommandError, match="no such user"):
        run("banking_erase", "--user", "nobody")
    with pytest.raises(ValueError, match="Name"):
        erase()


def test_a_disconnected_connection_is_erased_without_another_call(upstream: Upstream, user: User) -> None:
    connection = disconnect(start(user).connection)
    ConnectSession.objects.update(expires_at=timezone.now())
    assert erase(user=connection.user).connections == 1


def test_an_imported_session_that_expires_is_no_difference(upstream: Upstream, user: User) -> None:
    upstream.lists()
    connection = BankingConnection.objects.create(user=user)
    ConnectSession.objects.create(
        connection=connection,
        status="open",
        pending_token=uuid.uuid4(),
        expires_at=timezone.now() - timedelta(days=2),
    )
    assert reconcile(timezone.now()).expired == 1
    assert list(rebuild(check=True)) == []


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kind", ["notify", "fail", "destroy", "success"])
def test_what_is_shared_is_no_difference(upstream: Upstream, user: User, kind: str, is_first: bool) -> None:
    """One links with an id, of which another then hears: in either order, the log says the same as the rows."""
    one, other = start(user), start(user, next_url="/b/")
    bodies = [
        callbacks.success(one.pending_token, "5", time="2026-11-01T10:00:00Z"),
        getattr(callbacks, kind)(other.pending_token, connection_id="5", time="2026-11-01T11:00:00Z"),
    ]
    for body in bodies if is_first else bodies[::-1]:
        deliver(body)
    assert [str(difference) for difference in rebuild(check=True)] == []


@pytest.mark.parametrize("form", ["json", "jsonl", "xml"])
def test_what_a_fixture_cuts_off_is_no_difference(
    upstream: Upstream, user: User, tmp_path: Any, form: str
) -> None:
    """``dumpdata`` keeps milliseconds."""
    session = start(user)
    for body in (
        callbacks.success(session.pending_token, "5", time=(timezone.now() - timedelta(hours=1)).isoformat()),
        callbacks.fail(session.pending_token, connection_id="5", time=timezone.now().isoformat()),
    ):
        deliver(body)
    fixture = str(tmp_path / f"site.{form}")
    call_command("dumpdata", "business_os_banking", format=form, output=fixture)
    ConnectionEvent.objects.all().delete()
    BankingConnection.objects.all().delete()
    call_command("loaddata", fixture, verbosity=0)
    assert [str(difference) for difference in rebuild(check=True)] == []


def test_a_session_that_differs_alone_is_mended(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "5"))
    ConnectSession.objects.update(status="open")
    assert [difference.column for difference in rebuild()] == ["status"]
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_a_change_of_another_bank_is_no_difference(upstream: Upstream, user: User) -> None:
    for link, bank in (("1", "one_xf"), ("2", "other_xf")):
        session = start(user, next_url=f"/{link}/")
        deliver(callbacks.success(session.pending_token, link, provider_code=bank))
    deliver(callbacks.body(provider_code="other_xf", provider_status="inactive"))
    statuses = dict(BankingConnection.objects.values_list("upstream_id", "status"))
    assert statuses == {"1": "active", "2": "inactive"}
    assert [str(difference) for difference in rebuild(check=True)] == []


def test_a_check_mends_nothing(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "5"))
    BankingConnection.objects.update(status="pending", provider_name="Written around the door")
    ConnectSession.objects.update(status="open")
    before = list(BankingConnection.objects.values()), list(ConnectSession.objects.values())
    assert {difference.column for difference in rebuild(check=True)} == {"status"}
    assert (list(BankingConnection.objects.values()), list(ConnectSession.objects.values())) == before


def test_what_says_nothing_is_filed_under_the_session_that_it_names(upstream: Upstream, user: User) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, connection_id="5")
    body["data"] |= {
        "id": "5",
        "status": "active",
        "provider_code": "bank_xf",
        "last_attempt": {"finished": False},
    }
    deliver(body)
    event = ConnectionEvent.objects.get(source="webhook")
    assert (event.kind, event.session) == ("unknown", session)
