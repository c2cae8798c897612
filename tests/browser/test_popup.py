"""The journey in a pop-up that a page of the site opens."""

from typing import Any

from playwright.sync_api import Page, expect

from . import journey
from .conftest import Site


def open_popup(page: Page) -> Page:
    page.goto(f"{journey.SITE}/books/")
    with page.expect_popup() as opened:
        page.get_by_role("button").click()
    popup = opened.value
    journey.sees(popup, "Connect your bank")
    return popup


def test_the_opener_is_told_and_the_popup_closes(page: Page, site: Site, settings: Any) -> None:
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = None
    popup = open_popup(page)
    journey.leave_for_the_bank(popup)
    with popup.expect_event("close"):
        journey.consent_at(popup, "succeed")
    session = journey.latest_session()
    expect(page.get_by_role("status")).to_have_text(f"{session.reference} succeeded active")
    assert journey.stands(session) == ("succeeded", "active")


def test_cut_off_from_its_opener_it_is_an_ordinary_page(page: Page, site: Site) -> None:
    """Django's default policy lets no other site, and the bank is one, keep the tie to the opener."""
    popup = open_popup(page)
    journey.leave_for_the_bank(popup)
    journey.consent_at(popup, "succeed")
    journey.sees(popup, journey.CONNECTED)
    journey.has_action(popup, "Continue")
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")
    journey.button(popup, "Continue")
    journey.sees(popup, journey.LIST)
    expect(page.get_by_role("status")).to_be_empty()


def post_into_popup(page: Page) -> Page:
    page.goto(f"{journey.SITE}/posting/")
    with page.expect_popup() as opened:
        page.get_by_role("button").click()
    popup = opened.value
    journey.sees(popup, "Choose your bank")
    return popup


def test_as_the_documentation_says(page: Page, site: Site, settings: Any) -> None:
    """The form posts into the pop-up, and the policy lets the page keep its tie to it."""
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"
    popup = post_into_popup(page)
    with popup.expect_event("close"):
        journey.consent_at(popup, "succeed")
    session = journey.latest_session()
    expect(page.get_by_role("status")).to_have_text(f"{session.reference} succeeded active")


def test_leaving_it_tells_the_opener_too(page: Page, site: Site, settings: Any) -> None:
    settings.SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"
    popup = post_into_popup(page)
    journey.answer(popup, "cancel")
    journey.sees(popup, "You stopped before the end")
    with popup.expect_event("close"):
        journey.button(popup, "Not now")
    session = journey.latest_session()
    expect(page.get_by_role("status")).to_have_text(f"{session.reference} cancelled pending")
