"""The door: matching, adoption, outcomes and announcements, for facts in any order."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.facts.announce import announce
from business_os_banking.facts.record import apply, record, record_return
from business_os_banking.facts.report import expired, returned
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.remove import remove_upstream
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream, connect_answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The names of the transition signals, as a site hears them."""
    names: list[str] = []
    receivers = []
    for name, signal in signals.BY_NAME.items():
        if name in {"event_recorded", "event_unmatched"}:
            continue

        def receiver(name: str = name, **_: Any) -> None:
            names.append(name)

        signal.connect(receiver, weak=False)
        receivers.append((signal, receiver))
    yield names
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def test_a_journey_is_told_step_by_step(upstream: Upstream, user: User, heard: list[str]) -> None:
    session = start(user)
    deliver(callbacks.fail(session.pending_token, time="2026-11-01T10:00:00Z"))
    deliver(callbacks.success(session.pending_token, time="2026-11-01T10:01:00Z"))
    deliver(callbacks.success(session.pending_token, time="2026-11-01T10:02:00Z"))
    deliver(
        callbacks.body(
            connection_id="111222333444555666", consent_status="expired", time="2026-11-02T10:00:00Z"
        )
    )
    deliver(callbacks.destroy(session.pending_token, time="2026-11-03T10:00:00Z"))
    assert heard == [
        "connect_session_started",
        "connect_session_finished",
        "connect_session_finished",
        "connection_activated",
        "connection_deactivated",
        "connection_disconnected",
    ]
    assert not ConnectionEvent.objects.filter(announced_at=None).exists()


def test_a_webhook_before_the_answer_of_the_api_is_adopted_with_the_token(
    upstream: Upstream, user: User, heard: list[str]
) -> None:
    answer = connect_answer()
    upstream.connect_answers(body=answer)
    early = deliver(callbacks.success(answer["pending_token"]))
    assert early.outcome == "unmatched"
    session = start(user)
    assert session.connect_url == answer["connect_url"]
    session.refresh_from_db()
    early.refresh_from_db()
    assert (early.outcome, early.session) == ("applied", session)
    assert session.status == "succeeded"
    assert BankingConnection.objects.get().status == "active"
    # What the second look brings to light is told first.
    assert heard == ["connect_session_finished", "connection_activated", "connect_session_started"]


def test_our_own_key_finds_the_session_while_its_token_is_unknown(upstream: Upstream, user: User) -> None:
    session = start(user)
    token = session.pending_token
    ConnectSession.objects.update(pending_token=None, status="created")
    assert deliver(callbacks.success(token, session=session.reference)).outcome == "applied"
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_a_fact_that_names_only_the_link_waits_until_the_link_is_known(
    upstream: Upstream, user: User
) -> None:
    session = start(user)
    waiting = deliver(callbacks.destroy(time="2026-11-03T10:00:00Z"))
    assert waiting.outcome == "unmatched"
    deliver(callbacks.success(session.pending_token, time="2026-11-01T10:00:00Z"))
    waiting.refresh_from_db()
    assert waiting.outcome == "applied"
    assert BankingConnection.objects.get().status == "disconnected"


def test_both_links_of_one_session_are_ours_in_every_order(upstream: Upstream, user: User) -> None:
    ends = set()
    for number, order in enumerate(itertools.permutations(range(4))):
        session = start(user, next_url=f"/{number}/")
        a, b = f"a{number}", f"b{number}"
        bodies = [
            callbacks.fail(session.pending_token, connection_id=a, time="2026-11-01T10:01:00Z"),
            callbacks.success(session.pending_token, b, time="2026-11-01T10:02:00Z"),
            callbacks.success(None, a, time="2026-11-01T10:03:00Z"),
            callbacks.body(connection_id=b, consent_status="revoked", time="2026-11-01T10:04:00Z"),
        ]
        for index in order:
            deliver(bodies[index])
        connection = session.connection
        connection.refresh_from_db()
        ends.add((connection.status, connection.status_reason, connection.upstream_id[0]))
    assert len(ends) == 1
    assert not ConnectionEvent.objects.filter(outcome="unmatched").exists()


def test_a_receiver_of_one_sender_hears_too(upstream: Upstream, user: User) -> None:
    heard: list[Any] = []

    def receiver(connection: Any, **_: Any) -> None:
        heard.append(connection.status)

    session = start(user)
    signals.connection_activated.connect(receiver, sender=ConnectionEvent)
    try:
        deliver(callbacks.success(session.pending_token))
    finally:
        signals.connection_activated.disconnect(receiver, sender=ConnectionEvent)
    assert heard == ["active"]


def test_who_has_heard_is_not_told_again(upstream: Upstream, user: User) -> None:
    heard: list[str] = []

    def hears(**_: Any) -> None:
        heard.append("activated")

    def raises(**_: Any) -> None:
        raise ValueError("every time")

    session = start(user)
    signals.connection_activated.connect(hears)
    signals.event_recorded.connect(raises)
    try:
        event = deliver(callbacks.success(session.pending_token))
        assert not announce(ConnectionEvent.objects.get(pk=event.pk))
    finally:
        signals.connection_activated.disconnect(hears)
        signals.event_recorded.disconnect(raises)
    assert heard == ["activated"]


def test_coming_back_is_recorded_once(upstream: Upstream, user: User) -> None:
    session = start(user)
    record_return(session, {"error_class": "ProviderAccessNotGranted"})
    record_return(session, {"error_class": "ProviderAccessNotGranted"})
    session.refresh_from_db()
    assert session.status == "open"
    assert session.returned_at is not None
    event = ConnectionEvent.objects.get(kind="returned")
    assert (event.deliveries, event.payload) == (2, {"error_class": "ProviderAccessNotGranted"})


def test_one_link_for_two_connections_of_one_owner_is_one_link(upstream: Upstream, user: User) -> None:
    first, second = start(user), start(user, next_url="/again/")
    deliver(callbacks.success(first.pending_token, "777", time="2026-11-01T10:00:00Z"))
    deliver(callbacks.success(second.pending_token, "777", time="2026-11-01T11:00:00Z"))
    assert list(BankingConnection.objects.values_list("status", flat=True)) == ["active", "active"]
    deliver(callbacks.destroy(None, "777", time="2026-11-02T10:00:00Z"))
    assert list(BankingConnection.objects.values_list("status", flat=True)) == ["disconnected"] * 2


def test_a_row_that_a_site_imported_starts_from_what_it_says(user: User) -> None:
    imported = BankingConnection.objects.create(
        user=user, status="active", upstream_id="777", provider_name="Old Bank", connected_at=timezone.now()
    )
    deliver(callbacks.fail(None, "InvalidCredentials", connection_id="777", time="2036-01-01T00:00:00Z"))
    imported.refresh_from_db()
    assert (imported.status, imported.status_reason) == ("inactive", "login_changed")
    assert (imported.upstream_id, imported.provider_name) == ("777", "Old Bank")


def test_a_session_that_a_site_imported_keeps_what_it_says(user: User) -> None:
    connection = BankingConnection.objects.create(user=user, status="active", upstream_id="777")
    session = ConnectSession.objects.create(
        connection=connection,
        status="succeeded",
        succeeded_at=timezone.now(),
        upstream_id="777",
        pending_token=uuid.uuid4(),
    )
    record_return(session, {})
    session.refresh_from_db()
    connection.refresh_from_db()
    assert (session.status, connection.status) == ("succeeded", "active")
    failed = ConnectSession.objects.create(
        connection=connection, status="failed", error_class="ProviderError"
    )
    record_return(failed, {})
    failed.refresh_from_db()
    assert (failed.status, failed.error_class) == ("failed", "ProviderError")


def test_a_receiver_that_raises_hurts_nobody_and_is_told_again(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def faulty(**_: Any) -> None:
        heard.append("faulty")
        if len(heard) < 2:
            raise ValueError("the receiver's own fault")

    session = start(user)
    signals.connection_activated.connect(faulty)
    try:
        event = deliver(callbacks.success(session.pending_token))
        assert event.announced_at is None
        assert "will be told again" in caplog.text
        assert announce(event)
    finally:
        signals.connection_activated.disconnect(faulty)
    event.refresh_from_db()
    assert heard == ["faulty", "faulty"]
    assert event.announced_at is not None


def test_unmatched_events_are_told(upstream: Upstream) -> None:
    heard: list[Any] = []

    def receiver(event: ConnectionEvent, connection: Any, **_: Any) -> None:
        heard.append((event.outcome, connection))

    signals.event_unmatched.connect(receiver)
    try:
        deliver(callbacks.success(uuid.uuid4()))
    finally:
        signals.event_unmatched.disconnect(receiver)
    assert heard == [("unmatched", None)]


def test_an_event_that_was_applied_is_not_applied_again(upstream: Upstream, user: User) -> None:
    session = start(user)
    event = deliver(callbacks.success(session.pending_token))
    stale = ConnectionEvent.objects.get(pk=event.pk)
    stale.outcome = "failed"
    assert apply(stale).outcome == "applied"


def test_a_session_that_ran_out_is_expired_and_may_still_succeed(upstream: Upstream, user: User) -> None:
    session = start(user)
    assert session.expires_at is not None
    record(expired(session, session.expires_at + timedelta(minutes=15)))
    session.refresh_from_db()
    assert (session.status, session.error_group, session.connect_url) == ("expired", "took_too_long", "")
    deliver(callbacks.success(session.pending_token))
    session.refresh_from_db()
    assert (session.status, session.error_group) == ("succeeded", "")


# --- disconnect ---


def test_disconnecting_is_done_here_and_at_the_provider(
    upstream: Upstream, user: User, heard: list[str]
) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "777"))
    upstream.deletes("777")
    connection = disconnect(session.connection)
    assert (connection.status, connection.ended_by, connection.removal_due) == (
        "disconnected",
        "owner",
        False,
    )
    assert len(upstream.calls("DELETE")) == 1
    assert heard[-1] == "connection_disconnected"
    disconnect(connection)
    assert len(upstream.calls("DELETE")) == 1


def test_inside_a_transaction_it_refuses_to_disconnect(upstream: Upstream, user: User) -> None:
    session = start(user)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        disconnect(session.connection)


def test_a_connection_that_the_provider_no_longer_has_is_done(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "777"))
    upstream.deletes("777", 404, {})
    assert disconnect(session.connection).removal_due is False


def test_a_removal_that_fails_is_kept_for_later(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "777"))
    upstream.deletes("777", 503, {})
    connection = disconnect(session.connection, by="operator")
    assert (connection.status, connection.ended_by, connection.removal_due) == (
        "disconnected",
        "operator",
        True,
    )
    upstream.mock.replace(
        responses.DELETE, "https://api.business-os.test/v2/banking/connections/777", json={"removed": True}
    )
    assert remove_upstream(connection)
    assert connection.removal_due is False


def test_a_late_success_for_an_ended_connection_is_an_orphan_to_remove(
    upstream: Upstream, user: User
) -> None:
    session = start(user)
    connection = disconnect(session.connection)
    assert connection.removal_due is False
    event = deliver(callbacks.success(session.pending_token, "777"))
    connection.refresh_from_db()
    assert event.outcome == "orphaned"
    assert (connection.status, connection.removal_due) == ("disconnected", True)


@pytest.mark.once
def test_a_database_that_returns_nothing_on_insert_is_asked_for_the_key(
    upstream: Upstream, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(user)
    monkeypatch.setattr(connection.features, "can_return_columns_from_insert", False)  # as with MySQL
    with CaptureQueriesContext(connection) as captured:
        event = record(returned(session, {}, timezone.now()))
    assert not any("RETURNING" in query["sql"] for query in captured.captured_queries)
    assert event == ConnectionEvent.objects.latest("pk")
    assert event._state.adding is False
