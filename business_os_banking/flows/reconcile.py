"""Reconcile: everything that was missed, found again. Safe to run at any time, and twice at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.exceptions import let_through
from business_os_banking.facts.record import apply, look_again, resume
from business_os_banking.flows import learning
from business_os_banking.flows.aliases import aliases
from business_os_banking.flows.expire import expire
from business_os_banking.flows.open_questions import likely_same_banks, settle_questions
from business_os_banking.flows.read import Plan, plan, read_account
from business_os_banking.flows.remind import remind
from business_os_banking.flows.remove import due_removals, remove
from business_os_banking.flows.silence import watch
from business_os_banking.flows.waiting import appliable, keep, place_of, settled, to_look_again
from business_os_banking.models import (
    AccountState,
    ConnectionEvent,
    ConnectSession,
    Removal,
    batches,
)
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_past
from business_os_banking.models.leases import take
from business_os_banking.vocabulary import SESSION_MAX_LIFE, Outcome

logger = logging.getLogger(__name__)

_REMOVALS_PER_RUN: Final = 50
_LONGEST_WAIT: Final = timedelta(hours=24)
_EVENTS_AT_ONCE: Final = 100
# A run that dies is made up for by the next one; two that overlap for longer do no harm, only work twice.
_LEASE: Final = timedelta(seconds=90)


@dataclass
class Result:
    """What a run did. ``problems`` are texts for a person; ``needs_a_person`` is whether one has to act."""

    applied: int = 0
    failed: int = 0
    announced: int = 0
    unheard: int = 0
    read_pages: int = 0
    read_facts: int = 0
    expired: int = 0
    removed: int = 0
    not_removed: int = 0
    reminded: int = 0
    refused: int = 0
    due: dict[str, dict[str, int]] = field(default_factory=dict)  # by account, what a preview would have read
    credits: dict[str, str] = field(default_factory=dict)  # by account, where an answer told them
    problems: list[str] = field(default_factory=list)
    needs_a_person: bool = False

    def call_a_person(self, problem: str) -> None:
        self.problems.append(problem)
        self.needs_a_person = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def reconcile(now: datetime | None = None) -> Result:
    """Do whatever is due at *now* (aware, UTC; default: the clock) and return what was done.

    In this order: apply events that failed or matched nothing; tell receivers what they have not heard; read back, as
    far as something is due; expire sessions that are overdue and silent; refuse held successes that nobody has answered
    for; remove upstream what was ended here; remind of consents that end. A step that breaks is told, and keeps none of
    the others from being done.
    """
    now, begun = now or timezone.now(), time.monotonic()
    result = Result()
    _fenced("applying events", result, lambda: _apply_waiting(now, result))
    _fenced("telling receivers", result, lambda: _announce_untold(now, result))
    accounts: list[str] = []
    _fenced("looking for accounts", result, lambda: accounts.extend(aliases()))
    for alias in accounts:
        _fenced(f"reading {alias}", result, partial(_read, alias, now, result))
        _fenced(f"watching {alias}", result, partial(_watch, alias, now, result))
    _fenced("expiring sessions", result, lambda: _expire_overdue(now, result))
    _fenced("asking whether it was meant", result, lambda: _settle_questions(now, result))
    _fenced("removing connections", result, lambda: _remove_ended(now, begun, result))
    _fenced("reminding of consents", result, lambda: _remind(now, result))
    _fenced("noting the run", result, lambda: _note_run(accounts, now, result))
    return result


def _fenced(step: str, result: Result, do: Callable[[], None]) -> None:
    try:
        do()
    except Exception as error:
        let_through(error)
        logger.exception("Reconcile: %s broke off; the other steps go on", step)
        result.call_a_person(f"{step} broke off ({type(error).__name__}); the log says why")


def _read(alias: str, now: datetime, result: Result) -> None:
    AccountState.objects.get_or_create(alias=alias)
    if not take(AccountState.objects.filter(alias=alias), 1, _LEASE, now):
        return  # another run is at it
    try:
        reading = read_account(alias, now)
    finally:
        AccountState.objects.filter(alias=alias).update(leased_until=None)
    result.read_pages += reading.pages
    result.read_facts += reading.facts
    if reading.problem:
        result.problems.append(f"{alias}: {reading.problem}")
    result.needs_a_person |= reading.needs_a_person


def _watch(alias: str, now: datetime, result: Result) -> None:
    if silence := watch(alias, now):
        result.call_a_person(f"{alias}: {silence.value.replace('_', ' ')}; the log says what to do")


def _remind(now: datetime, result: Result) -> None:
    result.reminded += remind(now)


def _settle_questions(now: datetime, result: Result) -> None:
    reminded, result.refused = settle_questions(now)
    result.reminded += reminded
    for old, new in likely_same_banks(now):
        result.call_a_person(
            f'many renewals went from the bank "{old}" to "{new}": if that is one bank, add the pair to SAME_BANKS'
        )


def _note_run(accounts: list[str], now: datetime, result: Result) -> None:
    AccountState.objects.filter(alias__in=accounts).update(reconciled_at=now)
    balances = AccountState.objects.exclude(credits=None).values_list("alias", "credits")
    result.credits = {alias: str(balance) for alias, balance in balances}


def preview(now: datetime | None = None) -> Result:
    """Return what `reconcile` finds due, without doing anything: nothing is written, sent or read upstream."""
    now = now or timezone.now()
    plans = {alias: plan(alias, now) for alias in aliases()}
    return Result(
        applied=len({pk for pks in appliable(now, place_of(aliases())) for pk in pks}),
        announced=_untold(now).count(),
        # At least: how many pages the list has is not known before.
        read_pages=sum(due.by_id + bool(due.tail) + due.sweep for due in plans.values()),
        expired=_overdue(now).count(),
        removed=due_removals(now).count(),
        due={alias: asdict(due) for alias, due in plans.items() if due != Plan()},
    )


def _apply_waiting(now: datetime, result: Result) -> None:
    accounts = aliases()
    place = place_of(accounts)
    before = replace(place)
    for pks in appliable(now, place):
        for event in take(ConnectionEvent.objects.filter(pk__in=pks).order_by("pk"), len(pks), _LEASE, now):
            try:
                result.applied += apply(event).outcome not in {Outcome.UNMATCHED, Outcome.FAILED}
            except Exception as error:
                let_through(error)
                # One event that cannot be applied must not keep the others from it.
                logger.exception("Event %s still cannot be applied", event.pk)
                result.failed += 1
                # It matches by now, and the fault is ours: so that the next run tries it, whatever came since.
                tried = ConnectionEvent.objects.filter(pk=event.pk, outcome=Outcome.UNMATCHED)
                tried.update(outcome=Outcome.FAILED)
            finally:
                ConnectionEvent.objects.filter(pk=event.pk).update(leased_until=None)
    for event in to_look_again(now, before):
        try:
            look_again(event)
        except Exception as error:
            let_through(error)
            logger.exception("The second look of event %s broke off", event.pk)
            result.failed += 1
    keep(place, accounts)
    if result.failed:
        result.call_a_person("events cannot be applied; the log says why, banking_replay tries again")


def _untold(now: datetime) -> QuerySet[ConnectionEvent]:
    return ConnectionEvent.objects.unannounced().filter(settled(now))


def _announce_untold(now: datetime, result: Result) -> None:
    last = 0
    while events := take(_untold(now).filter(pk__gt=last).order_by("pk"), _EVENTS_AT_ONCE, _LEASE, now):
        for event in events:
            heard = _is_heard(event)
            result.announced += heard
            result.unheard += not heard
        last = events[-1].pk
    if result.unheard:
        result.call_a_person("receivers of signals raise; the log of django.dispatch says which")


def _is_heard(event: ConnectionEvent) -> bool:
    try:
        return resume(event)
    except Exception as error:
        let_through(error)
        logger.exception("What follows event %s could not be done", event.pk)
        return False
    finally:
        ConnectionEvent.objects.filter(pk=event.pk).update(leased_until=None)


def _overdue(now: datetime) -> QuerySet[ConnectSession]:
    """Return the waiting sessions that ended before now, less the grace, and of which a later reading said nothing.

    Where the list cannot be had, or not for a day, nothing more is to be waited for.
    """
    grace = timedelta(minutes=conf.settings.expiry_grace_minutes)
    over = Q(expires_at__lt=now - grace)
    due = Q(expires_at__lt=now - grace - _LONGEST_WAIT) | Q(
        expires_at__gt=now + SESSION_MAX_LIFE + CLOCKS_DIFFER
    )
    looked = over & Q(looked_at__gte=F("expires_at") + grace, looked_at__lte=now + CLOCKS_DIFFER)
    # Where the list shows its first page only, it says nothing of what it does not show.
    cut = [
        state.alias
        for state in AccountState.objects.all()
        if learning.known(state, "from_id", now) == "ignored"
    ]
    due |= looked & ~Q(connection__account__in=cut) if cut else looked
    for state in AccountState.objects.filter(list_missing_at__isnull=False):
        if is_past(state.list_missing_at, now):
            due |= Q(connection__account=state.alias) & over
    return ConnectSession.objects.waiting().filter(due)


def _expire_overdue(now: datetime, result: Result) -> None:
    grace = timedelta(minutes=conf.settings.expiry_grace_minutes)
    rows = _overdue(now).select_related("connection").defer("connection__metadata", "connection__state")
    broken = 0
    for batch in batches.of_rows(rows):
        try:
            result.expired += expire(batch, grace, now)
        except Exception as error:
            let_through(error)
            # One row that cannot be read must not keep the others of its batch waiting for ever.
            logger.exception("A batch of sessions could not be expired; each is tried alone")
            broken += _expire_one_by_one(batch, grace, now, result)
    if broken:
        result.call_a_person(f"{broken} sessions cannot be expired; the log says why")


def _expire_one_by_one(batch: list[ConnectSession], grace: timedelta, now: datetime, result: Result) -> int:
    broken = 0
    for session in batch:
        try:
            result.expired += expire([session], grace, now)
        except Exception as error:
            let_through(error)
            logger.exception("Session %s cannot be expired", session.reference)
            broken += 1
    return broken


def _remove_ended(now: datetime, begun: float, result: Result) -> None:
    for removal in due_removals(now)[:_REMOVALS_PER_RUN]:
        # Reading before may have taken minutes, and so may each call: the lease is of this very moment.
        is_proved = _is_removed(removal, now + timedelta(seconds=time.monotonic() - begun))
        result.removed += is_proved is True
        result.not_removed += is_proved is False
    if stuck := Removal.objects.stuck(now).count():
        result.call_a_person(
            f"{stuck} removals at the provider are not proved after a week; the admin lists them"
        )


def _is_removed(removal: Removal, now: datetime) -> bool | None:
    try:
        return remove(removal, now)
    except Exception as error:
        let_through(error)
        # It counts as a try, so that one which always breaks is put off, and does not keep the others back.
        logger.exception("%s broke off", removal)
        return False
