"""Disconnect: here at once, and at the provider as a step that is tracked until it is proved."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from business_os_banking.facts.record import record
from business_os_banking.facts.report import disconnected
from business_os_banking.flows.remove import remove_upstream
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import EndedBy


def disconnect(connection: BankingConnection, by: str = EndedBy.OWNER) -> BankingConnection:
    """End *connection* and return it as it is then.

    What is recorded here holds at once, whatever the provider answers. If nothing proves the removal there yet,
    ``connection.removal_due`` is true. Disconnecting twice is harmless. The provider is called, so it must not be
    done inside a transaction (`RuntimeError`): that could be undone, and the removal could not.
    """
    with transaction.atomic(durable=True):
        record(disconnected(connection, EndedBy(by).value, timezone.now()))
    connection.refresh_from_db()
    remove_upstream(connection)
    connection.refresh_from_db()
    return connection
