"""Disconnect: here at once, and at the provider as a step that is tracked until it is done."""

from __future__ import annotations

import logging

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import BusinessOSError
from business_os_banking.facts.record import record
from business_os_banking.facts.report import disconnected, removed
from business_os_banking.facts.rows import state_of, to_remove
from business_os_banking.facts.status import view_connection
from business_os_banking.models import BankingConnection
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.vocabulary import EndedBy

logger = logging.getLogger(__name__)


def disconnect(connection: BankingConnection, by: str = EndedBy.OWNER) -> BankingConnection:
    """End *connection* and return it as it is then.

    What is recorded here holds at once, whatever the provider answers. If the removal there fails, the
    connection keeps ``removal_due``. Disconnecting twice is harmless. The provider is called, so it must not be
    done inside a transaction (`RuntimeError`): that could be undone, and the removal could not.
    """
    with transaction.atomic(durable=True):
        record(disconnected(connection, EndedBy(by).value, timezone.now()))
    connection.refresh_from_db()
    if connection.removal_due:
        remove_upstream(connection)
    return connection


def remove_upstream(connection: BankingConnection) -> bool:
    """Remove at the provider what it still holds and *connection* no longer needs; return whether all is gone."""
    try:
        client = BusinessOSClient(credentials_of(connection.account, connection))
        for link in to_remove(view_connection(state_of(connection))):
            if _is_in_use(connection, link):
                continue
            client.delete_connection(link)
            record(removed(connection, link, timezone.now()))
    except (BusinessOSError, ImproperlyConfigured) as error:
        logger.warning("Connection %s is not removed upstream yet: %s", connection.reference, error)
        return False
    connection.refresh_from_db()
    return not connection.removal_due


def _is_in_use(connection: BankingConnection, link: str) -> bool:
    """Whether another living connection of ours stands on the same link: removing it would cut that one off."""
    others = BankingConnection.objects.living().filter(account=connection.account, upstream_id=link)
    return others.exclude(pk=connection.pk).exists()
