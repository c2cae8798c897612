"""In the frames of other sites, with one line for the block: the host's styles change nothing of the pages, and theirs
nothing of the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import unfold  # type: ignore[import-untyped]

from business_os_banking.models import BankingConnection
from tests.web.test_blocks import replace

from . import gallery
from .gallery import Scene

pytestmark = pytest.mark.once

ROOT: Final = Path(__file__).parents[2]
WIDTH: Final = 360
# Of each host: its stylesheet, what it has around its pages, and the name of the block in which it shows one.
HOSTS: Final[dict[str, tuple[str, str, str]]] = {
    "bootstrap 5": (
        (ROOT / "example_project/bootstrap/static/bootstrap/bootstrap.min.css").read_text(),
        '<main class="container py-4"><div class="row"><div class="col-12">{}</div></div></main>',
        "content",
    ),
    "tailwind": (
        (Path(unfold.__file__).parent / "static/unfold/css/styles.css").read_text(),
        '<main class="mx-auto px-4"><div class="prose">{}</div></main>',
        "main",
    ),
    # What themes of shops and of content management systems do to whatever stands in their content.
    "a theme": (
        """
        body { font: italic 300 15px/2 Georgia; letter-spacing: 1px; text-align: center; color: #777 }
        * { transition: none }
        h1, h2, h3 { text-transform: uppercase; font-weight: 200; margin: 2em 0; letter-spacing: 4px; color: #b00 }
        a { color: #b00; text-decoration: none; border-bottom: 2px dotted }
        button, input, [type=submit] { width: 100%; margin: 0 0 20px; border: 3px double; background: #eee; color: #000;
            text-transform: uppercase; box-shadow: 2px 2px #000; line-height: 3; height: 2em; letter-spacing: 3px }
        ul, ol { padding-left: 40px; list-style: square inside; margin: 1em }
        li, p, dd, dt, time, code, strong, span { margin: 0 0 1em; line-height: 2 }
        dt { float: left; width: 160px; clear: left } dd { margin-left: 180px }
        fieldset { border: 3px solid; padding: 2em; margin: 1em 0 } legend { float: left; width: 100%; font-size: 2rem }
        label { font-weight: 700; display: inline-block; text-transform: uppercase; margin: 1em }
        form { margin: 2em 0; padding: 1em; background: #ddd } svg { max-width: 100%; vertical-align: middle }
        section, header, article, nav { padding: 2em 0; margin: 1em; display: block }
        .content h1, .content h2 { font-size: 60px; font-family: Impact; border-bottom: 1px solid }
        .content ul li { list-style: square; margin-left: 2em; padding-left: 1em; background: #ffe }
        .content ul li::before { content: "\\2713"; color: red; position: static }
        .content p { text-indent: 2em; font-size: 20px; color: #00b }
        .content a { color: #0a0; font-weight: 900 } .content a:hover { background: #ff0 }
        .content button { float: right; min-width: 0; padding: 0; border-radius: 0; background: #0f0; font-size: 9px }
        .content input { display: inline-block; width: 40%; border: 0; height: 1em }
        .content dl { display: grid; grid-template-columns: 1fr 2fr; margin: 3em }
        .content code { background: #fee; padding: 3px; color: #b00 }
        .content label { color: #0a0; float: left }
        """,
        '<main class="content"><div class="columns">{}</div></main>',
        "content",
    ),
}
OWN: Final = '<h2 data-host>Shop</h2><p data-host>Text <a data-host href="/">link</a></p><button data-host>Buy</button>'
FRAME: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>'
    '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><style>%s</style></head>'
    "<body><header>" + OWN + "</header>%s</body></html>"
)
PLAIN: Final = ("", "<main>{}</main>", "content")
PAGES: Final = (
    gallery.connect,
    gallery.connections,
    gallery.detail,
    gallery.disconnecting,
    gallery.renewal_failed,
)
# Of all elements of the panel, as far as they do not depend on how wide it is.
STYLES: Final = """(selector) => [...document.querySelectorAll(selector)].map((one, place) => {
    const names = ["display", "float", "position", "fontSize", "fontWeight", "fontStyle", "fontFamily", "lineHeight",
        "letterSpacing", "textTransform", "textAlign", "textIndent", "textDecorationLine", "listStyleType", "color",
        "backgroundColor", "marginTop", "marginBottom", "marginLeft", "paddingTop", "paddingBottom", "paddingLeft",
        "paddingRight", "borderTopWidth", "borderBottomWidth", "borderLeftWidth", "borderTopLeftRadius", "opacity",
        "boxShadow", "whiteSpace", "minHeight", "minWidth", "verticalAlign"];
    const read = (style) => names.filter((name) => style.display !== "none" || name === "display")
        .map((name) => `${name}: ${style[name]}`);
    const before = getComputedStyle(one, "::before");
    return [`${place} ${one.tagName} ${one.className.baseVal ?? one.className}`, read(getComputedStyle(one)),
        [before.content, before.position, before.color]];
})"""
PANEL: Final = ".bank-panel, .bank-panel :not(svg *, option, script)"
OFF: Final = "document.querySelector('link[href*=\"banking.css\"]').disabled = true"


@pytest.fixture
def bypass_csp() -> bool:
    return True  # the hosts' styles stand in their pages here


def put_into(settings: Any, host: tuple[str, str, str]) -> None:
    """Give the site the frame of *host*, and the one line that docs/templates.md has for it."""
    css, around, block = host
    base = FRAME % (css, around.format(f"{{% block {block} %}}{{% endblock %}}"))
    line = (
        f'{{% extends "business_os_banking/site.html" %}}{{% block {block} %}}{{% block banking_page %}}'
        "{% endblock %}{% endblock %}"
    )
    replace(settings, {"site.html": base, "base.html": line})


def differences(one: list[Any], other: list[Any]) -> list[str]:
    assert [name for name, *_ in one] == [name for name, *_ in other]
    return [
        f"{name}: {a} -> {b}"
        for (name, *own), (_, *theirs) in zip(one, other, strict=True)
        for mine, their in zip(own, theirs, strict=True)
        for a, b in zip(mine, their, strict=False)
        if a != b
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("show", PAGES, ids=lambda show: show.__name__)
def test_no_style_of_a_host_changes_the_pages_and_none_of_ours_the_host(
    scene: Scene, settings: Any, show: Any, theme: str
) -> None:
    page = scene.page
    page.set_viewport_size({"width": WIDTH, "height": 800})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    put_into(settings, PLAIN)
    show(scene)
    assert BankingConnection.objects.exists() or show is gallery.connect
    plain = page.evaluate(STYLES, PANEL)
    assert len(plain) > 5
    wrong = {}
    for name, host in HOSTS.items():
        put_into(settings, host)
        page.reload()
        found = differences(plain, page.evaluate(STYLES, PANEL))
        fits = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        own = page.evaluate(STYLES, "[data-host]")
        page.evaluate(OFF)
        found += differences(own, page.evaluate(STYLES, "[data-host]"))
        wrong[name] = [*found, *([] if fits else ["it is too wide"])]
    assert {name: found for name, found in wrong.items() if found} == {}
