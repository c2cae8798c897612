"""The whole journey without JavaScript."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page

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
