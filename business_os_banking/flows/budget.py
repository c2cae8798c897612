"""The day's reads, shared out: what one purpose spends is not missing to the others.

Each share is a bucket that a quarter of its reads fits into, and that the others flow into over the day: so a crowd is
served at once, and there is something left in the evening.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from django.db import transaction
from django.utils.dateparse import parse_datetime

from business_os_banking import conf
from business_os_banking.models import AccountState

Share = Literal["tail", "by_id", "sweep", "asked"]

SHARES: Final[dict[Share, float]] = {"tail": 0.40, "by_id": 0.30, "sweep": 0.20, "asked": 0.10}
_FITS: Final = 0.25  # of a day's share
_DAY: Final = timedelta(days=1)
# Until the list has been read to its end once, nobody knows where the tail begins: that comes before its pace.
_FIRST_SWEEP: Final = 0.80


def take(alias: str, share: Share, now: datetime) -> bool:
    """Take one read from *share*, if there is one left; return whether there was. Safe with two at once."""
    with transaction.atomic():
        state = AccountState.objects.select_for_update().get(alias=alias)
        if left(state, share, now) < 1:
            return False
        bucket = {"left": max(_level(state, share, now) - 1, 0), "at": now.isoformat()}
        state.buckets = {**state.buckets, share: bucket}
        state.reads, state.reads_on = _spent(state, now) + 1, now.date()
        state.save(update_fields=["buckets", "reads", "reads_on"])
        return True


def left(state: AccountState, share: Share, now: datetime) -> int:
    """Return how many reads may be spent on *share* at *now*."""
    most: int = conf.settings.reads_per_day
    spent = _spent(state, now)
    level = int(_level(state, share, now) + 1e-6)
    if share == "sweep" and state.read_at is None:
        level = max(level, int(_FIRST_SWEEP * most) - spent)
    return max(0, min(level, most - spent))


def fits(share: Share) -> int:
    """Return how many reads of *share* there are at once, at most."""
    return int(max(1.0, _FITS * SHARES[share] * conf.settings.reads_per_day))


def is_used_up(state: AccountState, now: datetime) -> bool:
    """Return whether all of the day's reads are spent, whatever the shares hold."""
    return bool(_spent(state, now) >= conf.settings.reads_per_day)


def _spent(state: AccountState, now: datetime) -> int:
    return state.reads if state.reads_on == now.date() else 0


def _level(state: AccountState, share: Share, now: datetime) -> float:
    a_day = SHARES[share] * conf.settings.reads_per_day
    fits = max(1.0, _FITS * a_day)
    bucket: dict[str, Any] = state.buckets.get(share) or {}
    at = parse_datetime(bucket.get("at", ""))
    if at is None:
        return fits
    # What a clock wrote that was far ahead counts as long ago; a little ahead, nothing has flowed in since.
    elapsed = now - at if at <= now else (timedelta() if at - now < _DAY else _DAY)
    flowed = (1 - _FITS) * a_day * (elapsed / _DAY)
    return min(fits, float(bucket.get("left", 0)) + flowed)
