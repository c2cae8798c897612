"""The way to the bank and back, as it should be."""

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.sandbox.models import SandboxSession

from . import journey
from .conftest import NewContext, Site


def test_connected_without_a_reload(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page, "?next=/books/")
    expect(page.get_by_text("would like to connect to one of your banks")).to_contain_text("books.example")
    session = journey.latest_session()
    assert journey.stands(session) == ("open", "pending")
    journey.consent_at(page, "succeed")

    journey.sees(page, journey.CHECKING)
    journey.has_action(page, "Carry on without waiting")
    assert journey.stands(session) == ("open", "pending")
    journey.mark(page)
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
    assert journey.stayed(page)
    expect(page).to_have_title(journey.CONNECTED)

    journey.has_action(page, "Continue")
    assert journey.stands(session) == ("succeeded", "active")
    session.refresh_from_db()
    assert session.returned_at is not None
    assert session.connect_url == ""
    assert session.connection.user == User.objects.get(username="ada")
    assert {"opened", "returned", "succeeded"} <= journey.kinds(session)
    journey.button(page, "Continue")
    expect(page).to_have_url(f"{site.url}/books/")


def test_the_person_logs_in_on_the_way(new_context: NewContext, ada: User, site: Site) -> None:
    page = new_context().new_page()
    page.goto(f"{site.url}/banking/connect/")
    page.locator("#id_username").fill("ada")
    page.locator("#id_password").fill("secret")
    page.locator("[type=submit]").click()
    journey.sees(page, "Connect your bank")
    journey.leave_for_the_bank(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CONNECTED)
    journey.button(page, "Continue")
    journey.sees(page, journey.LIST)
    expect(page.locator(".bank-item")).to_contain_text("Connected")


def test_the_webhook_comes_late(page: Page, site: Site) -> None:
    journey.start(page)
    journey.consent_at(page, "webhook_late")
    journey.sees(page, journey.CHECKING)
    journey.mark(page)
    journey.sees(page, journey.CONNECTED)
    assert journey.stayed(page)
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")


def test_the_webhook_comes_twice(page: Page) -> None:
    session = journey.connect(page, "webhook_twice")
    journey.becomes(lambda: _successes(session), [2])
    assert journey.stands(session) == ("succeeded", "active")
    page.reload()
    journey.sees(page, journey.CONNECTED)


def _successes(session: ConnectSession) -> list[int]:
    """How often each callback about the finish was delivered."""
    events = ConnectionEvent.objects.filter(session=session, kind="succeeded", stage="finish")
    return list(events.values_list("deliveries", flat=True))


def test_the_person_never_comes_back(page: Page, site: Site) -> None:
    journey.start(page)
    journey.consent_at(page, "vanish")
    journey.sees(page, "You may close this window")
    session = journey.latest_session()
    journey.becomes(lambda: journey.stands(session), ("succeeded", "active"))
    session.refresh_from_db()
    assert session.returned_at is None
    page.goto(f"{site.url}/banking/")
    expect(page.locator(".bank-item")).to_have_count(1)
    expect(page.locator(".bank-item .bank-badge")).to_have_text("Connected")


def test_the_landing_page_may_be_reloaded(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    page.reload()
    journey.sees(page, journey.CHECKING)
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
    page.reload()
    journey.sees(page, journey.CONNECTED)
    journey.has_action(page, "Continue")
    session = journey.latest_session()
    assert ConnectionEvent.objects.filter(session=session, kind="returned").count() == 1
    assert ConnectSession.objects.count() == 1


def test_a_second_tab_learns_it_too(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    second = page.context.new_page()
    second.goto(page.url)
    journey.sees(second, journey.CHECKING)
    for tab in (page, second):
        journey.mark(tab)
    site.let_webhooks_pass()
    for tab in (page, second):
        journey.sees(tab, journey.CONNECTED)
        assert journey.stayed(tab)
    assert ConnectionEvent.objects.filter(kind="returned").count() == 1


def test_logged_out_on_the_way_back(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page)
    journey.choose(page, "succeed")
    journey.log_in_at_bank(page)
    journey.sees(page, "Allow access?")
    page.context.clear_cookies(name="sessionid")
    journey.answer(page, "allow")
    journey.sees(page, journey.CHECKING)
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
    # That of the form is left, and the landing page has set none for the rest of the site.
    assert {cookie["name"] for cookie in page.context.cookies(site.url)} == {"csrftoken"}
    shown = page.content().lower()
    for personal in ("ada", "kunde.example", "demobank"):
        assert personal not in shown.replace("data-", "")
    journey.button(page, "Continue")
    expect(page).to_have_url(f"{site.url}/login/?next=/banking/")
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")


def test_a_double_click_starts_one_session(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/banking/connect/")
    page.get_by_role("button", name="Choose your bank").dblclick()
    journey.is_at_the_bank(page)
    assert ConnectSession.objects.count() == 1
    assert BankingConnection.objects.count() == 1
    assert SandboxSession.objects.count() == 1
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CONNECTED)


def test_back_from_the_bank_and_again(page: Page, site: Site) -> None:
    journey.start(page)
    page.go_back()
    journey.sees(page, "Connect your bank")
    journey.leave_for_the_bank(page)
    assert ConnectSession.objects.count() == 1
    assert SandboxSession.objects.count() == 1
