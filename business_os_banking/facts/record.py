"""The one door: every fact, whatever its source, changes state here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from business_os_banking.facts import announce, banks, merging, removals, sql
from business_os_banking.facts.commits import after_commit
from business_os_banking.facts.events import forget, from_event, to_event
from business_os_banking.facts.lookup import second_look
from business_os_banking.facts.match import match
from business_os_banking.facts.merging import Merged
from business_os_banking.facts.report import Report, returned
from business_os_banking.facts.retries import retried
from business_os_banking.models import ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Kind, Outcome

logger = logging.getLogger(__name__)

_TO_BE_APPLIED = (Outcome.UNMATCHED, Outcome.FAILED)
_EFFECTS = [
    *("connection", "session", "outcome", "note", "announcements", "announced_at"),
    *("upstream_id", "provider_code", "pending_token", "session_reference", "payload", "assertions"),
]


def record(report: Report, *, store: Mapping[str, Any] | None = None) -> ConnectionEvent:
    """Record *report*: merge it into the state of what it is about, and keep it as an event.

    One transaction; signals and the adoption of events that waited for this one come after the commit. A
    repetition (same digest) changes nothing but the event's ``deliveries``. *store* holds further columns for
    the session that the report names, saved in the same transaction.

    If our own code or database fails, the event is kept as ``failed`` where that is still possible, and the
    exception goes on: reconcile, or a redelivery, applies it.
    """
    if report.fact.kind is Kind.PROVIDER_CHANGED:
        return _record_bank(report)
    try:
        event, is_new = retried(_merge, report, store or {})
    except IntegrityError:  # another worker has recorded the same since we looked
        repeated = ConnectionEvent.objects.filter(digest=report.digest).first()
        if repeated is None:
            raise
        event, is_new = repeated, False
    except Exception:
        _keep_failed(report)
        raise
    return event if is_new else _again(event)


def _merge(report: Report, store: Mapping[str, Any]) -> tuple[ConnectionEvent, bool]:
    """Return the event of *report*, and whether it was merged and written now."""
    matched = match(report)
    repeated = _event(matched.repeated)
    if repeated is not None:
        return repeated, False
    event = to_event(report)
    with transaction.atomic(), sql.cursor() as cursor:
        with sql.pipelined(cursor):
            merged = merging.merge_into(cursor, event, report, matched, store)
            sql.insert(cursor, event)
        event.pk = sql.key(cursor)
        after_commit(_after_commit, event, report, merged)
    return event, True


def record_return(
    session: ConnectSession, hints: Mapping[str, str], *, doubt: str = "", proof: str = ""
) -> ConnectionEvent:
    """Record that the browser came back for *session*. *hints*, from the URL, are kept and decide nothing."""
    return record(returned(session, hints, timezone.now(), doubt=doubt, proof=proof))


def apply(event: ConnectionEvent) -> ConnectionEvent:
    """Apply an event that matched nothing, or on which we failed; return it as it is then."""
    return retried(_apply, event)


def _apply(event: ConnectionEvent) -> ConnectionEvent:
    if event.is_unusable:
        return event
    report = from_event(event)
    if report.fact.kind is Kind.PROVIDER_CHANGED:
        return banks.apply(event)
    matched = match(report)
    if event.outcome == Outcome.UNMATCHED and not matched.connections:
        return event
    with transaction.atomic(), sql.cursor() as cursor:
        # Another worker may be applying it too; whoever comes second finds it done.
        waiting = ConnectionEvent.objects.select_for_update().filter(pk=event.pk, outcome__in=_TO_BE_APPLIED)
        if waiting.exists():
            merged = merging.merge_into(cursor, event, report, matched, _kept(report))
            event.save(update_fields=_EFFECTS)
            after_commit(_after_commit, event, report, merged)
            return event
    event.refresh_from_db()
    return event


def _kept(report: Report) -> dict[str, Any]:
    """Return what was to be stored with *report*, as far as its event has kept it: the token of its session."""
    is_opened = report.fact.kind is Kind.OPENED and report.pending_token is not None
    return {"pending_token": report.pending_token} if is_opened else {}


def _record_bank(report: Report) -> ConnectionEvent:
    """Keep the event first, then bring it to all connections at the bank, a batch at a time.

    There may be thousands of them, too many for one transaction. Until all are done the event counts as failed,
    so that reconcile finishes what a crash interrupts.
    """
    event = to_event(report)
    if removals.of_the_erased(report):
        forget(event)
    event.outcome = Outcome.FAILED.value
    merging.set_announcements(event, [])
    try:
        _keep(event)
    except IntegrityError:
        return _again(ConnectionEvent.objects.get(digest=report.digest))
    return banks.apply(event, at_most=1)


def look_again(event: ConnectionEvent) -> None:
    """Do the second look of *event* once more, should the process have died between its commit and the look."""
    report = from_event(event)
    if event.connection_id is not None and report.fact.kind is not Kind.PROVIDER_CHANGED:
        link, bank = report.fact.link, report.fact.details.get("provider_code", "")
        _look_again(event, report, {event.connection_id}, {link} - {""}, {bank} - {""})


def resume(event: ConnectionEvent) -> bool:
    """Do again what follows the commit of *event*; return whether every receiver has heard.

    First the second look, then the receivers: what the look brings to light is told with the rest.
    """
    look_again(event)
    return announce.announce(event)


def _after_commit(event: ConnectionEvent, report: Report, merged: Merged) -> None:
    """Look again, since between our first look and our commit others may have committed theirs; then tell the site."""
    if event.outcome != Outcome.UNMATCHED:
        _look_again(event, report, set(merged.connections), merged.learnt_links(), merged.learnt_banks())
    if event.announced_at is None:
        announce.announce(event)
    if event.outcome == Outcome.UNMATCHED:
        apply(event)


def _look_again(
    event: ConnectionEvent, report: Report, connections: set[int], links: set[str], banks_learnt: set[str]
) -> None:
    """Bring the event to whoever shares its link by now, and to these *connections* what waits for *links* or banks."""
    look = second_look(
        report.account,
        link=report.fact.link,
        waiting_token=report.pending_token if report.fact.kind is Kind.OPENED else None,
        waiting_links=links,
        banks=banks_learnt,
    )
    if not look.connections <= connections:
        # Another connection has come to share the link; it must know the same.
        _spread(event, report, connections)
    if look.a_bank_has_changed:
        for code in banks_learnt:
            banks.adopt(report.account, code, connections)
    for pk in look.waiting:
        # One that is being recorded at this very moment looks again after its own commit.
        if waiting := _event(pk):
            apply(waiting)


def _spread(event: ConnectionEvent, report: Report, connections: set[int]) -> None:
    matched = match(report)
    if matched.connections <= connections:
        return  # it belongs to somebody else
    with transaction.atomic(), sql.cursor() as cursor:
        again = to_event(report)
        merging.merge_into(cursor, again, report, matched, {})
        row = ConnectionEvent.objects.select_for_update().get(pk=event.pk)
        if due := announce.transitions(again):
            row.announcements = [*row.announcements, *due]
            row.announced_at = None if announce.somebody_listens(due) else row.announced_at
            row.save(update_fields=["announcements", "announced_at"])
    event.announcements, event.announced_at = row.announcements, row.announced_at


def _event(pk: int | None) -> ConnectionEvent | None:
    return ConnectionEvent.objects.filter(pk=pk).first() if pk else None


def _again(event: ConnectionEvent) -> ConnectionEvent:
    """Count a repetition; a repetition of what could not be applied is a chance to apply it."""
    ConnectionEvent.objects.filter(pk=event.pk).update(deliveries=F("deliveries") + 1)
    event.deliveries += 1
    return apply(event) if event.outcome in _TO_BE_APPLIED else event


def _keep_failed(report: Report) -> None:
    event = to_event(report)
    event.outcome = Outcome.FAILED.value
    try:
        retried(_keep, event)
    except Exception:
        logger.exception("An event could not be kept; only a redelivery can bring it back.")


def _keep(event: ConnectionEvent) -> None:
    with transaction.atomic(), sql.cursor() as cursor:
        sql.insert(cursor, event)
        event.pk = sql.key(cursor)
