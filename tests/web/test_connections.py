"""The customer's own connections: the list, one of them, and disconnecting."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from business_os_banking import wording
from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import EndedBy, StatusReason
from business_os_banking.web.actions import actions_for

from .conftest import Browser, Upstream, a_connection, a_session, actions_of, soup, text_of

STATES: list[dict[str, Any]] = [
    {"status": "pending"},
    {"status": "active"},
    {"status": "active", "last_success_at": timezone.now() - timedelta(days=60)},
    {"status": "active", "consent_expires_at": timezone.now() + timedelta(days=2)},
    {"status": "inactive"},
    *({"status": "inactive", "status_reason": reason.value} for reason in StatusReason),
    *({"status": "disconnected", "ended_by": ended_by.value} for ended_by in EndedBy),
]


def page_of(connection: BankingConnection, action: str = "") -> str:
    return f"/banking/connections/{connection.reference}/{action}"


def id_of(state: dict[str, Any]) -> str:
    """Name a state without its times: processes that share the tests must call them the same."""
    return "-".join(name if isinstance(value, datetime) else str(value) for name, value in state.items())


@pytest.mark.parametrize("state", STATES, ids=id_of)
def test_every_state_is_explained_and_has_a_way_forward(
    browser: Browser, eva: Any, state: dict[str, Any]
) -> None:
    connection = a_connection(eva, **state)
    for page in (browser.get("/banking/"), browser.get(page_of(connection))):
        badge = soup(page).select_one(".bank-badge")
        assert badge is not None
        assert badge.get_text().strip()
        targets = set(actions_of(page).values())
        assert {action.url for action in actions_for(connection)} == {
            url for url in targets if url.startswith(page_of(connection))
        }
        assert (page_of(connection, "renew/") in targets) == connection.can_renew
        assert (page_of(connection, "disconnect/") in targets) == connection.can_disconnect
        assert targets


def test_states_can_be_told_apart_in_the_list(browser: Browser, eva: Any) -> None:
    for state in STATES:
        a_connection(eva, **state)
    items = [
        " ".join(item.get_text(" ").split()) for item in soup(browser.get("/banking/")).select(".bank-item")
    ]
    assert len(items) == len(STATES)
    assert all("Disconnected" in item for item in items[-3:])


def test_the_list_shows_bank_and_dates(browser: Browser, eva: Any) -> None:
    a_connection(eva, provider_name="Sparkasse", consent_expires_at=timezone.now() + timedelta(days=100))
    text = text_of(browser.get("/banking/"))
    for words in ("Sparkasse", "Connected since", "Consent until"):
        assert words in text


def test_an_empty_list_says_what_to_do(browser: Browser) -> None:
    assert actions_of(browser.get("/banking/")) == {"Connect your bank": "/banking/connect/"}


def test_the_list_costs_the_same_for_one_and_for_many(
    browser: Browser, eva: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 40):
        BankingConnection.objects.bulk_create(BankingConnection(user=eva) for _ in range(count))
        with django_assert_num_queries(3):  # login session, user, connections
            browser.get("/banking/")


def test_long_lists_come_in_pages(browser: Browser, eva: Any) -> None:
    BankingConnection.objects.bulk_create(BankingConnection(user=eva) for _ in range(51))
    first, second = browser.get("/banking/"), browser.get("/banking/", {"page": "2"})
    assert len(soup(first).select(".bank-item")) == 50
    assert len(soup(second).select(".bank-item")) == 1
    assert actions_of(first)["More"] == "?page=2"
    assert "?page=1" in actions_of(second).values()
    for page in ("0", "-1", "x", "²", "9" * 5000):
        assert browser.get("/banking/", {"page": page}).status_code == 200


@pytest.mark.parametrize("method", ["get", "submit"])
@pytest.mark.parametrize("action", ["", "renew/", "disconnect/"])
def test_what_is_not_yours_does_not_exist(browser: Browser, eva: Any, action: str, method: str) -> None:
    other = a_connection(get_user_model().objects.create_user("other"))
    for reference in (other.reference, uuid.uuid4()):
        url = f"/banking/connections/{reference}/{action}"
        if method == "get":
            answer = browser.get(url)
        elif action:
            answer = browser.submit(url, page="/banking/connect/")
        else:
            continue
        assert answer.status_code == 404
        assert "Sparkasse" not in text_of(answer)
        assert "See your connections" in actions_of(answer)
    other.refresh_from_db()
    assert other.status == "active"
    assert other.reference.hex not in text_of(browser.get("/banking/"))


def test_the_detail_page_lists_the_latest_attempts(browser: Browser, eva: Any) -> None:
    connection = a_connection(eva)
    for _ in range(12):
        a_session(connection, "failed", error_class="InvalidCredentials")
    a_session(connection, "succeeded")
    attempts = [
        item.get_text(" ") for item in soup(browser.get(page_of(connection))).select(".bank-attempts li")
    ]
    assert len(attempts) == 10
    assert "Worked" in attempts[0]


def test_disconnecting_asks_first_and_then_does_it(browser: Browser, upstream: Upstream, eva: Any) -> None:
    connection = a_connection(eva)
    url = page_of(connection, "disconnect/")
    asked = browser.get(url)
    assert "What will happen" in text_of(asked)
    assert actions_of(asked)["Keep it"] == page_of(connection)
    connection.refresh_from_db()
    assert connection.status == "active"
    answer = browser.submit(url)
    assert (answer.status_code, answer["Location"]) == (303, "/banking/")
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by) == ("disconnected", "owner")
    assert "Sparkasse is disconnected." in text_of(browser.get("/banking/"))
    assert browser.submit(url, page="/banking/connect/").status_code == 303


def test_an_unfinished_connection_can_be_removed_from_the_list(browser: Browser, eva: Any) -> None:
    connection = a_connection(eva, "pending")
    browser.submit(page_of(connection, "disconnect/"))
    page = browser.get("/banking/")
    assert "removed from your list" in text_of(page)
    assert soup(page).select(".bank-item") == []


def test_what_the_provider_answers_does_not_hold_a_disconnect_up(
    browser: Browser, upstream: Upstream, eva: Any
) -> None:
    token = upstream.opens()
    browser.submit("/banking/connect/")
    browser.callback(token, stage="finish")
    connection = BankingConnection.objects.get()
    assert connection.status == "active"
    upstream.wire.delete("https://api.business-os.test/v2/banking/connections/1234567890", status=502)
    assert browser.submit(page_of(connection, "disconnect/")).status_code == 303
    connection.refresh_from_db()
    assert (connection.status, connection.removal_due) == ("disconnected", True)


def test_disconnecting_needs_the_token(browser: Browser, eva: Any) -> None:
    connection = a_connection(eva)
    assert browser.post(page_of(connection, "disconnect/")).status_code == 403
    connection.refresh_from_db()
    assert connection.status == "active"


def test_the_pages_speak_the_language_of_the_visitor(browser: Browser, settings: Any) -> None:
    page = browser.get("/banking/", headers={"accept-language": "ar"})
    html = soup(page).select_one("html")
    assert html is not None
    assert (html["lang"], html["dir"]) == ("ar", "rtl")


def test_whose_answer_is_on_its_way_is_not_sent_to_the_bank_again(
    browser: Browser, eva: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(2):
        connection = a_connection(eva, "pending")
        a_session(connection)
    with django_assert_num_queries(3):
        page = browser.get("/banking/")
    for shown in (page, browser.get(page_of(connection))):
        assert "We are checking with your bank" in text_of(shown)
        assert "Being checked" in text_of(shown)
        assert {"Try again", "Remove"} <= set(actions_of(shown))
    a_session(connection, "failed")  # what came of the next attempt counts
    assert "This bank is not connected yet" in text_of(browser.get(page_of(connection)))
    assert text_of(browser.get("/banking/")).count("We are checking with your bank") == 1


def test_what_was_known_of_a_connection_goes_when_it_is_read_anew(eva: Any) -> None:
    connection = a_connection(eva, "pending")
    a_session(connection)
    for row in (connection, BankingConnection.objects.with_checking().get()):
        assert wording.label_for_connection(row) == "Being checked"
        BankingConnection.objects.update(status="active")
        row.refresh_from_db()
        assert (wording.label_for_connection(row), row.is_checking) == ("Connected", False)
        BankingConnection.objects.update(status="pending")


class OnlyNewOnes(BankingAdapter):
    def can_connect(self, request: Any, connection: BankingConnection | None = None) -> bool:
        return connection is None


def test_what_the_adapter_forbids_is_not_offered(browser: Browser, eva: Any, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.OnlyNewOnes"}
    connection = a_connection(eva)
    for page in (browser.get("/banking/"), browser.get(page_of(connection))):
        assert "Renew" not in actions_of(page)
        assert "Disconnect" in actions_of(page)
    assert "Connect another bank" in actions_of(browser.get("/banking/"))


def test_a_page_past_the_end_leads_to_the_first(browser: Browser, eva: Any) -> None:
    a_connection(eva)
    answer = browser.get("/banking/", {"page": 7})
    assert (answer.status_code, answer["Location"]) == (303, "/banking/")
