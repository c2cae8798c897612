"""The whole journey without JavaScript."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from business_os_banking.models import ConnectSession

from . import journey
from .conftest import NewContext, Site


@pytest.fixture
def page(new_context: NewContext, ada: User) -> Page:
    return new_context(ada, java_script_enabled=False).new_page()


def test_connected(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page, "?next=/books/")
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    journey.has_action(page, "Check again", "Carry on without waiting")
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
    journey.has_action(page, "Continue")
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")
    journey.button(page, "Continue")
    journey.sees(page, "Books")


def test_the_page_looks_again_until_a_late_webhook_came(page: Page, site: Site) -> None:
    visits: list[str] = []
    page.on("framenavigated", lambda frame: visits.append(frame.url))
    journey.start(page)
    journey.consent_at(page, "webhook_late")
    journey.sees(page, journey.CONNECTED)
    assert any("?n=2" in url for url in visits), "the page reloaded itself more than once"
    assert "?n=" in page.url
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")


def test_the_person_may_look_again_at_once(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page)
    journey.answer(page, "cancel")
    journey.sees(page, "It looks as if you stopped")
    site.let_webhooks_pass()
    journey.sees(page, "You stopped before the end")
    journey.has_action(page, "Try again", "Check again", "Not now")


def test_disconnected(page: Page, site: Site) -> None:
    session = journey.connect(page)
    page.goto(f"{site.url}/banking/connections/{session.connection.reference}/disconnect/")
    journey.button(page, "Disconnect")
    journey.sees(page, journey.LIST)
    assert journey.stands(session) == ("succeeded", "disconnected")


def test_a_script_that_is_blocked_or_lost(new_context: NewContext, ada: User, site: Site) -> None:
    """JavaScript is on, so that nothing in `noscript` is shown; and the script does not come."""
    complained: list[str] = []
    context = new_context(ada, complained=complained)
    context.route("**/banking.js", lambda route: route.abort())
    page = context.new_page()
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    site.let_webhooks_pass()
    journey.button(page, "Check again")
    journey.sees(page, journey.CONNECTED)
    expect(page.get_by_role("link", name="Check again")).to_be_hidden()


def test_where_the_script_runs_it_looks_by_itself(new_context: NewContext, ada: User, site: Site) -> None:
    page = new_context(ada).new_page()
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    expect(page.locator("[data-when=unscripted]")).to_be_hidden()
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)


def test_an_attempt_that_is_erased_meanwhile(new_context: NewContext, ada: User, site: Site) -> None:
    page = new_context(ada, expects=[404]).new_page()
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    ConnectSession.objects.all().delete()
    journey.sees(page, "We cannot find this attempt")
    expect(page.locator("[data-bank-outcome]")).not_to_have_attribute("data-tone", "waiting")
    journey.has_action(page, "See your connections")
    site.let_webhooks_pass()


def test_a_clock_that_jumps_ends_no_watching(new_context: NewContext, ada: User, site: Site) -> None:
    page = new_context(ada).new_page()
    site.hold_webhooks()
    journey.start(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    page.evaluate("const now = Date.now; Date.now = () => now() + 86400000")
    page.wait_for_timeout(2500)
    journey.sees(page, journey.CHECKING)
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
