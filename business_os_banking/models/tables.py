"""Whether the tables are where they are looked for."""

from __future__ import annotations

from django.db import connections

from business_os_banking.models.connections import BankingConnection


def are_missing(database: str) -> bool:
    """Return whether *database*, or the schema that it shows just now, lacks the tables."""
    connection = connections[database]
    with connection.cursor() as cursor:
        return BankingConnection._meta.db_table not in connection.introspection.table_names(cursor)  # noqa: SLF001
