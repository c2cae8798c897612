"""The page on threats names tests that exist, for every promise that it makes."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import ROOT, table, text

TABLES = re.findall(r"^% table: (threats-\w+)$", text("threats.md"), re.MULTILINE)
NAMED = sorted(
    {
        name
        for door in TABLES
        for row in table("threats.md", door)
        for name in re.findall(r"`(tests/[^`]+)`", row[2])
    }
)


def functions_of(path: str) -> set[str]:
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("name", NAMED)
def test_the_test_that_shows_it_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert function in functions_of(path)


@pytest.mark.parametrize("door", TABLES)
def test_each_promise_names_a_test(door: str) -> None:
    for attempt, stopped_by, shown_by in table("threats.md", door):
        assert stopped_by
        assert re.fullmatch(r"`tests/[^`]+`(, `tests/[^`]+`)*", shown_by), attempt


# The tables that speak of an address, by the beginning of its name.
DOORS = {
    "webhook": "webhook",
    "return": "return",
    "session-status": "return",
    "api:": "api",
    "invitation": "link",
    "connect": "pages",
    "session-retry": "pages",
}


@pytest.mark.parametrize(
    "name", sorted({row[0].strip("`") for row in table("templates.md", "urls")}) + ["api:"]
)
def test_every_address_belongs_to_a_door(name: str) -> None:
    [door] = {door for beginning, door in DOORS.items() if name.startswith(beginning)}
    assert f"threats-{door}" in TABLES
