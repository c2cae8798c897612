"""Between rows and states: how a state is read from a connection's row, and what it makes of the columns."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from business_os_banking import conf
from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.lifecycle import (
    GOOD,
    NEEDS_USER,
    Attempt,
    Link,
    Noted,
    Setback,
    Standing,
    State,
)
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.facts.status import ConnectionView, view_connection, view_session
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import DETAILS, LIVING_STATUSES, ConnectionStatus, SessionStatus

_TIMES = {"next_refresh_possible_at"}
_NULLABLE = {"next_refresh_possible_at", "owner_user_id"}
_LONGEST = {"provider_code": 128, "provider_name": 255, "country_code": 8}


def state_of(connection: BankingConnection) -> State:
    """Return the state of a connection's row.

    A row that a site imported from elsewhere has no facts yet; what its columns say is then where it starts.
    """
    state = from_json(connection.state)
    if state.attempts or connection.status not in LIVING_STATUSES:
        return state
    at = connection.connected_at or connection.created_at
    rank = GOOD if connection.status == ConnectionStatus.ACTIVE else NEEDS_USER
    link = connection.upstream_id
    texts = {name: _text(getattr(connection, name)) for name in DETAILS}
    return state | State(
        attempts={"": Attempt(successes={link: at})},
        links={
            link: Link(
                standing=Standing(at, rank, connection.status_reason or ""),
                last_success_at=at,
                details={name: Noted(at, value) for name, value in texts.items() if value},
            )
        },
    )


def _text(value: datetime | UUID | str | None) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value or "")


def state_of_session(session: ConnectSession) -> State:
    """Return what the columns of a session say, for one that no fact has spoken of yet."""
    link, succeeded_at = session.upstream_id, session.succeeded_at
    setback = None
    if session.status in {SessionStatus.FAILED, SessionStatus.CANCELLED, SessionStatus.EXPIRED}:
        setback = Setback(session.created_at, 0, session.status, session.error_class)
    attempt = Attempt(
        opened_at=session.created_at if session.pending_token else None,
        returned_at=session.returned_at,
        successes={link: succeeded_at} if succeeded_at else {},
        named={link: session.created_at} if link else {},
        setback=setback,
    )
    good = (
        Link(standing=Standing(succeeded_at, GOOD, ""), last_success_at=succeeded_at)
        if succeeded_at
        else None
    )
    if attempt == Attempt():
        return State()
    return State(attempts={str(session.reference): attempt}, links={link: good} if good and link else {})


def connection_columns(state: State, row: BankingConnection | None = None) -> dict[str, Any]:
    """Return the columns of a connection that follow from *state*.

    What *row* shows of a link that is hidden is emptied; without one, whatever such a link could have shown.
    """
    view = view_connection(state, is_same_bank)
    columns: dict[str, Any] = {
        "state": to_json(state),
        "status": view.status.value,
        "status_reason": view.status_reason.value if view.status_reason else "",
        "upstream_id": view.upstream_id,
        "connected_at": view.connected_at,
        "last_success_at": view.last_success_at,
        "last_error_class": view.last_error_class,
        "disconnected_at": view.disconnected_at,
        "ended_by": view.ended_by.value if view.ended_by else "",
        "held_reason": view.held_reason.value if view.held_reason else "",
        "held_session_id": _key_of(view.held_session),
        "held_link": view.held_link,
        "held_bank": view.held_bank[: _LONGEST["provider_name"]],
    }
    columns |= _consent(view)
    # What no fact has told (a site may have filled it in by hand) is left as it is.
    for name, value in view.details.items():
        if value and name in DETAILS and name != "consent_expires_at":
            columns[name] = _typed(name, value)
    for name in {name for details in view.hidden for name in details} - columns.keys():
        shown = _text(getattr(row, name)) if row else None
        if shown is None or any(
            _text(_typed(name, told[name])) == shown for told in view.hidden if name in told
        ):
            columns[name] = None if name in _NULLABLE else ""
    return columns


def _key_of(reference: str) -> int | None:
    sessions = (
        ConnectSession.objects.filter(reference=reference) if reference else ConnectSession.objects.none()
    )
    return sessions.values_list("pk", flat=True).first()


def _consent(view: ConnectionView) -> dict[str, Any]:
    """Return when the consent ends: as the provider said, else counted from the last consent."""
    ends, days = view.consent_expires_at, conf.settings.consent_days
    if ends is None and view.consented_at is not None and days is not None:
        return {"consent_expires_at": view.consented_at + timedelta(days=days), "consent_is_estimated": True}
    return {"consent_expires_at": ends, "consent_is_estimated": False}


def session_columns(state: State, reference: str) -> dict[str, Any]:
    """Return the columns of a session that follow from *state*."""
    view = view_session(state, reference)
    columns: dict[str, Any] = {
        "status": view.status.value,
        "upstream_id": view.upstream_id,
        "stage": view.stage,
        "succeeded_at": view.succeeded_at,
        "returned_at": view.returned_at,
        "error_class": view.error_class,
        "error_group": view.error_group.value if view.error_group else "",
        "refused_at": view.refused_at,
    }
    if view.status not in {SessionStatus.CREATED, SessionStatus.OPEN}:
        # The address holds a token of the provider; it is kept no longer than it is of use.
        columns["connect_url"] = ""
        columns["single_flight"] = None
    elif view.returned_at:
        columns["single_flight"] = None
    return columns


def _typed(name: str, value: str) -> datetime | UUID | str:
    if name in _TIMES:
        return datetime.fromisoformat(value)
    if name == "owner_user_id":
        return UUID(value)
    return value[: _LONGEST[name]]
