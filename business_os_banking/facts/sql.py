"""The statements that every webhook runs, written as text.

Everywhere else the ORM builds them. It takes longer to build one of these than a database takes to answer it, and
together that was half of what a webhook cost (docs/performance.md). They run on the default database, where the
tables must be (E034).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.sql import Query

from business_os_banking import conf
from business_os_banking.facts.report import Report
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

# What is asked for what a report may mean: a SELECT for each way to a table, put together with UNION ALL, since no
# index serves an OR over two tables. All have the columns of the first. One table in each SELECT, and a subquery for
# what is there at most once: PostgreSQL plans that in half the time, and planning is most of it.
_REPEATED: Final = """
SELECT 'event', id, NULL, NULL, NULL, '', '' FROM business_os_banking_connectionevent WHERE digest = %s"""
_SESSIONS: Final = """
SELECT 'session', id, reference, pending_token, connection_id, upstream_id,
(SELECT account FROM business_os_banking_bankingconnection WHERE id = connection_id)
FROM business_os_banking_connectsession WHERE {}"""
_FURTHER_LINKS: Final = """
SELECT 'link', session_id, NULL, NULL, NULL, '', '' FROM business_os_banking_sessionlink WHERE upstream_id = %s"""
# Of whichever account: where there is one, it is looked for again.
_BANK: Final = """
SELECT 'bank', 0, NULL, NULL, NULL, '', '' WHERE EXISTS (SELECT 1 FROM business_os_banking_connectionevent
WHERE kind = 'provider_changed' AND provider_code = %s)"""

# And for what has come meanwhile.
_SHARING: Final = """
SELECT 'connection', connection_id FROM business_os_banking_connectsession WHERE upstream_id = %s
UNION ALL SELECT 'link', session_id FROM business_os_banking_sessionlink WHERE upstream_id = %s"""
_WAITING: Final = """
SELECT 'event', id FROM business_os_banking_connectionevent
WHERE account = %s AND outcome = 'unmatched' AND ({})"""
_BANKS: Final = """
SELECT 'bank', 0 WHERE EXISTS (SELECT 1 FROM business_os_banking_connectionevent
WHERE kind = 'provider_changed' AND provider_code IN ({}))"""

_FIELDS: Final = BankingConnection._meta.concrete_fields  # noqa: SLF001 - as Django's documentation allows
_NAMES: Final = [one.attname for one in _FIELDS]
_CONNECTIONS: Final = (
    f"SELECT {', '.join(str(one.column) for one in _FIELDS)} FROM business_os_banking_bankingconnection"  # noqa: S608
)
_UUID: Final = models.UUIDField()


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that a report may mean, with what is needed to tell whether it does.

    ``link`` is the upstream connection that it was found by, or that its row shows.
    """

    pk: int
    reference: str
    token: str = field(repr=False)
    connection: int
    link: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What a report may mean."""

    sessions: list[SessionRow]  # in the order of their keys
    repeated: int | None  # the event that says the same
    bank_has_changed: bool  # somebody has told at some time that the bank was switched on or off


@dataclass(frozen=True, slots=True)
class News:
    """What has come meanwhile, or had been there."""

    connections: set[int]  # those that share the link, of whichever account
    waiting: list[int]  # events that match nothing yet
    a_bank_has_changed: bool


def cursor() -> CursorWrapper:
    """Return a cursor for the statements of one transaction: to make one takes as long as a statement takes to make."""
    made: CursorWrapper = _database().cursor()
    return made


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


def what_is_meant(report: Report) -> Meant:
    """Return what *report* may mean. One statement; another one if it names a further link of a session."""
    bank = report.fact.details.get("provider_code", "")
    database = _database()
    named = {
        "pending_token = %s": _uuid(report.pending_token, database),
        "reference = %s": _uuid(report.session_reference, database),
        "upstream_id = %s": report.fact.link or None,
    }
    ways = {way: value for way, value in named.items() if value}
    asked, values = [_REPEATED], [report.digest]
    if ways:
        asked.append(_SESSIONS.format(" OR ".join(ways)))
        values += ways.values()
    if report.fact.link:
        asked.append(_FURTHER_LINKS)
        values.append(report.fact.link)
    if bank:
        asked.append(_BANK)
        values.append(bank)
    found: dict[str, list[Any]] = {"event": [], "session": [], "link": [], "bank": []}
    for what, pk, *row in _rows(database, asked, values):
        found[what].append((pk, *row))
    sessions = [row for *row, account in found["session"] if account == report.account]
    sessions += _linked(report, [pk for pk, *_ in found["link"]])
    return Meant(
        sessions=sorted((_session(*row) for row in sessions), key=lambda row: row.pk),
        repeated=next((pk for pk, *_ in found["event"]), None),
        bank_has_changed=bool(found["bank"]),
    )


def _linked(report: Report, pks: list[int]) -> list[Any]:
    """Return what is asked for of the sessions with these keys, whose further link *report* names."""
    if not pks:  # making the query alone would take as long as all that what_is_meant() does
        return []
    rows = ConnectSession.objects.filter(pk__in=pks, connection__account=report.account)
    columns = ("pk", "reference", "pending_token", "connection_id")
    return [(*row, report.fact.link) for row in rows.values_list(*columns)]


def _session(
    pk: int, reference: UUID | str, token: UUID | str | None, connection: int, link: str
) -> SessionRow:
    return SessionRow(pk, _text(reference), _text(token), connection, link)


def what_has_come(
    account: str,
    *,
    link: str,
    waiting_token: UUID | None,
    waiting_links: Collection[str],
    banks: Collection[str],
) -> News:
    """Return what shares *link*, which events wait for the token or the links, and whether one of *banks*, by their
    codes, has changed. One statement, or none if nothing is named; another one if *link* is a further one of a session.
    """
    database = _database()
    asked: list[str] = []
    values: list[Any] = []
    if link:
        asked.append(_SHARING)
        values += [link, link]
    waited_for = {f"upstream_id IN ({_places(waiting_links)})": waiting_links}
    waited_for |= {"pending_token = %s": [_uuid(waiting_token, database)] if waiting_token else []}
    if ways := [way for way, some in waited_for.items() if some]:
        asked.append(_WAITING.format(" OR ".join(ways)))
        values += [account, *(value for some in waited_for.values() for value in some)]
    if banks:
        asked.append(_BANKS.format(_places(banks)))
        values += banks
    found: dict[str, set[Any]] = {"connection": set(), "link": set(), "event": set(), "bank": set()}
    for what, pk in _rows(database, asked, values) if asked else []:
        found[what].add(pk)
    if found["link"]:
        sharing = ConnectSession.objects.filter(pk__in=found["link"])
        found["connection"].update(sharing.values_list("connection_id", flat=True))
    return News(found["connection"], sorted(found["event"]), bool(found["bank"]))


def lock(cursor: CursorWrapper, pks: Collection[int]) -> list[BankingConnection]:
    """Lock and return the connections, always in the order of their keys, so that two workers cannot block each other.

    The connection is the only row that is locked: it holds the state of all its sessions.
    """
    if not pks:
        return []
    sql = f"{_CONNECTIONS} WHERE id IN ({_places(pks)}) ORDER BY id"
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
    fields = (one for one in meta.concrete_fields if not one.primary_key)
    row = _adapted(cursor.db, ((one, getattr(event, one.attname)) for one in fields))
    sql = f"INSERT INTO {meta.db_table} ({', '.join(row)}) VALUES ({_places(row)})"  # noqa: S608 - names of fields
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
        converters = compiler.get_converters([one.cached_col for one in _FIELDS])
        _local.database, _local.reading = database, partial(compiler.apply_converters, converters=converters)
    return _local.reading


def _adapted(database: BaseDatabaseWrapper, values: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return by their columns the values of fields, as *database* takes them.

    The values are of the types of their fields: to have that checked takes longer than all else here.
    """
    return {one.column: one.get_db_prep_value(value, database, prepared=True) for one, value in values}


def _rows(database: BaseDatabaseWrapper, asked: list[str], values: list[Any]) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(asked), values)
        return list(cursor.fetchall())


def _database() -> BaseDatabaseWrapper:
    """Return the database itself: ``django.db.connection`` stands for it, and looks for it at every turn."""
    return connections[DEFAULT_DB_ALIAS]


def _places(values: Collection[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _uuid(value: UUID | None, database: BaseDatabaseWrapper) -> Any:
    """Return *value* as the database holds it: some have a type for it, others 32 hex digits."""
    return _UUID.get_db_prep_value(value, database)


def _text(value: UUID | str | None) -> str:
    """Return what the database holds as the 36 characters that a report has, ``""`` for nothing."""
    return str(value if isinstance(value, UUID) else UUID(value)) if value else ""
