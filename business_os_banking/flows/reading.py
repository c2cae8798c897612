"""What all reading back has in common: what it comes to, how long it may take, and the pause after trouble."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import BusinessOSError
from business_os_banking.flows import budget
from business_os_banking.flows.budget import Share
from business_os_banking.models import AccountState
from business_os_banking.upstream.client import BusinessOSClient

logger = logging.getLogger(__name__)

JITTER: Final = 0.1
RUN_SECONDS: Final = 30  # of calls for one account in one run: the accounts after it wait
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=6)
LONGEST_WAIT: Final = timedelta(hours=27)  # a day at the upstream's wish, and what is added to spread load
# Nothing but a person ends these: to ask every minute would be noise, there and here.
_FOR_A_PERSON: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}


class Exhausted(Exception):
    """Nothing more may be read now: the share of the day's reads, or the time of the run, is used up."""


@dataclass
class Reading:
    """What reading one account came to. ``complete`` is whether a whole reading of the list has ended in it."""

    now: datetime = field(default_factory=timezone.now)
    by_hand: bool = False
    facts: int = 0
    pages: int = 0
    complete: bool = False
    # In English, with its parameters: for people it is translated where it is shown.
    reason: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    needs_a_person: bool = False
    _begun: float = field(default_factory=monotonic, repr=False)
    _client: BusinessOSClient | None = field(default=None, repr=False)

    @property
    def problem(self) -> str:
        """Why not all was read, or why nothing is concluded from it; for logs and programs."""
        return self.reason % self.about if self.about else self.reason

    def problem_in_words(self) -> str:
        """Return the same in the active language."""
        text = gettext(self.reason) if self.reason else ""
        return text % self.about if self.about else text

    def tell(self, reason: str, *, person: bool = False, **about: Any) -> None:
        """Say why there is not more; what a person must know is not hidden by what nobody need do anything about."""
        if self.reason and not person and self.needs_a_person:
            return
        self.reason, self.about = reason, about
        self.needs_a_person |= person

    def moment(self) -> datetime:
        """Return what time it is: what a request brings was so when it was made, not when the run began."""
        return self.now + timedelta(seconds=monotonic() - self._begun)

    def client(self, alias: str) -> BusinessOSClient:
        self._client = self._client or BusinessOSClient(credentials_of(alias))
        return self._client

    def require(self, state: AccountState, share: Share, reads: int) -> None:
        """Raise `Exhausted` unless its share has as many *reads* as are needed to come to anything, if it ever has."""
        share = "asked" if self.by_hand else share
        state.refresh_from_db(fields=["reads_on", "reads", "buckets"])
        if budget.left(state, share, self.moment()) < min(reads, budget.fits(share)):
            raise Exhausted

    def spend(self, state: AccountState, share: Share) -> None:
        """Take one read from its share of the day's; raise `Exhausted` where there is none, or no time."""
        share = "asked" if self.by_hand else share
        if monotonic() - self._begun > RUN_SECONDS:
            raise Exhausted
        if budget.take(state.alias, share, self.moment()):
            return
        state.refresh_from_db(fields=["reads_on", "reads"])
        if budget.is_used_up(state, self.moment()):
            self.tell(_("today's budget for reads (READS_PER_DAY) is used up"))
        elif share != "sweep":  # which goes at the pace of its share, so there is nothing to say
            self.tell(_("of today's budget for reads (READS_PER_DAY), the share for this is used up for now"))
        raise Exhausted


def within_budget(step: Callable[[], None]) -> None:
    """Do *step* as far as the budget goes: what one share lacks is no reason not to spend the next."""
    try:
        step()
    except Exhausted:
        return


def pause(state: AccountState, error: BusinessOSError, now: datetime) -> None:
    """Wait longer after each trouble in a row, with some jitter, and at least as long as the upstream asks."""
    wait = min(_FIRST_PAUSE * 2 ** min(state.troubles, 16), _LONGEST_PAUSE)
    if error.status in _FOR_A_PERSON:
        wait = _LONGEST_PAUSE
    wait *= random.uniform(1, 1 + JITTER)  # noqa: S311 - spreads load
    if error.retry_after:
        wait = max(wait, timedelta(seconds=error.retry_after))
    AccountState.objects.filter(pk=state.pk).update(paused_until=now + wait, troubles=F("troubles") + 1)
    logger.warning("Account %s: the list of connections could not be read: %s", state.alias, error)


def needs_a_person(error: BusinessOSError) -> bool:
    """Return whether *error* ends only when a person does something."""
    return error.status in _FOR_A_PERSON
