"""Decisions of an operator about events that match nothing: to which session one belongs, or that it is nobody's.

Both are kept on the event, so that replay and rebuild come to the same.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from business_os_banking.exceptions import NotAllowed
from business_os_banking.facts.events import from_event
from business_os_banking.facts.match import match
from business_os_banking.facts.record import apply
from business_os_banking.models import ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Outcome


def find_session(event: ConnectionEvent, reference: UUID) -> ConnectSession | None:
    """Return the session of *event*'s account that *reference* names, or the latest of the connection that it names."""
    sessions = ConnectSession.objects.filter(connection__account=event.account).select_related("connection")
    named = sessions.filter(reference=reference).first()
    return named or sessions.filter(connection__reference=reference).order_by("-pk").first()


def assigned(event: ConnectionEvent, session: ConnectSession) -> ConnectionEvent:
    """Return *event*, unsaved, as it is when it belongs to *session*.

    Raises `NotAllowed`, with a reason for the operator, if it must not: an event that is settled or contradicts
    itself, one of another account, or one whose upstream connection belongs to another owner.
    """
    if event.outcome != Outcome.UNMATCHED:
        raise NotAllowed(_("This event has had its effect already."))
    if event.note:
        raise NotAllowed(_("This event contradicts itself or what is known, so it must not be matched."))
    if session.connection.account != event.account:
        raise NotAllowed(_("The session belongs to another Business OS account."))
    event.by_hand = True
    event.session = session
    event.connection = session.connection
    if match(from_event(event)).conflict:
        raise NotAllowed(_("The upstream connection that this event names belongs to another owner."))
    return event


def assign(event: ConnectionEvent, session: ConnectSession) -> ConnectionEvent:
    """File *event* under *session*, for good, and apply it; return it as it is then. Raises as `assigned` does."""
    with transaction.atomic():
        row = ConnectionEvent.objects.select_for_update().get(pk=event.pk)
        row = assigned(row, session)
        # Decided, and to be applied: what a crash interrupts here, reconcile finishes.
        row.outcome = Outcome.FAILED.value
        row.ignored_at = None
        row.save(update_fields=["by_hand", "session", "connection", "outcome", "ignored_at"])
    return apply(row)


def ignore(events: Collection[int], now: datetime) -> int:
    """Set the events with these keys aside, as far as they match nothing; return how many were."""
    rows = ConnectionEvent.objects.unmatched().filter(pk__in=events)
    return rows.update(ignored_at=now)


def stop_ignoring(events: Collection[int]) -> int:
    """Undo `ignore`; return for how many events."""
    rows = ConnectionEvent.objects.filter(pk__in=events, outcome=Outcome.UNMATCHED)
    return rows.exclude(ignored_at=None).update(ignored_at=None)
