"""What all reading back has in common: what it comes to, its daily budget, and the pause after trouble."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F
from django.utils.translation import gettext

from business_os_banking import conf
from business_os_banking.exceptions import BusinessOSError
from business_os_banking.models import AccountState

logger = logging.getLogger(__name__)

JITTER: Final = 0.1
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=6)
LONGEST_WAIT: Final = timedelta(hours=27)  # a day at the upstream's wish, and what is added to spread load


@dataclass
class Reading:
    """What reading one account's list came to. ``complete`` is whether all of the list was read."""

    facts: int = 0
    pages: int = 0
    complete: bool = False
    # In English, with its parameters: for people it is translated where it is shown.
    reason: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    needs_a_person: bool = False
    seen: set[str] = field(default_factory=set)

    @property
    def problem(self) -> str:
        """Why not all was read, or why nothing is concluded from it; for logs and programs."""
        return self.reason % self.about if self.about else self.reason

    def problem_in_words(self) -> str:
        """Return the same in the active language."""
        text = gettext(self.reason) if self.reason else ""
        return text % self.about if self.about else text


def take_from_budget(state: AccountState, now: datetime) -> bool:
    """Count one read against today's budget (UTC); return whether it is within. Safe with two at once."""
    today = now.date()
    AccountState.objects.filter(pk=state.pk).exclude(reads_on=today).update(reads_on=today, reads=0)
    within = AccountState.objects.filter(pk=state.pk, reads__lt=conf.settings.reads_per_day)
    return bool(within.update(reads=F("reads") + 1))


def pause(state: AccountState, error: BusinessOSError, now: datetime) -> None:
    """Wait longer after each trouble in a row, with some jitter, and at least as long as the upstream asks."""
    wait = min(_FIRST_PAUSE * 2 ** min(state.troubles, 16), _LONGEST_PAUSE)
    wait *= random.uniform(1, 1 + JITTER)  # noqa: S311 - spreads load
    if error.retry_after:
        wait = max(wait, timedelta(seconds=error.retry_after))
    AccountState.objects.filter(pk=state.pk).update(paused_until=now + wait, troubles=F("troubles") + 1)
    logger.warning("Account %s: the list of connections could not be read: %s", state.alias, error)
