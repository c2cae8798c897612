"""When the list is looked through for a session that waits: soon after its browser came back, then ever less often."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q, QuerySet

from business_os_banking import conf
from business_os_banking.flows.reading import JITTER
from business_os_banking.models import ConnectSession, batches
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due

_AFTER_RETURN: Final = timedelta(minutes=1)
_AFTER_OPENING: Final = timedelta(minutes=10)
_WAITS: Final = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 15, 60, 120))
_LONGEST_WAIT: Final = timedelta(hours=5)
_ROWS_A_STATEMENT: Final = 100


def due_sessions(alias: str, now: datetime) -> QuerySet[ConnectSession]:
    """Return the sessions of the account *alias* for which the list is to be looked through at *now*."""
    back = Q(returned_at__isnull=False) & is_due(
        "returned_at", now - _AFTER_RETURN, _AFTER_RETURN + CLOCKS_DIFFER
    )
    opened = is_due("created_at", now - _AFTER_OPENING, _AFTER_OPENING + CLOCKS_DIFFER)
    first = Q(look_at=None) & (back | opened)
    again = Q(look_at__isnull=False) & is_due("look_at", now, _LONGEST_WAIT)
    since = Q(returned_at__gt=F("looked_at")) & back
    # Once at its end, whenever the next look would have been: after that it may expire.
    grace = timedelta(minutes=conf.settings.expiry_grace_minutes)
    unseen_end = Q(looked_at=None) | Q(looked_at__lt=F("expires_at") + grace)
    last = Q(expires_at__lte=now - grace) & unseen_end
    return waiting_sessions(alias).filter(first | again | since | last)


def waiting_sessions(alias: str) -> QuerySet[ConnectSession]:
    return ConnectSession.objects.waiting().filter(connection__account=alias)


def note_looks(sessions: QuerySet[ConnectSession], started: datetime, reads: int = 1) -> None:
    """Note that a reading that *started* then was to find these *sessions*, and when the next one is.

    What took several *reads* is done half as often in the end, so that no session costs much more than another.
    """
    waits = (*_WAITS[:-1], _WAITS[-1] * (2 if reads > 1 else 1))
    for batch in batches.of_rows(sessions.only("pk", "looks", "looked_at", "returned_at")):
        for session in batch:
            if session.returned_at and session.looked_at and session.returned_at > session.looked_at:
                session.looks = 0  # what it waits for has only begun
            wait = waits[min(session.looks, len(waits) - 1)]
            session.look_at = started + wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load
            session.looks = min(session.looks + 1, 1_000)
            session.looked_at = started
        ConnectSession.objects.bulk_update(
            batch, ["look_at", "looks", "looked_at"], batch_size=_ROWS_A_STATEMENT
        )
