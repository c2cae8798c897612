"""Replay: apply stored events again. Since a merge is idempotent, this can only repair, never harm."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from business_os_banking.exceptions import let_through
from business_os_banking.facts import announce, merging, sql
from business_os_banking.facts.events import from_event, to_event
from business_os_banking.facts.match import match
from business_os_banking.facts.record import apply
from business_os_banking.models import ConnectionEvent, batches
from business_os_banking.vocabulary import Kind, Outcome

logger = logging.getLogger(__name__)

_WAITING = (Outcome.UNMATCHED, Outcome.FAILED)


@dataclass
class Result:
    applied: int = 0
    unchanged: int = 0
    failed: int = 0


def select(
    *, ids: Collection[int] = (), outcome: str = "", since: datetime | None = None
) -> QuerySet[ConnectionEvent]:
    """Return the events with these *ids*, this *outcome*, received *since* then; all that are given must hold."""
    events = ConnectionEvent.objects.all()
    if ids:
        events = events.filter(pk__in=ids)
    if outcome:
        events = events.filter(outcome=outcome)
    if since is not None:
        events = events.filter(received_at__gte=since)
    return events.order_by("pk")


def replay(events: QuerySet[ConnectionEvent], *, again: bool = False) -> Result:
    """Apply *events* again, each in a transaction of its own; with *again*, tell their signals again as well."""
    result = Result()
    for event in batches.each(events):
        try:
            changed = _replay_one(event)
        except Exception as error:
            let_through(error)
            logger.exception("Event %s could not be applied again", event.pk)
            result.failed += 1
            continue
        result.applied += changed
        result.unchanged += not changed
        if again:
            announce.announce(event, again=True)
    return result


def _replay_one(event: ConnectionEvent) -> bool:
    if event.outcome in _WAITING or event.kind == Kind.PROVIDER_CHANGED:
        return apply(event).outcome not in _WAITING
    matched = match(from_event(event))
    with transaction.atomic(), sql.cursor() as cursor:
        # On a copy: the event's own record of what it did, back then, stands.
        copy = to_event(from_event(event))
        merged = merging.merge_into(cursor, copy, from_event(event), matched, {})
        if due := announce.transitions(copy):
            event.announcements = [*event.announcements, *due]
            event.announced_at = None if announce.somebody_listens(due) else event.announced_at
            event.save(update_fields=["announcements", "announced_at"])
    if event.announced_at is None:
        announce.announce(event)
    return merged.before != merged.after
