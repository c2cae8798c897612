"""The page for contributors tells where things are and how they follow each other as the code has it."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.docs.pages import DOCS, ROOT, names, table, text

PACKAGE: Final = ROOT / "business_os_banking"
PAGE: Final = "contributing.md"
FLOWS: Final = re.findall(r"^% table: (flow-\w+)$", text(PAGE), re.MULTILINE)
PLACES: Final = sorted(set(re.findall(r"`([\w/]+\.py:[\w.]+)`", text(PAGE))))
# What somebody who is new to the code should find within a minute.
MUST_BE_THERE: Final = (
    "webhook's time",
    "`inactive`",
    "redirect to the bank",
    "add a setting",
    "error class",
)


@cache
def definitions(path: Path) -> dict[str, ast.AST]:
    """Return what a module defines: functions, classes, their methods, and constants, by name."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{item.name}": item for item in node.body if isinstance(item, ast.FunctionDef)
            }
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def words_of(place: str) -> set[str]:
    """Return the names and texts that a step uses, itself or through helpers of its module."""
    file, _, name = place.partition(":")
    path = PACKAGE / file
    if path.suffix != ".py":
        return set(re.findall(r"[\w.]+", path.read_text(encoding="utf-8")))
    known = definitions(path)
    used: set[str] = set()
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for node in ast.walk(known[current]):
            if isinstance(node, ast.Name | ast.Attribute):
                used.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
        waiting += [word for word in used if word in known and word not in seen and word not in waiting]
    return used


@pytest.mark.parametrize("place", PLACES)
def test_what_is_named_is_there(place: str) -> None:
    file, _, name = place.partition(":")
    assert name in definitions(PACKAGE / file)


def test_the_questions_of_newcomers_are_answered() -> None:
    asked = [row[0] for row in table(PAGE, "where")]
    for question in MUST_BE_THERE:
        assert any(question in row for row in asked), question
    for question, answer, _further in table(PAGE, "where"):
        assert re.search(r"`[\w/]+\.py:\w+`", answer), question


@pytest.mark.parametrize("flow", FLOWS)
def test_each_step_follows_from_those_above_it(flow: str) -> None:
    steps = [place for row in table(PAGE, flow) for place in names(row[0])]
    assert len(steps) == len(table(PAGE, flow)) > 1
    used: set[str] = set()
    for place in steps:
        wanted = re.split(r"[:./]", place)[-1] if ":" in place else Path(place).name
        assert place == steps[0] or wanted in used, place
        used |= words_of(place)


def test_the_map_has_every_room() -> None:
    rooms = {name for row in table(PAGE, "rooms") for name in names(row[0])}
    plan, outside = drawing().layers()
    code = {room for layer in plan for room in layer} | set(outside)
    data = {"templates", "static", "locale"}
    assert {name.removesuffix(".py").removesuffix("/") for name in rooms} == code | data
    for name in rooms:
        assert (PACKAGE / name).exists(), name
    for row in table(PAGE, "rooms"):
        [room, *_] = names(row[0])
        if room.endswith("/"):
            modules = {path.stem for path in (PACKAGE / room).glob("*.py")}
            # Of the words in backquotes those that look like modules, where the room has any.
            said = {name for name in names(row[1]) if re.fullmatch(r"[a-z_]+", name)}
            assert said <= modules, room


def test_it_says_which_modules_are_pure() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = next(contract["source_modules"] for contract in contracts if "pure" in contract["name"])
    said = re.search(r"^Some modules are pure, .*?\. ", text(PAGE), re.MULTILINE | re.DOTALL)
    assert said
    assert {f"business_os_banking.{name}" for name in names(said[0])} == set(pure)


def drawing() -> ModuleType:
    """Return the script that draws the layers."""
    spec = importlib.util.spec_from_file_location("docs_layers", DOCS / "pictures" / "layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.once
def test_the_picture_of_the_layers_is_what_the_imports_are() -> None:
    script = drawing()
    assert script.PICTURE.read_text(encoding="utf-8") == script.picture(), (
        "The imports between rooms have changed: run python docs/pictures/layers.py, and look at the picture."
    )


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("c", "e"), ("a", "e")]
    assert drawing().reduced(edges) == [("a", "b"), ("a", "d"), ("b", "c"), ("c", "e")]
