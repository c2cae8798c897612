"""One person begins, another browser finishes: what a real browser's cookies, origins and referrers make of it."""

from __future__ import annotations

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from business_os_banking.models import BankingConnection, ConnectSession

from . import journey
from .conftest import NewContext, Site


def finish_elsewhere(page: Page, other: Page) -> ConnectSession:
    """Let *page* go to the bank, and whoever has *other* finish there."""
    journey.start(page)
    session = journey.latest_session()
    other.goto(page.url)
    journey.consent_at(other, "succeed")
    journey.sees(other, "One step is left")
    assert (
        other.url.partition("?")[0] == f"{journey.SITE}/banking/return/{session.reference}/"
    )  # without the key
    return session


def test_who_did_not_begin_says_so(page: Page, new_context: NewContext, site: Site) -> None:
    victim = new_context().new_page()
    session = finish_elsewhere(page, victim)
    expect(victim.get_by_role("button", name="Sign in to finish")).to_be_visible()
    # Who began watches the page, which learns by itself that somebody has finished elsewhere.
    page.goto(f"{site.url}/banking/return/{session.reference}/")
    journey.sees(page, "Finished in another browser")
    assert journey.stands(session)[1] == "pending"
    victim.get_by_role("button", name="I did not start this").click()
    journey.sees(victim, "Nothing was connected")
    journey.sees(page, "Nothing was connected")


def test_the_same_person_signs_in_once(
    page: Page, new_context: NewContext, site: Site, ada: User, live_server: object
) -> None:
    phone = new_context(viewport={"width": 360, "height": 740}).new_page()
    session = finish_elsewhere(page, phone)
    phone.get_by_role("button", name="Sign in to finish").click()
    phone.locator("#id_username").fill("ada")
    phone.locator("#id_password").fill("secret")
    phone.locator("[type=submit]").click()
    journey.sees(phone, "Was this you?")
    phone.get_by_role("button", name="Yes, finish it").click()
    journey.sees(phone, journey.CONNECTED)
    assert journey.stands(session) == ("succeeded", "active")


def test_in_the_same_browser_no_login_is_needed(page: Page, new_context: NewContext, site: Site) -> None:
    journey.start(page)
    page.context.clear_cookies(name="sessionid")
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CONNECTED)
    assert BankingConnection.objects.get().held_reason == ""


def test_without_script(new_context: NewContext, page: Page, site: Site) -> None:
    victim = new_context(java_script_enabled=False).new_page()
    finish_elsewhere(page, victim)
    victim.get_by_role("button", name="I did not start this").click()
    journey.sees(victim, "Nothing was connected")
