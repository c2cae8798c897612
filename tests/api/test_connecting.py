"""Create, renew and disconnect, and what the bank's side can do to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection, ConnectSession
from tests import callbacks
from tests.api.conftest import CONNECTIONS, Page, a_connection, error_of, url_of
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

SECRETS = ("pending_token", "custom_fields", "state", "baseline", "metadata", "email", "single_flight")


class WithSecrets(BankingAdapter):
    """A site that sends a mark along, which must not come out again."""

    def get_custom_fields(self, request: Any, connection: BankingConnection | None) -> dict[str, Any]:
        return {"cost_centre": "MARKER"}


class OnlyOne(BankingAdapter):
    """A site where a person may have one connection."""

    def can_connect(self, request: Any, connection: BankingConnection | None = None) -> bool:
        return super().can_connect(request, connection) and not self.visible_connections(request).exists()


def adapted(settings: Any, adapter: type[BankingAdapter]) -> None:
    path = f"{__name__}.{adapter.__name__}"
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": path}


def test_create_answers_with_the_address_to_send_the_browser_to(
    page: Page, upstream: Upstream, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "EMAIL_FROM_FORM": True}
    answer = page.create(
        {"api": "openbanking", "email": "x@kunde.example", "scopes": ["accounts"], "next": "/b/"}
    )
    assert answer.status_code == 201
    body = answer.json()
    connection, session = BankingConnection.objects.get(), ConnectSession.objects.get()
    assert body["reference"] == str(connection.reference)
    assert (body["status"], body["can_renew"], body["can_disconnect"]) == ("pending", True, True)
    assert body["session"]["connect_url"] == upstream.answers[0]["connect_url"]
    assert body["session"]["reference"] == str(session.reference)
    assert (body["session"]["status"], body["session"]["next"]) == ("open", "/b/")
    assert (body["session"]["final"], body["session"]["poll_after"]) == (False, 5)
    [call] = upstream.calls("POST")
    assert str(call.url).endswith("?api=openbanking")
    sent = json.loads(call.body or "")
    assert (sent["email"], sent["scopes"]) == ("x@kunde.example", ["accounts"])
    back = f"http://testserver/banking/return/{session.reference}/"
    assert re.fullmatch(re.escape(back) + r"[\w-]{22}/", sent["return_to"])


def test_nothing_has_to_be_said(page: Page, upstream: Upstream) -> None:
    assert page.create().status_code == 201
    assert page.create({}).status_code == 201
    sent = json.loads(upstream.calls("POST")[0].body or "")
    assert (sent["email"], len(sent["scopes"])) == ("ada@kunde.example", 3)


def test_no_answer_holds_what_is_nobodys_business(page: Page, upstream: Upstream, settings: Any) -> None:
    adapted(settings, WithSecrets)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "EMAIL_FROM_FORM": True}
    created = page.create({"email": "hidden@kunde.example"})
    connection, session = BankingConnection.objects.get(), ConnectSession.objects.get()
    BankingConnection.objects.update(
        metadata={"note": "MARKER"}, state={"x": "MARKER"}, baseline={"y": "MARKER"}
    )
    answers = [created, page.get(CONNECTIONS), page.get(url_of(connection)), page.get(url_of(session))]
    for answer in answers:
        assert answer.status_code in {200, 201}
        for secret in ("MARKER", "hidden@kunde.example", str(session.pending_token), *SECRETS):
            assert secret not in answer.content.decode(), secret


@pytest.mark.parametrize(
    "address", ["x@kunde.example", "ada@kunde.example.evil.example", "straße@kunde.example"]
)
def test_no_address_but_ones_own_is_sent(page: Page, upstream: Upstream, address: str) -> None:
    assert set(error_of(page.create({"email": address}), 400)["fields"]) == {"email"}
    assert not upstream.calls("POST")
    assert not BankingConnection.objects.exists()


def test_ones_own_address_may_be_named(page: Page, upstream: Upstream) -> None:
    assert page.create({"email": "ADA@kunde.example"}).status_code == 201
    assert json.loads(upstream.calls("POST")[0].body or "")["email"] == "ada@kunde.example"


@pytest.mark.parametrize(
    "address", ["ada@localhost", "ada@intranet", "Ada <a@b.example>", "a" * 250 + "@b.example"]
)
def test_an_address_that_cannot_be_sent_is_refused_where_it_is_given(
    page: Page, upstream: Upstream, user: User, address: str
) -> None:
    User.objects.filter(pk=user.pk).update(email="")
    assert set(error_of(page.create({"email": address}), 400)["fields"]) == {"email"}
    assert not upstream.calls("POST")


def test_an_address_of_another_site_is_dropped(page: Page, upstream: Upstream) -> None:
    for number, url in enumerate(("https://evil.example/", "//evil.example/", "javascript:alert(1)")):
        answer = page.create({"next": url}, Idempotency_Key=str(number))
        assert answer.json()["session"]["next"] == ""


def test_two_clicks_land_on_one_session(page: Page, upstream: Upstream) -> None:
    first, second = page.create(), page.create()
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["session"]["reference"] == second.json()["session"]["reference"]
    assert first.json()["session"]["connect_url"] == second.json()["session"]["connect_url"]
    assert len(upstream.calls("POST")) == 1


def test_renewing_stays_on_the_connection(page: Page, upstream: Upstream, user: User) -> None:
    connection = a_connection(user, "inactive", status_reason="consent_expired")
    answer = page.post(url_of(connection, "renew/"), {"next": "/books/"})
    assert answer.status_code == 201
    assert answer.json()["reference"] == str(connection.reference)
    assert answer.json()["session"]["connect_url"].startswith("https://www.saltedge.com/")
    assert ConnectSession.objects.get().connection == connection


def test_what_was_ended_for_good_is_not_renewed(page: Page, upstream: Upstream, user: User) -> None:
    connection = a_connection(user, "disconnected", ended_by="owner")
    error = error_of(page.post(url_of(connection, "renew/")), 409)
    assert error["class"] == "ConnectionEnded"
    assert upstream.calls("POST") == []


def test_disconnecting_twice_is_as_once(page: Page, upstream: Upstream, user: User) -> None:
    page.create()
    connection = BankingConnection.objects.get()
    for _ in range(2):
        answer = page.post(url_of(connection, "disconnect/"))
        assert answer.status_code == 200
        body = answer.json()
        assert (body["status"], body["ended_by"]) == ("disconnected", "owner")
        assert (body["can_disconnect"], body["can_renew"]) == (False, False)
    connection.refresh_from_db()
    assert connection.status == "disconnected"
    session = ConnectSession.objects.get()
    assert page.get(url_of(session)).json()["final"] is True


def test_the_adapter_may_say_no(page: Page, upstream: Upstream, user: User, settings: Any) -> None:
    adapted(settings, OnlyOne)
    a_connection(user)
    error = error_of(page.create(), 403)
    assert error["class"] == "NotAllowed"
    assert upstream.calls("POST") == []


def test_a_person_can_begin_so_many_sessions_an_hour(
    page: Page, upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "CONNECTS_PER_HOUR": 2}
    connection = a_connection(user)
    assert page.create().status_code == 201
    assert page.post(url_of(connection, "renew/")).status_code == 201
    for answer in (page.create(), page.post(url_of(connection, "renew/"))):
        error = error_of(answer, 429)
        assert (error["class"], error["group"]) == ("TooManyAttempts", "try_again")
        assert int(answer["Retry-After"]) > 0
    # What was refused for another reason is not counted, and what only reads is not limited.
    assert page.get(CONNECTIONS).status_code == 200


def test_what_was_malformed_does_not_count(page: Page, upstream: Upstream, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "CONNECTS_PER_HOUR": 1}
    for _ in range(3):
        assert page.create({"api": "nonsense"}).status_code == 400
    assert page.create().status_code == 201


def test_scopes_can_only_narrow_what_the_settings_offer(
    page: Page, upstream: Upstream, settings: Any
) -> None:
    accounts = {"default": {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "SCOPES": ["accounts"]}}
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ACCOUNTS": accounts}
    error = error_of(page.create({"scopes": ["accounts", "transactions"]}), 400)
    assert (error["class"], list(error["fields"])) == ("NotOffered", ["scopes"])
    assert upstream.calls("POST") == []


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "NotReachable": ({"body": requests.ConnectTimeout()}, "try_again"),
    "TimedOut": ({"body": requests.ReadTimeout()}, "try_again"),
    "Refused": ({"status": 401, "body": {"error": "invalid api key"}}, "setup"),
    "OutOfCredits": ({"status": 402, "body": {"error": "credits"}}, "setup"),
    "InvalidRequest": ({"status": 422, "body": {"errors": {"return_to": ["bad"]}}}, "setup"),
    "RateLimited": ({"status": 429, "body": {}, "headers": {"Retry-After": "17"}}, "try_again"),
    "UpstreamTrouble": ({"status": 502, "body": "<html>Bad gateway</html>"}, "try_again"),
    "Unintelligible": ({"status": 200, "body": "<html>Welcome</html>"}, "setup"),
}


@pytest.mark.parametrize("error_class", ANSWERS)
def test_each_wrong_answer_has_its_group_and_words(page: Page, upstream: Upstream, error_class: str) -> None:
    wrong, group = ANSWERS[error_class]
    if isinstance(wrong["body"], Exception):
        upstream.connect_fails(wrong["body"])
    else:
        upstream.connect_answers(**wrong)
    answer = page.create({"next": "/books/"})
    error = error_of(answer, 503)
    session = ConnectSession.objects.get()
    assert (error["class"], error["group"]) == (error_class, group)
    assert (error["session"], error["connection"]) == (
        str(session.reference),
        str(session.connection.reference),
    )
    assert answer.headers.get("Retry-After") == ("17" if error_class == "RateLimited" else None)
    told = " ".join(error[name] for name in ("title", "message", "next_step"))
    for technical in ("HTTP", "API", "401", "JSON", "gateway", error_class):
        assert technical not in told
    # The connection that is named is the one to try again on.
    upstream.connect_answers(body={})
    assert error_of(page.post(f"{CONNECTIONS}{error['connection']}/renew/"), 503)["class"] == "Unintelligible"
    assert BankingConnection.objects.count() == 1


def test_the_bank_is_connected_already(page: Page, upstream: Upstream, user: User) -> None:
    known = a_connection(user)
    upstream.connect_answers(status=409, body={"error": {"class": "ConnectionDuplicated", "message": "x"}})
    error = error_of(page.create(), 503)
    assert error["group"] == "already_connected"
    assert error["connection"] == str(known.reference)


def test_a_site_without_a_key_says_so_to_its_operator_alone(page: Page, settings: Any, caplog: Any) -> None:
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {"API_KEY": ""}}}
    error = error_of(page.create(), 503)
    assert (error["class"], error["group"], error["session"]) == ("NotConfigured", "setup", None)
    assert "BUSINESS_OS_API_KEY" in caplog.text
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}}
    assert error_of(page.create(), 503)["class"] == "NotConfigured"


def test_the_bank_is_never_called_inside_a_transaction(
    page: Page, upstream: Upstream, calls_in_transactions: list[bool]
) -> None:
    upstream.deletes("77")
    created = page.create().json()["session"]
    token = ConnectSession.objects.get(reference=created["reference"]).pending_token
    webhook = callbacks.raw(callbacks.success(token, "77"))
    page.client.post("/banking/webhook/", webhook, "application/json", headers={"X-Webhook-Secret": SECRET})
    connection = BankingConnection.objects.get()
    assert page.post(url_of(connection, "renew/")).status_code == 201
    assert page.post(url_of(connection, "disconnect/")).status_code == 200
    assert calls_in_transactions == [False, False, False]
