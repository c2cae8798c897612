"""The page on the public API names what a host may import: all of it, documented, and nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from enum import StrEnum
from types import ModuleType
from typing import Any, Final

import pytest
from django.apps import apps
from sphinx.pycode import ModuleAnalyzer

from business_os_banking import exceptions
from tests.docs.pages import names, samples, table, text

APP: Final = "business_os_banking"
PAGE: Final = "public-api.md"
# What shows the inside of the app, to those who want to understand it.
SHOW_THE_INSIDE: Final = {"concepts.md"}


def on_the_page() -> dict[str, list[str]]:
    """Return the names that the page documents, by their module."""
    found: dict[str, list[str]] = {}
    module = ""
    directives = r"^\.\. (currentmodule|autofunction|autoclass|autoexception|autodata):: ([\w.]+)"
    for directive, name in re.findall(directives, text(PAGE), re.MULTILINE):
        if directive == "currentmodule":
            module = name
        else:
            found.setdefault(module, []).append(name)
    return found


PUBLIC: Final = on_the_page()
NAMES: Final = [(module, name) for module, listed in PUBLIC.items() for name in listed]


def is_documented(module: ModuleType, name: str) -> bool:
    item: Any = getattr(module, name)
    if inspect.isclass(item):
        return bool(vars(item).get("__doc__")) and item.__doc__ != StrEnum.__doc__
    if inspect.isfunction(item):
        return bool(item.__doc__)
    # A value: by a comment of the kind that Sphinx reads, or by its class, if that is ours.
    comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    return ("", name) in comments or (type(item).__module__.startswith(APP) and bool(type(item).__doc__))


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{module}.{name}" for module, name in NAMES])
def test_what_is_named_can_be_imported_and_is_documented(module: str, name: str) -> None:
    assert is_documented(importlib.import_module(module), name)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_says_itself_what_of_it_is_public(module: str) -> None:
    assert sorted(PUBLIC[module]) == sorted(importlib.import_module(module).__all__)


def test_no_sample_imports_what_is_not_public() -> None:
    for sample in samples():
        if sample.page in SHOW_THE_INSIDE:
            continue
        for node in ast.walk(ast.parse(sample.code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(APP):
                for name in (alias.name for alias in node.names):
                    is_module = f"{node.module}.{name}" in PUBLIC
                    assert is_module or name in PUBLIC.get(node.module or "", ()), (str(sample), name)


def test_columns_that_are_stable_exist() -> None:
    for model, columns in table(PAGE, "columns"):
        fields = apps.get_model(APP, model.strip("`"))._meta.get_fields()
        assert names(columns) <= {field.name for field in fields}, model


def test_the_tree_of_exceptions_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    lines = re.findall(r"^    ([ │├└─]*)(\w+)(?: {2,}.*)?$", exceptions.__doc__ or "", re.MULTILINE)
    for indent, name in lines:
        above[len(indent) // 4 :] = [name]
        drawn[name] = above[-2] if len(above) > 1 else "Exception"
    real = {
        name: item.__bases__[0].__name__
        for name, item in vars(exceptions).items()
        if inspect.isclass(item) and issubclass(item, Exception) and item.__module__ == exceptions.__name__
    }
    assert drawn == real
