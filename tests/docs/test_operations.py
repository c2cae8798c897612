"""The page on operations says of commands, counts and limits what the code does."""

from __future__ import annotations

import re
from argparse import Action
from dataclasses import fields
from datetime import timedelta
from typing import Final

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

from business_os_banking.facts import merging
from business_os_banking.flows import by_id, reading, reconcile, waiting
from business_os_banking.models import batches
from business_os_banking.vocabulary import Outcome
from tests.docs.pages import ROOT, column, names, table, text

PAGE: Final = "operations.md"
APP: Final = "business_os_banking"
COMMANDS: Final = sorted(path.stem for path in (ROOT / APP / "management" / "commands").glob("banking_*.py"))


def options_of(command: BaseCommand) -> dict[str, Action]:
    """Return what the command takes, by the name that a person types."""
    parser = command.create_parser("manage.py", "command")
    return {
        (action.option_strings[-1] if action.option_strings else action.dest): action
        for action in parser._actions
    }


def own_options(name: str) -> dict[str, Action]:
    django = options_of(BaseCommand())
    own = options_of(load_command_class(APP, name))
    return {option: action for option, action in own.items() if option not in django}


def section(name: str) -> str:
    """Return what the page says below the heading of a command."""
    found = re.search(rf"^### {name}$(.*?)(?=^##|\Z)", text(PAGE), re.MULTILINE | re.DOTALL)
    assert found, f"{name} is not explained"
    return found.group(1)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = own_options(name)
    if not options:
        assert "It takes no options." in section(name)
        return
    assert f"% table: {name}\n" in section(name)
    assert column(PAGE, name) == list(options)
    for option, (_name, meaning) in zip(options.values(), table(PAGE, name), strict=True):
        assert set(option.choices or ()) <= names(meaning)


def test_the_commands_are_all_there() -> None:
    assert re.findall(r"^### (banking_\w+)$", text(PAGE), re.MULTILINE) == column(PAGE, "exit-codes")
    assert sorted(column(PAGE, "exit-codes")) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_exit_codes_are_those_of_the_help(name: str) -> None:
    [row] = [row for row in table(PAGE, "exit-codes") if row[0] == f"`{name}`"]
    said = re.search(r"Exit code: (.+)$", load_command_class(APP, name).help)
    assert said
    assert [bool(meaning) for meaning in row[1:]] == [code in re.findall(r"\d", said[1]) for code in "01"]


def test_command_lines_on_the_page_are_accepted() -> None:
    lines = re.findall(r"manage\.py (banking_\w+)([^\n`]*)", text(PAGE))
    lines += re.findall(r"`(banking_\w+)( --[^`]*)`", text(PAGE))
    assert {name for name, _rest in lines} > {"banking_reconcile", "banking_prune", "banking_replay"}
    for name, rest in lines:
        load_command_class(APP, name).create_parser("manage.py", name).parse_args(rest.split())


def test_every_count_is_explained() -> None:
    assert column(PAGE, "counts") == [item.name for item in fields(reconcile.Result)]


def in_words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for unit, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError(span)


def test_limits_are_those_of_the_code() -> None:
    assert [value for _limit, value in table(PAGE, "limits")] == [
        in_words(waiting.SETTLED),
        f"{waiting._SHARE * batches.SIZE:_}".replace("_", " "),
        str(reconcile._REMOVALS_PER_RUN),
        "1 minute",  # 2 ** 0, in `reconcile._remove_ended`
        in_words(reconcile._LONGEST_WAIT),
        in_words(reading._FIRST_PAUSE),
        in_words(reading._LONGEST_PAUSE),
        in_words(merging._READ_AFTER),
        str(by_id.MOST),
    ]


def test_effects_that_wait_are_effects() -> None:
    words = {word for cell, *_rest in table(PAGE, "waiting") for word in names(cell)}
    assert words == {Outcome.UNMATCHED, Outcome.FAILED, Outcome.ORPHANED}
