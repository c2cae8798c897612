"""Tables that are not where they are looked for, as in a schema of django-tenants, and text that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from business_os_banking.checks import database
from business_os_banking.models import BankingConnection

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {
    "banking_reconcile": (),
    "banking_prune": (),
    "banking_rebuild": ("--check",),
    "banking_replay": ("--outcome", "failed"),
    "banking_explain": ("00000000-0000-0000-0000-000000000001",),
    "banking_erase": ("--user", "1"),
    "banking_export": ("--user", "1"),
}


@pytest.fixture
def without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrations are recorded, and another schema is looked at."""
    names = connection.introspection.table_names

    def others(cursor: Any = None, include_views: bool = False) -> list[str]:
        return [name for name in names(cursor, include_views) if not name.startswith("business_os_banking")]

    monkeypatch.setattr(connection.introspection, "table_names", others)


def found() -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in database.check_tables(["default"])]


def test_a_healthy_database_is_silent() -> None:
    assert found() == []
    assert list(database.check_tables(None)) == []
    call_command("check", "--database", "default", verbosity=0)


def test_recorded_migrations_without_tables_are_told(without_tables: None) -> None:
    assert found() == ["W017"]
    with pytest.raises(SystemCheckError, match="W017"):
        call_command("check", "--database", "default", "--fail-level", "WARNING", verbosity=0)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_say_what_to_use_instead(without_tables: None, name: str) -> None:
    with pytest.raises(CommandError, match="all_tenants_command"):
        call_command(name, *COMMANDS[name])


def test_a_character_set_that_lacks_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "mysql")
    monkeypatch.setattr(database, "_charset", lambda _connection: "utf8mb3")
    assert found() == ["W018"]


def test_a_database_that_does_not_answer_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def away(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(database, "are_missing", away)
    assert found() == []
    assert BankingConnection.objects.count() == 0
