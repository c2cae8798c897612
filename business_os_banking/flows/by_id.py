"""Reading single connections by their id, where something of one is open: its time, or whether it is still there."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from django.db.models import QuerySet

from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import NotFound, Unintelligible
from business_os_banking.facts.record import record
from business_os_banking.facts.report import missed, report_of
from business_os_banking.flows.reading import Reading, take_from_budget
from business_os_banking.models import AccountState, BankingConnection
from business_os_banking.models.clocks import is_due
from business_os_banking.upstream.client import BusinessOSClient

_MOST: Final = 20  # in one run
_LONGEST_WAIT: Final = timedelta(days=8)


def due_by_id(alias: str, now: datetime) -> QuerySet[BankingConnection]:
    """Return the connections of the account *alias* whose link is to be read, the longest due first."""
    due = is_due("read_due_at", now, _LONGEST_WAIT)
    rows = BankingConnection.objects.filter(due, account=alias, read_due_at__isnull=False)
    return rows.order_by("read_due_at", "pk")


def read_by_id(alias: str, state: AccountState, reading: Reading, now: datetime) -> None:
    """Read the links that are due, within the budget, and record what is said of them.

    Where single connections cannot be read, the list is wanted instead. Raises `BusinessOSError` for any trouble.
    """
    client: BusinessOSClient | None = None
    for row in due_by_id(alias, now)[:_MOST]:
        if not row.upstream_id or not row.can_disconnect:
            _done(row)
            continue
        if not take_from_budget(state, now):
            return
        client = client or BusinessOSClient(credentials_of(alias))
        reading.pages += 1
        try:
            item = client.read_connection(row.upstream_id)
        except NotFound as error:
            _not_there(
                row,
                state,
                reading,
                now,
                is_said=error.from_api and error.status != HTTPStatus.METHOD_NOT_ALLOWED,
            )
        except Unintelligible:
            _not_there(row, state, reading, now, is_said=False)
        else:
            record(report_of(item, alias, now))
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
    elif not list_is_missing:
        AccountState.objects.filter(pk=state.pk, list_wanted_at=None).update(list_wanted_at=now)
        BankingConnection.objects.filter(pk=row.pk).update(read_due_at=None)  # a guess waits for the list
        return
    _done(row)


def _done(row: BankingConnection) -> None:
    BankingConnection.objects.filter(pk=row.pk).update(read_due_at=None, removal_guessed_at=None)
