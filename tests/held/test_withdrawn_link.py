"""Renewal links: what one has begun is held once it was withdrawn; another browser finishes by opening it again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from business_os_banking.flows import invite
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectSession
from tests.held.conftest import Bank, Browser, state_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection(bank: Bank, anna: User) -> BankingConnection:
    bank.says_yes(Browser(anna).starts(), "7", "herbst_de", "Herbstbank")
    return BankingConnection.objects.get()


def link_to(connection: BankingConnection) -> str:
    connection.refresh_from_db()
    return reverse("business_os_banking:invitation", args=[invite.create(connection)])


def begun(
    connection: BankingConnection, browser: Browser | None = None
) -> tuple[Browser, str, ConnectSession]:
    browser, link = browser or Browser(), link_to(connection)
    return browser, link, browser.starts(link)


def test_what_it_began_is_held_if_it_still_succeeds(
    bank: Bank, connection: BankingConnection, anna: User
) -> None:
    browser, _link, session = begun(connection)
    invite.withdraw(connection)
    browser.get(bank.return_to(session))
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    assert state_of(connection) == ("active", "link_withdrawn", "Herbstbank")
    assert (connection.upstream_id, connection.held_session) == ("7", session)
    assert "looking into" in browser.see(session.get_absolute_url())
    owner = Browser(anna)
    assert owner.offers(connection.get_absolute_url()) == {"refuse"}
    bank.upstream.deletes("8", body={"removed": True, "id": "8"})
    reconcile(timezone.now() + timedelta(days=8))
    assert state_of(connection)[:2] == ("active", "")
    assert len(bank.upstream.calls("DELETE")) == 1


def test_what_had_succeeded_before_stays(bank: Bank, connection: BankingConnection) -> None:
    browser, _link, session = begun(connection)
    browser.get(bank.return_to(session))
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    invite.withdraw(connection)
    assert (state_of(connection)[:2], connection.upstream_id) == (("active", ""), "8")


def test_a_withdrawn_link_begins_nothing(bank: Bank, connection: BankingConnection) -> None:
    link = link_to(connection)
    browser = Browser()
    browser.get(link)
    invite.withdraw(connection)
    assert browser.post(link, headers={"Origin": "http://testserver"}).status_code == 410
    assert ConnectSession.objects.filter(by_link=True).count() == 0


def test_a_new_link_after_it_counts(bank: Bank, connection: BankingConnection) -> None:
    _first, _link, old = begun(connection)
    invite.withdraw(connection)
    browser, _link, new = begun(connection)
    assert old != new
    browser.get(bank.return_to(new))
    bank.says_yes(new, "8", "herbst_de", "Herbstbank")
    assert (state_of(connection)[:2], connection.upstream_id) == (("active", ""), "8")


def test_another_browser_finishes_by_opening_the_link_there(
    bank: Bank, connection: BankingConnection
) -> None:
    _first, link, session = begun(connection)
    other, page = Browser(), session.get_absolute_url()
    other.get(bank.return_to(session))
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    assert state_of(connection)[1] == "other_browser"
    assert "Open the link once more" in other.see(page)
    assert other.offers(page) == {"not_mine"}
    assert page in other.get(link).content.decode()  # leads on to where it is finished
    assert other.press(page, answer="mine").status_code == 303
    assert (state_of(connection)[:2], connection.upstream_id) == (("active", ""), "8")


def test_opening_the_link_first_in_the_browser_that_finishes(
    bank: Bank, connection: BankingConnection
) -> None:
    _first, link, session = begun(connection)
    other = Browser()
    other.get(link)
    other.get(bank.return_to(session))
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    assert state_of(connection)[:2] == ("active", "")


def test_another_link_of_another_connection_proves_nothing(
    bank: Bank, connection: BankingConnection, mallory: User
) -> None:
    stranger = BankingConnection.objects.create(user=mallory, status="active", upstream_id="99")
    _first, _link, session = begun(connection)
    other = Browser()
    other.get(link_to(stranger))
    other.get(bank.return_to(session))
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    assert state_of(connection)[1] == "other_browser"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_the_page_takes_no_post_of_another_site(
    bank: Bank, connection: BankingConnection, headers: dict[str, str]
) -> None:
    browser, link = Browser(), link_to(connection)
    browser.get(link)
    assert browser.post(link, headers=headers).status_code == 403
    assert ConnectSession.objects.filter(by_link=True).count() == 0


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://testserver"}, {"Sec-Fetch-Site": "same-origin"}])
def test_the_page_takes_its_own(bank: Bank, connection: BankingConnection, headers: dict[str, str]) -> None:
    browser, link = Browser(), link_to(connection)
    assert browser.get(link)["Referrer-Policy"] == "same-origin"
    assert browser.post(link, headers=headers).status_code == 303
