"""What is open of a link until it is read: its time, whether it is still there, or which bank it is of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from business_os_banking.facts.record import record
from business_os_banking.facts.report import seen
from business_os_banking.flows.reading import Reading
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent
from business_os_banking.upstream.objects import ConnectionObject
from business_os_banking.vocabulary import LIVING_STATUSES, ConnectionStatus, EndedBy, Kind, Source

# A bank that is not known is asked for again, seldom once the link is old: some upstreams will never tell.
_AGES: Final = (timedelta(minutes=10), timedelta(hours=2), timedelta(days=1), timedelta(days=7))
_STANDS: Final = (Kind.SUCCEEDED, Kind.FAILED, Kind.CONSENT_ENDED)
_NAMES: Final = ["status", "ended_by", "upstream_id", "provider_code", "provider_name", "connected_at"]


def are_open(alias: str) -> QuerySet[BankingConnection]:
    """Return the connections of the account *alias* of which something is open."""
    return BankingConnection.objects.filter(account=alias, read_due_at__isnull=False)


def settle(alias: str, items: Collection[ConnectionObject], reading: Reading, at: datetime) -> None:
    """Settle what is open of those connections that a page showed *at* a moment, once its rows have been recorded."""
    by_id = {item.id: item for item in items if item.id}
    for row in are_open(alias).filter(upstream_id__in=by_id):
        settle_one(row, by_id[row.upstream_id], reading, at)


def settle_one(row: BankingConnection, item: ConnectionObject, reading: Reading, at: datetime) -> None:
    """Close what was open of *row*: the upstream has it as *item*, whatever was said at a time that cannot be read."""
    row.refresh_from_db(fields=_NAMES)
    works = item.status == "active"
    is_wrong = row.status == ConnectionStatus.DISCONNECTED or (
        row.status == ConnectionStatus.INACTIVE and works and _was_undated(row)
    )
    if is_wrong and row.ended_by in {"", EndedBy.PROVIDER}:
        record(seen(row, at, works=works))
        reading.facts += 1
    close(row, at)


def _was_undated(row: BankingConnection) -> bool:
    """Whether what was said last of how the link of *row* stands was said at a time that cannot be read.

    What has a time needs no reading: a link may also be read because its bank is not known.
    """
    reports = ConnectionEvent.objects.filter(connection=row, kind__in=_STANDS).exclude(source=Source.READ)
    last = reports.order_by("-pk").values_list("assertions", flat=True).first()
    return last is not None and last.get("dated") is False


def close(row: BankingConnection, at: datetime) -> None:
    """Note that *row* was read: nothing is open of it but its bank, if that is still not known."""
    row.refresh_from_db(fields=_NAMES)
    BankingConnection.objects.filter(pk=row.pk).update(
        read_due_at=at + wait_for_bank(row, at) if lacks_bank(row) else None, removal_guessed_at=None
    )


def lacks_bank(row: BankingConnection) -> bool:
    """Return whether *row* is of a link that lives, and nobody has told of which bank."""
    is_living = row.status in LIVING_STATUSES and bool(row.upstream_id)
    return is_living and not (row.provider_code and row.provider_name)


def wait_for_bank(row: BankingConnection, at: datetime) -> timedelta:
    age = at - (row.connected_at or at)
    return next((wait for wait in _AGES if age < wait), _AGES[-1])


def want_list(state: AccountState, now: datetime) -> None:
    """Have the whole list read before its time."""
    wanted = AccountState.objects.filter(pk=state.pk, list_wanted_at=None, list_missing_at=None)
    if wanted.update(list_wanted_at=now):
        state.list_wanted_at = now
