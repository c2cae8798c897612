"""What the provider reports goes through the real webhook, signed, and its hooks run once, in every kind of test."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import Account, make_account
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.testing import (
    FakeUpstream,
    capture_signals,
    make_connection,
    override_banking,
    report_consent_end,
    report_failure,
    report_removed,
    report_success,
)
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected

pytestmark = pytest.mark.django_db

VERIFIERS = "business_os_banking.webhooks.verifiers"
WHSEC = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def renewed(connection: BankingConnection, client: Any) -> ConnectSession:
    """Let the owner press *Renew*, and return the session that waits for the bank."""
    client.post(reverse("business_os_banking:connection-renew", args=[connection.reference]))
    return connection.sessions.latest("pk")


class OnlyMine(Verifier):
    """It knows its senders, and signs nothing itself."""

    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get("X-Mine", "").encode()
        if not any(hmac.compare_digest(sent, secret.encode()) for secret in self.secrets()):
            raise WebhookRejected("not mine")


class OwnAccounts(BankingAdapter):
    def get_credentials(self, alias: str, connection: BankingConnection | None) -> Account:
        values = {
            "API_KEY": "k",
            "WEBHOOK_SECRETS": [WHSEC],
            "WEBHOOK_VERIFIERS": [f"{VERIFIERS}.StandardWebhooks"],
        }
        return make_account(alias, values)


class OneTenantAlone(OwnAccounts):
    def get_credentials(self, alias: str, connection: BankingConnection | None) -> Account:
        if alias != "org-7":
            raise ImproperlyConfigured(f"nobody is called {alias}")
        return super().get_credentials(alias, connection)


class OneForAll(OwnAccounts):
    def get_credentials(self, alias: str, connection: BankingConnection | None) -> Account:
        return super().get_credentials("the-same", connection)


# --- Which session, which link ---------------------------------------------------------------------------


def test_each_report_is_told_by_the_event_it_returns_and_the_row_it_was_given() -> None:
    connection = make_connection(status="pending")
    session = connection.sessions.get()
    succeeded = report_success(session)
    assert (succeeded.source, succeeded.kind, succeeded.outcome) == ("webhook", "succeeded", "applied")
    assert (session.status, session.connection.status) == ("succeeded", "active")
    assert report_consent_end(connection).kind == "consent_ended"
    assert (connection.status, connection.status_reason) == ("inactive", "consent_expired")
    assert report_success(connection).kind == "succeeded"
    assert report_failure(connection, "ProviderUnavailable").error_class == "ProviderUnavailable"
    assert (connection.status, connection.last_error_class) == ("active", "ProviderUnavailable")
    assert report_removed(connection).kind == "removed"
    assert (connection.status, connection.ended_by) == ("disconnected", "provider")


def test_a_first_attempt_fails_and_the_next_one_succeeds() -> None:
    connection = make_connection(status="pending")
    report_failure(connection, "InvalidCredentials")
    session = connection.sessions.get()
    assert (connection.status, session.status, session.error_group) == ("pending", "failed", "wrong_login")
    assert ConnectionEvent.objects.latest("pk").upstream_id == ""
    report_success(connection)
    assert connection.status == "active"


def test_while_a_renewal_waits_an_attempt_is_that_of_the_renewal(
    user: User, web: Any, banking_upstream: Any
) -> None:
    connection = make_connection(user, status="inactive")
    old = connection.upstream_id
    web.handler.enforce_csrf_checks = False
    session = renewed(connection, web)
    report_failure(connection, "InvalidCredentials")
    session.refresh_from_db()
    assert (session.status, connection.upstream_id) == ("failed", old)
    session = renewed(connection, web)
    report_success(connection)
    assert connection.status == "active"
    assert connection.upstream_id != old
    assert session.events.filter(kind="succeeded").exists()
    report_consent_end(connection)
    assert connection.status == "inactive"


def test_of_a_link_that_there_is_not_nothing_can_be_said() -> None:
    connection = make_connection(status="pending")
    for report in (report_consent_end, report_removed):
        with pytest.raises(ValueError, match="report_success"):
            report(connection)
        with pytest.raises(ValueError, match="report_success"):
            report(connection.sessions.get())


def test_rows_that_were_made_by_hand_are_reported_of_as_far_as_they_go() -> None:
    imported = BankingConnection.objects.create(status="active", upstream_id="42")
    report_failure(imported, "ConsentRevoked")
    assert imported.status_reason == "consent_revoked"
    bare = ConnectSession.objects.create(connection=BankingConnection.objects.create())
    report_success(bare)
    assert bare.connection.status == "active"
    with pytest.raises(ValueError, match="make_connection"):
        report_success(BankingConnection.objects.create())


@pytest.mark.parametrize(
    "commits", [False, pytest.param(True, marks=pytest.mark.django_db(transaction=True))], ids=str
)
def test_what_a_receiver_erases_is_gone(commits: bool) -> None:
    connection = make_connection()

    def erase(connection: BankingConnection, **_: Any) -> None:
        connection.delete()

    signals.connection_disconnected.connect(erase)
    try:
        assert report_removed(connection).kind == "removed"
    finally:
        signals.connection_disconnected.disconnect(erase)
    assert not BankingConnection.objects.exists()


# --- When ------------------------------------------------------------------------------------------------


def test_at_a_moment_that_stands_still_the_later_report_counts() -> None:
    with time_machine.travel(datetime(2026, 11, 29, 12, tzinfo=UTC), tick=False):
        connection = make_connection()
        assert connection.connected_at == timezone.now()
        for _ in range(3):
            report_failure(connection, "InvalidCredentials")
            assert connection.status == "inactive"
            report_success(connection)
            assert connection.status == "active"


def test_what_is_reported_happened_when_it_is_reported() -> None:
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC)):
        connection = make_connection()
    with time_machine.travel(datetime(2026, 6, 30, tzinfo=UTC), tick=False):
        event = report_consent_end(connection)
        assert event.occurred_at == event.received_at == timezone.now()


# --- Who -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "account",
    [
        {"WEBHOOK_SECRETS": ["plain"], "WEBHOOK_VERIFIERS": [f"{VERIFIERS}.SharedSecret"]},
        {"WEBHOOK_SECRETS": ["schlüssel"], "WEBHOOK_VERIFIERS": [f"{VERIFIERS}.HMACSignature"]},
        {"WEBHOOK_SECRETS": [WHSEC, "old"], "WEBHOOK_VERIFIERS": [f"{VERIFIERS}.StandardWebhooks"]},
        {"WEBHOOK_SECRETS": ["plain"], "WEBHOOK_VERIFIERS": [f"{__name__}.OnlyMine"]},
        {
            "SALTEDGE_CALLBACK_URLS": ["https://x.example/"],
            "WEBHOOK_VERIFIERS": [f"{VERIFIERS}.SaltEdgeSignature"],
        },
        {},
    ],
)
def test_whatever_proves_a_sender_the_report_is_believed(account: dict[str, Any]) -> None:
    with override_banking(ACCOUNTS={"default": account}), capture_signals() as captured:
        connection = make_connection()
        report_consent_end(connection)
    assert connection.status == "inactive"
    assert not [signal for signal in captured if signal.name == "webhook_rejected"]


def test_it_is_signed_with_what_the_adapter_gives() -> None:
    with override_banking(ADAPTER=f"{__name__}.OwnAccounts", ACCOUNTS={}):
        connection = make_connection()
        report_consent_end(connection)
    assert connection.status == "inactive"


def test_where_the_adapter_does_not_know_the_account_one_is_lent() -> None:
    with override_banking(ADAPTER=f"{__name__}.OneTenantAlone", ACCOUNTS={}):
        connection = make_connection()
        report_consent_end(connection)
    assert connection.status == "inactive"


def test_an_adapter_that_gives_another_s_account_is_told_so() -> None:
    connection = make_connection()
    with (
        override_banking(ADAPTER=f"{__name__}.OneForAll", ACCOUNTS={}),
        pytest.raises(ImproperlyConfigured, match="It must return one of the same alias"),
    ):
        report_consent_end(connection)


def test_where_the_webhook_does_not_take_it_the_report_says_so() -> None:
    connection = make_connection()
    with (
        override_banking(WEBHOOK_MAX_BYTES=10),
        pytest.raises(AssertionError, match=r"answered 413.*webhooks\.views"),
    ):
        report_success(connection)


# --- Hooks -----------------------------------------------------------------------------------------------


def sent_by(work: Any) -> list[str]:
    with capture_signals() as captured:
        work()
    return [signal.name for signal in captured if signal.name == "connection_deactivated"]


class InATestCase(TestCase):
    connection: BankingConnection

    @classmethod
    def setUpTestData(cls) -> None:
        cls.connection = make_connection()

    def test_hooks_run_once_and_no_others(self) -> None:
        mine: list[str] = []
        transaction.on_commit(lambda: mine.append("mine"))
        with self.captureOnCommitCallbacks() as left:
            assert sent_by(lambda: report_consent_end(self.connection)) == ["connection_deactivated"]
        assert (mine, left) == ([], [])

    def test_hooks_are_not_run_again_by_who_captures_them(self) -> None:
        def captured() -> None:
            with self.captureOnCommitCallbacks(execute=True):
                report_consent_end(self.connection)

        assert sent_by(captured) == ["connection_deactivated"]


@pytest.mark.django_db(transaction=True)
def test_hooks_run_once_where_transactions_commit() -> None:
    connection = make_connection()

    def within() -> None:
        with transaction.atomic():
            report_failure(connection, "ConsentExpired")

    assert sent_by(lambda: report_consent_end(connection)) == ["connection_deactivated"]
    report_success(connection)
    assert sent_by(within) == ["connection_deactivated"]


def test_hooks_that_hooks_register_run_and_what_a_robust_one_raises_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[str] = []
    connection = make_connection()

    def breaks() -> None:
        ran.append("robust")
        raise RuntimeError("from a hook")

    def hear(**_: Any) -> None:
        transaction.on_commit(breaks, robust=True)
        transaction.on_commit(lambda: transaction.on_commit(lambda: ran.append("nested")))

    signals.connection_deactivated.connect(hear)
    try:
        report_consent_end(connection)
        assert ran == ["robust", "nested"]
        assert "from a hook" in caplog.text

        def raises(**_: Any) -> None:
            transaction.on_commit(lambda: 1 / 0)

        signals.connection_activated.connect(raises)
        with pytest.raises(ZeroDivisionError):
            report_success(connection)
    finally:
        signals.connection_deactivated.disconnect(hear)
        signals.connection_activated.disconnect(raises)


def test_a_receiver_that_raises_is_told_again_as_on_a_site(caplog: pytest.LogCaptureFixture) -> None:
    def raises(**_: Any) -> None:
        raise RuntimeError("from a receiver")

    connection = make_connection()
    signals.connection_deactivated.connect(raises)
    try:
        event = report_consent_end(connection)
    finally:
        signals.connection_deactivated.disconnect(raises)
    assert (connection.status, event.announced_at) == ("inactive", None)
    assert "from a receiver" in caplog.text


# --- Time travel -----------------------------------------------------------------------------------------


def test_a_consent_runs_out_as_time_goes_by() -> None:
    with FakeUpstream(), time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC)) as traveller:
        connection = make_connection()
        assert not connection.needs_attention
        traveller.shift(timedelta(days=170))
        assert connection.is_expiring_soon
        report_consent_end(connection)
        assert connection.status_reason == "consent_expired"
