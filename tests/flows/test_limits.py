"""How long something waits, how often, and whose it is: the numbers that the documentation gives, to the letter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.exceptions import RateLimited
from business_os_banking.facts.record import apply, record
from business_os_banking.flows import budget, looks, sweep
from business_os_banking.flows.claim import follow
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.verifiers import Delivery
from tests import callbacks
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def a_session(user: User, **values: Any) -> ConnectSession:
    connection = BankingConnection.objects.create(user=user)
    times = {
        "expires_at": timezone.now() + timedelta(days=1),
        "pending_token": "8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f",
    }
    return ConnectSession.objects.create(connection=connection, **{"status": "open", **times, **values})


def deliver(body: dict[str, Any]) -> ConnectionEvent:
    content = callbacks.raw(body)
    delivery = Delivery(body=content, headers={}, received_at=timezone.now())
    return record(payloads.read(delivery, "default"))


def test_the_pauses_between_looks(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    session = a_session(user)
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    now, waits = timezone.now(), []
    for _ in range(7):
        looks.note_looks(ConnectSession.objects.all(), now)
        session.refresh_from_db()
        assert session.look_at is not None
        waits.append(round((session.look_at - now) / MINUTE, 6))
        now = session.look_at
    assert waits == [2, 5, 15, 60, 120, 120, 120]
    looks.note_looks(ConnectSession.objects.all(), now, reads=2)
    session.refresh_from_db()
    assert session.look_at is not None
    assert (session.look_at - now) / MINUTE == pytest.approx(240)


@pytest.mark.parametrize(("minutes", "is_due"), [(9.99, False), (10.01, True)])
def test_the_first_look_without_a_return(user: User, minutes: float, is_due: bool) -> None:
    session = a_session(user)
    now = session.created_at + minutes * MINUTE
    assert looks.due_sessions("default", now).exists() is is_due


@pytest.mark.parametrize(("minutes", "is_due"), [(0.99, False), (1.01, True)])
def test_the_first_look_after_a_return(user: User, minutes: float, is_due: bool) -> None:
    session = a_session(user, returned_at=timezone.now())
    assert session.returned_at is not None
    assert looks.due_sessions("default", session.returned_at + minutes * MINUTE).exists() is is_due


def test_a_repetition_counts_once_more(user: User, db: None) -> None:
    body = callbacks.success(None, "7")
    assert [deliver(body).deliveries for _ in range(3)] == [1, 2, 3]
    assert ConnectionEvent.objects.get().deliveries == 3


def test_a_bank_is_read_a_minute_after_what_left_it_open_was_heard_of(user: User) -> None:
    """Not after it was applied: what waited for an hour need not wait any more."""
    event = deliver(callbacks.success("0c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f", "7"))
    heard_at = timezone.now() - timedelta(hours=1)
    ConnectionEvent.objects.update(received_at=heard_at)
    session = a_session(user, pending_token="0c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f")
    event.refresh_from_db()
    apply(event)
    session.connection.refresh_from_db()
    assert session.connection.read_due_at == heard_at + MINUTE


@pytest.mark.parametrize(("told", "passed", "left"), [(30, 10, 20), (30, 60, 0), (30, 30, 0)])
def test_how_long_to_wait_counts_down_and_never_below_nothing(
    user: User, told: int, passed: int, left: int
) -> None:
    from business_os_banking.facts.report import refused

    session = a_session(user, status="created", pending_token=None)
    error = RateLimited("HTTP 429", error_class="RateLimited")
    error.retry_after = told
    record(refused(session, error, timezone.now() - timedelta(seconds=passed)))
    session.refresh_from_db()
    with pytest.raises(RateLimited) as caught:
        follow(session)
    assert caught.value.retry_after == pytest.approx(left, abs=1)
    assert (caught.value.retry_after or 0) >= 0


@pytest.mark.parametrize(("minutes", "asked"), [(9.98, 1), (10.02, 2)])
def test_what_says_done_and_proves_nothing_is_asked_again_after_ten_minutes(
    user: User, upstream: Upstream, minutes: float, asked: int
) -> None:
    upstream.deletes("7", body={})
    connection = BankingConnection.objects.create(
        user=user, status="active", upstream_id="7", seen_at=timezone.now()
    )
    now = timezone.now()
    disconnect(connection)
    assert len(upstream.calls("DELETE")) == 1
    reconcile(now + minutes * MINUTE)
    assert len(upstream.calls("DELETE")) == asked


def test_putting_one_removal_off_puts_no_other_off(user: User, upstream: Upstream) -> None:
    other = Removal.objects.create(
        account="default", upstream_id="99", digest="d" * 64, requested_at=timezone.now()
    )
    setting = {"ACCOUNTS": conf.settings.accounts, "DISCONNECT_SUPERSEDED": True}
    from django.test import override_settings

    session = a_session(user)
    with override_settings(BUSINESS_OS_BANKING=setting):
        bank = {"provider_code": "bank_xf", "provider_name": "Bank", "country_code": "DE"}
        deliver(callbacks.success(session.pending_token, "7", time="2026-11-01T10:00:00Z", **bank))
        renewal = ConnectSession.objects.create(
            connection=session.connection,
            status="open",
            pending_token="1c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f",
            expires_at=timezone.now() + timedelta(hours=1),
        )
        said = f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}"
        deliver(callbacks.success(renewal.pending_token, "8", time=said, **bank))
        mine = Removal.objects.get(upstream_id="7")
        Removal.objects.filter(pk=mine.pk).update(next_at=None)
        from business_os_banking.flows.remove import remove

        assert remove(mine) is None
    mine.refresh_from_db()
    other.refresh_from_db()
    assert mine.next_at is not None
    assert mine.next_at > timezone.now()
    assert other.next_at is None
    assert not upstream.calls("DELETE")


@pytest.mark.parametrize("what", ["removal", "link", "erased"])
def test_the_links_of_one_account_make_no_reading_of_another_due(user: User, what: str) -> None:
    now = timezone.now()
    values: dict[str, Any] = {"account": "berlin", "requested_at": now, "digest": "e" * 64}
    if what == "removal":
        Removal.objects.create(**values, upstream_id="7", asked_at=now)
    elif what == "erased":
        Removal.objects.create(**values, of_session=True)
    else:
        BankingConnection.objects.create(user=user, account="berlin", status="active", upstream_id="7")
    states = {alias: AccountState.objects.create(alias=alias) for alias in ("default", "berlin")}
    assert [sweep.is_due(states[alias], now) for alias in ("default", "berlin")] == [False, True]


@pytest.mark.parametrize(("share", "at_once"), [("tail", 20), ("by_id", 15), ("sweep", 10), ("asked", 5)])
def test_what_fits_into_each_share(share: Any, at_once: int, db: None) -> None:
    state = AccountState.objects.create(alias="default", read_at=timezone.now())
    now = timezone.now()
    assert budget.left(state, share, now) == at_once == budget.fits(share)
    for _ in range(at_once):
        assert budget.take("default", share, now)
    assert not budget.take("default", share, now)
    state.refresh_from_db()
    # In the rest of the day the other three quarters flow in.
    assert budget.left(state, share, now + timedelta(hours=12)) == min(at_once, int(at_once * 1.5))


def test_the_first_whole_reading_comes_before_its_pace(db: None) -> None:
    state = AccountState.objects.create(alias="default")
    assert budget.left(state, "sweep", timezone.now()) == 160  # four fifths of 200


def test_a_list_row_of_an_account_is_read_once(user: User, upstream: Upstream) -> None:
    session = a_session(user)
    upstream.lists(row("7", token=session.pending_token))
    first = reconcile(timezone.now() + timedelta(minutes=11)).read_facts
    second = reconcile(timezone.now() + timedelta(minutes=30)).read_facts
    assert (first, second) == (1, 0)
