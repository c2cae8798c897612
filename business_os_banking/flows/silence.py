"""The silence alarm: people come back from their bank, and no webhook says anything, or nothing that fits."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ImproperlyConfigured

from business_os_banking.adapter import credentials_of
from business_os_banking.models import AccountState, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Outcome, Silence, Source

logger = logging.getLogger(__name__)

_WINDOW: Final = timedelta(hours=24)
_PATIENCE: Final = timedelta(minutes=15)  # a webhook may take its time
_ENOUGH: Final = 3  # of fewer, nothing can be said

_WAYS_OUT: Final = {
    Silence.NO_WEBHOOKS: (
        "people come back from their bank, but no webhook has arrived since. Check that the webhook address of this "
        "site is registered with Business OS, and that it answers 403 to: curl -X POST <address>"
    ),
    Silence.NOTHING_MATCHES: (
        "webhooks arrive, but none of them matches a session of this site. Check that the API key and the webhook "
        "belong to the same Business OS organisation, and look at the unmatched events in the admin"
    ),
}


def watch(alias: str, now: datetime) -> Silence | None:
    """Raise, keep or clear the alarm of the account *alias*; return it. It is logged once, at ERROR."""
    found = _listen(alias, now)
    state = AccountState.objects.filter(alias=alias).first()
    before = state.silence if state else ""
    if (found or "") == before:
        return found
    AccountState.objects.update_or_create(
        alias=alias, defaults={"silence": found or "", "silent_since": now if found else None}
    )
    if found:
        logger.error("Account %s: %s.", alias, _WAYS_OUT[found])
    else:
        logger.info("Account %s: webhooks arrive again.", alias)
    return found


def _listen(alias: str, now: datetime) -> Silence | None:
    heard = ConnectionEvent.objects.filter(
        account=alias, source=Source.WEBHOOK, received_at__gte=now - _WINDOW, received_at__lte=now
    )
    outcomes = list(heard.order_by("-received_at").values_list("outcome", flat=True)[: 10 * _ENOUGH])
    if len(outcomes) >= _ENOUGH and set(outcomes) == {Outcome.UNMATCHED}:
        return Silence.NOTHING_MATCHES
    returned = ConnectSession.objects.filter(
        connection__account=alias, returned_at__gte=now - _WINDOW, returned_at__lte=now - _PATIENCE
    )
    times = returned.order_by("-returned_at").values_list("returned_at", flat=True)[:_ENOUGH]
    since = [time for time in times if time is not None]
    if len(since) < _ENOUGH or not _wants_webhooks(alias):
        return None
    return None if heard.filter(received_at__gte=min(since) - _PATIENCE).exists() else Silence.NO_WEBHOOKS


def _wants_webhooks(alias: str) -> bool:
    """Whether the account is set up to receive webhooks; some sites live by reading alone."""
    try:
        account = credentials_of(alias)
    except ImproperlyConfigured:
        return False
    return bool(account.webhook_secrets or account.saltedge_callback_urls)
