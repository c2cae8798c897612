"""Starting: the page that explains, the POST that leaves for the bank, and every way it can go wrong."""

import json
import re
from collections import Counter
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.test.client import MULTIPART_CONTENT

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.exceptions import NotAllowed
from business_os_banking.models import BankingConnection, ConnectSession

from .conftest import CONNECT_API, Browser, Upstream, a_connection, a_session, actions_of, soup, text_of

CONNECT = "/banking/connect/"


class Closed(BankingAdapter):
    def can_connect(self, request: Any, connection: BankingConnection | None = None) -> bool:
        return False


class Undecided(BankingAdapter):
    def get_owner(self, request: Any) -> Any:
        if request.method == "POST":
            raise NotAllowed
        return super().get_owner(request)


def test_the_page_explains_and_calls_nobody(browser: Browser, upstream: Upstream) -> None:
    page = browser.get(CONNECT)
    text = text_of(page)
    assert page.status_code == 200
    assert [radio["value"] for radio in soup(page).select("input[type=radio]")] == ["partner", "openbanking"]
    for words in ("American Express, Revolut and similar", "Transactions", "never sees it", "Salt Edge"):
        assert words in text
    assert "partner" not in text
    assert upstream.calls == []
    assert not ConnectSession.objects.exists()


def test_posting_leaves_for_the_bank(browser: Browser, upstream: Upstream) -> None:
    upstream.opens()
    answer = browser.submit(CONNECT, {"api": "openbanking", "next": "/books/"})
    assert answer.status_code == 303
    assert urlsplit(answer["Location"]).hostname == "www.saltedge.com"
    (call,) = upstream.calls
    assert parse_qs(urlsplit(call.url).query) == {"api": ["openbanking"]}
    body = json.loads(call.body)
    session = ConnectSession.objects.get()
    assert body["email"] == "eva@example.com"
    back = f"http://testserver/banking/return/{session.reference}/"
    assert re.fullmatch(re.escape(back) + r"[\w-]{22}/", body["return_to"])
    assert body["scopes"] == ["accounts", "holder_info", "transactions"]
    assert session.next_url == "/books/"


def test_scopes_and_email_may_be_given(browser: Browser, upstream: Upstream, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "EMAIL_FROM_FORM": True}
    upstream.opens()
    browser.submit(CONNECT, {"scopes": ["accounts", "transactions"], "email": "other@example.com"})
    body = json.loads(upstream.calls[0].body)
    assert (body["scopes"], body["email"]) == (["accounts", "transactions"], "other@example.com")


def test_another_address_than_ones_own_is_a_mistake_in_its_field(
    browser: Browser, upstream: Upstream
) -> None:
    """Whoever it is may not act as another customer upstream; and what was typed is never silently replaced."""
    answer = browser.submit(CONNECT, {"email": "other@example.com", "next": "/books/"})
    assert answer.status_code == 400
    field = soup(answer).select_one("input[name=email]")
    assert field is not None
    assert field["value"] == "other@example.com"
    assert "another address" in text_of(answer)
    assert upstream.calls == []
    assert not ConnectSession.objects.exists()


def test_who_has_no_address_may_give_one(browser: Browser, upstream: Upstream, eva: Any) -> None:
    get_user_model().objects.filter(pk=eva.pk).update(email="")
    upstream.opens()
    assert browser.submit(CONNECT, {"email": " other@example.com "}).status_code == 303
    assert json.loads(upstream.calls[0].body)["email"] == "other@example.com"


@pytest.mark.parametrize(
    "own",
    [
        "ada@intranet",
        "ad\u200ba@example.com",
        "Ada <ada@example.com>",
        "ada",
        " ",
        "ada@example.com, b@example.com",
        "ä@localhost",
    ],
)
def test_an_address_that_cannot_be_sent_locks_nobody_out(
    browser: Browser, upstream: Upstream, eva: Any, own: str, caplog: pytest.LogCaptureFixture
) -> None:
    get_user_model().objects.filter(pk=eva.pk).update(email=own)
    upstream.opens()
    assert browser.submit(CONNECT, {}).status_code == 303
    assert "email" not in json.loads(upstream.calls[0].body)
    assert ConnectSession.objects.get().email == ""
    warnings = [record for record in caplog.records if "e-mail address" in record.getMessage()]
    assert len(warnings) == bool(own.strip())
    assert own == " " or own not in caplog.text


@pytest.mark.parametrize(
    "own",
    [
        " ada@example.com",
        "ada@example.com\t",
        "ada@example.com\n",
        "ada@example.com\u200b",
        "\ufeffada@example.com ",
    ],
)
def test_blanks_around_an_address_are_not_sent(
    browser: Browser, upstream: Upstream, eva: Any, own: str
) -> None:
    get_user_model().objects.filter(pk=eva.pk).update(email=own)
    upstream.opens()
    assert browser.submit(CONNECT, {}).status_code == 303
    assert json.loads(upstream.calls[0].body)["email"] == "ada@example.com"


@pytest.mark.parametrize("length", [255, 320, 321])
def test_an_address_that_no_column_holds_is_a_mistake_in_its_field(
    browser: Browser, upstream: Upstream, settings: Any, length: int
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "EMAIL_FROM_FORM": True}
    domain = ".".join(["d" * 60] * 4) + ".example"
    answer = browser.submit(CONNECT, {"email": "a" * (length - len(domain) - 1) + "@" + domain})
    assert answer.status_code == 400
    assert upstream.calls == []


class TooLong(BankingAdapter):
    def get_email(self, request: HttpRequest) -> str:
        return "a" * 60 + "@" + ".".join(["d" * 60] * 4) + ".example"


class NoText(BankingAdapter):
    def get_email(self, request: HttpRequest) -> Any:
        return None


@pytest.mark.parametrize("adapter", [TooLong, NoText])
def test_what_an_adapter_returns_is_validated_too(
    browser: Browser, upstream: Upstream, settings: Any, adapter: type[BankingAdapter]
) -> None:
    path = f"{__name__}.{adapter.__name__}"
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": path}
    upstream.opens()
    assert browser.submit(CONNECT, {}).status_code == 303
    assert "email" not in json.loads(upstream.calls[0].body)


def test_scopes_can_only_narrow_what_the_settings_allow(
    browser: Browser, upstream: Upstream, settings: Any
) -> None:
    accounts = {"default": {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "SCOPES": ["accounts"]}}
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ACCOUNTS": accounts}
    assert "Transactions" not in text_of(browser.get(CONNECT))
    assert browser.submit(CONNECT, {"scopes": ["accounts", "transactions"]}).status_code == 400
    assert upstream.calls == []


@pytest.mark.parametrize("field", ["api", "email", "scopes"])
def test_nonsense_is_the_page_again(browser: Browser, upstream: Upstream, field: str) -> None:
    answer = browser.submit(CONNECT, {field: "<script>nonsense", "next": "/books/"})
    assert answer.status_code == 400
    assert soup(answer).select_one("[role=alert]") is not None
    assert soup(answer).select_one("input[name=next]")["value"] == "/books/"  # type: ignore[index]
    assert b"<script>nonsense" not in answer.content
    assert upstream.calls == []
    assert not ConnectSession.objects.exists()


def test_without_a_csrf_token_nothing_starts(browser: Browser, upstream: Upstream) -> None:
    assert browser.post(CONNECT).status_code == 403
    assert upstream.calls == []


def test_only_people_who_are_signed_in(stranger: Browser, upstream: Upstream) -> None:
    for url in (CONNECT, "/banking/"):
        assert stranger.get(url)["Location"] == f"/login/?next={url}"


@pytest.mark.parametrize(
    "next_url",
    [
        "https://evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "https:evil.example",
        "\\\\evil.example",
    ],
)
def test_an_unsafe_next_is_dropped_without_a_word(
    browser: Browser, upstream: Upstream, next_url: str
) -> None:
    upstream.opens()
    assert browser.submit(CONNECT, {"next": next_url}).status_code == 303
    assert ConnectSession.objects.get().next_url == ""
    assert actions_of(browser.get(CONNECT, {"next": next_url}))["Not now"] == "/banking/"


def test_a_site_under_https_does_not_go_on_to_http(eva: Any, upstream: Upstream) -> None:
    client = Client()
    client.force_login(eva)
    upstream.opens()
    assert client.post(CONNECT, {"next": "http://testserver/books/"}, secure=True).status_code == 303
    assert ConnectSession.objects.get().next_url == ""


class OddTenant(BankingAdapter):
    tenant: Any = None

    def get_owner(self, request: HttpRequest) -> Any:
        return request.user, self.tenant


class OddFields(BankingAdapter):
    def get_custom_fields(self, request: HttpRequest, connection: Any = None) -> Any:
        return "x"


class OddAddress(BankingAdapter):
    def get_email(self, request: HttpRequest) -> Any:
        return b"ada@example.com"


@pytest.mark.parametrize("tenant", [None, 7, "x" * 256, "a\0b"])
def test_a_tenant_that_is_none_is_told_to_the_operator(
    browser: Browser, upstream: Upstream, settings: Any, tenant: Any, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(OddTenant, "tenant", tenant)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.OddTenant"}
    answer = browser.submit(CONNECT, {})
    assert (answer.status_code, "not your mistake" in text_of(answer)) == (503, True)
    assert "get_owner()" in caplog.text
    assert upstream.calls == []


@pytest.mark.parametrize("adapter", [OddFields, OddAddress])
def test_what_else_an_adapter_returns_is_told_to_the_operator(
    browser: Browser, upstream: Upstream, settings: Any, adapter: type[BankingAdapter], caplog: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "ADAPTER": f"{__name__}.{adapter.__name__}",
    }
    answer = browser.submit(CONNECT, {})
    assert (answer.status_code, "not your mistake" in text_of(answer)) == (503, True)
    assert "must return a" in caplog.text
    assert upstream.calls == []


def test_the_adapter_may_say_no(browser: Browser, upstream: Upstream, settings: Any) -> None:
    token = soup(browser.get(CONNECT)).select_one("[name=csrfmiddlewaretoken]")["value"]  # type: ignore[index]
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "ADAPTER": f"{__name__}.Closed",
    }
    for answer in (browser.get(CONNECT), browser.post(CONNECT, {"csrfmiddlewaretoken": token})):
        assert answer.status_code == 403
        assert actions_of(answer) == {"See your connections": "/banking/"}
    assert "Connect" not in actions_of(browser.get("/banking/"))
    assert upstream.calls == []


ANSWERS: dict[str, dict[str, Any]] = {
    "NotReachable": {"body": requests.ConnectTimeout()},
    "TimedOut": {"body": requests.ReadTimeout()},
    "Refused": {"status": 401, "json": {"error": "invalid api key"}},
    "OutOfCredits": {"status": 402, "json": {"error": "credits"}},
    "InvalidRequest": {"status": 422, "json": {"errors": {"return_to": ["bad"]}}},
    "RateLimited": {"status": 429, "json": {}, "headers": {"Retry-After": "17"}},
    "UpstreamTrouble": {"status": 502, "body": "<html>Bad gateway</html>"},
    "Unintelligible": {"status": 200, "body": "<html>Welcome</html>"},
}


@pytest.mark.parametrize("error_class", ANSWERS)
def test_each_wrong_answer_has_its_own_clear_page(
    browser: Browser, upstream: Upstream, error_class: str
) -> None:
    upstream.wire.post(CONNECT_API, **ANSWERS[error_class])
    answer = browser.submit(CONNECT, {"next": "/books/"})
    session = ConnectSession.objects.get()
    text = text_of(answer)
    assert answer.status_code == 503
    assert (session.status, session.error_class) == ("failed", error_class)
    assert f"quote this reference: {session.reference}" in text
    retry = f"/banking/connections/{session.connection.reference}/renew/?next=%2Fbooks%2F"
    assert actions_of(answer) == {"Try again": retry, "See your connections": "/banking/"}
    assert browser.get(retry).status_code == 200
    told = text.replace(str(session.reference), "")
    for technical in ("HTTP", "API", "401", "JSON", "gateway", error_class):
        assert technical not in told
    if error_class in {"Refused", "OutOfCredits", "InvalidRequest", "Unintelligible"}:
        assert "not your mistake" in text
    assert answer.headers.get("Retry-After") == ("17" if error_class == "RateLimited" else None)


def test_a_hook_may_say_no_as_well(browser: Browser, upstream: Upstream, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.Undecided"}
    assert browser.submit(CONNECT).status_code == 403
    assert upstream.calls == []


@pytest.mark.parametrize("accounts", [{}, {"default": {"API_KEY": ""}}])
def test_a_site_without_a_key_says_so_to_its_operator_alone(
    browser: Browser, upstream: Upstream, settings: Any, accounts: dict[str, Any], caplog: Any
) -> None:
    page = soup(browser.get(CONNECT)).select_one("[name=csrfmiddlewaretoken]")
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": accounts}
    answer = browser.post(CONNECT, {"csrfmiddlewaretoken": page["value"]})  # type: ignore[index]
    assert answer.status_code == 503
    assert "not your mistake" in text_of(answer)
    assert "BUSINESS_OS_API_KEY" in caplog.text
    assert "BUSINESS_OS" not in text_of(answer)


def test_no_two_of_these_pages_read_the_same(browser: Browser, upstream: Upstream) -> None:
    read = set()
    for answer in ANSWERS.values():
        upstream.wire.reset()
        upstream.wire.post(CONNECT_API, **answer)
        html = soup(browser.submit(CONNECT)).select_one(".bank-outcome")
        read.add(html.get_text() if html else "")
    assert len(read) == len(ANSWERS)


def test_an_address_off_the_allow_list_is_not_followed(browser: Browser, upstream: Upstream) -> None:
    upstream.opens(connect_url="https://evil.example/connect")
    answer = browser.submit(CONNECT)
    assert answer.status_code == 503
    assert b"evil.example" not in answer.content


def test_a_second_click_lands_where_the_first_did(browser: Browser, upstream: Upstream) -> None:
    upstream.opens()
    first, second = browser.submit(CONNECT), browser.submit(CONNECT)
    assert first["Location"] == second["Location"]
    assert len(upstream.calls) == 1


def test_renewing_stays_on_the_same_connection(browser: Browser, upstream: Upstream, eva: Any) -> None:
    connection = a_connection(eva, status_reason="consent_expired", status="inactive")
    a_session(connection, "succeeded", api="openbanking")
    url = f"/banking/connections/{connection.reference}/renew/"
    page = browser.get(url)
    assert "Renew Sparkasse" in text_of(page)
    assert soup(page).select_one("input[name=api]")["value"] == "openbanking"  # type: ignore[index]
    upstream.opens()
    assert browser.submit(url, {"api": "openbanking"}).status_code == 303
    assert "api=openbanking" in upstream.calls[0].url
    assert BankingConnection.objects.get() == connection


def test_a_connection_that_was_ended_is_not_renewed(browser: Browser, upstream: Upstream, eva: Any) -> None:
    connection = a_connection(eva, "disconnected", ended_by="owner")
    url = f"/banking/connections/{connection.reference}/renew/"
    assert browser.get(url).status_code == 303
    assert upstream.calls == []


def test_the_bank_is_never_called_inside_a_transaction(
    browser: Browser, upstream: Upstream, calls_in_transactions: list[bool]
) -> None:
    upstream.opens()
    browser.submit(CONNECT)
    assert calls_in_transactions == [False]


def test_what_is_not_offered_does_not_stand_in_the_way_for_good(browser: Browser, upstream: Upstream) -> None:
    """It is in no field that could be corrected: an old tab, or a button of the site that names too much."""
    upstream.opens()
    page = browser.submit(CONNECT, {"scopes": ["bogus", "accounts"]})
    assert page.status_code == 400
    given = [str(field["value"]) for field in soup(page).select("input[name=scopes]")]
    assert given == ["accounts"]
    assert browser.submit(CONNECT, {"scopes": given}).status_code == 303


def test_a_renewal_asks_for_what_was_agreed_on(browser: Browser, upstream: Upstream, eva: Any) -> None:
    connection = a_connection(eva)
    a_session(connection, "succeeded", scopes=["accounts", "of-long-ago"])
    renew = f"/banking/connections/{connection.reference}/renew/"

    def asked(scopes: list[str]) -> list[str]:
        upstream.opens()
        browser.submit(renew, {"scopes": scopes})
        ConnectSession.objects.filter(status="open").update(status="cancelled", single_flight=None)
        return list(json.loads(upstream.calls[-1].body)["scopes"])

    assert "Transactions" not in text_of(browser.get(renew))
    assert asked([]) == ["accounts"]
    # What was asked for and not agreed on changes nothing.
    assert asked(["transactions"]) == ["transactions"]
    assert asked([]) == ["accounts"]


def test_until_something_is_agreed_on_it_is_what_was_asked_for(
    browser: Browser, upstream: Upstream, eva: Any
) -> None:
    connection = a_connection(eva, "pending")
    a_session(connection, "failed", scopes=["accounts"])
    upstream.opens()
    browser.submit(f"/banking/connections/{connection.reference}/renew/")
    assert json.loads(upstream.calls[-1].body)["scopes"] == ["accounts"]


class Counting(BankingAdapter):
    """An adapter that counts how often it is made and asked."""

    calls: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self.calls["made"] += 1

    def get_account(self, request: HttpRequest) -> str:
        self.calls["get_account"] += 1
        return super().get_account(request)

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        self.calls["get_credentials"] += 1
        return super().get_credentials(alias, connection)

    def get_owner(self, request: HttpRequest) -> tuple[Any, str]:
        self.calls["get_owner"] += 1
        return super().get_owner(request)


@pytest.mark.parametrize("path", ["/banking/connect/", "/banking/api/connections/"])
def test_a_connect_request_asks_the_adapter_once(
    upstream: Upstream, eva: User, settings: Any, path: str
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.Counting"}
    upstream.opens()
    client = Client()
    client.force_login(eva)
    Counting.calls.clear()
    assert client.post(path, {}, "application/json" if "api" in path else MULTIPART_CONTENT).status_code in {
        201,
        303,
    }
    assert Counting.calls == {"made": 1, "get_account": 1, "get_credentials": 1, "get_owner": 1}
