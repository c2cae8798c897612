"""axe-core finds nothing on any page, light or dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from .gallery import SCENES, Scene, look

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
    # Colours do not depend on the width, and little else depends on the colours: two of the four tell enough.
    for theme, width in (("light", 360), ("dark", 1280)):
        scene.page.set_viewport_size({"width": width, "height": 800})
        look(scene.page, theme)
        excluded = DJANGOS_OWN if name.startswith("admin-") else None
        results = Axe().run(scene.page, context=excluded)
        assert not results.violations_count, f"{theme}, {width} pixels: {results.generate_report()}"
