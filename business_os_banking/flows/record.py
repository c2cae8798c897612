"""The one door: every fact, whatever its source, changes state here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial, reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from business_os_banking import lifecycle, reports
from business_os_banking.flows import announce, columns
from business_os_banking.flows.match import Match, match
from business_os_banking.lifecycle import State
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.reports import Report
from business_os_banking.vocabulary import EndedBy, Kind, Outcome

logger = logging.getLogger(__name__)

_TO_BE_APPLIED = (Outcome.UNMATCHED, Outcome.FAILED)


def record(report: Report, *, store: Mapping[str, Any] | None = None) -> ConnectionEvent:
    """Record *report*: merge it into the state of what it is about, and keep it as an event.

    One transaction; signals and the adoption of events that waited for this one come after the commit. A
    repetition (same digest) changes nothing but the event's ``deliveries``. *store* holds further columns for
    the session that the report names, saved in the same transaction.

    If our own code or database fails, the event is kept as ``failed`` where that is still possible, and the
    exception goes on: reconcile, or a redelivery, applies it.
    """
    try:
        found = match(report)
        with transaction.atomic():
            event = _event_of(report)
            _merge_into(event, report, found, store or {})
            event.save(force_insert=True)
        return event
    except IntegrityError:
        repeated = ConnectionEvent.objects.filter(digest=report.digest).first()
        if repeated is None:
            raise
        return _again(repeated)
    except Exception:
        _keep_failed(report)
        raise


def returned(session: ConnectSession, hints: Mapping[str, str]) -> ConnectionEvent:
    """Record that the browser came back for *session*. *hints*, from the URL, are kept and decide nothing."""
    return record(reports.returned(session, hints, timezone.now()))


def apply(event: ConnectionEvent) -> ConnectionEvent:
    """Apply an event that matched nothing, or on which we failed; return it as it is then."""
    report = reports.from_event(event)
    found = match(report)
    if event.outcome == Outcome.UNMATCHED and not found.connections:
        return event
    with transaction.atomic():
        # Another worker may be applying it too; whoever comes second finds it done.
        waiting = ConnectionEvent.objects.select_for_update().filter(pk=event.pk, outcome__in=_TO_BE_APPLIED)
        if waiting.exists():
            _merge_into(event, report, found, {})
            event.save(
                update_fields=["connection", "session", "outcome", "note", "announcements", "announced_at"]
            )
            return event
    event.refresh_from_db()
    return event


def _event_of(report: Report) -> ConnectionEvent:
    return ConnectionEvent(
        account=report.account,
        source=report.source.value,
        kind=report.kind.value,
        stage=report.stage,
        error_class=report.error_class,
        pending_token=report.pending_token,
        session_reference=report.session_reference,
        connection_id=report.connection_id,
        assertions=report.assertions(),
        occurred_at=report.occurred_at,
        received_at=report.received_at,
        digest=report.digest,
        payload=dict(report.payload),
    )


def _lock(found: Match) -> list[BankingConnection]:
    """Lock the connections, always in the order of their keys, so that two workers cannot block each other.

    The connection is the only row that is locked: it holds the state of all its sessions.
    """
    if not found.connections:
        return []
    rows = BankingConnection.objects.select_for_update().filter(pk__in=found.connections)
    return list(rows.order_by("pk"))


def _merge_into(event: ConnectionEvent, report: Report, found: Match, store: Mapping[str, Any]) -> None:
    """Merge *report* into the state of what it is about; write outcome and announcements on *event*."""
    roots = _lock(found)
    event.note = found.conflict
    event.connection_pk = found.home or (roots[0].pk if roots else None)
    event.session_id = found.session
    announcements: list[announce.Announcement] = []
    before = [columns.state_of(root) for root in roots]
    if found.session:
        before = [_with_session(state, found, root.pk) for state, root in zip(before, roots, strict=True)]
    after = _merged(report, found, roots, before)
    for root, old, new in zip(roots, before, after, strict=True):
        session = found.session if root.pk == found.home else None
        announcements += _save(root, old, new, report, session, store)
    event.outcome = _outcome(report, roots, changed=bool(store) or before != after).value
    event.announcements = [*announcements, *announce.of_event(event)]
    event.announced_at = None if announce.somebody_listens(event.announcements) else timezone.now()
    transaction.on_commit(partial(_after_commit, event, report, before, after), robust=True)


def _with_session(state: State, found: Match, root: int) -> State:
    if root != found.home or not found.reference or found.reference in state.attempts:
        return state
    session = ConnectSession.objects.filter(reference=found.reference).first()
    return state | columns.state_of_session(session) if session else state


def _merged(report: Report, found: Match, roots: list[BankingConnection], before: list[State]) -> list[State]:
    said = lifecycle.evidence(report.fact(found.reference))
    if not found.reference:
        return _with_shared_link(report, [old | said for old in before])
    # The session is of one connection only; others that have the same link learn what was said of the link.
    after = [
        old | said if root.pk == found.home else old for root, old in zip(roots, before, strict=True)
    ]
    return _with_shared_link(report, after)


def _with_shared_link(report: Report, states: list[State]) -> list[State]:
    """Let all states know the same of the link: the bank may give two connections of one owner the same."""
    link = report.connection_id
    known = [state.links[link] for state in states if link in state.links]
    if len(states) == 1 or not known:
        return states
    shared = State(links={link: reduce(or_, known)})
    return [state | shared for state in states]


def _save(
    root: BankingConnection,
    old: State,
    new: State,
    report: Report,
    session: int | None,
    store: Mapping[str, Any],
) -> list[announce.Announcement]:
    """Write the columns that changed; return what that makes due."""
    due: list[announce.Announcement] = []
    named = str(report.session_reference or "")
    for reference in filter(None, new.attempts):
        was, now = columns.of_session(old, reference), columns.of_session(new, reference)
        extra = store if reference == named else {}
        if was != now or extra:
            rows = ConnectSession.objects.filter(connection=root, reference=reference)
            rows.update(**{**extra, **now})
            if was["status"] != now["status"]:
                pk = session or rows.values_list("pk", flat=True).first()
                due += announce.of_session(was["status"], now["status"], root.pk, pk)
    if old != new:
        status = root.status
        changed = columns.of_connection(new)
        BankingConnection.objects.filter(pk=root.pk).update(**changed, updated_at=timezone.now())
        due += announce.of_connection(status, changed["status"], root.pk, session)
    return due


def _outcome(report: Report, roots: list[BankingConnection], *, changed: bool) -> Outcome:
    if not roots:
        return Outcome.UNMATCHED
    ended = any(root.ended_by in {EndedBy.OWNER, EndedBy.OPERATOR} for root in roots)
    if report.kind is Kind.SUCCEEDED and ended:
        return Outcome.ORPHANED
    return Outcome.APPLIED if changed else Outcome.NO_CHANGE


def _after_commit(event: ConnectionEvent, report: Report, before: list[State], after: list[State]) -> None:
    if event.announced_at is None:
        announce.announce(event)
    if event.outcome == Outcome.UNMATCHED:
        # What it waits for may have been committed between our look and our own commit.
        apply(event)
    known = {link for state in before for link in state.links}
    learnt = {link for state in after for link in state.links} - known
    token = report.pending_token if report.kind is Kind.OPENED else None
    if learnt or token:
        adopt(account=report.account, pending_token=token, links=learnt)


def adopt(*, account: str, pending_token: UUID | None, links: set[str]) -> int:
    """Apply the unmatched events that wait for this token or these links; return how many were applied.

    Called after the commit that made the token or the link known. An event that is being recorded at this
    very moment is not lost between the two: it looks again after its own commit.
    """
    condition = Q(connection_id__in=links)
    if pending_token:
        condition |= Q(pending_token=pending_token)
    waiting = ConnectionEvent.objects.unmatched().filter(condition, account=account).order_by("pk")
    return sum(apply(event).outcome != Outcome.UNMATCHED for event in waiting)


def _again(event: ConnectionEvent) -> ConnectionEvent:
    """Count a repetition; a repetition of what could not be applied is a chance to apply it."""
    ConnectionEvent.objects.filter(pk=event.pk).update(deliveries=F("deliveries") + 1)
    event.deliveries += 1
    return apply(event) if event.outcome in _TO_BE_APPLIED else event


def _keep_failed(report: Report) -> None:
    event = _event_of(report)
    event.outcome = Outcome.FAILED.value
    try:
        with transaction.atomic():
            event.save(force_insert=True)
    except Exception:
        logger.exception("An event could not be kept; only a redelivery can bring it back.")
