"""The operator's pages in the frame of django-unfold: there, readable, and nothing sticks out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.example.conftest import MANAGE, project_in
from tests.packaging.server import serving

from . import journey
from .conftest import NewContext

pytestmark = pytest.mark.once
ADMIN = "/admin/business_os_banking"
PAGES = {
    f"{ADMIN}/bankingconnection/": "Not finished",
    f"{ADMIN}/bankingconnection/overview/": "From the button to the bank and back",
    f"{ADMIN}/bankingconnection/1/change/": "Timeline",
    f"{ADMIN}/bankingconnection/1/renew/": "Make a renewal link?",
    f"{ADMIN}/connectsession/": "Bank connections",
    f"{ADMIN}/connectionevent/": "Session opened",
    f"{ADMIN}/connectionevent/1/change/": "Session opened",
}


@pytest.fixture(params=["light", "dark"])
def operator(request: pytest.FixtureRequest, tmp_path: Path, new_context: NewContext) -> Iterator[Page]:
    """A page of an operator of the demo; the tax adviser is on the way to a bank."""
    project = project_in(tmp_path)
    project.environment["DJANGO_SETTINGS_MODULE"] = "tests.browser.unfold_settings"
    project.manage("migrate", "--verbosity=0")
    project.manage("demo")
    command = [sys.executable, str(MANAGE), "runserver", "--noreload", f"127.0.0.1:{project.port}"]
    with serving(command, cwd=tmp_path, env=project.environment, port=project.port) as origin:
        customer = new_context(base_url=origin).new_page()
        customer.goto("/login/?next=/banking/connect/")
        customer.get_by_label("User name").fill("demo")
        customer.get_by_label("Password").fill("demo")
        journey.button(customer, "Log in")
        journey.leave_for_the_bank(customer)
        page = new_context(base_url=origin, color_scheme=request.param, complained=[]).new_page()
        page.goto("/admin/login/?next=/admin/")
        page.locator("[name=username]").fill("admin")
        page.locator("[name=password]").fill("admin")
        page.locator("[name=password]").press("Enter")
        expect(page.get_by_text("Bank connections").first).to_be_visible()
        yield page


def test_the_pages_can_be_read(operator: Page) -> None:
    for path, text in PAGES.items():
        answer = operator.goto(path)
        assert answer is not None
        assert answer.status == 200
        expect(operator.get_by_text(text).locator("visible=true").first).to_be_visible()
        assert operator.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), path
        # What else axe finds there, such as a page without its main landmark, is in the frame.
        results = Axe().run(
            operator, options={"runOnly": ["color-contrast", "label", "link-name", "button-name"]}
        )
        assert not results.violations_count, f"{path}: {results.generate_report()}"
