"""The example's two designs: the app's pages look like the rest of the site, and axe finds nothing on them."""

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
# The button of the site's own pages, and what a button must have in common with it.
OWN_BUTTON = {"": ".card .bank-button", "bootstrap": ".btn-primary"}
ALIKE = """(one) => { const {backgroundColor, color, borderTopLeftRadius} = getComputedStyle(one);
    return [backgroundColor, color, borderTopLeftRadius]; }"""
FONT = "(one) => getComputedStyle(one).fontFamily"


@pytest.fixture(params=OWN_BUTTON)
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def visitor(look: str, tmp_path: Path, new_context: NewContext) -> Iterator[Page]:
    """A page of the demo's tax adviser, on the site in that design."""
    project = project_in(tmp_path)
    project.environment["LOOK"] = look
    project.manage("migrate", "--verbosity=0")
    project.manage("demo")
    command = [sys.executable, str(MANAGE), "runserver", "--noreload", f"127.0.0.1:{project.port}"]
    with serving(command, cwd=tmp_path, env=project.environment, port=project.port) as origin:
        # axe tries out inline styles, which the site's policy forbids.
        page = new_context(base_url=origin, bypass_csp=True).new_page()
        page.goto("/login/")
        page.get_by_label("User name").fill("demo")
        page.get_by_label("Password").fill("demo")
        examine(page)
        journey.button(page, "Log in")
        journey.sees(page, "Clients")
        yield page


def examine(page: Page) -> None:
    for theme, width in (("light", 1280), ("dark", 320)):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), f"{page.url} does not fit into {width} pixels"
        results = Axe().run(page)
        assert not results.violations_count, f"{page.url}, {theme}: {results.generate_report()}"


def test_the_pages_look_like_the_site(visitor: Page, look: str) -> None:
    examine(visitor)
    button = visitor.locator(OWN_BUTTON[look]).first.evaluate(ALIKE)
    font = visitor.locator("body").evaluate(FONT)
    visitor.goto("/banking/connect/")
    examine(visitor)
    assert visitor.get_by_role("button", name="Choose your bank").evaluate(ALIKE) == button
    assert visitor.locator(".bank-panel").evaluate(FONT) == font
    journey.button(visitor, "Choose your bank")
    journey.consent_at(visitor, "succeed")
    journey.sees(visitor, journey.CONNECTED)
    examine(visitor)
    visitor.goto("/banking/")
    expect(visitor.locator(".bank-item")).to_have_count(1)
    examine(visitor)
    visitor.get_by_role("link", name="Disconnect").first.click()
    expect(visitor.get_by_role("button", name="Disconnect")).to_be_visible()
    examine(visitor)
    visitor.goto("/clients/1/")
    examine(visitor)
