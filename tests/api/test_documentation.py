"""The page on the API: its commands work, and its table of errors is whole."""

from __future__ import annotations

import argparse
import base64
import re
import shlex
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from business_os_banking.api import schema
from business_os_banking.models import BankingConnection, ConnectSession
from tests.docs.pages import column, text
from tests.upstream.fake import Upstream

CURL = argparse.ArgumentParser(prog="curl")
CURL.add_argument("-u", dest="user", default="")
CURL.add_argument("-X", dest="method", default="GET")
CURL.add_argument("-H", dest="headers", action="append", default=[])
CURL.add_argument("-d", dest="body", default="")
CURL.add_argument("url")


def commands() -> list[tuple[str, int]]:
    """Return each command of the page, and the status that stands beside it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text("api.md"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ")
    return [
        (command, int(status))
        for command, status in re.findall(r"^(curl .*?) +# (\d+)$", lines, re.MULTILINE)
    ]


def curl(command: str) -> Any:
    asked = CURL.parse_args(shlex.split(command)[1:])
    named = dict(header.split(": ", 1) for header in asked.headers)
    named["Authorization"] = "Basic " + base64.b64encode(asked.user.encode()).decode()
    kind = named.pop("Content-Type", "")
    place = asked.url.removeprefix("https://www.example.com")
    return Client().generic(asked.method, place, asked.body, kind, headers=named)


@pytest.mark.usefixtures("user", "upstream")
def test_the_commands_answer_as_it_says() -> None:
    assert len(commands()) == 6
    for command, status in commands():
        for name, model in (("SESSION", ConnectSession), ("CONNECTION", BankingConnection)):
            row: Any = model.objects.first()
            command = command.replace(f"${name}", str(row.reference) if row else "")
        assert curl(command).status_code == status, command


def test_every_error_is_in_the_table() -> None:
    named = {int(status) for cell in column("api.md", "api-errors") for status in cell.split(", ")}
    assert named == set(schema.ERRORS) | {405}


def test_every_operation_is_in_the_text() -> None:
    for name in schema.OPERATIONS:
        assert f"`{name}`" in text("api.md")


def test_the_passwords_of_the_page_are_those_of_the_suite(user: User, upstream: Upstream) -> None:
    assert user.check_password("secret")
