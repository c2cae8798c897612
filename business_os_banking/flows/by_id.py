"""Reading single connections by their id, where something of one is open: its time, or whether it is still there."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from django.db.models import QuerySet

from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import InvalidRequest, NotFound, Unintelligible
from business_os_banking.facts.interpret import report_of
from business_os_banking.facts.record import record
from business_os_banking.facts.report import missed, seen
from business_os_banking.flows.reading import Reading, take_from_budget
from business_os_banking.models import AccountState, BankingConnection
from business_os_banking.models.clocks import is_due
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.upstream.objects import ConnectionObject
from business_os_banking.vocabulary import ConnectionStatus, EndedBy

_MOST: Final = 20  # in one run
_AGAIN: Final = timedelta(days=1)  # where the list has not settled it
_LONGEST_WAIT: Final = timedelta(days=8)


def due_by_id(alias: str, now: datetime) -> QuerySet[BankingConnection]:
    """Return the connections of the account *alias* whose link is to be read, the longest due first."""
    return _open(alias).filter(is_due("read_due_at", now, _LONGEST_WAIT)).order_by("read_due_at", "pk")


def read_by_id(alias: str, state: AccountState, reading: Reading, now: datetime) -> None:
    """Read the links that are due, within the budget, and record what is said of them.

    Where single connections cannot be read, the list is wanted instead. Raises `BusinessOSError` for any trouble.
    """
    client: BusinessOSClient | None = None
    for row in due_by_id(alias, now)[:_MOST]:
        if row.ended_by in {EndedBy.OWNER, EndedBy.OPERATOR}:
            _done(row)
            continue
        if not row.upstream_id:
            _want_list(row, state, now)
            continue
        if not take_from_budget(state, now):
            return
        client = client or BusinessOSClient(credentials_of(alias))
        reading.pages += 1
        try:
            item = client.read_connection(row.upstream_id)
        except NotFound as error:
            is_said = error.from_api and error.status != HTTPStatus.METHOD_NOT_ALLOWED
            _not_there(row, state, reading, now, is_said=is_said)
        except (Unintelligible, InvalidRequest):
            _not_there(row, state, reading, now, is_said=False)
        else:
            record(report_of(item, alias, now))
            reading.facts += 1
            _settle(row, item, reading, now)


def settle(alias: str, items: Collection[ConnectionObject], reading: Reading, now: datetime) -> None:
    """Settle what is open of those connections that the list shows as *items*, once these have been recorded."""
    by_id = {item.id: item for item in items if item.id}
    for row in _open(alias).filter(upstream_id__in=by_id):
        _settle(row, by_id[row.upstream_id], reading, now)


def _settle(row: BankingConnection, item: ConnectionObject, reading: Reading, now: datetime) -> None:
    """Close what was open of *row*: the upstream has it as *item*, whatever was said at a time that cannot be read."""
    row.refresh_from_db(fields=["status", "ended_by", "upstream_id"])
    works = item.status == "active"
    is_wrong = row.status == ConnectionStatus.DISCONNECTED or (
        row.status == ConnectionStatus.INACTIVE and works
    )
    if is_wrong and row.ended_by in {"", EndedBy.PROVIDER}:
        record(seen(row, now, works=works))
        reading.facts += 1
    _done(row)


def _not_there(
    row: BankingConnection, state: AccountState, reading: Reading, now: datetime, *, is_said: bool
) -> None:
    """Conclude from an answer that is no connection: by itself it says nothing, and it bears out what was guessed."""
    list_is_missing = state.list_missing_at is not None
    if row.removal_guessed_at is not None and (is_said or list_is_missing):
        # Said by the API itself; or nothing can be read on this site, and the guess is all there will be.
        record(missed(row, now))
        reading.facts += 1
        _done(row)
    elif list_is_missing:
        _done(row)
    else:
        _want_list(row, state, now)


def _want_list(row: BankingConnection, state: AccountState, now: datetime) -> None:
    """Leave what is open of *row* to the list."""
    AccountState.objects.filter(pk=state.pk, list_wanted_at=None, list_missing_at=None).update(
        list_wanted_at=now
    )
    BankingConnection.objects.filter(pk=row.pk).update(read_due_at=now + _AGAIN)


def _done(row: BankingConnection) -> None:
    BankingConnection.objects.filter(pk=row.pk).update(read_due_at=None, removal_guessed_at=None)


def _open(alias: str) -> QuerySet[BankingConnection]:
    return BankingConnection.objects.filter(account=alias, read_due_at__isnull=False)
