"""What browsers are told, and what they make of it: policies, frames and referrers."""

from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Response, expect

from business_os_banking.models import ConnectSession

from . import journey
from .conftest import NewContext, Site
from .middleware import POLICY

pytestmark = pytest.mark.once
FRAME_ANSWER = "chrome-error://chromewebdata/"


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains of, for tests that look at it themselves."""
    return []


@pytest.fixture
def page(new_context: NewContext, ada: User, complaints: list[str]) -> Page:
    return new_context(ada, complained=complaints, expects=[404]).new_page()


def complains(page: Page, what: str) -> AbstractContextManager[Any]:
    """Wait until the browser has said *what* it does not like."""
    return page.expect_console_message(lambda message: message.type == "error" and what in message.text)


def test_what_breaks_the_policy_is_noticed(page: Page, complaints: list[str], site: Site) -> None:
    """So it means something that no other test of this directory complains."""
    with complains(page, "inline script"):
        answer = page.goto(f"{site.url}/inline/")
    assert isinstance(answer, Response)
    assert answer.headers["content-security-policy"] == POLICY
    assert page.title() == "Inline"
    assert len(complaints) == 1


@pytest.mark.parametrize("bank_is_allowed", [True, False])
def test_a_policy_for_forms_must_name_the_bank(
    page: Page, complaints: list[str], site: Site, settings: Any, bank_is_allowed: bool
) -> None:
    """Chromium applies form-action to the redirect that answers a form, too."""
    bank = site.sandbox_url.removesuffix("/sandbox")
    settings.MORE_POLICY = [f"form-action 'self' {bank}" if bank_is_allowed else "form-action 'self'"]
    page.goto(f"{site.url}/banking/connect/")
    button = page.get_by_role("button", name="Choose your bank")
    if bank_is_allowed:
        button.click()
        journey.sees(page, "Choose your bank")
        journey.is_at_the_bank(page)
        assert complaints == []
        return
    with complains(page, "form-action"):
        button.click()
    assert len(complaints) == 1
    assert ConnectSession.objects.count() == 1
    assert page.url == f"{site.url}/banking/connect/"


@pytest.mark.parametrize("from_elsewhere", [True, False])
@pytest.mark.parametrize("path", ["/banking/", "/banking/connect/", "/banking/return/nonsense/", "landing"])
def test_no_page_shows_in_a_frame(
    page: Page, complaints: list[str], site: Site, settings: Any, path: str, from_elsewhere: bool
) -> None:
    settings.MORE_POLICY = ["frame-src *"]
    if path == "landing":
        journey.start(page)
        path = f"/banking/return/{journey.latest_session().reference}/"
    around = site.sandbox_url.removesuffix("/sandbox") if from_elsewhere else site.url
    with complains(page, "X-Frame-Options"):
        page.goto(f"{around}/framed/?source={site.url}{path}")
    assert [frame.url for frame in page.frames[1:]] == [FRAME_ANSWER]


def test_a_site_that_frames_its_own_pages_says_so(
    page: Page, complaints: list[str], site: Site, settings: Any
) -> None:
    settings.X_FRAME_OPTIONS = "SAMEORIGIN"
    page.goto(f"{site.url}/framed/?source=/banking/connect/")
    expect(page.frame_locator("iframe").locator("h1")).to_have_text("Connect your bank")
    assert complaints == []


def test_the_bank_does_not_learn_where_people_come_from(
    page: Page, complaints: list[str], site: Site
) -> None:
    referrers: list[str | None] = []
    page.on(
        "request",
        lambda request: (
            referrers.append(request.all_headers().get("referer"))
            if request.is_navigation_request() and request.url.startswith(site.sandbox_url)
            else None
        ),
    )
    journey.start(page, "?next=/books/")
    assert page.evaluate("document.referrer") == ""
    assert referrers
    assert set(referrers) == {None}
    assert complaints == []


def test_nobody_learns_the_address_of_the_landing_page(page: Page, complaints: list[str], site: Site) -> None:
    journey.connect(page, query="?next=/books/")
    journey.button(page, "Continue")
    expect(page).to_have_url(f"{site.url}/books/")
    assert page.evaluate("document.referrer") == ""
    assert complaints == []
