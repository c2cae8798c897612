"""Prune and erase: keep the log as long as it is of use, and personal data no longer than it may be kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.exceptions import BankingError
from business_os_banking.facts import lifecycle
from business_os_banking.facts.events import fact_of
from business_os_banking.facts.lifecycle import State
from business_os_banking.flows.disconnect import disconnect, remove_upstream
from business_os_banking.models import (
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
    batches,
)
from business_os_banking.vocabulary import EndedBy, Kind, Outcome, SessionStatus

_BATCH: Final = 500
_CLEARED: Final[dict[str, Any]] = {
    "email": "",
    "custom_fields": {},
    "next_url": "",
    "connect_url": "",
    "idempotency_key": None,
    "idempotency_request": "",
}


class StillHeldError(BankingError):
    """The provider still holds the connection, so its row must not be forgotten."""


@dataclass
class Pruned:
    """How many payloads were emptied, events deleted, and sessions cleared of what a person typed or a site sent."""

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
    sessions = ConnectSession.objects.filter(created_at__lt=old_body).exclude(**_CLEARED)
    # One that is over counts as such even if no reconcile has let it expire.
    sessions = sessions.exclude(status__in=(SessionStatus.CREATED, SessionStatus.OPEN), expires_at__gte=now)
    for pks in batches.of_keys(sessions):
        pruned.sessions += ConnectSession.objects.filter(pk__in=pks).update(**_CLEARED)
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
    link to others of the same account that share it."""
    told: dict[int, State] = {}
    links: dict[
        str, dict[str, State]
    ] = {}  # by account: two of them may have the same id for different links
    for event in batch:
        said = lifecycle.evidence(fact_of(event))
        if event.connection_id is not None:
            told[event.connection_id] = told.get(event.connection_id, State()) | said
            if event.upstream_id in said.links:
                known = links.setdefault(event.account, {})
                about = State(links={event.upstream_id: said.links[event.upstream_id]})
                known[event.upstream_id] = known.get(event.upstream_id, State()) | about
    for account, known in links.items():
        for pk, link in _sharers(account, known):
            told[pk] = told.get(pk, State()) | known[link]
    return told


def _sharers(account: str, links: Collection[str]) -> set[tuple[int, str]]:
    """Return (connection, link) for every connection of *account* that stands on one of *links* or has named it."""
    rows = BankingConnection.objects.filter(account=account)
    paths = ("upstream_id", "sessions__upstream_id", "sessions__links__upstream_id")
    return {pair for path in paths for pair in rows.filter(**{f"{path}__in": links}).values_list("pk", path)}


def erase(*, user: Any = None, tenant: str = "", without_user: bool = False, upstream: bool = True) -> int:
    """Delete all connections of *user* or *tenant* with their sessions and events; return how many there were.

    Given both, those that belong to both. *without_user* stands in the place of a user: it means the connections of
    which the site has deleted the user, those of *tenant*, or of no tenant.

    With *upstream* all are disconnected at the provider first; raises `StillHeldError`, and deletes nothing,
    while it still holds one of them, so that no bank link lives on that nobody remembers.
    """
    if user is None and not tenant and not without_user:
        raise ValueError("Name a user or a tenant.")
    rows = BankingConnection.objects.all()
    rows = rows.filter(user=user) if user is not None or without_user else rows
    rows = rows.filter(tenant=tenant) if tenant or without_user else rows
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
    sessions = ConnectSession.objects.filter(connection=connection)
    links = {connection.upstream_id, *sessions.values_list("upstream_id", flat=True)}
    links |= set(SessionLink.objects.filter(session__in=sessions).values_list("upstream_id", flat=True))
    # Events that matched nothing, or that contradicted themselves, may still speak of it.
    about = Q(upstream_id__in=links - {""})
    about |= Q(pending_token__in=sessions.exclude(pending_token=None).values("pending_token"))
    about |= Q(session_reference__in=sessions.values("reference"))
    with transaction.atomic():
        strays = ConnectionEvent.objects.filter(about, connection=None, account=connection.account)
        # What is said of a bank concerns others as well, and stays without what it said of this connection.
        of_banks = strays.filter(kind=Kind.PROVIDER_CHANGED)
        of_banks.update(upstream_id="", pending_token=None, session_reference=None, payload={})
        strays.exclude(kind=Kind.PROVIDER_CHANGED).delete()
        _forget_in_admin(connection)
        connection.delete()


def _forget_in_admin(connection: BankingConnection) -> None:
    """Delete what the admin's own history says of *connection*: it names the bank."""
    if apps.is_installed("django.contrib.admin"):
        from django.contrib.admin.models import LogEntry

        of_connections = LogEntry.objects.filter(
            content_type__app_label="business_os_banking", content_type__model="bankingconnection"
        )
        of_connections.filter(object_id=str(connection.pk)).delete()
