"""Erase: forget a person or a tenant, and have the provider forget them. It waits for nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Max, Model, Q
from django.utils import timezone

from business_os_banking.exceptions import let_through
from business_os_banking.facts import removals
from business_os_banking.facts.events import NAMING_NOBODY
from business_os_banking.facts.record import record
from business_os_banking.facts.report import disconnected
from business_os_banking.facts.retries import retried
from business_os_banking.facts.rows import state_of
from business_os_banking.flows import learning
from business_os_banking.flows.remove import remove
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
    SessionLink,
)
from business_os_banking.vocabulary import EndedBy, Kind

logger = logging.getLogger(__name__)


@dataclass
class Erased:
    """How many connections were erased, and how many removals at the provider are not proved yet."""

    connections: int = 0
    removals_due: int = 0


def erase(*, user: Any = None, tenant: str = "", without_user: bool = False, upstream: bool = True) -> Erased:
    """Delete all connections of *user* or *tenant* with their sessions and events; return the counts.

    Given both, those that belong to both. *without_user* stands in the place of a user: it means the connections of
    which the site has deleted the user, those of *tenant*, or of no tenant.

    With *upstream*, what the provider holds is removed there: now if it answers, else by reconcile. What is left here
    are `Removal` rows, which name nobody; by these, what the provider still sends is known and not kept, and what a
    late success of an erased session brings is removed as well. The provider is called, so it must not be done inside a
    transaction (`RuntimeError`).
    """
    if user is None and not tenant and not without_user:
        raise ValueError("Name a user or a tenant.")
    rows = BankingConnection.objects.all()
    rows = rows.filter(user=user) if user is not None or without_user else rows
    rows = rows.filter(tenant=tenant) if tenant or without_user else rows
    with transaction.atomic(durable=True):  # refuses to run in a transaction, which could be undone
        pks = list(rows.order_by("pk").values_list("pk", flat=True))
    asked: list[int] = []
    for pk in pks:
        if upstream:
            retried(_end, pk)
        asked += retried(_forget, pk, upstream=upstream)
    # What was to be removed before goes on by reconcile even if nothing more is to be.
    for removal in Removal.objects.filter(pk__in=asked if upstream else ()).order_by("pk"):
        try:
            remove(removal)
        except Exception as error:
            let_through(error)
            logger.exception("%s broke off; reconcile tries again", removal)
    return Erased(len(pks), Removal.objects.due().filter(pk__in=asked).count())


def _end(pk: int) -> None:
    """Disconnect, so that receivers are told while there is still somebody to tell of."""
    connection = BankingConnection.objects.filter(pk=pk).first()
    if connection is not None:
        record(disconnected(connection, EndedBy.OPERATOR.value, timezone.now()))


def _forget(pk: int, *, upstream: bool) -> list[int]:
    """Delete the connection with this key, and return the keys of the removals that it leaves.

    It is locked first: a webhook that is recorded just now is done before, or finds nothing.
    """
    with transaction.atomic():
        connection = BankingConnection.objects.select_for_update().filter(pk=pk).first()
        if connection is None:
            return []
        now = timezone.now()
        if upstream:
            removals.ask(connection, state_of(connection), now)
            removals.watch_for(connection, now)
        of_it = connection.removals.all()
        asked = list(of_it.unsettled().values_list("pk", flat=True))
        of_it.exclude(settled_at=None).update(upstream_id="")
        of_it.update(reason="")
        sessions = ConnectSession.objects.filter(connection=connection)
        links = {connection.upstream_id, *sessions.values_list("upstream_id", flat=True)}
        links |= set(SessionLink.objects.filter(session__in=sessions).values_list("upstream_id", flat=True))
        links -= {""}
        _forget_strays(connection, links)
        _remember(connection)
        _forget_in_admin(connection)
        learning.forget_in_list(connection.account, links)
        connection.delete()
        return asked


def _forget_strays(connection: BankingConnection, links: set[str]) -> None:
    """Forget events that matched nothing, or that contradicted themselves, and may still speak of *connection*."""
    sessions = ConnectSession.objects.filter(connection=connection)
    about = Q(upstream_id__in=links)
    about |= Q(
        pending_token__in=list(sessions.exclude(pending_token=None).values_list("pending_token", flat=True))
    )
    about |= Q(session_reference__in=list(sessions.values_list("reference", flat=True)))
    strays = ConnectionEvent.objects.filter(about, connection=None, account=connection.account)
    # What is said of a bank concerns others as well, and stays without what it said of this connection.
    of_banks = strays.filter(kind=Kind.PROVIDER_CHANGED)
    of_banks.update(**NAMING_NOBODY)
    strays.exclude(kind=Kind.PROVIDER_CHANGED).delete()


def _remember(connection: BankingConnection) -> None:
    """Keep what the silence alarm must not miss of *connection*: when it was heard of last. Nothing of whom it was."""
    webhooks = ConnectionEvent.objects.webhooks(connection.account).filter(connection=connection)
    heard_at = webhooks.aggregate(latest=Max("received_at"))["latest"]
    state, _created = AccountState.objects.get_or_create(alias=connection.account)
    rows = AccountState.objects.filter(pk=state.pk)
    rows.update(erased_at=timezone.now())
    if heard_at is not None:
        rows.filter(Q(heard_at=None) | Q(heard_at__lt=heard_at)).update(heard_at=heard_at)


def _forget_in_admin(connection: BankingConnection) -> None:
    """Delete what the admin's own history says of *connection* and what belongs to it: it names the bank."""
    if apps.is_installed("django.contrib.admin"):
        sessions, events = connection.sessions.all(), connection.events.all()
        of_it: list[tuple[type[Model], Iterable[Any]]] = [
            (BankingConnection, [connection.pk]),
            (ConnectSession, sessions.values_list("pk", flat=True)),
            (ConnectionEvent, events.values_list("pk", flat=True)),
            (Removal, connection.removals.values_list("pk", flat=True)),
        ]
        for model, keys in of_it:
            _forget_history(model, list(map(str, keys)))


def _forget_history(model: type[Model], keys: list[str]) -> None:
    from django.contrib.admin.models import LogEntry

    of_model = LogEntry.objects.filter(
        content_type__app_label=model._meta.app_label,  # noqa: SLF001 - as Django's documentation allows
        content_type__model=model._meta.model_name,  # noqa: SLF001
    )
    for begin in range(0, len(keys), 500):
        of_model.filter(object_id__in=keys[begin : begin + 500]).delete()
