"""Pictures of every page, and what must hold on each: it fits, and it says what it is.

``BANKING_SCREENSHOTS`` names the directory for them. With ``BANKING_SCREENSHOTS=docs/images``, only the few
that README and documentation show are made, under their names there.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from .gallery import SCENES, Scene, bank_log_in, checking, connected, look, speak

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
# In README and documentation: the scene, its least size, and how the picture is called there.
SHOWN = {
    "connect": ("connect.png", (760, 600)),
    "list": ("connections.png", (760, 600)),
    "bank-choose": ("sandbox.png", (960, 600)),
    "detail": ("connection.png", (760, 600)),
    "disconnect": ("disconnect.png", (760, 600)),
    "invitation": ("invitation.png", (760, 600)),
    "renew": ("renew.png", (760, 600)),
    "error-upstream": ("error.png", (760, 420)),
    "admin-sessions": ("admin-sessions.png", (1280, 600)),
    "admin-events": ("admin-events.png", (1100, 600)),
    "admin-accounts": ("admin-accounts.png", (1280, 500)),
    "admin-match": ("admin-match.png", (1280, 600)),
    "admin-connections": ("admin.png", (1440, 720)),
    "admin-connection": ("admin-connection.png", (1280, 720)),
    "admin-overview": ("admin-overview.png", (1280, 720)),
}
MOST_BYTES = 200_000
# As narrow as WCAG asks (1.4.10), a desktop's window zoomed to 200 %, and the same window as it is.
SIZES = {"narrow": (320, 740), "zoomed": (640, 400), "wide": (1280, 800)}
LARGE_TEXT = "(size) => { document.documentElement.style.fontSize = size; }"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
POSTER = """<!doctype html><html lang="en"><title>From the bank to the site</title><style>
body {{ margin: 0; height: 800px; display: flex; justify-content: center; align-items: center; gap: 40px;
  background: #dbe4f8; }}
img {{ width: 360px; height: 700px; border-radius: 24px; box-shadow: 0 4px 12px rgb(22 32 51 / 20%); }}
</style>{pictures}</html>"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    named = os.environ.get("BANKING_SCREENSHOTS")
    directory = ROOT / named if named else tmp_path
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.mark.once
@pytest.mark.parametrize("name", SCENES)
def test_each_page_fits_and_names_itself(scene: Scene, directory: Path, name: str) -> None:
    SCENES[name](scene)
    page = scene.page
    names_itself(page, "en")
    if directory == IMAGES and name in SHOWN:
        filename, size = SHOWN[name]
        resize(page, size)
        look(page, "light")
        keep(page, directory / filename)
    if directory == IMAGES:
        return
    for language in ("en", "de"):
        if language != "en":
            speak(scene, language)
            names_itself(page, language)
        for width, size in SIZES.items():
            resize(page, size)
            for theme in ("light", "dark"):
                look(page, theme)
                page.screenshot(path=directory / f"{name}-{language}-{width}-{theme}.png", full_page=True)
            assert page.evaluate(FITS), f"{name} ({language}) does not fit into {size[0]} pixels"
        page.evaluate(LARGE_TEXT, "200%")
        assert page.evaluate(FITS), f"{name} ({language}) does not fit with large letters"


@pytest.mark.once
def test_the_picture_of_the_journey(scene: Scene, directory: Path) -> None:
    """At the bank, back on the site, connected: side by side, for the README."""
    pictures = []
    resize(scene.page, (360, 700))
    look(scene.page, "light")
    for show in (bank_log_in, checking, connected):
        show(scene)
        data = base64.b64encode(scene.page.screenshot()).decode()
        pictures.append(f'<img alt="" src="data:image/png;base64,{data}">')
    poster = scene.page.context.new_page()
    resize(poster, (1280, 800))
    poster.set_content(POSTER.format(pictures="".join(pictures)))
    keep(poster, directory / "landing.png")


def names_itself(page: Page, language: str) -> None:
    assert page.locator("h1").count() == page.locator("h1:visible").count() == 1
    assert (page.locator("html").get_attribute("lang") or "").startswith(language)
    assert page.title().strip()


def resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def keep(page: Page, path: Path) -> None:
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size < MOST_BYTES, f"{path.name} is too large to be shown in a page"
