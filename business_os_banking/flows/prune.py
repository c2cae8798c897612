"""Prune and erase: keep the log as long as it is of use, and personal data no longer than it may be kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from business_os_banking import conf, lifecycle
from business_os_banking.exceptions import BankingError
from business_os_banking.flows import batches, log
from business_os_banking.flows.disconnect import disconnect, remove_upstream
from business_os_banking.lifecycle import State
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import EndedBy, Kind, Outcome, SessionStatus

_BATCH: Final = 500
_FORGOTTEN: Final[dict[str, Any]] = {
    "email": "",
    "custom_fields": {},
    "idempotency_key": None,
    "idempotency_request": "",
}


class StillHeldError(BankingError):
    """The provider still holds the connection, so its row must not be forgotten."""


@dataclass
class Pruned:
    """How many payloads were emptied, events deleted, and sessions cleared of e-mail address, custom fields and key."""

    payloads: int = 0
    events: int = 0
    sessions: int = 0


def prune(now: datetime | None = None) -> Pruned:
    """Empty payloads older than ``PAYLOAD_DAYS``, delete events older than ``EVENT_DAYS``; return the counts.

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
    sessions = ConnectSession.objects.filter(created_at__lt=old_body)
    sessions = sessions.exclude(email="", custom_fields={}, idempotency_key=None)
    sessions = sessions.exclude(status__in=(SessionStatus.CREATED, SessionStatus.OPEN))
    for pks in batches.of_keys(sessions):
        pruned.sessions += ConnectSession.objects.filter(pk__in=pks).update(**_FORGOTTEN)
    old_event = now - timedelta(days=conf.settings.event_days)
    while batch := list(_prunable(old_event)[:_BATCH]):
        pruned.events += _delete(batch)
    return pruned


def _prunable(before: datetime) -> QuerySet[ConnectionEvent]:
    waiting = Q(outcome=Outcome.FAILED) | Q(announced_at=None)
    open_sessions = Q(session__status__in=(SessionStatus.CREATED, SessionStatus.OPEN))
    old = ConnectionEvent.objects.filter(received_at__lt=before)
    # A change of a bank is also for connections that turn up later, and there are few of them.
    old = old.exclude(kind=Kind.PROVIDER_CHANGED)
    return old.exclude(waiting).exclude(open_sessions).select_related("session").order_by("pk")


def _delete(batch: list[ConnectionEvent]) -> int:
    """Delete the events of *batch* after folding what they say into the baselines of their connections."""
    with transaction.atomic():
        told = _told(batch)
        rows = BankingConnection.objects.select_for_update().filter(pk__in=told).order_by("pk")
        for connection in rows:
            before = lifecycle.from_json(connection.baseline)
            after = before | told[connection.pk]
            if after != before:
                BankingConnection.objects.filter(pk=connection.pk).update(baseline=lifecycle.to_json(after))
        deleted, _by_model = ConnectionEvent.objects.filter(pk__in=[event.pk for event in batch]).delete()
    return deleted


def _told(batch: list[ConnectionEvent]) -> dict[int, State]:
    """Return, by connection, what the events of *batch* say: all of it to their own connection, what is said of a
    link to others that share it."""
    told: dict[int, State] = {}
    links: dict[str, State] = {}
    for event in batch:
        said = lifecycle.evidence(log.fact_of(event))
        if event.connection_pk is not None:
            told[event.connection_pk] = told.get(event.connection_pk, State()) | said
            if event.connection_id in said.links:
                about = State(links={event.connection_id: said.links[event.connection_id]})
                links[event.connection_id] = links.get(event.connection_id, State()) | about
    sharers = ConnectSession.objects.filter(connection_id__in=links)
    for pk, link in sharers.values_list("connection_pk", "connection_id"):
        told[pk] = told.get(pk, State()) | links[link]
    return told


def erase(*, user: Any = None, tenant: str = "", upstream: bool = True) -> int:
    """Delete all connections of *user* or *tenant* with their sessions and events; return how many there were.

    With *upstream* all are disconnected at the provider first; raises `StillHeldError`, and deletes nothing,
    while it still holds one of them, so that no bank link lives on that nobody remembers.
    """
    if user is None and not tenant:
        raise ValueError("Name a user or a tenant.")
    rows = BankingConnection.objects.all()
    rows = rows.filter(user=user) if user is not None else rows
    rows = rows.filter(tenant=tenant) if tenant else rows
    pks = list(rows.order_by("pk").values_list("pk", flat=True))
    if upstream:
        _refuse_waiting(pks)
        _end(pks)
    for pk in pks:
        _forget(pk)
    return len(pks)


def _refuse_waiting(pks: list[int]) -> None:
    """Raise while a session may still succeed: its bank link would come to be, and nobody would remember it."""
    waiting = ConnectSession.objects.waiting().filter(connection__in=pks, expires_at__gt=timezone.now())
    last = waiting.order_by("-expires_at").first()
    if last is not None:
        raise StillHeldError(
            f"Session {last.reference} may still succeed until {last.expires_at:%Y-%m-%d %H:%M} UTC; "
            "run this again after that."
        )


def _end(pks: list[int]) -> None:
    """Disconnect all of these, then make sure that the provider holds none of them any more."""
    for connection in BankingConnection.objects.filter(pk__in=pks).order_by("pk"):
        disconnect(connection, by=EndedBy.OPERATOR)
    # Two of them may have shared a link, which could only be removed once both were ended.
    for connection in BankingConnection.objects.filter(pk__in=pks, removal_due=True).order_by("pk"):
        if not remove_upstream(connection):
            raise StillHeldError(
                f"Connection {connection.reference} could not be removed at the provider yet; run this again."
            )


def _forget(pk: int) -> None:
    connection = BankingConnection.objects.get(pk=pk)
    links = list(connection.sessions.exclude(connection_id="").values_list("connection_id", flat=True))
    with transaction.atomic():
        # Events that matched nothing may still speak of these links.
        strays = ConnectionEvent.objects.filter(connection=None, account=connection.account)
        strays.filter(connection_id__in=links).delete()
        connection.delete()
