"""Export: everything that the app holds of a person, for a request under Article 15 of the GDPR."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Model

from business_os_banking.flows.consent import record_of_consent
from business_os_banking.models import BankingConnection

# Not of the person, but good for acting as the person: the address of a widget, and what sessions are known by.
_LEFT_OUT: Final = {"connect_url", "pending_token", "single_flight", "idempotency_key", "idempotency_request"}


def export(user: Any) -> dict[str, Any]:
    """Return what is held of *user*: connections with their sessions, events and removals, ready for Django's JSON.

    Left out are the app's own means of access (tokens, the address of the widget), which say nothing of the person.
    """
    rows = BankingConnection.objects.filter(user=user).order_by("pk")
    return {"connections": [_connection(row) for row in rows]}


def _connection(connection: BankingConnection) -> dict[str, Any]:
    return {
        **_columns(connection),
        "consent": list(record_of_consent(connection)),
        "sessions": [_columns(row) for row in connection.sessions.order_by("pk")],
        "events": [_columns(row) for row in connection.events.order_by("pk")],
        "removals": [_columns(row) for row in connection.removals.order_by("pk")],
    }


def _columns(row: Model) -> dict[str, Any]:
    fields = row._meta.concrete_fields  # noqa: SLF001 - as Django's documentation allows
    return {field.attname: getattr(row, field.attname) for field in fields if field.name not in _LEFT_OUT}
