"""What shows only over a large list, or over a week."""

from __future__ import annotations

import logging
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectSession
from tests.deeds import start
from tests.flows.paged import Paged, paged_upstream, row

pytestmark = [pytest.mark.long, pytest.mark.once, pytest.mark.django_db(transaction=True)]
logger = logging.getLogger(__name__)
_MOST_BYTES = 20 * 2**20


class Many(Sequence[dict[str, Any]]):
    """Rows of other systems that are made when they are looked at, so that they take no memory."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return [row(str(number + 1)) for number in range(*place.indices(self.size))]
        return row(str(place + 1))


@pytest.fixture
def paged() -> Iterator[Paged]:
    with paged_upstream() as paged:
        yield paged


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_list(paged: Paged, user: User, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": 100_000}
    session = start(user)
    paged.rows, paged.size = Many(70_000), 1_000
    paged.find = lambda upstream_id: int(upstream_id) - 1  # type: ignore[method-assign]
    tracemalloc.start()
    try:
        begin = timezone.now()
        before = tracemalloc.get_traced_memory()[0]
        for minutes in range(11, 300, 5):
            reconcile(begin + timedelta(minutes=minutes))
            ConnectSession.objects.update(expires_at=begin + timedelta(minutes=minutes + 60))
            if AccountState.objects.get().read_at:
                break
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    logger.info("%.1f MB above the start", (peak - before) / 2**20)
    assert AccountState.objects.get().learnt["pages"]["value"] == 70
    assert peak - before < _MOST_BYTES, f"{(peak - before) / 2**20:.1f} MB"
    session.refresh_from_db()
    assert session.status == "open"


CONNECTIONS, CONNECTS_A_DAY = 10_000, 500


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("budget", "days", "patience"), [(1_000, 7, 15), (200, 2, 60)])
def test_a_week_without_any_webhook(
    paged: Paged, user: User, settings: Any, budget: int, days: int, patience: int
) -> None:
    """Ten thousand connections, five hundred connects a day: each is known within the plan's pauses.

    With what is read by default, the tail has less than a read for each run, and people wait for the next one.
    """
    chance = random.Random(17)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": budget}
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    known = [
        BankingConnection(
            user=user,
            account="default",
            status="active",
            upstream_id=str(1_000_000 + number),
            connected_at=begin - timedelta(days=30),
            provider_code="demobank_xf",
            provider_name="Demobank",
        )
        for number in range(CONNECTIONS)
    ]
    BankingConnection.objects.bulk_create(known, batch_size=500)
    places = {connection.upstream_id: place for place, connection in enumerate(known)}
    rows = [row(connection.upstream_id) for connection in known]
    paged.rows, paged.size, paged.find = rows, 100, places.get  # type: ignore[assignment]

    reads, waits, expired_at, open_since = [], [], [], {}
    for day in range(days):
        before = paged.reads
        connects = sorted(chance.randrange(24 * 60) for _ in range(CONNECTS_A_DAY))
        for minute in range(0, 24 * 60, 5):
            now = begin + timedelta(days=day, minutes=minute)
            while connects and connects[0] < minute + 5:
                connects.pop(0)
                session = start(user, next_url=f"/{day}/{minute}/{len(connects)}/")
                comes = chance.random() < 0.8
                back = now + timedelta(minutes=chance.randrange(2, 20)) if comes else None
                ConnectSession.objects.filter(pk=session.pk).update(
                    created_at=now, returned_at=back, expires_at=now + timedelta(hours=1)
                )
                open_since[session.pk] = (back, session.pending_token)
            for pk, (back, token) in list(open_since.items()):
                if back is not None and back <= now and token is not None:
                    # As it is with people: who began first is not always the first to be back.
                    places[str(2_000_000 + len(rows))] = len(rows)
                    rows.append(row(str(2_000_000 + len(rows)), token=token))
                    open_since[pk] = (back, None)
            reconcile(now)
            over = ConnectSession.objects.filter(pk__in=list(open_since)).exclude(status="open")
            for pk, status in over.values_list("pk", "status"):
                back, _token = open_since.pop(pk)
                if back is None:
                    assert status == "expired"
                    expired_at.append(now)
                else:
                    assert status == "succeeded"
                    waits.append((now - back).total_seconds() / 60)
        reads.append(paged.reads - before)
    assert max(reads) <= budget
    assert len(waits) + len(expired_at) + len(open_since) == days * CONNECTS_A_DAY
    assert len(open_since) < 60  # of the last two hours
    waits.sort()
    assert waits[len(waits) * 99 // 100] <= patience
    assert not BankingConnection.objects.exclude(missing_since=None).exists()
    logger.info("reads a day %s; minutes: median %s, longest %s", reads, waits[len(waits) // 2], waits[-1])
