"""Export: everything that the app holds of a person, for a request under Article 15 of the GDPR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from django.db.models import Model

from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.events import NAMING_NOBODY
from business_os_banking.facts.held import doubtful_sessions, hidden_links, walk
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.flows.consent import record_of_consent
from business_os_banking.models import BankingConnection

# Not of the person, but good for acting as the person: the address of a widget, and what sessions are known by.
_LEFT_OUT: Final = {
    *(
        "connect_url",
        "pending_token",
        "single_flight",
        "idempotency_key",
        "idempotency_request",
        "return_key",
    ),
}
# What an event tells of a bank, besides what names somebody.
_OF_A_BANK: Final = {**NAMING_NOBODY, "provider_code": "", "assertions": {}}


def export(user: Any) -> dict[str, Any]:
    """Return what is held of *user*: connections with their sessions, events and removals, ready for Django's JSON.

    Left out are the app's own means of access (tokens, the address of the widget), which say nothing of the person; and
    what may be of somebody else: the bank at which another browser has finished what this person began.
    """
    rows = BankingConnection.objects.filter(user=user).order_by("pk")
    return {"connections": [_connection(row) for row in rows]}


def _connection(connection: BankingConnection) -> dict[str, Any]:
    state = from_json(connection.state)
    doubtful, hidden = doubtful_sessions(state), hidden_links(state, walk(state, is_same_bank))
    sessions, events = [], []
    for session in connection.sessions.order_by("pk"):
        is_doubtful = str(session.reference) in doubtful
        sessions.append({**_columns(session), **({"upstream_id": ""} if is_doubtful else {})})
    for event in connection.events.order_by("pk").select_related("session"):
        of_session = str(event.session.reference) if event.session else ""
        is_doubtful = event.upstream_id in hidden or of_session in doubtful
        columns = _columns(event)
        events.append({**columns, **(_known(columns, _OF_A_BANK) if is_doubtful else {})})
    return {
        **_columns(connection),
        "state": to_json(_without(state, doubtful, hidden)),
        "baseline": to_json(_without(from_json(connection.baseline), doubtful, hidden)),
        "consent": list(record_of_consent(connection)),
        "sessions": sessions,
        "events": events,
        "removals": [
            _columns(row) for row in connection.removals.order_by("pk") if row.upstream_id not in hidden
        ],
    }


def _without(state: State, sessions: set[str], links: set[str]) -> State:
    return replace(
        state,
        attempts={key: attempt for key, attempt in state.attempts.items() if key not in sessions},
        links={key: link for key, link in state.links.items() if key not in links},
    )


def _known(columns: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in columns}


def _columns(row: Model) -> dict[str, Any]:
    fields = row._meta.concrete_fields  # noqa: SLF001 - as Django's documentation allows
    return {field.attname: getattr(row, field.attname) for field in fields if field.name not in _LEFT_OUT}
