"""Reading single connections by their id, where something of one is open: its bank, its time, whether it is there."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from django.db.models import QuerySet

from business_os_banking.exceptions import InvalidRequest, NotFound, Unintelligible
from business_os_banking.facts.interpret import report_of
from business_os_banking.facts.report import missed
from business_os_banking.flows import learning, pages, settling
from business_os_banking.flows.reading import Reading
from business_os_banking.flows.settling import close, want_list
from business_os_banking.models import AccountState, BankingConnection
from business_os_banking.models.clocks import is_due, is_within
from business_os_banking.vocabulary import ENDED_HERE

MOST: Final = 20  # in one run
_AGAIN: Final = timedelta(days=1)  # where the list has not settled it
_BETWEEN: Final = timedelta(hours=1)
_LONGEST_WAIT: Final = timedelta(days=8)


def due_by_id(alias: str, now: datetime) -> QuerySet[BankingConnection]:
    """Return the connections of the account *alias* whose link is to be read, the longest due first."""
    due = settling.are_open(alias).filter(is_due("read_due_at", now, _LONGEST_WAIT))
    return due.order_by("read_due_at", "pk")


def read_by_id(alias: str, state: AccountState, reading: Reading) -> None:
    """Read the links that are due, within the budget, and record what is said of them.

    Where single connections cannot be read, the list is wanted instead. Raises `BusinessOSError` for any trouble.
    """
    for _number in range(MOST):
        # One page may have settled many.
        row = due_by_id(alias, reading.now).first()
        if row is None:
            return
        if row.ended_by in ENDED_HERE:
            close(row, reading.now)
        elif not row.upstream_id:
            want_list(state, reading.now)
            _again(row, reading.now + _AGAIN)
        else:
            _read(row, state, reading)


def _read(row: BankingConnection, state: AccountState, reading: Reading) -> None:
    alias, is_said = row.account, False
    can_be_asked = learning.known(state, "by_id", reading.now) != "none"
    if can_be_asked:
        is_shown, is_said = _ask(row, state, reading)
        if is_shown:
            return
    if state.list_missing_at is None:
        page = pages.read_page(alias, state, reading, "by_id", row.upstream_id)
        if page is not None and row.upstream_id in page.ids:
            if can_be_asked:
                learning.learn(state, "by_id", "none", reading.moment())
            return
    _not_there(row, state, reading, is_said=is_said)


def _ask(row: BankingConnection, state: AccountState, reading: Reading) -> tuple[bool, bool]:
    """Ask for *row* alone; return whether it was shown, and whether the API itself said that it is not there."""
    client = reading.client(row.account)
    reading.spend(state, "by_id")
    at = reading.moment()
    reading.pages += 1
    try:
        item = client.read_connection(row.upstream_id)
    except NotFound as error:
        return False, error.from_api and error.status != HTTPStatus.METHOD_NOT_ALLOWED
    except (Unintelligible, InvalidRequest):
        return False, False
    learning.learn(state, "by_id", "works", at)
    reading.facts += pages.record_safely(report_of(item, row.account, at))
    settling.settle_one(row, item, reading, at)
    pages.mark_seen(row.account, [item.id], reading, at)
    return True, False


def _not_there(row: BankingConnection, state: AccountState, reading: Reading, *, is_said: bool) -> None:
    """Conclude from an answer that is no connection: by itself it says nothing, and it bears out what was guessed."""
    at = reading.moment()
    list_is_missing = state.list_missing_at is not None
    is_said = is_said and _may_know(state, reading, row.account)
    if row.removal_guessed_at is not None and (is_said or list_is_missing):
        if row.missing_since is not None and is_within(row.removal_guessed_at, at, _BETWEEN):
            _again(row, row.removal_guessed_at + _BETWEEN)
            return
        # Said by the API itself; or nothing can be read on this site, and the guess is all there will be.
        reading.facts += pages.record_safely(missed(row, at))
        close(row, at)
    elif is_said and row.missing_since is not None:
        # A list that showed none of ours lacks it, too: as good as a guess, which the same answer bears out later.
        BankingConnection.objects.filter(pk=row.pk).update(removal_guessed_at=at, read_due_at=at + _BETWEEN)
    elif list_is_missing:
        close(row, at)
    else:
        want_list(state, at)
        is_bank_alone = row.removal_guessed_at is None and settling.lacks_bank(row)
        _again(row, at + (settling.wait_for_bank(row, at) if is_bank_alone else _AGAIN))


def _may_know(state: AccountState, reading: Reading, alias: str) -> bool:
    """Whether the key may be one that can see our connections: to that of another organisation none are there."""
    key = learning.known(state, "key", reading.now)
    return key is None or key == learning.key_of(reading.client(alias).account)


def _again(row: BankingConnection, at: datetime) -> None:
    BankingConnection.objects.filter(pk=row.pk).update(read_due_at=at)
