"""Coming back: the public page and its status, which show what is stored and nothing else."""

import html
import uuid
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.db import OperationalError, connection
from pytest_django import DjangoAssertNumQueries

from business_os_banking.models import ConnectionEvent, ConnectSession

from .conftest import (
    Browser,
    Upstream,
    a_connection,
    a_session,
    actions_of,
    soup,
    text_of,
)


def address(session: ConnectSession) -> str:
    return f"/banking/return/{session.reference}/"


def status_of(client: Browser, session: ConnectSession) -> dict[str, Any]:
    answer = client.get(f"/banking/sessions/{session.reference}/status/")
    assert answer.status_code == 200
    return dict(answer.json())


def test_from_the_button_to_connected(browser: Browser, stranger: Browser, upstream: Upstream) -> None:
    token = upstream.opens()
    browser.submit("/banking/connect/", {"next": "/books/"})
    session = ConnectSession.objects.get()
    waiting = stranger.get(address(session), {"connection_id": "1234567890"})
    assert "Checking with your bank" in text_of(waiting)
    assert status_of(stranger, session)["final"] is False
    stranger.callback(token, stage="finish")
    status = status_of(stranger, session)
    assert (status["status"], status["connection_status"], status["final"]) == ("succeeded", "active", True)
    assert status["tone"] == "good"
    done = stranger.get(address(session))
    assert "Your bank is connected" in text_of(done)
    assert actions_of(done) == {"Continue": "/books/"}
    assert soup(done).select("noscript meta") == []


def test_a_cancel_that_a_success_overtakes(browser: Browser, stranger: Browser, upstream: Upstream) -> None:
    token = upstream.opens()
    browser.submit("/banking/connect/")
    session = ConnectSession.objects.get()
    stranger.callback(token, error_class="ProviderAccessNotGranted", error_message="no")
    status = status_of(stranger, session)
    assert (status["status"], status["group"], status["final"]) == ("cancelled", "you_cancelled", False)
    stranger.callback(token, stage="finish")
    assert status_of(stranger, session)["status"] == "succeeded"


def test_coming_back_is_recorded_once(browser: Browser, stranger: Browser, upstream: Upstream) -> None:
    upstream.opens()
    browser.submit("/banking/connect/")
    session = ConnectSession.objects.get()
    before = ConnectionEvent.objects.filter(kind="returned").count()
    stranger.head(address(session))
    assert ConnectionEvent.objects.filter(kind="returned").count() == before
    for _ in range(3):
        stranger.get(address(session), {"error_class": "ProviderError", "nul": "\0"})
    (event,) = ConnectionEvent.objects.filter(kind="returned")
    session.refresh_from_db()
    assert event.source == "browser"
    assert session.returned_at is not None
    assert session.status == "open"


def test_the_page_shows_even_when_nothing_can_be_recorded(stranger: Browser, db: None) -> None:
    def locked(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")):
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    session = a_session(returned_at=None)
    with connection.execute_wrapper(locked):
        page = stranger.get(address(session))
    assert page.status_code == 200
    assert "Checking with your bank" in text_of(page)


OUTCOMES = {
    "open": ({"status": "open"}, "Checking with your bank", "Carry on without waiting"),
    "connected": ({"status": "succeeded"}, "Your bank is connected", "Continue"),
    "cancelled": (
        {"status": "cancelled", "error_class": "ProviderAccessNotGranted", "error_group": "you_cancelled"},
        "You stopped before the end",
        "Try again",
    ),
    "wrong login": (
        {"status": "failed", "error_class": "InvalidCredentials", "error_group": "wrong_login"},
        "Your bank did not recognise the login",
        "Try again",
    ),
    "too long": (
        {"status": "failed", "error_class": "InteractiveTimeout", "error_group": "took_too_long"},
        "It took too long",
        "Try again",
    ),
    "bank": (
        {"status": "failed", "error_class": "ProviderUnavailable", "error_group": "bank_not_available"},
        "Your bank is not available at the moment",
        "Try again",
    ),
    "duplicate": (
        {"status": "failed", "error_class": "ConnectionDuplicated", "error_group": "already_connected"},
        "This bank is already connected",
        "See your connections",
    ),
    "ran out": (
        {"status": "expired", "error_class": "SessionExpired", "error_group": "took_too_long"},
        "This attempt ran out of time",
        "Try again",
    ),
    "set-up": (
        {"status": "failed", "error_class": "ClientDisabled", "error_group": "setup"},
        "We cannot connect banks at the moment",
        "Try again",
    ),
    "unknown": (
        {"status": "failed", "error_class": "BrandNewError", "error_group": "try_again"},
        "That did not work this time",
        "Try again",
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", OUTCOMES)
def test_each_outcome_reads_differently_and_leads_on(stranger: Browser, name: str) -> None:
    values, title, action = OUTCOMES[name]
    connection = a_connection(None, "active" if name == "connected" else "pending")
    session = a_session(connection, **values)
    page = stranger.get(address(session))
    status = status_of(stranger, session)
    heading = soup(page).select_one("h1")
    assert page.status_code == 200
    assert heading is not None
    assert heading.get_text() == title == status["title"]
    assert action in actions_of(page)
    assert status["message"] in text_of(page)
    assert status["next_step"] in text_of(page)
    assert status["group"] == values.get("error_group")
    assert soup(page).select_one("[aria-live=polite] h1") == heading


@pytest.mark.parametrize("hint", ["ada@kunde.example", "Ada Müller", "DE89370400440532013000", "<b>x</b>"])
def test_nothing_but_a_word_of_the_address_gets_into_the_page(stranger: Browser, db: None, hint: str) -> None:
    shown = stranger.get(address(a_session(a_connection(None))), {"error_class": hint}).content.decode()
    for form in (hint, quote(hint, safe=""), quote_plus(hint), html.escape(hint)):
        assert form not in shown


def test_the_addresses_error_is_only_a_hint(stranger: Browser, db: None) -> None:
    session = a_session()
    hinted = text_of(stranger.get(address(session), {"error_class": "ProviderAccessNotGranted"}))
    assert "It looks as if you stopped" in hinted
    assert "this page will notice by itself" in hinted
    other = stranger.get(address(session), {"error_class": "<script>x"})
    assert "fail" not in text_of(other).lower()
    assert b"<script>x" not in other.content
    session.refresh_from_db()
    assert session.status == "open"
    done = a_session(a_connection(None), "succeeded")
    assert "Your bank is connected" in text_of(
        stranger.get(address(done), {"error_class": "ProviderAccessNotGranted"})
    )


def test_a_renewal_that_failed_does_not_frighten(stranger: Browser, db: None) -> None:
    session = a_session(a_connection(None), "failed", error_class="InvalidCredentials")
    assert "keeps working" in text_of(stranger.get(address(session)))


@pytest.mark.parametrize("ended_by", ["owner", "operator"])
def test_after_a_disconnect_nothing_more_is_awaited(stranger: Browser, ended_by: str, db: None) -> None:
    session = a_session(a_connection(None, "disconnected", ended_by=ended_by))
    assert status_of(stranger, session)["final"] is True
    assert actions_of(stranger.get(address(session))) == {"See your connections": "/banking/"}


def test_the_page_is_public_and_leaves_no_trace(stranger: Browser, eva: Any) -> None:
    session = a_session(a_connection(eva, "pending"), email="eva@example.com")
    for url in (address(session), f"/banking/sessions/{session.reference}/status/"):
        answer = stranger.get(url)
        assert answer["Cache-Control"] == "no-store, private"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Robots-Tag"] == "noindex"
        assert not answer.cookies
        assert b"eva" not in answer.content
        assert stranger.head(url).status_code == 200
        assert stranger.post(url).status_code in {403, 405}


def test_as_a_pop_up_it_keeps_its_opener(stranger: Browser, db: None) -> None:
    assert stranger.get(address(a_session()))["Cross-Origin-Opener-Policy"] == "unsafe-none"


def test_it_works_where_every_page_needs_a_login(stranger: Browser, settings: Any, db: None) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    session = a_session()
    assert stranger.get(address(session)).status_code == 200
    assert status_of(stranger, session)["status"] == "open"
    assert stranger.get("/banking/").status_code == 302


def test_an_unknown_attempt_is_a_friendly_page(stranger: Browser, db: None) -> None:
    unknown = uuid.uuid4()
    page = stranger.get(f"/banking/return/{unknown}/")
    assert page.status_code == 404
    assert "We cannot find this attempt" in text_of(page)
    assert actions_of(page) == {"See your connections": "/banking/"}
    assert stranger.get(f"/banking/sessions/{unknown}/status/").status_code == 404


def test_without_javascript_it_reloads_ever_slower_and_then_stops(stranger: Browser, db: None) -> None:
    session = a_session()
    url, waits = f"{address(session)}?error_class=ProviderAccessNotGranted", []
    for _ in range(20):
        page = stranger.get(url)
        meta = soup(page).select_one("noscript meta[http-equiv=refresh]")
        if meta is None:
            break
        seconds, _separator, url = str(meta["content"]).partition(";url=")
        waits.append(int(seconds))
        assert "It looks as if you stopped" in text_of(page)
    assert waits[:5] == [1, 2, 3, 5, 8]
    assert waits == sorted(waits)
    assert sum(waits) == 120
    assert "longer than usual" in text_of(page)
    assert actions_of(page)["Check again"] == address(session)


@pytest.mark.parametrize("visit", ["-1", "x", "²", "9" * 5000, ""])
def test_a_strange_counter_does_no_harm(stranger: Browser, visit: str, db: None) -> None:
    assert stranger.get(address(a_session()), {"n": visit}).status_code == 200


def test_a_thousand_people_may_wait(
    stranger: Browser, django_assert_num_queries: DjangoAssertNumQueries, db: None
) -> None:
    session = a_session()
    with django_assert_num_queries(1):
        stranger.get(address(session))
    with django_assert_num_queries(1):
        status_of(stranger, session)


def test_nothing_on_the_page_needs_a_looser_content_security_policy(stranger: Browser, db: None) -> None:
    html = soup(stranger.get(address(a_session())))
    assert [script.get("src") for script in html.select("script")] == [
        "/static/business_os_banking/banking.js"
    ]
    assert html.select("[style], [onclick], style") == []


def test_the_script_is_told_which_actions_to_show(stranger: Browser, eva: Any) -> None:
    def phases(session: ConnectSession) -> tuple[str, str]:
        page = soup(stranger.get(address(session))).select_one("[data-phase]")
        assert page is not None
        return str(page["data-phase"]), status_of(stranger, session)["phase"]

    session = a_session(a_connection(eva, "pending"))
    assert phases(session) == ("waiting", "waiting")
    ConnectSession.objects.update(status="failed", error_class="X", error_group="try_again")
    assert phases(session) == ("problem", "problem")
    ConnectSession.objects.update(error_group="already_connected")
    assert phases(session) == ("attention", "attention")
    a_connection(eva)
    assert phases(session) == ("known", "known")
    assert list(actions_of(stranger.get(address(session)))) == [
        "Renew that connection",
        "See your connections",
    ]
    assert phases(a_session(a_connection(eva), "succeeded")) == ("done", "done")
