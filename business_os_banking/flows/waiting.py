"""Events that wait: which of those that failed, or matched nothing when they came, can be applied by now.

Most unmatched events never match anything, and there may be any number of them. So no run looks at all: it looks at
its share of them, at those that came since the last run, and at those that wait for what has come to be known since.
None of the three costs more the more there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from django.db.models import Q, QuerySet

from business_os_banking import conf
from business_os_banking.facts.lookup import known, names_of
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
    batches,
)
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due, is_past
from business_os_banking.vocabulary import Outcome

# A worker that is at it this very moment should be left to finish.
SETTLED: Final = timedelta(seconds=30)
# What came, or came to be known, so long before the last run is looked at again: clocks differ, commits take time.
_OVERLAP: Final = 3 * CLOCKS_DIFFER
# Of what is new to the run by its key, none is older than this, unless a clock is wrong.
_LONGEST_UNSEEN: Final = timedelta(days=1)
# Keys are given before the commit: as many of the last ones may not have been there yet.
_IN_FLIGHT: Final = 1_000
_SHARE: Final = 4  # batches of them in one run

_COLUMNS: Final = ("outcome", "account", "pending_token", "session_reference", "upstream_id", "received_at")


@dataclass(slots=True)
class Place:
    """How far earlier runs have come."""

    looked_at: datetime | None = None  # when the last complete one began
    looked_to: int = 0  # the last event that it has looked at as new
    share_to: int = 0  # the last of its share of all; 0: begin with the first


def place_of(accounts: Collection[str]) -> Place:
    """Return how far the runs before have come, for all of *accounts*: a new one has them begin again."""
    columns = ("looked_at", "looked_to", "share_to")
    rows = list(AccountState.objects.filter(alias__in=accounts).values_list(*columns))
    times = [at for at, *_ in rows]
    if len(rows) < len(accounts) or not rows or None in times:
        return Place()
    return Place(min(times), *(min(row[column] for row in rows) for column in (1, 2)))


def keep(place: Place, accounts: Collection[str]) -> None:
    """Remember for the next run that this one is complete, and came to *place*."""
    reached = asdict(place)
    if AccountState.objects.filter(alias__in=accounts).update(**reached) < len(accounts):
        new = [AccountState(alias=alias) for alias in accounts]
        AccountState.objects.bulk_create(new, ignore_conflicts=True)
        AccountState.objects.filter(alias__in=accounts).update(**reached)


def appliable(now: datetime, place: Place) -> Iterator[list[int]]:
    """Yield, in batches, the keys of the failed events and of those unmatched ones that now match something.

    When all are taken, *place* is where the next run goes on.
    """
    # One that contradicts itself, or has no usable id, would come to the same again.
    failed = ConnectionEvent.objects.filter(settled(now), outcome=Outcome.FAILED, note="")
    yield from batches.of_keys(failed)
    newest = _newest_settled(now, place.looked_to)
    # By the key alone: however many are too old, a batch is a batch.
    first, last = place.share_to, 0
    for batch in islice(batches.of_rows(_unmatched(now), after=first), _SHARE):
        yield _matchable([event for event in batch if event.received_at >= _oldest(now)])
        last = batch[-1].pk if len(batch) == batches.SIZE else 0
    if first or last:  # else those were all
        yield from _matchable_since(now, place)
    place.looked_at, place.looked_to, place.share_to = now, newest, last


def _matchable_since(now: datetime, place: Place) -> Iterator[list[int]]:
    """Yield what has come since the last run and matches, and what waits for something that has come to be known."""
    last_run = _last_run(now, place)
    came_after = max(_oldest(now), last_run - _LONGEST_UNSEEN)
    new = _unmatched(now).filter(pk__gt=place.looked_to - _IN_FLIGHT, received_at__gte=came_after)
    for batch in batches.of_rows(new):
        yield _matchable(batch)
    for pks in _named_since(last_run - _OVERLAP, now):
        yield from _waiting_for(pks, now)


def to_look_again(now: datetime, place: Place) -> Iterator[ConnectionEvent]:
    """Yield the events since the last run of the connections that have come to be known by a link or a bank since.

    Whoever recorded them looked, right after the commit, at who else has the link, unless the process died.
    """
    since = _last_run(now, place) - _OVERLAP
    for pks in _named_since(since, now):
        events = ConnectionEvent.objects.filter(settled(now), connection__in=pks, upstream_id__gt="")
        for batch in batches.of_rows(events.filter(received_at__gte=since)):
            yield from batch


def _last_run(now: datetime, place: Place) -> datetime:
    return place.looked_at if place.looked_at and is_past(place.looked_at, now) else now - _LONGEST_UNSEEN


def settled(now: datetime) -> Q:
    """Return the condition for events that no worker is at any more."""
    return is_due("received_at", now - SETTLED, SETTLED + CLOCKS_DIFFER)


def _oldest(now: datetime) -> datetime:
    return now - timedelta(days=conf.settings.unmatched_days)


def _unmatched(now: datetime) -> QuerySet[ConnectionEvent]:
    rows = ConnectionEvent.objects.filter(settled(now), outcome=Outcome.UNMATCHED, note="")
    # Of many that never match, no more is read than what it takes to see that.
    return rows.only(*_COLUMNS)


def _newest_settled(now: datetime, looked_to: int) -> int:
    """Return the key of the last unmatched event before which no worker is at any."""
    rows = ConnectionEvent.objects.filter(outcome=Outcome.UNMATCHED)
    in_work = rows.filter(pk__gt=looked_to).exclude(settled(now)).order_by("pk").values_list("pk", flat=True)
    first = in_work.first()
    rows = rows if first is None else rows.filter(pk__lt=first)
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def _matchable(batch: list[ConnectionEvent]) -> list[int]:
    names = {event.pk: names_of(event) for event in batch}
    matchable = known(set().union(*names.values()))
    return [event.pk for event in batch if names[event.pk] & matchable]


def _named_since(since: datetime, now: datetime) -> Iterator[list[int]]:
    """Yield the keys of the connections of which a token or an upstream id has come to be known *since* then.

    What waits for it was looked for at that moment, unless the process died, or somebody else has made the row.
    """
    rows = BankingConnection.objects.filter(named_at__lte=now + CLOCKS_DIFFER).order_by("named_at", "pk")
    last, key = since, 0
    # A whole import may be of one moment, so the time alone is no place to go on from.
    while batch := list(
        rows.filter(Q(named_at__gt=last) | Q(pk__gt=key), named_at__gte=last).values_list("named_at", "pk")[
            : batches.SIZE
        ]
    ):
        yield [pk for _at, pk in batch]
        last, key = batch[-1]


def _waiting_for(connections: list[int], now: datetime) -> Iterator[list[int]]:
    """Yield the keys of the events that wait for what these *connections* are known by."""
    rows = BankingConnection.objects.filter(pk__in=connections).exclude(upstream_id="")
    links = list(rows.values_list("upstream_id", flat=True))
    yield from _waiting_by("upstream_id", links, now)
    for sessions in batches.of_rows(ConnectSession.objects.filter(connection__in=connections)):
        yield from _waiting_by(
            "pending_token", [row.pending_token for row in sessions if row.pending_token], now
        )
        yield from _waiting_by("upstream_id", [row.upstream_id for row in sessions if row.upstream_id], now)
        further = SessionLink.objects.filter(session__in=[row.pk for row in sessions])
        for more in batches.of_rows(further):
            yield from _waiting_by("upstream_id", [row.upstream_id for row in more], now)


def _waiting_by(column: str, values: list[Any], now: datetime) -> Iterator[list[int]]:
    """Yield the keys of those unmatched events that hold one of *values* in *column*, which has an index."""
    if not values:
        return
    rows = _unmatched(now).filter(**{f"{column}__in": values}, received_at__gte=_oldest(now)).order_by()
    waiting = list(rows.values_list("pk", flat=True))
    for at in range(0, len(waiting), batches.SIZE):
        yield _matchable(list(rows.filter(pk__in=waiting[at : at + batches.SIZE])))
