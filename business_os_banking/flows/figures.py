"""Figures of a day, a week or a month: how many people started, came back and are connected, and what failed.

Read from the tables when somebody looks, within bounds: of more sessions than `MOST`, only the latest count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from django.db.models import Count, OuterRef, QuerySet, Subquery

from business_os_banking.models import ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Kind

MOST: Final = 10_000
_BANKS: Final = 10
_TIMED: Final = 1_000
_ANSWERS: Final = (Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED)
_COUNTS: Final = {
    "started": Count("pk"),
    "returned": Count("returned_at"),
    "connected": Count("succeeded_at"),
}


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many sessions were started, came back, and succeeded. ``name`` is of what: an API, a bank, or ""."""

    name: str
    started: int
    returned: int
    connected: int


@dataclass(frozen=True, slots=True)
class Figures:
    """``since`` is the first moment that counts; ``answer`` the median time from return to answer, of ``answers``."""

    since: datetime
    is_cut: bool
    total: Funnel
    by_api: list[Funnel]
    by_bank: list[Funnel]
    failures: list[tuple[str, int]]  # error group, how many
    answer: timedelta | None
    answers: int


def figures(since: datetime) -> Figures:
    """Return the figures of the sessions that were started at *since* or later. Four queries."""
    sessions = ConnectSession.objects.filter(created_at__gte=since)
    first = sessions.order_by("-created_at").values_list("created_at", flat=True)[MOST : MOST + 1].first()
    if first is not None:
        sessions = ConnectSession.objects.filter(created_at__gt=first)
    groups = _grouped(sessions, "api", "error_group")
    failures: Counter[str] = Counter()
    for group in groups:
        failures[group["error_group"]] += group["started"]
    del failures[""]
    times = _answer_times(sessions)
    return Figures(
        since=first or since,
        is_cut=first is not None,
        total=_sum("", groups),
        by_api=[
            _sum(api, [group for group in groups if group["api"] == api])
            for api in sorted({group["api"] for group in groups})
        ],
        by_bank=_by_bank(sessions),
        failures=failures.most_common(),
        answer=timedelta(seconds=median(times)) if times else None,
        answers=len(times),
    )


def _grouped(sessions: QuerySet[ConnectSession], *columns: str) -> list[dict[str, Any]]:
    """Return the counts of *sessions* for each value of *columns*, the largest groups first."""
    groups: QuerySet[Any, dict[str, Any]] = sessions.order_by().values(*columns)
    return list(groups.annotate(**_COUNTS).order_by("-started", *columns))


def _sum(name: str, groups: list[dict[str, Any]]) -> Funnel:
    return Funnel(name, *(sum(group[count] for group in groups) for count in _COUNTS))


def _by_bank(sessions: QuerySet[ConnectSession]) -> list[Funnel]:
    banks = _grouped(sessions, "connection__provider_name")[:_BANKS]
    return [_sum(bank["connection__provider_name"], [bank]) for bank in banks]


def _answer_times(sessions: QuerySet[ConnectSession]) -> list[float]:
    """Return the seconds that the latest people who came back waited; the answer may have been there before them."""
    answers = ConnectionEvent.objects.filter(session=OuterRef("pk"), kind__in=_ANSWERS)
    heard = answers.order_by("received_at").values("received_at")[:1]
    returned = sessions.filter(returned_at__isnull=False).order_by("-created_at")
    pairs = returned.annotate(heard_at=Subquery(heard)).values_list("returned_at", "heard_at")[:_TIMED]
    return [max((heard - came).total_seconds(), 0.0) for came, heard in pairs if came and heard]
