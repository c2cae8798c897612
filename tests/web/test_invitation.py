"""Renewal links: whoever holds one can renew one connection, and nothing else; a GET starts nothing."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from business_os_banking import logs
from business_os_banking.adapter import BankingAdapter
from business_os_banking.flows import invite
from business_os_banking.models import BankingConnection, ConnectSession

from .conftest import CONNECT_API, Browser, Upstream, a_connection, a_session, actions_of, text_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def renewable(eva: Any) -> BankingConnection:
    connection = a_connection(eva)
    ConnectSession.objects.create(
        connection=connection,
        status="succeeded",
        api="openbanking",
        email="eva@example.com",
        scopes=["accounts"],
    )
    return connection


def link_to(connection: BankingConnection) -> str:
    return reverse("business_os_banking:invitation", args=[invite.create(connection)])


def later(monkeypatch: pytest.MonkeyPatch, **shift: float) -> None:
    moment = timezone.now() + timedelta(**shift)
    monkeypatch.setattr(timezone, "now", lambda: moment)


def test_opening_a_link_starts_nothing(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    for method in (stranger.get, stranger.head):
        assert method(link_to(renewable)).status_code == 200
    assert (ConnectSession.objects.count(), upstream.calls) == (1, [])


def test_the_button_leads_to_the_bank_without_a_login(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, eva: Any
) -> None:
    token = upstream.opens()
    answer = stranger.post(link_to(renewable))
    assert (answer.status_code, "saltedge.com" in answer["Location"]) == (303, True)
    session = ConnectSession.objects.latest("pk")
    assert (session.connection, session.api, session.email, session.scopes) == (
        renewable,
        "openbanking",
        "eva@example.com",
        ["accounts"],
    )
    assert (session.connection.user, BankingConnection.objects.count()) == (eva, 1)
    stranger.callback(token, stage="finish")
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_a_browser_without_cookies_can_renew(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    upstream.opens()
    link = link_to(renewable)
    stranger.get(link)
    stranger.cookies.clear()
    assert stranger.post(link, headers={"Origin": "http://testserver"}).status_code == 303
    assert ConnectSession.objects.latest("pk").connection.user == renewable.user


def test_two_clicks_make_one_call(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    upstream.opens()
    link = link_to(renewable)
    assert stranger.post(link)["Location"] == stranger.post(link)["Location"]
    assert len(upstream.calls) == 1


def test_the_page_is_public_shows_nothing_personal_and_leaves_no_trace(
    stranger: Browser, renewable: BankingConnection
) -> None:
    page = stranger.get(link_to(renewable))
    assert (page["Cache-Control"], page["X-Robots-Tag"]) == ("no-store, private", "noindex")
    assert (
        page["Referrer-Policy"] == "same-origin"
    )  # other sites are told nothing, and ours that a form is its own
    assert list(actions_of(page)) == ["Continue to your bank"]
    for secret in ("Sparkasse", "eva", str(renewable.reference)):
        assert secret not in f"{page.content.decode()} {page.cookies}"


def refused(client: Browser, link: str, title: str, status: int) -> None:
    for answer in (client.get(link), client.post(link)):
        assert answer.status_code == status
    page = client.get(link)
    assert page.status_code == status
    assert title in text_of(page)
    assert (page["Cache-Control"], page["Referrer-Policy"]) == ("no-store, private", "no-referrer")
    assert "Sparkasse" not in page.content.decode()
    assert ConnectSession.objects.filter(status="created").count() == 0


def test_an_old_link(
    stranger: Browser, renewable: BankingConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to(renewable)
    later(monkeypatch, days=6.9)
    assert stranger.get(link).status_code == 200
    later(monkeypatch, days=0.2)
    refused(stranger, link, "This link is too old", 410)


def test_how_long_a_link_lasts_is_a_setting(
    stranger: Browser, renewable: BankingConnection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "RENEW_LINK_DAYS": 1}
    link = link_to(renewable)
    later(monkeypatch, days=1.1)
    refused(stranger, link, "This link is too old", 410)


def test_a_link_that_was_withdrawn(stranger: Browser, renewable: BankingConnection) -> None:
    link = link_to(renewable)
    invite.withdraw(renewable)
    refused(stranger, link, "This link is no longer valid", 410)
    renewable.refresh_from_db()
    assert stranger.get(link_to(renewable)).status_code == 200


def test_the_link_of_a_connection_that_was_ended(stranger: Browser, renewable: BankingConnection) -> None:
    link = link_to(renewable)
    BankingConnection.objects.update(status="disconnected", ended_by="owner")
    refused(stranger, link, "This link is no longer valid", 410)


def test_a_link_that_has_been_used(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    link = link_to(renewable)
    token = upstream.opens()
    stranger.post(link)
    assert stranger.get(link).status_code == 200  # tried, but not done yet
    stranger.callback(token, stage="finish")
    refused(stranger, link, "This link has been used", 410)
    assert stranger.get(link_to(renewable)).status_code == 200  # a new one, for the next time


@pytest.mark.parametrize("change", ["x{}", "{}x", "nonsense", "{}:{}"])
def test_a_link_that_was_changed(stranger: Browser, renewable: BankingConnection, change: str) -> None:
    token = invite.create(renewable)
    link = reverse("business_os_banking:invitation", args=[change.format(token, token)])
    refused(stranger, link, "This link does not work", 404)


def test_no_other_signature_of_the_site_opens_anything(
    stranger: Browser, renewable: BankingConnection
) -> None:
    content = [renewable.reference.hex, 0, round(timezone.now().timestamp() * 1000)]
    for token in (signing.dumps(content), signing.Signer(salt="other").sign_object(content)):
        refused(stranger, reverse("business_os_banking:invitation", args=[token]), "does not work", 404)


def test_the_link_of_a_connection_that_is_gone(stranger: Browser, renewable: BankingConnection) -> None:
    link = link_to(renewable)
    renewable.delete()
    refused(stranger, link, "This link does not work", 404)


def test_a_link_opens_so_many_sessions_an_hour(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "CONNECTS_PER_HOUR": 1}
    upstream.opens()
    link = link_to(renewable)
    assert stranger.post(link).status_code == 303
    answer = stranger.post(link)
    assert (answer.status_code, "a lot of tries" in text_of(answer)) == (429, True)


def test_trouble_upstream_has_a_way_forward(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    upstream.wire.post("https://api.business-os.test/v2/banking/connect", status=502)
    link = link_to(renewable)
    answer = stranger.post(link)
    assert (answer.status_code, actions_of(answer)["Try again"]) == (503, link)


def test_trouble_with_the_set_up(stranger: Browser, renewable: BankingConnection, settings: Any) -> None:
    link = link_to(renewable)
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}}
    assert stranger.get(link).status_code == 200
    answer = stranger.post(link)
    assert (answer.status_code, "not your mistake" in text_of(answer)) == (503, True)


def test_the_api_is_called_outside_of_a_requests_transaction(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, calls_in_transactions: list[bool]
) -> None:
    upstream.opens()
    stranger.post(link_to(renewable))
    assert calls_in_transactions == [False]


def test_the_page_takes_few_queries(stranger: Browser, renewable: BankingConnection) -> None:
    link = link_to(renewable)
    for _ in range(20):
        ConnectSession.objects.create(connection=renewable, status="failed", scopes=["accounts"])
    with CaptureQueriesContext(database) as captured:
        stranger.get(link)
    assert len(captured) == 3


def test_our_own_log_names_no_link(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "business_os_banking")
    upstream.wire.post("https://api.business-os.test/v2/banking/connect", status=502)
    link = link_to(renewable)
    stranger.post(link)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("business_os_banking")]
    assert ours
    assert not any(link.split("/")[-2] in text for text in ours)


def test_a_link_asks_for_no_more_than_the_account_offers(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, settings: Any
) -> None:
    account = settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, "SCOPES": ["accounts"]}}}
    a_session(renewable, "succeeded", scopes=["accounts", "holder_info"], created_at=timezone.now())
    ConnectSession.objects.update(created_at=timezone.now() - timedelta(days=1))
    upstream.opens()
    link = link_to(renewable)
    assert "The account holder" not in text_of(stranger.get(link))
    assert stranger.post(link).status_code == 303
    assert json.loads(upstream.calls[-1].body)["scopes"] == ["accounts"]


class Faulty(BankingAdapter):
    def get_custom_fields(self, request: Any, connection: BankingConnection | None) -> dict[str, Any]:
        raise RuntimeError("a fault of the site's own hook")


def test_django_logs_no_path_with_a_link(
    stranger: Browser,
    renewable: BankingConnection,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.wire.post(CONNECT_API, status=503)
    link = link_to(renewable)
    assert stranger.post(link).status_code == 503
    assert stranger.get(f"{link[:-1]}x/").status_code == 404
    assert stranger.put(link).status_code == 405
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.Faulty"}
    stranger.raise_request_exception = False
    assert stranger.post(link).status_code == 500
    assert "Internal Server Error: /banking/invitations/***/" in caplog.text
    token = link.rstrip("/").rpartition("/")[2]
    assert token not in caplog.text
    assert token not in logs.masked(f"GET {link} HTTP/1.1")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"stage": "finish"}, "You can close this page now."),
        ({"error_class": "InvalidCredentials", "error_message": "no"}, "open the link that you were sent"),
        (
            {"error_class": "ConnectionDuplicated", "error_message": "no"},
            "ask the person who sent you the link",
        ),
    ],
)
def test_on_the_way_back_nothing_needs_a_login(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream, body: dict[str, str], says: str
) -> None:
    token = upstream.opens()
    stranger.post(link_to(renewable))
    landing = f"/banking/return/{ConnectSession.objects.latest('pk').reference}/"
    assert actions_of(stranger.get(landing)) == {}
    stranger.callback(token, **body)
    page = stranger.get(landing)
    assert says in text_of(page)
    assert says in stranger.get(landing.replace("return", "sessions") + "status/").json()["next_step"]
    assert "Look at your connections" not in text_of(page)
    assert actions_of(page) == {}


def test_a_refusal_leads_to_no_page_with_a_login_and_says_when_to_come_back(
    stranger: Browser, renewable: BankingConnection, upstream: Upstream
) -> None:
    upstream.wire.post(CONNECT_API, status=429, headers={"Retry-After": "17"})
    link = link_to(renewable)
    answer = stranger.post(link)
    assert (answer.status_code, answer["Retry-After"]) == (503, "17")
    assert actions_of(answer) == {"Try again": link}
    invite.withdraw(renewable)
    assert actions_of(stranger.get(link)) == {}
