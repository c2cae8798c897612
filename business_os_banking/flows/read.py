"""Reading back: what the upstream's list of connections says, as facts through the one door.

Needed, because whether webhooks ever come is not documented. Reads may cost credits, so they are counted against a
daily budget, and planned: single links of which something is open, the tail of the list for sessions that wait, and the
whole list once in a while, each with a share of its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_noop as _

from business_os_banking.exceptions import BusinessOSError, NotFound
from business_os_banking.flows import budget, sweep
from business_os_banking.flows.by_id import MOST, due_by_id, read_by_id
from business_os_banking.flows.looks import due_sessions
from business_os_banking.flows.reading import LONGEST_WAIT, Reading, needs_a_person, pause, within_budget
from business_os_banking.flows.tail import read_tail
from business_os_banking.models import AccountState
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due, is_waiting, is_within

logger = logging.getLogger(__name__)

# By hand: somebody waits for the answer, and each page may cost a credit.
_BETWEEN_ASKING: Final = timedelta(minutes=1)
_PAGES_BY_HAND: Final = 10
_NO_LIST: Final = _("the upstream has no such list")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read of an account: how many links by id, for how many sessions the tail, and whether the list."""

    by_id: int = 0
    tail: int = 0
    sweep: bool = False


def plan(alias: str, now: datetime) -> Plan:
    """Return what would be read of the account *alias* at *now*. Reads nothing upstream, writes nothing."""
    state = AccountState.objects.filter(alias=alias).first() or AccountState(alias=alias)
    if _paused(state, now)[0]:
        return Plan()
    by_id = min(due_by_id(alias, now)[:MOST].count(), budget.left(state, "by_id", now))
    if _lacks_list(state, now):
        return Plan(by_id)
    tail = due_sessions(alias, now).count() if budget.left(state, "tail", now) else 0
    return Plan(by_id, tail, sweep.is_due(state, now) and budget.left(state, "sweep", now) > 0)


def read_account(alias: str, now: datetime, *, by_hand: bool = False) -> Reading:
    """Read what is due of the account *alias*, and record what it says; never raises for the upstream.

    *by_hand* an operator wants it now: then it is due once a minute, and no more than ten pages of the list are read.
    """
    state, _new = AccountState.objects.get_or_create(alias=alias)
    reading = Reading(now=now, by_hand=by_hand)
    reason, about = _paused(state, now)
    if reason:
        reading.tell(reason, **about)
    elif by_hand and not _may_ask(state, now):
        reading.tell(_("it was asked for less than a minute ago"))
    else:
        _read(alias, state, reading)
    return reading


def _read(alias: str, state: AccountState, reading: Reading) -> None:
    try:
        within_budget(partial(read_by_id, alias, state, reading))
        if _lacks_list(state, reading.now):
            reading.tell(_NO_LIST)
            return
        within_budget(partial(read_tail, alias, state, reading))
        if reading.by_hand or sweep.is_due(state, reading.now):
            most = _PAGES_BY_HAND if reading.by_hand else None
            within_budget(partial(sweep.sweep, alias, state, reading, most))
    except NotFound:
        _list_is_missing(alias, state, reading.now)
        reading.tell(_NO_LIST)
    except ImproperlyConfigured as error:
        reading.tell(str(error), person=True)
    except BusinessOSError as error:
        pause(state, error, reading.now)
        reading.tell(str(error), person=needs_a_person(error))
    else:
        if reading.pages:
            AccountState.objects.filter(pk=state.pk).update(troubles=0, paused_until=None)


def _lacks_list(state: AccountState, now: datetime) -> bool:
    """Whether the upstream has no list, as far as is known; it is tried again after a day."""
    return is_within(state.list_missing_at, now, timedelta(days=1))


def _paused(state: AccountState, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return why nothing must be read yet, whoever asks, with its parameters; ``""`` if it may be."""
    if state.paused_until is not None and is_waiting(state.paused_until, now, LONGEST_WAIT):
        time = f"{state.paused_until:%Y-%m-%d %H:%M}"
        return _("paused until %(time)s UTC after trouble"), {"time": time}
    return "", {}


def _may_ask(state: AccountState, now: datetime) -> bool:
    """Note that it is asked for by hand; return whether nobody has just done so. Safe with two at once."""
    long_ago = is_due("asked_at", now - _BETWEEN_ASKING, _BETWEEN_ASKING + CLOCKS_DIFFER)
    return bool(AccountState.objects.filter(long_ago, pk=state.pk).update(asked_at=now))


def _list_is_missing(alias: str, state: AccountState, now: datetime) -> None:
    if state.list_missing_at is None:
        logger.warning(
            "Account %s: the upstream has no list of connections at CONNECTIONS_PATH, so nothing can be read back; "
            "webhooks alone will tell. Tried again once a day.",
            alias,
        )
    AccountState.objects.filter(pk=state.pk).update(list_missing_at=now, list_wanted_at=None)
