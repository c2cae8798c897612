"""Sessions that ran out without a word: many at a time, since they come in crowds after an outage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from business_os_banking.facts import announce, lifecycle, merging, sql
from business_os_banking.facts.commits import after_commit
from business_os_banking.facts.events import to_event
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.report import Report, expired
from business_os_banking.facts.rows import connection_columns, session_columns, state_of, state_of_session
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import WAITING_STATUSES, Outcome, SessionStatus

_ROWS_A_STATEMENT: Final = 100


@dataclass(frozen=True, slots=True)
class _Expiry:
    session: ConnectSession
    report: Report
    before: str  # the session's status


def expire(sessions: Sequence[ConnectSession], grace: timedelta, now: datetime) -> int:
    """Record that these sessions ran out, at their end plus *grace*, in one transaction; return how many did.

    One whose end lies ahead of *now*, as a wrong clock had it, ran out now.

    Part of the door, for many facts that change one session each: the rows are written in few statements, however
    many they are. A session that has been heard of meanwhile is left alone, and so is one that a second job has
    expired at the same time.
    """
    with transaction.atomic(), sql.cursor() as cursor:
        named = {session.connection_id for session in sessions}
        rows = {row.pk: row for row in sql.lock(cursor, named)}
        states = {pk: state_of(row) for pk, row in rows.items()}
        expiries = []
        for session in sessions:
            if session.connection_id in rows and session.expires_at is not None:
                state = _with_session(states[session.connection_id], session)
                row = rows[session.connection_id]
                # Only before the first change: after it, the row's own state is behind.
                if not row.state:
                    row.baseline = merging.baseline(row, state)
                before = session_columns(state, str(session.reference))["status"]
                if before in WAITING_STATUSES:
                    report = expired(session, min(session.expires_at + grace, now))
                    states[session.connection_id] = lifecycle.merge(
                        state, report.of_session(str(session.reference))
                    )
                    expiries.append(_Expiry(session, report, before))
        touched = {expiry.session.connection_id for expiry in expiries}
        _write_sessions(expiries, states)
        _write_connections([rows[pk] for pk in sorted(touched)], states)
        _write_events(expiries)
    return len(expiries)


def _with_session(state: State, session: ConnectSession) -> State:
    if str(session.reference) in state.attempts:
        return state
    return state | state_of_session(session)


def _write_sessions(expiries: list[_Expiry], states: dict[int, State]) -> None:
    """Write the sessions' columns: one statement for all that come to the same."""
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for expiry in expiries:
        session = expiry.session
        values = session_columns(states[session.connection_id], str(session.reference))
        groups.setdefault(repr(sorted(values.items())), (values, []))[1].append(session.pk)
    for values, pks in groups.values():
        ConnectSession.objects.filter(pk__in=pks).update(**values)


def _write_connections(rows: list[BankingConnection], states: dict[int, State]) -> None:
    changed = {"updated_at", "baseline"}
    for row in rows:
        row.updated_at = timezone.now()
        for name, value in connection_columns(states[row.pk], row).items():
            if getattr(row, name) != value:
                setattr(row, name, value)
                changed.add(name)
    BankingConnection.objects.bulk_update(rows, sorted(changed), batch_size=_ROWS_A_STATEMENT)


def _write_events(expiries: list[_Expiry]) -> None:
    events = []
    for expiry in expiries:
        session = expiry.session
        event = to_event(expiry.report)
        event.connection_id, event.session_id = session.connection_id, session.pk
        event.outcome = Outcome.APPLIED.value
        due = announce.of_session(expiry.before, SessionStatus.EXPIRED, session.connection_id, session.pk)
        merging.set_announcements(event, due)
        events.append(event)
    ConnectionEvent.objects.bulk_create(events)
    for event in events:
        if event.announced_at is None:
            after_commit(announce.announce, event)
