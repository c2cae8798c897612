"""Merging a report into the rows that it is about: lock, join, save what changed. Used by the door alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Final
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from business_os_banking.facts import announce, at_banks, lifecycle, notes, removals, sql
from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.events import forget, keep_own_duplicate
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.match import Match
from business_os_banking.facts.report import Report
from business_os_banking.facts.rows import connection_columns, session_columns, state_of, state_of_session
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.facts.status import view_connection
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, SessionLink
from business_os_banking.vocabulary import (
    ENDED_HERE,
    LIVING_STATUSES,
    Kind,
    Outcome,
)

_READ_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Merged:
    """The connections that a report was merged into, and their states before and after."""

    connections: tuple[int, ...]
    before: list[State]
    after: list[State]
    banks: list[set[str]]  # by connection, the codes at which it turns out to be just now

    def learnt_links(self) -> set[str]:
        """Return the upstream ids that are known only since this merge."""
        return _links(self.after) - _links(self.before)

    def learnt_banks(self) -> set[str]:
        """Return the codes of banks at which a connection turns out to be since this merge."""
        return set().union(*self.banks)


def _links(states: list[State]) -> set[str]:
    named = {link for state in states for attempt in state.attempts.values() for link in attempt.named}
    return named | {link for state in states for link in state.links if not link.startswith("?")}


def _names(states: list[State]) -> set[str]:
    """Return what others can be found by: the links and the banks that *states* know."""
    return _links(states) | {f"bank {code}" for code in at_banks.codes_of(states)}


def merge_into(
    cursor: CursorWrapper, event: ConnectionEvent, report: Report, match: Match, store: Mapping[str, Any]
) -> Merged:
    """Merge *report* into the state of what it is about, and return what came of it.

    Sets on *event* what it did; the caller saves it, in the same transaction.
    """
    rows = sql.lock(cursor, match.connections)
    event.note = match.conflict
    here = {row.pk for row in rows}  # one that was found may have been erased since
    event.connection_id = (
        match.session_connection if match.session_connection in here else min(here, default=None)
    )
    event.session_id = match.session if match.session_connection in here else None
    before, after = join(report, match, rows)
    due: list[announce.Announcement] = []
    for row, old, new in zip(rows, before, after, strict=True):
        home = row.pk == match.session_connection
        session = match.session if home else None
        due += save(
            cursor,
            row,
            old,
            new,
            session=session,
            named=match.reference if home else "",
            store=store,
            received_at=report.received_at,
        )
    if rows and not event.note:
        event.note = _note(report.fact.kind, after)
    have_read(cursor, rows, report, is_open=event.note == notes.NO_ID)
    is_unusable = match.conflict == notes.UNUSABLE_ID
    outcome = _outcome(report, rows, changed=bool(store) or before != after)
    event.outcome = (Outcome.FAILED if is_unusable else outcome).value
    keep_own_duplicate(event, rows)
    if outcome is Outcome.UNMATCHED and removals.of_the_erased(report):
        forget(event)
        due = []
    set_announcements(event, due)
    return Merged(tuple(row.pk for row in rows), before, after, at_banks.newly_at(rows, before, after))


def _note(kind: Kind, after: list[State]) -> str:
    """Return what is noted on an event that is clear about whom it is, and yet settles nothing; else ``""``."""
    if kind is Kind.SUCCEEDED and not _links(after):
        return notes.NO_ID
    return {Kind.UNKNOWN: notes.NOT_UNDERSTOOD, Kind.GUESSED_REMOVAL: notes.GUESSED}.get(kind, "")


def have_read(
    cursor: CursorWrapper, rows: list[BankingConnection], report: Report, *, is_open: bool = False
) -> None:
    """Have the links of *rows* read soon where something is open: its id, its time, or whether it is a removal."""
    is_guess = report.fact.kind is Kind.GUESSED_REMOVAL
    if report.fact.dated and not (is_open or is_guess):
        return
    due_at = report.received_at + _READ_AFTER
    for row in rows:
        values: dict[str, Any] = {"removal_guessed_at": report.received_at} if is_guess else {}
        if is_guess or row.read_due_at is None or due_at < row.read_due_at:
            sql.update(cursor, BankingConnection, {"id": row.pk}, {**values, "read_due_at": due_at})


def join(report: Report, match: Match, rows: list[BankingConnection]) -> tuple[list[State], list[State]]:
    """Return the states of *rows* without, and with, what *report* says. Writes nothing."""
    before = [state_of(row) for row in rows]
    if match.session:
        before = [_with_session(state, match, row.pk) for state, row in zip(before, rows, strict=True)]
    after = _merged(report, match, rows, before)
    return before, at_banks.with_banks(
        report.account, match.new_bank, after, at_banks.newly_at(rows, before, after)
    )


def set_announcements(event: ConnectionEvent, due: list[announce.Announcement]) -> None:
    """Write on *event* what it makes due; if nobody listens, there is nobody to tell now or later."""
    event.announcements = [*due, *announce.of_event(event)]
    event.announced_at = None if announce.somebody_listens(event.announcements) else timezone.now()


def _with_session(state: State, match: Match, row: int) -> State:
    if row != match.session_connection or not match.reference or match.reference in state.attempts:
        return state
    session = ConnectSession.objects.filter(reference=match.reference).first()
    return state | state_of_session(session) if session else state


def _merged(report: Report, match: Match, rows: list[BankingConnection], before: list[State]) -> list[State]:
    asserted = lifecycle.evidence(report.of_session(match.reference))
    if not match.reference:
        return _with_shared_link(report, [old | asserted for old in before])
    # The session is of one connection only; others that have the same link learn what the fact says of the link.
    after = [
        old | asserted if row.pk == match.session_connection else old
        for row, old in zip(rows, before, strict=True)
    ]
    return _with_shared_link(report, after)


def _with_shared_link(report: Report, states: list[State]) -> list[State]:
    """Let all states know the same of the link: the bank may give two connections of one owner the same."""
    link = report.fact.link
    known = [state.links[link] for state in states if link in state.links]
    if len(states) == 1 or not known:
        return states
    shared = State(links={link: reduce(or_, known)})
    return [state | shared for state in states]


def save(
    cursor: CursorWrapper,
    row: BankingConnection,
    old: State,
    new: State,
    *,
    session: int | None = None,
    named: str = "",
    store: Mapping[str, Any] | None = None,
    received_at: datetime | None = None,
    anew: bool = False,
) -> list[announce.Announcement]:
    """Write the columns that changed from *old* to *new*; return what that makes due.

    *session* and *named* are the key and the reference of the session that the fact was about, *store* holds
    further columns for it. *anew*, they are read off the state also where that has not changed.
    """
    due: list[announce.Announcement] = []
    for reference in touched(old, new):
        was, now = session_columns(old, reference), session_columns(new, reference)
        extra = store if store and reference == named else {}
        if was != now or extra or _named(old, reference) != _named(new, reference):
            where = {"connection": row.pk, "reference": UUID(reference)}
            sql.update(cursor, ConnectSession, where, {**extra, **now})
            _keep_links(row, reference, set(new.attempts[reference].named) - {now["upstream_id"]})
            if was["status"] != now["status"]:
                pk = session if reference == named else _session_key(row, reference)
                due += announce.of_session(was["status"], now["status"], row.pk, pk)
    if old != new or anew:
        changed = connection_columns(new, row)
        if changed["upstream_id"] != row.upstream_id:
            # Those were said of the link before; a page has not shown this one yet.
            changed |= {"missing_since": None, "seen_at": None, "seen_by": ""}
        if _names([new]) - _names([old]) or "pending_token" in (store or {}):
            changed["named_at"] = timezone.now()
        if _bank_is_to_be_read(row, changed):
            changed["read_due_at"] = (received_at or timezone.now()) + _READ_AFTER
        if held := announce.of_hold(row, changed):
            changed["held_at"] = timezone.now()
        elif row.held_at and not (changed["held_reason"] or view_connection(new, is_same_bank).has_moot):
            changed["held_at"] = None
        changed["baseline"] = baseline(row, old)
        written = {name: value for name, value in changed.items() if value != getattr(row, name)}
        sql.update(cursor, BankingConnection, {"id": row.pk}, {**written, "updated_at": timezone.now()})
        due += [*announce.of_connection(row.status, changed["status"], row.pk, session), *held]
        removals.ask(row, new, received_at or timezone.now())
    return due


def _bank_is_to_be_read(row: BankingConnection, changed: Mapping[str, Any]) -> bool:
    """Whether *row*, with what has *changed*, is of a living link of which nobody has said which bank it is of.

    Callbacks seldom do. Once it is to be read it stays so until it was, so no later webhook writes this again.
    """
    if row.read_due_at is not None or not changed["upstream_id"] or changed["status"] not in LIVING_STATUSES:
        return False
    # What the columns hold was told of the link before, if that was another one.
    is_same = changed["upstream_id"] == row.upstream_id
    names = [
        changed.get(name) or (is_same and getattr(row, name)) for name in ("provider_code", "provider_name")
    ]
    return not all(names)


def baseline(row: BankingConnection, old: State) -> dict[str, Any]:
    """Return the baseline of *row* if *old* was its state so far.

    What the columns of an imported row said is in no event: without the baseline, no log could rebuild it.
    """
    stored: dict[str, Any] = row.baseline
    if old == from_json(row.state):
        return stored
    return to_json(from_json(stored) | old)


def _named(state: State, reference: str) -> set[str]:
    attempt = state.attempts.get(reference)
    return set(attempt.named) if attempt else set()


def _keep_links(row: BankingConnection, reference: str, links: set[str]) -> None:
    """Keep the links that a session named besides the one that its row shows, so that facts about them find it."""
    if links and (pk := _session_key(row, reference)):
        further = [SessionLink(session_id=pk, upstream_id=link) for link in sorted(links)]
        SessionLink.objects.bulk_create(further, ignore_conflicts=True)


def _session_key(row: BankingConnection, reference: str) -> int | None:
    sessions = ConnectSession.objects.filter(connection=row, reference=reference)
    return sessions.values_list("pk", flat=True).first()


def touched(old: State, new: State) -> list[str]:
    """Return the references of the sessions that may look different: those of which something new was said, and
    those that share a link with what is new. All others need not be looked at, however many there are."""
    changed = {ref for ref, attempt in new.attempts.items() if attempt != old.attempts.get(ref)}
    links = {key for key, link in new.links.items() if link != old.links.get(key)}
    links |= {link for ref in changed for link in new.attempts[ref].named}
    sharing = {ref for ref, attempt in new.attempts.items() if not links.isdisjoint(attempt.named)}
    return sorted((changed | sharing) - {""})


def _outcome(report: Report, rows: list[BankingConnection], *, changed: bool) -> Outcome:
    if report.fact.kind is Kind.SELF_TEST:
        return Outcome.NO_CHANGE  # it is about nothing, and so waits for nothing
    if not rows:
        return Outcome.UNMATCHED
    ended = any(row.ended_by in ENDED_HERE for row in rows)
    if report.fact.kind is Kind.SUCCEEDED and ended:
        return Outcome.ORPHANED
    return Outcome.APPLIED if changed else Outcome.NO_CHANGE
