"""Times in our own rows, read as if the clock that wrote them may have been wrong.

One clock that was a year ahead, once, must not keep anything from being done for a year: what lies further ahead than
it ever legally does counts as past.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

CLOCKS_DIFFER: Final = timedelta(minutes=5)


def is_waiting(until: datetime | None, now: datetime, longest: timedelta) -> bool:
    """Return whether there is something to wait for *until* then; no wait is longer than *longest*."""
    return until is not None and now < until <= now + longest


def is_within(at: datetime | None, now: datetime, time: timedelta) -> bool:
    """Return whether something was done *at* a moment that is no longer ago than *time*, and is not in the future."""
    return at is not None and now - time < at <= now + CLOCKS_DIFFER


def is_past(at: datetime | None, now: datetime) -> bool:
    """Return whether something was done, *at* a moment that is not in the future."""
    return at is not None and at <= now + CLOCKS_DIFFER


def is_ahead(column: str, now: datetime, longest: timedelta) -> Q:
    """Return the condition for rows whose *column* holds a time that is still to come, and may be meant."""
    return Q(**{f"{column}__gt": now, f"{column}__lte": now + longest})


def is_due(column: str, now: datetime, longest: timedelta) -> Q:
    """Return the condition for rows whose *column* holds no time, one that has come, or one that cannot be meant."""
    return Q(**{column: None}) | Q(**{f"{column}__lte": now}) | Q(**{f"{column}__gt": now + longest})
