"""Telling the site's receivers what a fact changed: after the commit, at least once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.utils import timezone

from business_os_banking import signals
from business_os_banking.exceptions import let_through
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import ConnectionStatus, Kind, Outcome, SessionStatus

logger = logging.getLogger(__name__)

_CONNECTION_SIGNALS: Final = {
    ConnectionStatus.ACTIVE: "connection_activated",
    ConnectionStatus.INACTIVE: "connection_deactivated",
    ConnectionStatus.DISCONNECTED: "connection_disconnected",
}

_OF_ANY_EVENT: Final = {"event_recorded", "event_unmatched"}

Announcement = dict[str, Any]  # {"signal": name, "connection": pk or None, "session": pk or None}


def of_session(before: str, after: str, connection: int, session: int | None) -> list[Announcement]:
    """Return what a session's change of status makes due."""
    if after == before:
        return []
    name = {SessionStatus.OPEN: "connect_session_started"}.get(
        SessionStatus(after), "connect_session_finished"
    )
    return [{"signal": name, "connection": connection, "session": session}]


def of_connection(before: str, after: str, connection: int, session: int | None) -> list[Announcement]:
    """Return what a connection's change of status makes due."""
    name = _CONNECTION_SIGNALS.get(ConnectionStatus(after))
    if after == before or name is None:
        return []
    return [{"signal": name, "connection": connection, "session": session}]


def of_hold(row: BankingConnection, changed: Mapping[str, Any]) -> list[Announcement]:
    """Return what is due where by the columns that have *changed* a success of *row* is held from now on."""
    reason, session, link = (changed[name] for name in ("held_reason", "held_session_id", "held_link"))
    if not reason or (reason, session, link) == (row.held_reason, row.held_session_id, row.held_link):
        return []
    return [{"signal": "connection_held", "connection": row.pk, "session": session}]


def of_event(event: ConnectionEvent) -> list[Announcement]:
    """Return what the recording of any event makes due."""
    names = ["event_recorded"]
    if event.kind == Kind.CONSENT_EXPIRING:
        names.insert(0, "consent_expiring")
    if event.kind == Kind.HELD_REMINDER:
        names.insert(0, "connection_held")
    if event.outcome == Outcome.UNMATCHED:
        names.append("event_unmatched")
    return [
        {"signal": name, "connection": event.connection_id, "session": event.session_id} for name in names
    ]


def transitions(event: ConnectionEvent) -> list[Announcement]:
    """Return what *event* makes due because it changed something, without what is due for any event."""
    return [item for item in event.announcements if item["signal"] not in _OF_ANY_EVENT]


def somebody_listens(announcements: list[Announcement]) -> bool:
    """Whether any receiver is connected; if none is, there is nobody to tell now or later."""
    return any(_listens(item) for item in announcements)


def announce(event: ConnectionEvent, *, again: bool = False) -> bool:
    """Send the signals that *event* made due and that have not been heard; return whether all have been now.

    With *again*, those that have been heard are sent too. A receiver that raises hurts nobody else: Django logs it,
    and this signal is told again by reconcile, to all its receivers.
    """
    for item in event.announcements:
        if again or not item.get("heard"):
            item["heard"] = _send(event, item)
    heard = all(item["heard"] for item in event.announcements)
    if heard:
        event.announced_at = timezone.now()
    else:
        logger.warning("Event %s was not heard by every receiver; it will be told again.", event.pk)
    ConnectionEvent.objects.filter(pk=event.pk).update(
        announced_at=event.announced_at, announcements=event.announcements
    )
    return heard


def _listens(item: Announcement) -> bool:
    return signals.BY_NAME[item["signal"]].has_listeners(ConnectionEvent)


def _send(event: ConnectionEvent, item: Announcement) -> bool:
    if not _listens(item):
        return True
    results = signals.BY_NAME[item["signal"]].send_robust(
        sender=ConnectionEvent,
        event=event,
        connection=_row(BankingConnection, item["connection"]),
        session=_row(ConnectSession, item["session"]),
    )
    faults = [result for _receiver, result in results if isinstance(result, Exception)]
    for fault in faults:
        let_through(fault)
    return not faults


def _row(model: type[Any], pk: int | None) -> Any:
    """Return the row as it is now: a receiver that is told late should not act on what was then."""
    return model.objects.filter(pk=pk).first() if pk is not None else None
