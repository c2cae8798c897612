"""What reading has taught about the list, which is documented nowhere: kept with its time, changes are logged.

``by_id`` is ``works`` or ``none``, ``from_id`` is ``works`` or ``ignored``, ``order`` is ``ascending``, ``descending``
or ``mixed``, and ``pages`` is how many the last whole reading took. Beside these, for nobody to look at: ``key`` (a
salted digest of the key that last saw our connections), ``pairs`` (which the order is told by), and ``tail`` (``lost``:
no page near the end of the list is known).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from django.conf import settings as django_settings
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.dateparse import parse_datetime

from business_os_banking import conf
from business_os_banking.conf import Account
from business_os_banking.flows.budget import SHARES
from business_os_banking.models import AccountState
from business_os_banking.models.clocks import is_within
from business_os_banking.upstream.objects import ConnectionObject

logger = logging.getLogger(__name__)

SHOWN: Final = ("by_id", "from_id", "order", "pages")
_SAID: Final = ("by_id", "from_id", "order")
_TRIED_AGAIN: Final = ("none", "ignored", "lost")
_DAY: Final = timedelta(days=1)
_ENOUGH_PAIRS: Final = 20
_MANY_PAIRS: Final = 1_000  # the latest count more
_MOST: Final = 0.8  # a row or two may be out of order; without one, it is half of them


def known(state: AccountState, name: str, now: datetime) -> Any:
    """Return what is known under *name*, ``None`` for nothing: what does not work is tried again after a day."""
    entry = state.learnt.get(name)
    if not entry:
        return None
    if entry["value"] in _TRIED_AGAIN and not is_within(parse_datetime(entry["at"]), now, _DAY):
        return None
    return entry["value"]


def learn(state: AccountState, name: str, value: Any, now: datetime) -> None:
    """Keep *value* under *name*; a change is logged once, as a warning."""
    old = (state.learnt.get(name) or {}).get("value")
    if old == value and value not in _TRIED_AGAIN:
        return
    with transaction.atomic():
        row = AccountState.objects.select_for_update().get(pk=state.pk)
        row.learnt = {**row.learnt, name: {"value": value, "at": now.isoformat()}}
        row.save(update_fields=["learnt"])
    state.learnt = row.learnt
    if name in _SAID and value != old and (old is not None or value in _TRIED_AGAIN):
        logger.warning("Account %s: of the list it is now known: %s is %s", state.alias, name, value)


def note_order(state: AccountState, rows: Iterable[ConnectionObject], now: datetime) -> None:
    """Learn from the *rows* of one page in which order the list is: by when they were made, else by their ids."""
    up = down = 0
    for before, after in pairwise(rows):
        step = _compared(before, after)
        up, down = up + (step > 0), down + (step < 0)
    pairs = known(state, "pairs", now) or [0, 0]
    is_settled = sum(pairs) >= _ENOUGH_PAIRS
    # As long as nothing has ever contradicted the order, there is nothing to count.
    if up == down == 0 or (is_settled and not (down or pairs[1])) or (is_settled and not (up or pairs[0])):
        return
    up, down = up + pairs[0], down + pairs[1]
    if up + down > _MANY_PAIRS:
        up, down = up // 2, down // 2
    learn(state, "pairs", [up, down], now)
    if up + down >= _ENOUGH_PAIRS:
        share = up / (up + down)
        sure = "ascending" if share >= _MOST else "descending" if share <= 1 - _MOST else "mixed"
        learn(state, "order", sure, now)


def _compared(before: ConnectionObject, after: ConnectionObject) -> int:
    """Return 1 if *after* is the newer one, -1 if it is the older, 0 where nothing tells."""
    first, second = before.created_at, after.created_at
    if isinstance(first, datetime) and isinstance(second, datetime):
        return (second > first) - (second < first)
    if before.id.isdecimal() and after.id.isdecimal():
        return (int(after.id) > int(before.id)) - (int(after.id) < int(before.id))
    return 0


def key_of(account: Account) -> str:
    """Return a short digest of the key and of where it is sent, which tells another from it and nothing else."""
    return _key_digest(account, str(django_settings.SECRET_KEY))


def keys_of(account: Account) -> set[str]:
    """Return that digest, and those that it had under the site's former secret keys."""
    secrets = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
    return {_key_digest(account, str(secret)) for secret in secrets}


def _key_digest(account: Account, secret: str) -> str:
    text = f"{account.base_url} {account.api_key.open()}"
    return salted_hmac("business_os_banking.key", text, secret, algorithm="sha256").hexdigest()[:12]


def digest_of(upstream_id: str) -> str:
    """Return what a link is told from others by where it need not be asked for: its id is somebody's, and stays out."""
    return salted_hmac("business_os_banking.link", upstream_id, algorithm="sha256").hexdigest()[:16]


def days_of_a_whole_reading(state: AccountState) -> float | None:
    """Return how many days the sweep takes for the whole list, at the pace of its share; ``None`` if unknown."""
    pages = (state.learnt.get("pages") or {}).get("value")
    a_day = SHARES["sweep"] * conf.settings.reads_per_day
    return round(pages / a_day, 2) if pages and a_day else None


def forget_in_list(alias: str, links: Collection[str]) -> None:
    """Forget where pages of the list begin, as far as they begin with *links*; the list is read anew from there."""
    with transaction.atomic():
        for state in AccountState.objects.select_for_update().filter(alias=alias):
            state.anchors = [anchor for anchor in state.anchors if anchor not in links]
            if state.sweep_cursor and state.sweep_cursor in links:
                state.sweep_cursor, state.sweep_started_at = "", None
            state.save(update_fields=["anchors", "sweep_cursor", "sweep_started_at"])
