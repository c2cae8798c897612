"""What a person does and sees, in their own words: the customer's pages and the bank's."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from business_os_banking.models import ConnectionEvent, ConnectSession

SITE = "http://books.example"
CHECKING = "Checking with your bank"
CONNECTED = "Your bank is connected"
LIST = "Your bank connections"
PATIENCE = 30  # seconds


def start(page: Page, query: str = "") -> None:
    """Open the connect page and go to the bank."""
    page.goto(f"{SITE}/banking/connect/{query}")
    leave_for_the_bank(page)


def leave_for_the_bank(page: Page, button: str = "Choose your bank") -> None:
    page.get_by_role("button", name=button).click()
    sees(page, "Choose your bank")
    is_at_the_bank(page)


def is_at_the_bank(page: Page) -> None:
    expect(page.locator(".ribbon")).to_contain_text("not a real bank")


def choose(page: Page, bank: str) -> None:
    """Choose a bank by the slug of its scenario."""
    page.locator(f"button[name=bank][value={bank}]").click()


def log_in_at_bank(page: Page, username: str = "username", password: str = "secret") -> None:
    page.locator("#id_username").fill(username)
    page.locator("#id_password").fill(password)
    page.locator(".fields .primary").click()


def answer(page: Page, action: str) -> None:
    """Press a button of the bank: ``allow``, ``refuse``, ``cancel`` or ``back``."""
    page.locator(f"button[name=action][value={action}]").click()


def consent_at(page: Page, bank: str) -> None:
    """Go the whole way at a bank at which everything works."""
    choose(page, bank)
    log_in_at_bank(page)
    sees(page, "Allow access?")
    answer(page, "allow")


def connect(page: Page, bank: str = "succeed", query: str = "") -> ConnectSession:
    """The whole journey, up to the page that says that the bank is connected."""
    start(page, query)
    consent_at(page, bank)
    sees(page, CONNECTED)
    return latest_session()


def sees(page: Page, heading: str) -> None:
    """Wait for the page's only main heading to be this one."""
    expect(page.locator("h1")).to_have_text(heading)


def button(page: Page, name: str) -> None:
    """Press a button, or what looks like one."""
    page.get_by_role("link", name=name, exact=True).or_(
        page.get_by_role("button", name=name, exact=True)
    ).click()


def has_action(page: Page, *names: str) -> None:
    """The actions that the landing page offers are these, in this order."""
    expect(page.locator(".bank-actions .bank-button:visible")).to_have_text(list(names))


def becomes(look: Callable[[], object], expected: object) -> None:
    """Wait until *look* finds what is *expected*."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) != expected:
        assert time.monotonic() < deadline, f"still {found}, not {expected}"
        time.sleep(0.1)


def mark(page: Page) -> None:
    """Leave a mark in the page that a reload would wipe out."""
    page.evaluate("window.stayed = true")


def stayed(page: Page) -> bool:
    """Whether the page has not been loaded again since `mark`."""
    return bool(page.evaluate("window.stayed === true"))


def latest_session() -> ConnectSession:
    return ConnectSession.objects.select_related("connection").latest("pk")


def landing_of(session: ConnectSession) -> str:
    return f"{SITE}/banking/return/{session.reference}/"


def stands(session: ConnectSession) -> tuple[str, str]:
    """The stored status of the session and of its connection."""
    session = ConnectSession.objects.select_related("connection").get(pk=session.pk)
    return session.status, session.connection.status


def kinds(session: ConnectSession) -> set[str]:
    """The kinds of the events of a session."""
    events = ConnectionEvent.objects.filter(session=session)
    return set(events.values_list("kind", flat=True))
