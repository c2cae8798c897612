"""No page needs a looser Content-Security-Policy than "default-src 'self'": there is nothing inline to allow."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(
    path.relative_to(ROOT)
    for directory in ("business_os_banking", "example_project")
    for path in (ROOT / directory).rglob("templates/**/*.html")
    if "mail" not in path.parts  # mails have no policy
)
INLINE = {
    "a script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "a style sheet": r"<style\b",
    "a style": r"<[^>]*\sstyle\s*=",
    "a handler": r"<[^>]*\son[a-z]+\s*=",
    "a script as an address": r"javascript:",
    "data as an address": r"""(?:src|href|action)\s*=\s*["']?data:""",
    "another site": r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""",
}


def test_there_are_templates_to_look_at() -> None:
    assert len(TEMPLATES) > 20


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_nothing_in_a_template_is_inline(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    for what, pattern in INLINE.items():
        found = re.search(pattern, source, re.IGNORECASE)
        assert found is None, f"{what} in {path}: {found and found.group()}"


@pytest.mark.parametrize(
    ("what", "markup"),
    [
        ("a script", "<script>go()</script>"),
        ("a script", '<script type="text/javascript">go()</script>'),
        ("a style sheet", "<style>p {}</style>"),
        ("a style", '<p class="x" style="color: red">'),
        ("a handler", '<a href="/" onclick="go()">'),
        ("a script as an address", '<a href="javascript:go()">'),
        ("data as an address", '<img src="data:image/png;base64,AA">'),
        ("another site", '<script src="//cdn.example/x.js"></script>'),
    ],
)
def test_what_is_inline_is_found(what: str, markup: str) -> None:
    assert re.search(INLINE[what], markup, re.IGNORECASE)


def test_no_style_sheet_and_no_script_reaches_out() -> None:
    for path in (ROOT / "business_os_banking").rglob("static/**/*.[cj]s*"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(|@import|https?://|eval\(|innerHTML|\.style\b", source), path
