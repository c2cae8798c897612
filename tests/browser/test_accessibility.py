"""axe-core finds nothing on any page, in any language, light or dark; and no page moves for who wants it still."""

from __future__ import annotations

from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from .conftest import NewContext
from .gallery import SCENES, Scene, checking, look, speak

# What Django's admin itself puts on each of its pages, and does not get quite right: the label of the search
# field, links in the breadcrumbs that only their colour tells apart, and the empty headings of some columns.
DJANGOS_OWN = {"exclude": [["#searchbar"], [".breadcrumbs"], ["thead th:empty"]]}


@pytest.fixture
def bypass_csp() -> bool:
    """axe tries out inline styles. That the pages keep to the policy is seen where axe is not at work."""
    return True


@pytest.mark.once
@pytest.mark.parametrize("name", SCENES)
def test_axe_finds_nothing(scene: Scene, name: str) -> None:
    SCENES[name](scene)
    excluded = DJANGOS_OWN if name.startswith("admin-") else None
    # Colours do not depend on the width, and little else depends on the colours: half of the pairs tell enough.
    looks = {"en": (("light", 320), ("dark", 1280)), "de": (("dark", 320), ("light", 1280))}
    for language, pairs in looks.items():
        if language != "en":
            speak(scene, language)
        for theme, width in pairs:
            scene.page.set_viewport_size({"width": width, "height": 800})
            look(scene.page, theme)
            results = Axe().run(scene.page, context=excluded)
            report = results.generate_report() if results.violations_count else ""
            assert not report, f"{language}, {theme}, {width} pixels: {report}"


@pytest.mark.once
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_for_who_wants_it_still(new_context: NewContext, scene: Scene, motion: str) -> None:
    page = new_context(scene.user, reduced_motion=motion).new_page()
    checking(replace(scene, page=page))
    moving = page.evaluate("document.getAnimations().filter((one) => one.playState === 'running').length")
    assert bool(moving) == (motion == "no-preference")
