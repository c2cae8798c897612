"""The sweep: the whole list, page by page, over runs and days, at the pace of its share.

Where it is stands in the account's row, so it goes on from there whoever was killed, and what is missing is found by
SQL afterwards: nothing is kept in memory that grows with the list.
"""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext_noop as _

from business_os_banking import conf
from business_os_banking.facts.removals import is_of_the_erased
from business_os_banking.flows import learning, pages
from business_os_banking.flows.looks import due_sessions, note_looks, waiting_sessions
from business_os_banking.flows.missing import note_missing
from business_os_banking.flows.pages import Page
from business_os_banking.flows.reading import JITTER, Reading
from business_os_banking.models import AccountState, BankingConnection, Removal, batches
from business_os_banking.models.clocks import is_past, is_waiting, is_within
from business_os_banking.vocabulary import ENDED_HERE, SESSION_MAX_LIFE, ConnectionStatus

logger = logging.getLogger(__name__)

_LEADS_NOWHERE: Final = _("the list of connections leads to a page that is not there")
_IGNORED: Final = _("the list of connections shows its first page only (from_id is ignored)")
# What was erased while it was under way may still succeed so long after.
_STILL_UNDER_WAY: Final = 2 * SESSION_MAX_LIFE
_CIRCLE: Final = _("the pages of the list of connections lead in a circle")


def is_due(state: AccountState, now: datetime) -> bool:
    """Return whether the whole list is to be read, or read on, at *now*; whether there is one is not asked here."""
    if learning.known(state, "from_id", now) == "ignored":
        return False
    if state.list_wanted_at is not None or state.sweep_started_at is not None:
        return True
    if state.sweep_next_at is None:
        if is_within(state.read_at, now, _between()):
            return False
        # Before the first session is over, so that its end finds the tail.
        return _has_links(state.alias, now) or waiting_sessions(state.alias).exists()
    return not is_waiting(state.sweep_next_at, now, _between() * (1 + JITTER)) and _has_links(
        state.alias, now
    )


def sweep(alias: str, state: AccountState, reading: Reading, most: int | None = None) -> None:
    """Read the list on from where the last run left it, *most* pages at most; at its end, find what it lacks."""
    if not is_past(state.sweep_started_at, reading.now) or not state.sweep_pages:
        _begin(alias, state, reading)
    started = state.sweep_started_at or reading.now
    followed = False  # whether the page before has just led to this one
    trail: list[str] = []
    count = 0
    while True:
        start = state.sweep_cursor
        page = pages.read_page(alias, state, reading, "sweep", start, not_before=started)
        if page is None or not (page.ids or page.next_id or followed or not start):
            # Where a cursor was left for a while, an empty page is no end.
            _lost(state, reading, followed=followed)
            return
        if breaks := _what_breaks(state, page, followed=followed):
            _break_off(state, reading, breaks)
            return
        trail, count = [*trail[-7:], start], count + 1
        if not page.next_id:
            _finish(alias, state, reading, page, trail)
            return
        if not _advance(state, page, started):
            return  # another run is at it
        followed = True
        if count == most:
            reading.tell(
                _("only the first %(count)d pages were read; banking_reconcile reads them all"), count=most
            )
            return


def _between() -> timedelta:
    return timedelta(hours=conf.settings.read_every_hours)


def _has_links(alias: str, now: datetime) -> bool:
    """Whether the upstream may hold a link of ours, even one that was called gone, if perhaps by the wrong list."""
    if Removal.objects.due().filter(account=alias, asked_at__isnull=False).exists():
        return True  # that the list lacks it would prove that it was removed
    # Nor is there a row of ours for what was erased while it was under way.
    erased = Removal.objects.filter(account=alias, of_session=True, requested_at__gte=now - _STILL_UNDER_WAY)
    if erased.exists():
        return True
    links = BankingConnection.objects.filter(account=alias).exclude(upstream_id="")
    if links.exclude(status=ConnectionStatus.DISCONNECTED).exists():
        return True
    gone = links.filter(status=ConnectionStatus.DISCONNECTED)
    return gone.exclude(ended_by__in=ENDED_HERE).exists()


def _begin(alias: str, state: AccountState, reading: Reading) -> None:
    # What becomes known from now on, while it is read, has never been seen, and so is not missing.
    new = BankingConnection.objects.filter(account=alias, upstream_id__gt="", seen_at__isnull=True)
    started = reading.moment()
    for pks in batches.of_keys(new):
        BankingConnection.objects.filter(pk__in=pks, seen_at=None).update(
            seen_at=started - timedelta(microseconds=1)
        )
    pages.store(state, sweep_started_at=started, sweep_cursor="", sweep_pages=0, sweep_mark="", sweep_seen=0)


def _what_breaks(state: AccountState, page: Page, *, followed: bool) -> str:
    """Return why the list cannot be read to its end, ``""`` if it can be as far as *page* tells."""
    if page.begins_again and (page.next_id == page.start or (followed and state.sweep_pages == 1)):
        return _IGNORED
    if page.next_id and (page.next_id == page.start or learning.digest_of(page.next_id) == state.sweep_mark):
        return _CIRCLE
    return _CIRCLE if page.begins_again and followed else ""


def _advance(state: AccountState, page: Page, started: datetime) -> bool:
    """Move on to the page after *page*; return whether nobody else has."""
    count = state.sweep_pages + 1
    is_power_of_two = not count & (count - 1)
    if is_of_the_erased(state.alias, page.next_id):
        # The cursor may not be kept, so the next reading begins anew; by then the list begins pages elsewhere.
        _end(state, Reading(now=started), sweep_next_at=started)
        return False
    values = {
        "sweep_cursor": page.next_id,
        "sweep_pages": count,
        "sweep_seen": state.sweep_seen + page.living,
        # The mark is renewed ever more seldom, so any circle is found, and one digest is all that it takes (Brent).
        "sweep_mark": learning.digest_of(page.next_id) if is_power_of_two else state.sweep_mark,
    }
    here = AccountState.objects.filter(pk=state.pk, sweep_started_at=started, sweep_cursor=page.start)
    if not here.update(**values):
        return False
    for name, value in values.items():
        setattr(state, name, value)
    return True


def _finish(alias: str, state: AccountState, reading: Reading, page: Page, trail: list[str]) -> None:
    started, count = state.sweep_started_at or reading.now, state.sweep_pages + 1
    note_missing(alias, state, reading, started, pages=count, seen=state.sweep_seen + page.living)
    learning.learn(state, "pages", count, reading.moment())
    if count > 1:
        learning.learn(state, "from_id", "works", reading.moment())
    pages.push_anchor(state, *trail)
    # What was wanted while it was read may lie before the page that it had come to.
    wanted_at = state.list_wanted_at
    _end(
        state,
        reading,
        read_at=started,
        list_wanted_at=wanted_at if wanted_at is not None and wanted_at > started else None,
    )
    reading.complete = True
    note_looks(due_sessions(alias, reading.now).filter(created_at__lte=started), started)


def _end(state: AccountState, reading: Reading, **values: object) -> None:
    # A little earlier at random: many sites do not ask at the same moment.
    wait = _between() * random.uniform(1 - JITTER, 1)  # noqa: S311 - spreads load
    pages.store(
        state,
        sweep_started_at=None,
        sweep_cursor="",
        sweep_pages=0,
        sweep_mark="",
        sweep_seen=0,
        **{"sweep_next_at": reading.now + wait, **values},
    )


def _lost(state: AccountState, reading: Reading, *, followed: bool) -> None:
    """The next page is not there: where its start was left for a while, the next run begins again."""
    if followed:
        _break_off(state, reading, _LEADS_NOWHERE)
        return
    logger.warning("Account %s: the page to go on from is gone, so the list is read anew", state.alias)
    _end(state, reading, sweep_next_at=reading.now)


def _break_off(state: AccountState, reading: Reading, reason: str) -> None:
    """Conclude nothing from a list that has no end; it is tried again when the next reading is due."""
    if reason == _IGNORED:
        learning.learn(state, "from_id", "ignored", reading.moment())
    _end(state, reading, list_wanted_at=None)
    reading.tell(reason, person=True)
    logger.error("Account %s: %s. Nothing is concluded from it.", state.alias, reading.problem)
