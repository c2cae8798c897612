# ruff: noqa: PT009 - as it is written with unittest
"""A host's own test file, written from the contract alone. It is copied into sites of several kinds and run there."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.urls import reverse

from business_os_banking import signals
from business_os_banking.testing import (
    FakeUpstream,
    VerifierContract,
    capture_signals,
    make_connection,
    override_banking,
    report_consent_end,
    report_failure,
    report_removed,
    report_success,
)
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected

REASONS = [
    *("consent_expired", "consent_revoked", "login_changed"),
    *("bank_step_required", "access_denied", "bank_disabled"),
]


def a_user(name: str = "ada") -> Any:
    return get_user_model().objects.create_user(username=name, email=f"{name}@kunde.example")


def names(captured: list[Any]) -> list[str]:
    return [signal.name for signal in captured if signal.name.startswith("connection_")]


class StatusTest(TestCase):
    def test_each_status(self) -> None:
        ada = a_user()
        for status in ("pending", "active", "inactive", "disconnected"):
            connection = make_connection(ada, status=status)
            self.assertEqual((connection.status, connection.user), (status, ada))

    def test_each_reason_and_the_way_back(self) -> None:
        for reason in REASONS:
            connection = make_connection(tenant="org-7", status="inactive", reason=reason, metadata={"a": 1})
            self.assertEqual((connection.status_reason, connection.metadata), (reason, {"a": 1}))
            report_success(connection)
            connection.refresh_from_db()
            self.assertEqual((connection.status, connection.status_reason), ("active", ""))


class ReceiverTest(TestCase):
    def test_a_receiver_is_called_within_a_test_case(self) -> None:
        heard: list[str] = []

        def hear(connection: Any, **kwargs: Any) -> None:
            heard.append(connection.status_reason)

        signals.connection_deactivated.connect(hear)
        self.addCleanup(signals.connection_deactivated.disconnect, hear)
        connection = make_connection(a_user())
        report_failure(connection, "InvalidCredentials")
        self.assertEqual(heard, ["login_changed"])

    def test_the_whole_life_of_a_connection(self) -> None:
        connection = make_connection(a_user(), status="pending")
        session = connection.sessions.get()
        with capture_signals() as captured:
            report_success(session)
            report_consent_end(connection)
            report_success(connection)
            report_removed(connection)
        expected = ["activated", "deactivated", "activated", "disconnected"]
        self.assertEqual(names(captured), [f"connection_{name}" for name in expected])
        self.assertEqual({signal.connection for signal in captured}, {connection})


class CommittedTest(TransactionTestCase):
    def test_where_transactions_do_commit_signals_are_sent_once(self) -> None:
        connection = make_connection(a_user(), status="pending")
        with capture_signals() as captured:
            report_success(connection)
        self.assertEqual(names(captured), ["connection_activated"])


class PageTest(TestCase):
    def setUp(self) -> None:
        self.upstream = self.enterContext(FakeUpstream())
        self.ada = a_user()
        self.client.force_login(self.ada)

    def test_connect_and_disconnect(self) -> None:
        to_the_bank = self.client.post(reverse("business_os_banking:connect"))
        self.assertEqual(to_the_bank.status_code, 303)
        [call] = self.upstream.calls
        self.assertEqual((call.method, call.path), ("POST", "/v2/banking/connect"))
        self.assertEqual((call.body or {})["email"], "ada@kunde.example")

        connection = self.ada.banking_connections.get()
        report_success(connection)
        self.assertEqual(len(self.upstream.connections), 1)
        url = reverse("business_os_banking:connection-disconnect", args=[connection.reference])
        self.client.post(url)
        connection.refresh_from_db()
        self.assertEqual((connection.status, connection.ended_by), ("disconnected", "owner"))
        self.assertEqual((self.upstream.calls[-1].method, self.upstream.calls[-1].body), ("DELETE", None))
        self.assertFalse(self.upstream.connections)

    def test_an_upstream_that_fails(self) -> None:
        self.upstream.fail_with(502)
        answer = self.client.post(reverse("business_os_banking:connect"), follow=True)
        self.assertEqual(self.ada.banking_connections.get().sessions.get().error_group, "try_again")
        self.assertTemplateUsed(answer, "business_os_banking/error.html")

    @override_banking(CONSENT_DAYS=10)
    def test_a_page_that_shows_a_status(self) -> None:
        make_connection(self.ada, bank="Sparkasse")
        page = self.client.get(reverse("business_os_banking:connection-list"))
        self.assertContains(page, "Sparkasse")


class HeaderSecret(Verifier):
    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get("X-Sent", "").encode()
        expected = [
            hmac.new(key.encode(), delivery.body, hashlib.sha512).hexdigest() for key in self.secrets()
        ]
        if not any(hmac.compare_digest(sent, one.encode()) for one in expected):
            raise WebhookRejected("no")


class HeaderSecretTest(VerifierContract, SimpleTestCase):
    verifier = HeaderSecret

    def headers(self, secret: str, body: bytes) -> dict[str, str]:
        return {"X-Sent": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()}


@pytest.mark.django_db
def test_with_the_fixture(banking_upstream: FakeUpstream, client: Any) -> None:
    client.force_login(a_user())
    assert client.post(reverse("business_os_banking:connect")).status_code == 303
    assert [call.method for call in banking_upstream.calls] == ["POST"]


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["pending", "active", "inactive", "disconnected"])
def test_pages_need_nothing_but_a_connection(status: str, client: Any) -> None:
    ada = a_user()
    client.force_login(ada)
    connection = make_connection(ada, status=status)
    assert client.get(connection.get_absolute_url()).status_code == 200


@pytest.mark.django_db
def test_any_other_keyword_is_an_error() -> None:
    with pytest.raises(TypeError):
        make_connection(upstream_id="42")  # type: ignore[call-arg]
