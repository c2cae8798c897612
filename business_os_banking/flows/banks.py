"""A bank that is switched on or off concerns every connection at it, those that turn up later included."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from django.db import transaction

from business_os_banking import lifecycle
from business_os_banking.flows import announce, columns, log, merging
from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.vocabulary import Kind, Outcome

_BATCH: Final = 200


def apply(event: ConnectionEvent) -> ConnectionEvent:
    """Bring a change of a bank to all connections at it, each batch in a transaction of its own."""
    changed = sum(_merge(event, pks) for pks in _batches(event))
    with transaction.atomic():
        event = ConnectionEvent.objects.select_for_update().get(pk=event.pk)
        if event.outcome == Outcome.FAILED:
            event.outcome = (Outcome.APPLIED if changed else Outcome.NO_CHANGE).value
            event.save(update_fields=["outcome"])
    _tell(event)
    return event


def adopt(account: str, provider_code: str, connections: Collection[int]) -> None:
    """Bring the latest change of a bank to connections that are known to be at it only now."""
    changes = ConnectionEvent.objects.filter(
        account=account, kind=Kind.PROVIDER_CHANGED, provider_code=provider_code
    )
    latest = changes.order_by("-occurred_at", "-pk").first()
    if latest is not None and _merge(latest, connections):
        latest.refresh_from_db()
        _tell(latest)


def _batches(event: ConnectionEvent) -> Iterator[list[int]]:
    rows = BankingConnection.objects.filter(account=event.account, provider_code=event.provider_code)
    last = 0
    while pks := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        yield pks
        last = pks[-1]


def _merge(event: ConnectionEvent, pks: Collection[int]) -> int:
    """Merge the event into these connections; return how many it changed. What that makes due goes on the event."""
    said = lifecycle.evidence(log.from_event(event).fact(""))
    due: list[announce.Announcement] = []
    changed = 0
    with transaction.atomic():
        for root in merging.lock(pks):
            old = columns.state_of(root)
            new = old | said
            due += merging.save(root, old, new)
            changed += old != new
        if due:
            row = ConnectionEvent.objects.select_for_update().get(pk=event.pk)
            row.announcements = [*row.announcements, *due]
            row.announced_at = None
            row.save(update_fields=["announcements", "announced_at"])
    return changed


def _tell(event: ConnectionEvent) -> None:
    if event.announced_at is None:
        transaction.on_commit(lambda: announce.announce(event), robust=True)
