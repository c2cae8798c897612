"""The silence alarm: people come back from their bank, and no webhook says anything, or nothing that fits."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from business_os_banking.adapter import credentials_of
from business_os_banking.models import AccountState, ConnectionEvent
from business_os_banking.vocabulary import Kind, Outcome, Silence

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
    state, _new = AccountState.objects.get_or_create(alias=alias)
    # Once raised it lasts until something is heard: a night in which nobody comes proves nothing.
    standing = state.silent_since if state.silence == Silence.NO_WEBHOOKS else None
    found = _listen(alias, since=(state.silent_since or now) - _WINDOW, now=now, standing=standing)
    if (found or "") == state.silence:
        return found
    # Two jobs may have found the same; the one whose write comes first tells of it.
    unchanged = AccountState.objects.filter(pk=state.pk, silence=state.silence)
    if unchanged.update(silence=found or "", silent_since=now if found else None):
        if found:
            logger.error("Account %s: %s.", alias, _WAYS_OUT[found])
        else:
            logger.info("Account %s: the silence is over.", alias)
    return found


def _listen(alias: str, *, since: datetime, now: datetime, standing: datetime | None) -> Silence | None:
    heard = ConnectionEvent.objects.webhooks(alias).filter(received_at__gte=since, received_at__lte=now)
    # What an operator has set aside belongs to somebody else, and says nothing of this site.
    looked_at = heard.filter(ignored_at=None).order_by("-received_at")
    outcomes = list(looked_at.values_list("outcome", flat=True)[: 10 * _ENOUGH])
    if len(outcomes) >= _ENOUGH and set(outcomes) == {Outcome.UNMATCHED}:
        return Silence.NOTHING_MATCHES
    # From the log: sessions have no index on it, and sites have many of them.
    returned = ConnectionEvent.objects.filter(
        account=alias, kind=Kind.RETURNED, received_at__gte=since, received_at__lte=now - _PATIENCE
    )
    times = list(returned.order_by("-received_at").values_list("received_at", flat=True)[:_ENOUGH])
    # Those who came back may have been pruned since the alarm; it stands all the same.
    begin = min(times) - _PATIENCE if len(times) >= _ENOUGH else standing
    if begin is None or not wants_webhooks(alias):
        return None
    return None if heard.filter(received_at__gte=begin).exists() else Silence.NO_WEBHOOKS


def wants_webhooks(alias: str) -> bool:
    """Return whether the account is set up to receive webhooks; some sites live by reading alone."""
    try:
        account = credentials_of(alias)
    except Exception:  # noqa: BLE001 - the site's own adapter: whoever needs the credentials says what is wrong
        return False
    return bool(account.webhook_secrets or account.saltedge_callback_urls)
