"""Prune: keep the log as long as it is of use, and what a person typed no longer than it may be kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.facts import lifecycle
from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.events import fact_of
from business_os_banking.facts.lifecycle import State
from business_os_banking.models import (
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
    batches,
)
from business_os_banking.vocabulary import Kind, Outcome, SessionStatus

_BATCH: Final = 500
_CLEARED: Final[dict[str, Any]] = {
    "email": "",
    "custom_fields": {},
    "next_url": "",
    "connect_url": "",
    "idempotency_key": None,
    "idempotency_request": "",
}
# What was opened, given, ended, withdrawn and told to the provider. Of successes, the one that is the consent.
_IS_EVIDENCE: Final = Q(connection__isnull=False) & (
    Q(kind__in=(Kind.OPENED, Kind.CONSENT_ENDED, Kind.DISCONNECTED, Kind.REMOVED))
    | Q(kind=Kind.SUCCEEDED, session__isnull=False, occurred_at=F("session__succeeded_at"))
)


@dataclass
class Pruned:
    """How many payloads were emptied, events deleted, and sessions cleared of what a person typed or a site sent."""

    payloads: int = 0
    events: int = 0
    sessions: int = 0


def prune(now: datetime | None = None) -> Pruned:
    """Empty payloads older than ``PAYLOAD_DAYS``, delete events older than ``EVENT_DAYS``; return the counts.

    What proves a consent and its end (opened, first succeeded, ended, disconnected, removed) is kept, without its
    payload, for ``EVIDENCE_DAYS``; and so are settled removals.
    Those that match nothing are deleted after ``UNMATCHED_DAYS``, if that is sooner.

    An event is kept however old it is while its session is open, while it waits to be applied or announced.
    What a deleted event had told is kept in its connection's baseline, so that state can still be rebuilt.
    Done in small batches, each its own transaction; it can be stopped and run again at any time.
    """
    now = now or timezone.now()
    pruned = Pruned()
    old_body = now - timedelta(days=conf.settings.payload_days)
    bodies = ConnectionEvent.objects.filter(received_at__lt=old_body).exclude(payload={})
    for pks in batches.of_keys(bodies):
        pruned.payloads += ConnectionEvent.objects.filter(pk__in=pks).update(payload={})
    sessions = ConnectSession.objects.filter(created_at__lt=old_body).exclude(**_CLEARED)
    # One that is over counts as such even if no reconcile has let it expire.
    sessions = sessions.exclude(status__in=(SessionStatus.CREATED, SessionStatus.OPEN), expires_at__gte=now)
    for pks in batches.of_keys(sessions):
        pruned.sessions += ConnectSession.objects.filter(pk__in=pks).update(**_CLEARED)
    old_event = now - timedelta(days=conf.settings.event_days)
    old_evidence = now - timedelta(days=max(conf.settings.event_days, conf.settings.evidence_days))
    unless_old = _IS_EVIDENCE & Q(received_at__gte=old_evidence)
    while batch := list(_prunable(old_event).exclude(unless_old)[:_BATCH]):
        pruned.events += _delete(batch)
    # What matches nothing is nobody's: there is no baseline to keep it in.
    old_stray = now - timedelta(days=conf.settings.unmatched_days)
    strays = _prunable(old_stray).filter(outcome=Outcome.UNMATCHED)
    for pks in batches.of_keys(strays):
        # It may have found its session since we looked.
        rows = ConnectionEvent.objects.filter(pk__in=pks, outcome=Outcome.UNMATCHED)
        pruned.events += rows.delete()[0]
    Removal.objects.filter(settled_at__lt=old_evidence).delete()
    Removal.objects.filter(of_session=True, requested_at__lt=old_stray).delete()
    return pruned


def _prunable(before: datetime) -> QuerySet[ConnectionEvent]:
    # One with a note is never applied.
    waiting = Q(outcome=Outcome.FAILED, note="") | Q(announced_at=None)
    open_sessions = Q(session__status__in=(SessionStatus.CREATED, SessionStatus.OPEN))
    old = ConnectionEvent.objects.filter(received_at__lt=before)
    # A change of a bank is also for connections that turn up later, and there are few of them.
    old = old.exclude(kind=Kind.PROVIDER_CHANGED)
    return old.exclude(waiting).exclude(open_sessions).select_related("session").order_by("pk")


def _delete(batch: list[ConnectionEvent]) -> int:
    """Delete the events of *batch* after folding what they say into the baselines of their connections."""
    with transaction.atomic():
        states = _states(batch)
        rows = BankingConnection.objects.select_for_update().filter(pk__in=states).order_by("pk")
        for connection in rows:
            before = from_json(connection.baseline)
            after = before | states[connection.pk]
            if after != before:
                BankingConnection.objects.filter(pk=connection.pk).update(baseline=to_json(after))
        deleted, _by_model = ConnectionEvent.objects.filter(pk__in=[event.pk for event in batch]).delete()
    return deleted


def _states(batch: list[ConnectionEvent]) -> dict[int, State]:
    """Return, by connection, what the events of *batch* say: all of it to their own connection, what is said of a
    link to others of the same account that share it."""
    states: dict[int, State] = {}
    links: dict[
        str, dict[str, State]
    ] = {}  # by account: two of them may have the same id for different links
    for event in batch:
        asserted = lifecycle.evidence(fact_of(event))
        if event.connection_id is not None:
            states[event.connection_id] = states.get(event.connection_id, State()) | asserted
            if event.upstream_id in asserted.links:
                known = links.setdefault(event.account, {})
                about = State(links={event.upstream_id: asserted.links[event.upstream_id]})
                known[event.upstream_id] = known.get(event.upstream_id, State()) | about
    for account, known in links.items():
        for pk, link in _sharers(account, known):
            states[pk] = states.get(pk, State()) | known[link]
    return states


def _sharers(account: str, links: Collection[str]) -> set[tuple[int, str]]:
    """Return (connection, link) for every connection of *account* that stands on one of *links* or has named it."""
    rows = BankingConnection.objects.filter(account=account)
    paths = ("upstream_id", "sessions__upstream_id", "sessions__links__upstream_id")
    return {pair for path in paths for pair in rows.filter(**{f"{path}__in": links}).values_list("pk", path)}
