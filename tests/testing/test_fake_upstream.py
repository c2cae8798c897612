"""Business OS in process: it answers as the real one does, fails as it is told, and knows what the test has made."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from business_os_banking import conf, exceptions, tasks
from business_os_banking.models import BankingConnection
from business_os_banking.testing import (
    Call,
    FakeUpstream,
    make_connection,
    override_banking,
    report_consent_end,
    report_removed,
    report_success,
)
from business_os_banking.upstream import http
from business_os_banking.upstream.client import BusinessOSClient

STATUSES = {
    301: "Unintelligible",
    401: "Refused",
    402: "OutOfCredits",
    404: "NotFound",
    409: "InvalidRequest",
    422: "InvalidRequest",
    429: "RateLimited",
    500: "UpstreamTrouble",
    502: "UpstreamTrouble",
}


@pytest.fixture
def client() -> BusinessOSClient:
    return BusinessOSClient()


def listed(client: BusinessOSClient) -> list[str]:
    return [row.id for row in client.list_connections()]


def test_connect_is_answered_as_the_public_page_shows_it(
    client: BusinessOSClient, banking_upstream: FakeUpstream
) -> None:
    one, other = (
        client.connect(return_to="https://site.example/", email="ada@kunde.example") for _ in range(2)
    )
    assert one.connect_url.open().startswith("https://www.saltedge.com/connect?token=")
    assert one.pending_token != other.pending_token
    assert one.owner_user_id == other.owner_user_id
    assert one.expires_at
    assert timedelta(minutes=50) < one.expires_at - timezone.now() <= timedelta(hours=1)
    sent = {
        "return_to": "https://site.example/",
        "scopes": ["accounts", "holder_info", "transactions"],
        "custom_fields": {},
        "email": "ada@kunde.example",
    }
    assert banking_upstream.calls == [Call("POST", "/v2/banking/connect", sent, {"api": "partner"})] * 2


def test_people_are_sent_where_the_settings_let_them_go(banking_upstream: FakeUpstream) -> None:
    for hosts, expected in (
        (["bank.example"], "https://bank.example/"),
        ([".saltedge.com"], "https://www.saltedge.com/"),
    ):
        with override_banking(ACCOUNTS={"default": {"API_KEY": "k", "CONNECT_URL_HOSTS": hosts}}):
            opened = BusinessOSClient().connect(return_to="https://site.example/")
        assert opened.connect_url.open().startswith(expected)


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_it_fails_until_it_is_told_not_to(
    client: BusinessOSClient, banking_upstream: FakeUpstream, status: int, error: str
) -> None:
    banking_upstream.fail_with(status)
    for _ in range(2):
        with pytest.raises(getattr(exceptions, error)) as failed:
            client.connect(return_to="https://site.example/")
        assert failed.value.error_class in {error, exceptions.Unintelligible.__name__}
        assert failed.value.status == status
    with pytest.raises(exceptions.BusinessOSError):
        listed(client)
    banking_upstream.fail_with(None)
    assert listed(client) == []
    assert len(banking_upstream.calls) == 4


def test_a_failure_may_have_a_class_and_may_be_no_answer_at_all(
    client: BusinessOSClient, banking_upstream: FakeUpstream
) -> None:
    banking_upstream.fail_with(409, "ConnectionDuplicated")
    with pytest.raises(exceptions.InvalidRequest) as failed:
        client.connect(return_to="https://site.example/")
    assert failed.value.error_class == "ConnectionDuplicated"
    for error in (exceptions.TimedOut(), exceptions.NotReachable()):
        banking_upstream.fail_with(error)
        with pytest.raises(type(error)):
            client.connect(return_to="https://site.example/")


@pytest.mark.parametrize(
    ("wrong", "kind"), [(200, ValueError), (0, ValueError), ("502", TypeError), (OSError(), TypeError)]
)
def test_what_is_no_failure_is_an_error(wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        FakeUpstream().fail_with(wrong)


def test_the_list_is_the_host_s_to_fill_and_a_delete_changes_it(
    client: BusinessOSClient, banking_upstream: FakeUpstream
) -> None:
    rows = banking_upstream.connections
    rows += [
        {"id": "1", "status": "active"},
        {"id": "2", "status": "inactive"},
        {"id": "3 ä", "status": "active"},
    ]
    assert listed(client) == ["1", "2"], "the third has an id that is none"
    # The third is kept to be told of, as one whose id cannot be used.
    assert [row.id for row in client.list_connections_page("2").rows] == ["2", ""]
    account = conf.account()
    assert (
        json.loads(http.send(account, "GET", "/v2/banking/connections/2").content)["data"]["status"]
        == "inactive"
    )
    client.delete_connection("2")
    assert listed(client) == ["1"]
    assert http.send(account, "GET", "/v2/banking/connections/2").status == 404
    client.delete_connection("made-before-this-fake-was-entered")
    assert [row["id"] for row in rows] == ["1", "3 ä"]


def test_there_are_no_bank_accounts_and_nothing_else(
    client: BusinessOSClient, banking_upstream: FakeUpstream
) -> None:
    assert client.probe().status == 404
    assert http.send(conf.account(), "PATCH", "/v2/banking/connections/1").status == 404
    assert http.send(conf.account(), "GET", "/v2/elsewhere").status == 404


def test_an_account_that_cannot_be_used_is_refused_as_ever(banking_upstream: FakeUpstream) -> None:
    with override_banking(ACCOUNTS={"default": {"API_KEY": ""}}), pytest.raises(ImproperlyConfigured):
        BusinessOSClient().connect(return_to="https://site.example/")
    assert banking_upstream.calls == []


def test_fakes_within_each_other_and_the_real_thing_afterwards() -> None:
    real = http.send
    with FakeUpstream() as outer:
        with FakeUpstream() as inner:
            assert listed(BusinessOSClient()) == []
        assert (len(outer.calls), len(inner.calls)) == (0, 1)
        assert listed(BusinessOSClient()) == []
    assert (len(outer.calls), len(inner.calls)) == (1, 1)
    assert http.send is real


@pytest.mark.django_db
def test_what_is_made_and_reported_is_in_the_list(banking_upstream: FakeUpstream) -> None:
    make_connection(status="pending")
    make_connection(status="disconnected")
    assert banking_upstream.connections == []
    connection = make_connection(bank="Sparkasse")
    [row] = banking_upstream.connections
    assert (row["id"], row["provider_name"], row["status"]) == (connection.upstream_id, "Sparkasse", "active")
    report_consent_end(connection)
    [row] = banking_upstream.connections
    assert (row["status"], row["last_attempt"]["fail_error_class"]) == ("inactive", "ConsentExpired")
    report_removed(connection)
    assert banking_upstream.connections == []
    assert banking_upstream.calls == []


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "consent_revoked", "access_denied", "bank_disabled", "login_changed"])
def test_reading_the_list_tells_nothing_else_than_the_reports(
    banking_upstream: FakeUpstream, reason: str
) -> None:
    connection = make_connection(status="inactive" if reason else "active", reason=reason)
    before = (connection.status, connection.status_reason)
    call_command("banking_reconcile", verbosity=0)
    connection.refresh_from_db()
    assert (connection.status, connection.status_reason) == before


@pytest.mark.django_db
def test_a_success_whose_webhook_was_lost_is_found_in_the_list(
    banking_upstream: FakeUpstream, user: User
) -> None:
    browser = Client()
    browser.force_login(user)
    browser.post(reverse("business_os_banking:connect"))
    session = BankingConnection.objects.get().sessions.get()
    row = banking_upstream.add(session, provider_name="Sparkasse")
    # A session that nobody came back from is looked for ten minutes after it was opened.
    tasks.banking_reconcile(timezone.now() + timedelta(minutes=11))
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.provider_name) == ("active", "Sparkasse")
    assert connection.upstream_id == row["id"]
    report_success(connection)
    assert len(banking_upstream.connections) == 1
