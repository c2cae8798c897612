"""What a replay would change, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from business_os_banking.facts import merging
from business_os_banking.facts.events import from_event
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.match import match
from business_os_banking.facts.rebuild import state_from_log
from business_os_banking.facts.rows import connection_columns, session_columns, state_of
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

_UNSEEN: Final = {"state", "single_flight", "connect_url"}


@dataclass(frozen=True, slots=True)
class Change:
    """One column that would hold something else. ``row`` is the reference of the connection or session."""

    model: type[BankingConnection] | type[ConnectSession]
    row: str
    column: str
    before: Any
    after: Any


def of_event(event: ConnectionEvent) -> list[Change]:
    """Return what applying *event* (again) would change. What is adopted because of it is not foretold."""
    report = from_event(event)
    matched = match(report)
    rows = list(BankingConnection.objects.filter(pk__in=matched.connections).order_by("pk"))
    before, after = merging.join(report, matched, rows)
    changes: list[Change] = []
    for row, old, new in zip(rows, before, after, strict=True):
        changes += _changes(row, old, new)
    return changes


def of_connection(connection: BankingConnection) -> list[Change]:
    """Return what applying all events of *connection* again would change."""
    old = state_of(connection)
    return list(_changes(connection, old, old | state_from_log(connection)))


def _changes(row: BankingConnection, old: State, new: State) -> Iterator[Change]:
    if old == new:
        return
    reference = str(row.reference)
    for column, value in connection_columns(new, row).items():
        if column not in _UNSEEN and getattr(row, column) != value:
            yield Change(BankingConnection, reference, column, getattr(row, column), value)
    for session in merging.touched(old, new):
        was, now = session_columns(old, session), session_columns(new, session)
        for column, value in now.items():
            if column not in _UNSEEN and was.get(column) != value:
                yield Change(ConnectSession, session, column, was.get(column), value)
