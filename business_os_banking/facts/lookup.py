"""Whose is this? Which rows of ours know a token, a key of ours, or an upstream id: for one report, or for many.

An upstream id is held by a session (``upstream_id``), by a further link of a session (`SessionLink`), or by a
connection that a site has imported. Whoever asks whose it is asks here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from business_os_banking.conf.secret import Token
from business_os_banking.facts import sql
from business_os_banking.facts.report import Report
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, SessionLink

# A SELECT for each way to a table, put together with UNION ALL, since no index serves an OR over two tables. All have
# the columns of the first: kind of row, id, and of a session its reference, token, connection, upstream id, account.
# One table in each SELECT, and a subquery for what is there at most once: PostgreSQL plans that in half the time, and
# planning is most of it.
_REPEATED: Final = """
SELECT 'event', id, NULL, NULL, NULL, '', '' FROM business_os_banking_connectionevent WHERE digest = %s"""
_SESSIONS: Final = """
SELECT 'session', id, reference, pending_token, connection_id, upstream_id,
(SELECT account FROM business_os_banking_bankingconnection WHERE id = connection_id)
FROM business_os_banking_connectsession WHERE {}"""
_FURTHER_LINKS: Final = """
SELECT 'link', session_id, NULL, NULL, NULL, '', '' FROM business_os_banking_sessionlink WHERE upstream_id = %s"""
# A session that led to it has it, too; that of a row which a site has imported stands nowhere else.
_STANDING: Final = """
SELECT 'connection', id, NULL, NULL, NULL, '', account FROM business_os_banking_bankingconnection
WHERE upstream_id = %s"""
# Of whichever account: where there is one, it is looked for again.
_BANK: Final = """
SELECT 'bank', 0, NULL, NULL, NULL, '', '' WHERE EXISTS (SELECT 1 FROM business_os_banking_connectionevent
WHERE kind = 'provider_changed' AND provider_code = %s)"""

# Of the second look: kind of row, id.
_SHARING: Final = """
SELECT 'connection', connection_id FROM business_os_banking_connectsession WHERE upstream_id = %s
UNION ALL SELECT 'link', session_id FROM business_os_banking_sessionlink WHERE upstream_id = %s
UNION ALL SELECT 'connection', id FROM business_os_banking_bankingconnection WHERE upstream_id = %s"""
_WAITING: Final = """
SELECT 'event', id FROM business_os_banking_connectionevent
WHERE account = %s AND outcome = 'unmatched' AND ({})"""
_BANKS: Final = """
SELECT 'bank', 0 WHERE EXISTS (SELECT 1 FROM business_os_banking_connectionevent
WHERE kind = 'provider_changed' AND provider_code IN ({}))"""

# (kind, account, value): what a report or an event can be matched by.
Name = tuple[Literal["token", "reference", "link"], str, Any]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that a report may mean, with what is needed to tell whether it does.

    ``link`` is the upstream id that it was looked up by, or that its row shows.
    """

    pk: int
    reference: str
    token: Token | None
    connection: int
    link: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a report may mean."""

    sessions: list[SessionRow]  # in the order of their keys
    connections: frozenset[int]  # those that stand on the link
    repeated: int | None  # the event that says the same
    bank_has_changed: bool  # an event of some time tells that the bank was switched on or off


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What others have committed between the first look and our commit, or had before."""

    connections: set[int]  # those that share the link, of whichever account
    waiting: list[int]  # events that match nothing yet
    a_bank_has_changed: bool


def candidates(report: Report) -> Candidates:
    """Return what *report* may mean. One statement; another one if it names a further link of a session."""
    link, bank = report.fact.link, report.fact.details.get("provider_code", "")
    names = {
        "pending_token = %s": sql.uuid(report.pending_token),
        "reference = %s": sql.uuid(report.session_reference),
        "upstream_id = %s": link or None,
    }
    conditions = {condition: value for condition, value in names.items() if value}
    selects, values = [_REPEATED], [report.digest]
    if conditions:
        selects.append(_SESSIONS.format(" OR ".join(conditions)))
        values += conditions.values()
    if link:
        selects += [_FURTHER_LINKS, _STANDING]
        values += [link, link]
    if bank:
        selects.append(_BANK)
        values.append(bank)
    rows: dict[str, list[Any]] = {"event": [], "session": [], "link": [], "connection": [], "bank": []}
    for kind, pk, *row in sql.union(selects, values):
        rows[kind].append((pk, *row))
    sessions = [row for *row, account in rows["session"] if account == report.account]
    sessions += _linked(report, [pk for pk, *_ in rows["link"]])
    return Candidates(
        sessions=sorted((_session(*row) for row in sessions), key=lambda row: row.pk),
        connections=frozenset(pk for pk, *_, account in rows["connection"] if account == report.account),
        repeated=next((pk for pk, *_ in rows["event"]), None),
        bank_has_changed=bool(rows["bank"]),
    )


def second_look(
    account: str,
    *,
    link: str,
    waiting_token: UUID | None,
    waiting_links: Collection[str],
    banks: Collection[str],
) -> SecondLook:
    """Return what shares *link*, which events wait for the token or the links, and whether one of *banks* has changed.

    *banks* are codes. One statement, or none if nothing is named; another one if *link* is a further one of a session.
    """
    selects: list[str] = []
    values: list[Any] = []
    if link:
        selects.append(_SHARING)
        values += [link, link, link]
    waiting = {f"upstream_id IN ({sql.places(waiting_links)})": waiting_links}
    waiting |= {"pending_token = %s": [sql.uuid(waiting_token)] if waiting_token else []}
    if conditions := [condition for condition, some in waiting.items() if some]:
        selects.append(_WAITING.format(" OR ".join(conditions)))
        values += [account, *(value for some in waiting.values() for value in some)]
    if banks:
        selects.append(_BANKS.format(sql.places(banks)))
        values += banks
    rows: dict[str, set[Any]] = {"connection": set(), "link": set(), "event": set(), "bank": set()}
    for kind, pk in sql.union(selects, values) if selects else []:
        rows[kind].add(pk)
    if rows["link"]:
        sharing = ConnectSession.objects.filter(pk__in=rows["link"])
        rows["connection"].update(sharing.values_list("connection_id", flat=True))
    return SecondLook(rows["connection"], sorted(rows["event"]), bool(rows["bank"]))


def names_of(row: Report | ConnectionEvent) -> set[Name]:
    """Return what *row* can be matched by: by its link only what names neither a token nor a key of ours."""
    link = row.fact.link if isinstance(row, Report) else row.upstream_id
    names: list[tuple[Any, Any]] = [("token", row.pending_token), ("reference", row.session_reference)]
    if not any(value for _kind, value in names):
        names = [("link", link)]
    return {(kind, row.account, value) for kind, value in names if value}


def known(names: Collection[Name]) -> set[Name]:
    """Return which of *names* our rows know, in five queries however many they are."""
    values: dict[str, list[Any]] = {"token": [], "reference": [], "link": []}
    for kind, _account, value in names:
        values[kind].append(value)
    tokens, references, links = values.values()
    sessions, account = ConnectSession.objects.order_by(), "connection__account"
    further, imported = SessionLink.objects.all(), BankingConnection.objects.order_by()
    places: list[tuple[Any, Any]] = [
        ("token", sessions.filter(pending_token__in=tokens).values_list(account, "pending_token")),
        ("reference", sessions.filter(reference__in=references).values_list(account, "reference")),
        ("link", sessions.filter(upstream_id__in=links).values_list(account, "upstream_id")),
        ("link", further.filter(upstream_id__in=links).values_list(f"session__{account}", "upstream_id")),
        ("link", imported.filter(upstream_id__in=links).values_list("account", "upstream_id")),
    ]
    return {(kind, alias, value) for kind, pairs in places for alias, value in pairs.distinct()}


def _linked(report: Report, pks: list[int]) -> list[Any]:
    """Return the columns of the sessions with these keys, whose further link *report* names."""
    if not pks:  # making the query alone would take as long as all that candidates() does
        return []
    rows = ConnectSession.objects.filter(pk__in=pks, connection__account=report.account)
    columns = ("pk", "reference", "pending_token", "connection_id")
    return [(*row, report.fact.link) for row in rows.values_list(*columns)]


def _session(
    pk: int, reference: UUID | str, token: UUID | str | None, connection: int, link: str
) -> SessionRow:
    # Some databases hold a UUID, others 32 hex digits.
    return SessionRow(pk, str(UUID(str(reference))), Token(str(token)) if token else None, connection, link)
