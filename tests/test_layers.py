"""The house keeps to its plan: layers, purity and size. What import-linter promises is tried by breaking it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "business_os_banking"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
PURE = next(contract["source_modules"] for contract in CONTRACTS if "pure" in contract["name"])
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if "migrations" not in path.parts and "__pycache__" not in path.parts
)
LONGEST = 300
LONGEST_OF_TEXTS = {"texts.py": 400}  # pages of texts, which nobody reads from one end to the other

pytestmark = pytest.mark.once


def path_of(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def lint(tree: Path) -> str:
    """Return what import-linter says of the package in *tree*, in one line."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    done = subprocess.run(
        [*command, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, for planting what is forbidden."""
    shutil.copytree(
        PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "locale", "static")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(tree: Path, module: str, line: str) -> None:
    path = tree / path_of(module)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")


@pytest.mark.parametrize("forbidden", ["django.db", "time", "requests"])
def test_what_is_pure_stays_pure(tree: Path, forbidden: str) -> None:
    for module in PURE:
        plant(tree, module, f"import {forbidden}")
    output = lint(tree)
    for module in PURE:
        assert f"{module} is not allowed to import {forbidden.split('.')[0]}" in output


def test_what_is_pure_asks_no_clock_and_opens_nothing() -> None:
    for module in PURE:
        calls = [
            node.func
            for node in ast.walk(ast.parse((ROOT / path_of(module)).read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        ]
        names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
        assert names.isdisjoint({"now", "utcnow", "today", "open", "print", "input"}), module


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("business_os_banking.models.batches", "from business_os_banking.facts import record", "Imports go one way"),
        ("business_os_banking.conf.kinds", "from business_os_banking import vocabulary", "Imports go one way"),
        ("business_os_banking.nowhere", "X = 1", "Imports go one way"),
        (
            "business_os_banking.facts.rows",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from business_os_banking.facts import merging",
            "No circles",
        ),
        ("business_os_banking.web.pages", "from business_os_banking.sandbox import conf", "Nobody imports the sandbox"),
    ],
)  # fmt: skip
def test_no_import_climbs_or_leads_in_a_circle(tree: Path, module: str, line: str, broken: str) -> None:
    plant(tree, module, line)
    output = lint(tree)
    assert f"{broken}" in output
    assert "BROKEN" in output[output.index(broken) :][:80]


def test_the_root_holds_what_a_site_meets() -> None:
    assert len([path for path in MODULES if path.parent == PACKAGE]) <= 16


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_OF_TEXTS.get(path.name, LONGEST)
