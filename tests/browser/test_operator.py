"""What an operator sees of it in the admin."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from business_os_banking.models import BankingConnection, ConnectSession

from . import journey
from .conftest import NewContext, Site

ADMIN = f"{journey.SITE}/admin/business_os_banking"


@pytest.fixture
def operator(new_context: NewContext, live_server: LiveServer) -> Page:
    """A page of an operator, who logged in at the admin's own form."""
    User.objects.create_superuser("grace", password="secret")
    page = new_context().new_page()
    page.goto(f"{journey.SITE}/admin/")
    page.locator("#id_username").fill("grace")
    page.locator("#id_password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1").last).to_have_text("Site administration")
    return page


def test_the_operator_sees_what_happened(page: Page, operator: Page, site: Site) -> None:
    session = connect_at_the_second_try(page)
    operator.goto(f"{ADMIN}/bankingconnection/")
    row = operator.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator(".field-status_word")).to_contain_text("Connected")
    expect(row.locator(".field-owner")).to_contain_text("ada")

    row.locator("th a").click()
    expect(operator.locator(".field-status_word").first).to_contain_text("Connected")
    expect(operator.get_by_text("This bank is connected")).to_be_visible()
    sessions = operator.locator("#sessions-group tbody tr.has_original")
    expect(sessions).to_have_count(1)
    expect(sessions).to_contain_text("Succeeded")
    events = operator.locator("#events-group .banking-timeline li")
    for text in ("Session opened", "Browser came back", "Bank connected", "InvalidCredentials"):
        expect(events.filter(has_text=text).first).to_be_visible()
    shown = operator.content()
    for secret in (str(session.pending_token), "whsec_", "kunde.example", "browser-tests"):
        assert secret not in shown


def connect_at_the_second_try(page: Page) -> ConnectSession:
    journey.start(page)
    journey.choose(page, "wrong_login")
    journey.log_in_at_bank(page)
    expect(page.get_by_role("alert")).to_be_visible()
    journey.log_in_at_bank(page)
    journey.answer(page, "allow")
    journey.sees(page, journey.CONNECTED)
    return journey.latest_session()


def test_the_operator_disconnects(page: Page, operator: Page, site: Site) -> None:
    connection = journey.connect(page).connection
    operator.goto(f"{ADMIN}/bankingconnection/{connection.pk}/change/")
    operator.get_by_role("link", name="Disconnect").click()
    operator.get_by_role("button", name="Yes, disconnect").click()
    expect(operator.locator(".messagelist .success")).to_contain_text("1 connection was disconnected.")
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.ended_by) == ("disconnected", "operator")
    page.goto(f"{site.url}/banking/connections/{connection.reference}/")
    expect(page.get_by_text("We ended this connection")).to_be_visible()


def test_a_customer_renews_with_the_link_of_an_operator_and_no_login(
    page: Page, operator: Page, new_context: NewContext
) -> None:
    connection = journey.connect(page).connection
    operator.goto(f"{ADMIN}/bankingconnection/{connection.pk}/renew/")
    operator.get_by_role("button", name="Yes, make a link").click()
    link = operator.locator(".banking-copy").input_value()
    customer = new_context(expects=[410]).new_page()
    customer.goto(link)
    journey.leave_for_the_bank(customer, "Continue to your bank")
    journey.consent_at(customer, "succeed")
    journey.sees(customer, journey.CONNECTED)
    session = journey.latest_session()
    assert (session.connection, session.status) == (connection, "succeeded")
    assert BankingConnection.objects.count() == 1
    customer.goto(link)
    journey.sees(customer, "This link has been used")


@pytest.mark.parametrize("model", ["bankingconnection", "connectsession", "connectionevent"])
def test_the_lists_and_their_rows_open(page: Page, operator: Page, model: str) -> None:
    journey.connect(page)
    operator.goto(f"{ADMIN}/{model}/")
    rows = operator.locator("#result_list tbody tr")
    expect(rows.first).to_be_visible()
    rows.first.locator("th a").click()
    expect(operator.locator("#content h2").first).to_be_visible()
