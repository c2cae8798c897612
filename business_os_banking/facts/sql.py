"""The statements that every webhook runs, written as text.

Everywhere else the ORM builds them. It takes longer to build one of these than a database takes to answer it, and
together that was half of what a webhook cost (docs/performance.md). They run on the default database, where the
tables must be (E034).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.sql import Query

from business_os_banking import conf
from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.upstream.values import unshown

_FIELDS: Final = BankingConnection._meta.concrete_fields  # noqa: SLF001 - as Django's documentation allows
_NAMES: Final = [field.attname for field in _FIELDS]
_CONNECTIONS: Final = (
    f"SELECT {', '.join(str(field.column) for field in _FIELDS)} FROM business_os_banking_bankingconnection"  # noqa: S608
)
_UUID: Final = models.UUIDField()


def cursor() -> CursorWrapper:
    """Return a cursor for the statements of one transaction: to make one takes as long as a statement takes to make."""
    cursor: CursorWrapper = database().cursor()
    return cursor


@contextmanager
def pipelined(cursor: CursorWrapper) -> Iterator[None]:
    """Within a transaction, send PostgreSQL each statement without waiting for the answer to the one before.

    While it works on one, the next is made. What fails, fails at the end of the block at the latest. How many rows a
    statement changed is not known before, so nothing in the block may ask, as ``save()`` does; and of what *cursor* is
    asked, only the first answer may be read in the block, and the last one after it. All other databases, and drivers
    other than psycopg 3.2, are asked one after the other.
    """
    # psycopg 3.1 has pipelines, too, but keeps the answers to one cursor apart in another way; this, it has not.
    capabilities = getattr(cursor.db.Database, "capabilities", None)
    if capabilities is None or not capabilities.has_pipeline() or not conf.settings.database_pipeline:
        yield
        return
    with cursor.db.wrap_database_errors, cursor.db.connection.pipeline():
        yield


def lock(cursor: CursorWrapper, pks: Collection[int]) -> list[BankingConnection]:
    """Lock and return the connections, always in the order of their keys, so that two workers cannot block each other.

    The connection is the only row that is locked: it holds the state of all its sessions.
    """
    if not pks:
        return []
    sql = f"{_CONNECTIONS} WHERE id IN ({places(pks)}) ORDER BY id"
    if cursor.db.features.has_select_for_update:  # SQLite has none: there, one writes at a time
        sql += " FOR UPDATE"
    cursor.execute(sql, list(pks))
    rows = _reading(cursor.db)(cursor.fetchall())
    return [BankingConnection.from_db(cursor.db.alias, _NAMES, row) for row in rows]


def update(
    cursor: CursorWrapper, model: type[models.Model], where: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Write *values* into the rows that hold what *where* says; both are by the names of fields."""
    meta = model._meta  # noqa: SLF001 - as Django's documentation allows
    setting = _adapted(cursor.db, ((meta.get_field(name), value) for name, value in values.items()))
    known = _adapted(cursor.db, ((meta.get_field(name), value) for name, value in where.items()))
    columns = ", ".join(f"{column} = %s" for column in setting)
    condition = " AND ".join(f"{column} = %s" for column in known)
    sql = f"UPDATE {meta.db_table} SET {columns} WHERE {condition}"  # noqa: S608 - names of fields
    cursor.execute(sql, [*setting.values(), *known.values()])


def insert(cursor: CursorWrapper, event: ConnectionEvent) -> None:
    """Write a new event. As with ``bulk_create()``, Django's signals of saving are not sent."""
    meta = event._meta  # noqa: SLF001 - as Django's documentation allows
    fields = (field for field in meta.concrete_fields if not field.primary_key)
    row = _adapted(cursor.db, ((field, getattr(event, field.attname)) for field in fields))
    sql = f"INSERT INTO {meta.db_table} ({', '.join(row)}) VALUES ({places(row)})"  # noqa: S608 - names of fields
    if cursor.db.features.can_return_columns_from_insert:
        sql += " RETURNING id"
    cursor.execute(sql, list(row.values()))
    event._state.adding, event._state.db = False, cursor.db.alias  # noqa: SLF001 - as save() does


def key(cursor: CursorWrapper) -> int:
    """Return the key of the event that *cursor* has inserted just now; to be asked after the block of `pipelined`."""
    if cursor.db.features.can_return_columns_from_insert:
        return int(cursor.fetchone()[0])
    return int(cursor.db.ops.last_insert_id(cursor, ConnectionEvent._meta.db_table, "id"))  # noqa: SLF001


class _Local(threading.local):
    database: BaseDatabaseWrapper | None = None
    reading: Callable[[list[tuple[Any, ...]]], Iterable[Sequence[Any]]]


_local = _Local()


def _reading(database: BaseDatabaseWrapper) -> Callable[[list[tuple[Any, ...]]], Iterable[Sequence[Any]]]:
    """Return what turns rows of connections, as *database* holds them, into the values of their fields.

    To ask the fields takes longer than to read a row, so this thread keeps what they say of its database.
    """
    if _local.database is not database:
        compiler = Query(BankingConnection).get_compiler(database.alias)
        converters = compiler.get_converters([field.cached_col for field in _FIELDS])
        _local.database, _local.reading = database, partial(compiler.apply_converters, converters=converters)
    return _local.reading


def _adapted(database: BaseDatabaseWrapper, values: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return by their columns the values of fields, as *database* takes them.

    The values are of the types of their fields: to have that checked takes longer than all else here.
    """
    return {
        field.column: unshown(field.name, field.get_db_prep_value(value, database, prepared=True))
        for field, value in values
    }


def union(selects: list[str], values: list[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of *selects*, put together with UNION ALL; *values* are those of all their places in a row."""
    with database().cursor() as cursor:
        cursor.execute(" UNION ALL ".join(selects), values)
        return list(cursor.fetchall())


def database() -> BaseDatabaseWrapper:
    """Return the database itself: ``django.db.connection`` stands for it, and looks for it at every turn."""
    return connections[DEFAULT_DB_ALIAS]


def places(values: Collection[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def uuid(value: UUID | None) -> Any:
    """Return *value* as the database holds it: some have a type for it, others 32 hex digits."""
    return unshown("pending_token", _UUID.get_db_prep_value(value, database()))
