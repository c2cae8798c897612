"""Erase: forget a person or a tenant, and let the provider forget them first."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from business_os_banking.exceptions import BankingError
from business_os_banking.flows.disconnect import disconnect, remove_upstream
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
)
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_ahead
from business_os_banking.vocabulary import SESSION_MAX_LIFE, EndedBy, Kind


class StillHeldError(BankingError):
    """The provider still holds the connection, so its row must not be forgotten."""


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
    may_succeed = is_ahead("expires_at", timezone.now(), SESSION_MAX_LIFE + CLOCKS_DIFFER)
    waiting = ConnectSession.objects.waiting().filter(may_succeed, connection__in=pks)
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
        _remember(connection)
        _forget_in_admin(connection)
        _forget_in_list(connection.account, links - {""})
        connection.delete()


def _remember(connection: BankingConnection) -> None:
    """Keep what the silence alarm must not miss of *connection*: when it was heard of last. Nothing of whom it was."""
    webhooks = ConnectionEvent.objects.webhooks(connection.account).filter(connection=connection)
    heard_at = webhooks.aggregate(latest=Max("received_at"))["latest"]
    state, _created = AccountState.objects.get_or_create(alias=connection.account)
    rows = AccountState.objects.filter(pk=state.pk)
    rows.update(erased_at=timezone.now())
    if heard_at is not None:
        rows.filter(Q(heard_at=None) | Q(heard_at__lt=heard_at)).update(heard_at=heard_at)


def _forget_in_list(alias: str, links: set[str]) -> None:
    """Forget where pages of the list begin, as far as they begin with *links*; the list is read anew from there."""
    for state in AccountState.objects.select_for_update().filter(alias=alias):
        state.anchors = [anchor for anchor in state.anchors if anchor not in links]
        if state.sweep_cursor in links:
            state.sweep_cursor, state.sweep_started_at = "", None
        state.save(update_fields=["anchors", "sweep_cursor", "sweep_started_at"])


def _forget_in_admin(connection: BankingConnection) -> None:
    """Delete what the admin's own history says of *connection*: it names the bank."""
    if apps.is_installed("django.contrib.admin"):
        from django.contrib.admin.models import LogEntry

        of_connections = LogEntry.objects.filter(
            content_type__app_label="business_os_banking", content_type__model="bankingconnection"
        )
        of_connections.filter(object_id=str(connection.pk)).delete()
