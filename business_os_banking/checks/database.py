"""What only the database can tell. Django runs these with ``migrate``, and with ``check --database``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder

from business_os_banking.conf.kinds import problem
from business_os_banking.models.tables import are_missing


@register(Tags.database)
def check_tables(databases: Sequence[str] | None = None, **_: Any) -> Iterator[CheckMessage]:
    """Check that a migration which is recorded has made its tables, and that text of every kind fits into them."""
    for alias in databases or ():
        connection = connections[alias]
        try:
            recorded = MigrationRecorder(connection).applied_migrations()
            is_recorded = any(app == "business_os_banking" for app, _name in recorded)
            if is_recorded and are_missing(alias):
                text = f'The migrations of business_os_banking are recorded in "{alias}", and the tables are not there.'
                hint = (
                    "A router, or django-tenants, kept them from being made: put the app into "
                    "TENANT_APPS or SHARED_APPS, and migrate again. Where none should be, this is as it should be."
                )
                yield problem("W017", text, hint)
            if connection.vendor == "mysql" and (charset := _charset(connection)) != "utf8mb4":
                text = (
                    f'The database "{alias}" has the character set {charset}, which lacks letters of names.'
                )
                yield problem("W018", text, "ALTER DATABASE … CHARACTER SET utf8mb4, and convert its tables.")
        except DatabaseError:
            continue  # it cannot be asked just now, which whoever connects next is told


def _charset(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@character_set_database")
        return str(cursor.fetchone()[0])
