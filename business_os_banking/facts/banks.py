"""A bank that is switched on or off concerns every connection at it, those that turn up later included."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from django.db import transaction

from business_os_banking.facts import announce, at_banks, lifecycle, merging, sql
from business_os_banking.facts.commits import after_commit
from business_os_banking.facts.events import from_event, to_event
from business_os_banking.facts.report import Report, digest_of
from business_os_banking.facts.rows import state_of
from business_os_banking.models import BankingConnection, ConnectionEvent, batches
from business_os_banking.vocabulary import Outcome

_BATCH: Final = 200


def apply(event: ConnectionEvent, *, at_most: int | None = None) -> ConnectionEvent:
    """Bring a change of a bank to the connections at it, each batch in a transaction of its own.

    With *at_most* no more batches than these are done, for a caller who must answer soon; until all are, the event
    counts as failed, and reconcile goes on with it. What each batch makes due is an event of its own.
    """
    rows = BankingConnection.objects.filter(account=event.account, provider_code=event.provider_code)
    changed = 0
    for number, pks in enumerate(batches.of_keys(rows, _BATCH)):
        if number == at_most:
            return event
        changed += _merge(event, pks)
    with transaction.atomic():
        event = ConnectionEvent.objects.select_for_update().get(pk=event.pk)
        if event.outcome == Outcome.FAILED:
            event.outcome = (Outcome.APPLIED if changed else Outcome.NO_CHANGE).value
            event.save(update_fields=["outcome"])
    if event.announced_at is None:
        after_commit(announce.announce, event)
    return event


def adopt(account: str, provider_code: str, connections: Collection[int]) -> None:
    """Bring the latest change of a bank to connections that are known to be at it only now.

    They have looked for it themselves, before their commit; this is for a change that came at that very moment.
    """
    latest = at_banks.latest_change(account, provider_code)
    if latest is not None:
        _merge(latest, connections)


def _merge(event: ConnectionEvent, pks: Collection[int]) -> int:
    """Merge the event into these connections; return how many it changed."""
    report = from_event(event)
    asserted = lifecycle.evidence(report.fact)
    due: list[announce.Announcement] = []
    changed = 0
    with transaction.atomic(), sql.cursor() as cursor:
        with sql.pipelined(cursor):
            rows = sql.lock(cursor, pks)
            merging.have_read(cursor, rows, report)
            for row in rows:
                old = state_of(row)
                new = old | asserted
                due += merging.save(cursor, row, old, new)
                changed += old != new
        if due:
            _announce_batch(report, due)
    return changed


def _announce_batch(report: Report, due: list[announce.Announcement]) -> None:
    first = str(due[0]["connection"])
    batch = to_event(replace(report, digest=digest_of(report.digest, first)))
    batch.outcome = Outcome.APPLIED.value
    merging.set_announcements(batch, due)
    batch.save(force_insert=True)
    if batch.announced_at is None:
        after_commit(announce.announce, batch)
