"""The silence alarm: people come back from their bank, and no webhook arrives, or none that matches."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from django.utils.translation import gettext_noop, override

from business_os_banking.adapter import credentials_of
from business_os_banking.models import AccountState, ConnectionEvent
from business_os_banking.models.choices import SILENCES
from business_os_banking.models.clocks import is_past
from business_os_banking.models.events import ConnectionEventQuerySet
from business_os_banking.vocabulary import ENDED_HERE, Kind, Outcome, Silence

logger = logging.getLogger(__name__)

_WINDOW: Final = timedelta(hours=24)
_PATIENCE: Final = timedelta(minutes=15)  # a webhook may take its time
_ENOUGH: Final = 3  # of fewer, nothing can be said
_LATEST: Final = 30  # webhooks that must all have matched nothing
_AT_MOST: Final = 300  # of them are read to see whether they are about different things
# What may be said of a link that was erased here, since no row remembers it: that it is gone, which we had asked for.
_REMOVALS: Final = (Kind.REMOVED, Kind.GUESSED_REMOVAL)

# What to do about each alarm: as it stands here in the log and by the doctor, translated in the admin.
ADVICE: Final[dict[str, str]] = {
    Silence.NO_WEBHOOKS: gettext_noop(
        "Make sure that the webhook address of this site is registered with Business OS for this API key (see "
        "docs/webhook.md), and that it answers 403 to: curl -X POST <address>. banking_doctor tries it out."
    ),
    Silence.NOTHING_MATCHES: gettext_noop(
        "Make sure that the API key and the webhook are of the same Business OS organisation, and look at the "
        "unmatched events in the admin. Ignore those that belong to another system."
    ),
}


def watch(alias: str, now: datetime) -> Silence | None:
    """Raise, keep or clear the alarm of the account *alias*; return it. It is logged once, at ERROR."""
    state, _created = AccountState.objects.get_or_create(alias=alias)
    raised_at = state.silent_since if is_past(state.silent_since, now) else None
    # Once raised it lasts until a webhook arrives: a night in which nobody comes proves nothing.
    silent_since = raised_at if state.silence == Silence.NO_WEBHOOKS else None
    since = (raised_at or now) - _WINDOW
    silence = _examine(alias, since=since, now=now, silent_since=silent_since)
    if (silence or "") == state.silence:
        return silence
    # Two jobs may come to the same; the one whose write comes first logs it.
    unchanged = AccountState.objects.filter(pk=state.pk, silence=state.silence)
    if unchanged.update(silence=silence or "", silent_since=now if silence else None):
        if silence:
            logger.error("Account %s: %s. %s", alias, in_english(silence), ADVICE[silence])
        else:
            logger.info("Account %s: the silence is over.", alias)
    return silence


def in_english(silence: str) -> str:
    """Return the label of the alarm *silence* as the log and the doctor show it, whatever language is active."""
    with override(None):
        return str(dict(SILENCES).get(silence, silence))


def _examine(alias: str, *, since: datetime, now: datetime, silent_since: datetime | None) -> Silence | None:
    """Return the alarm that the events between *since* and *now* give reason for.

    *silent_since* is when the alarm for missing webhooks was raised, ``None`` where it is off.
    """
    webhooks = ConnectionEvent.objects.webhooks(alias).filter(received_at__gte=since, received_at__lte=now)
    # What was erased took the webhooks that had matched it along.
    heard_at, erased_at = AccountState.objects.filter(alias=alias).values_list(
        "heard_at", "erased_at"
    ).first() or (None, None)
    if not _is_between(heard_at, since, now) and _match_nothing(
        webhooks, has_erased=_is_between(erased_at, since, now)
    ):
        return Silence.NOTHING_MATCHES
    times = _last_returns(alias, since, now)
    # Those who came back may have been pruned since the alarm; it stands all the same.
    begin = min(times) - _PATIENCE if len(times) >= _ENOUGH else silent_since
    if begin is None or not wants_webhooks(alias):
        return None
    is_heard = _is_between(heard_at, begin, now) or webhooks.filter(received_at__gte=begin).exists()
    return None if is_heard else Silence.NO_WEBHOOKS


def _is_between(at: datetime | None, since: datetime, now: datetime) -> bool:
    return at is not None and since <= at and is_past(at, now)


def _match_nothing(webhooks: ConnectionEventQuerySet, *, has_erased: bool) -> bool:
    """Return whether the latest of *webhooks* match nothing, and are about several things that we never knew."""
    # What an operator has set aside belongs to somebody else, and says nothing of this site.
    counted = webhooks.filter(ignored_at=None).exclude(outcome=Outcome.UNMATCHED, kind__in=_REMOVALS)
    if has_erased:
        # Nor does what names a link alone: it may be one that was erased.
        counted = counted.exclude(outcome=Outcome.UNMATCHED, pending_token=None, session_reference=None)
    columns = ("outcome", "pending_token", "session_reference", "upstream_id")
    rows = list(counted.order_by("-received_at").values_list(*columns)[:_AT_MOST])
    strays = list(takewhile(lambda row: row[0] == Outcome.UNMATCHED, rows))
    if len(strays) < min(len(rows), _LATEST):
        return False
    # One session, ours before it was erased or another's, may be told of many times.
    about = {token or reference or link for _outcome, token, reference, link in strays}
    return len(about) >= _ENOUGH


def _last_returns(alias: str, since: datetime, now: datetime) -> list[datetime]:
    """Return when each of the last three people came back: one alone may try as often as they like."""
    # From the log: sessions have no index on it, and sites have many of them.
    returns = ConnectionEvent.objects.filter(
        account=alias, kind=Kind.RETURNED, received_at__gte=since, received_at__lte=now - _PATIENCE
    )
    # Of what was ended here, Business OS may have had nothing more to say.
    returns = returns.exclude(connection=None).exclude(connection__ended_by__in=ENDED_HERE)
    columns = ("received_at", "connection__user", "connection__tenant", "connection")
    times: list[datetime] = []
    # One at a time, so that no more is read of what one person does all day than the index is passed over.
    while len(times) < _ENOUGH and (last := returns.order_by("-received_at").values_list(*columns).first()):
        at, user, tenant, connection = last
        times.append(at)
        if user is not None:
            returns = returns.exclude(connection__user=user)
        elif tenant:
            returns = returns.exclude(connection__user=None, connection__tenant=tenant)
        else:
            returns = returns.exclude(connection=connection)
    return times


def wants_webhooks(alias: str) -> bool:
    """Return whether the account is set up to receive webhooks; some sites live by reading alone."""
    try:
        account = credentials_of(alias)
    except Exception:  # noqa: BLE001 - the site's own adapter: whoever needs the credentials says what is wrong
        return False
    return bool(account.webhook_secrets or account.saltedge_callback_urls)
