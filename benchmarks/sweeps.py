"""Reconcile and prune after a long outage: rows a second, and whether memory grows with the number of rows.

Each measurement has a process of its own, since a process never gives its peak back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from benchmarks import databases, deliveries, fill, memory
from benchmarks.tables import show
from business_os_banking.flows.prune import prune
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import ConnectionEvent, ConnectSession

DATABASE = "banking_bench_sweeps"
SIZES = {"overdue": 100_000, "unmatched": 10_000, "strangers": 10_000, "prune": 1_000_000}
TITLES = {
    "overdue": "sessions that are overdue, expired",
    "unmatched": "events that match now, applied",
    "strangers": "events that match nothing still, looked at",
    "prune": "events past EVENT_DAYS, deleted",
}


def run(share: float = 1) -> None:
    """Print the table, for a tenth of the rows and for all of them; with *share*, of so much of them."""
    rows = []
    for what, size in SIZES.items():
        for count in (int(size * share / 10), int(size * share)):
            databases.drop(DATABASE)
            command = [sys.executable, "-m", "benchmarks", "--sweep", what, str(count)]
            done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
            seconds, before, peak = (float(word) for word in done.stdout.split())
            rows.append((TITLES[what], count, seconds, f"{count / seconds:.0f}", before, peak - before))
    databases.drop(DATABASE)
    show(("", "rows", "seconds", "rows/s", "MB before", "MB more at the peak"), rows)


def measure(what: str, count: int) -> None:
    """Print how long it takes (seconds), and the process's memory before and at the peak (MB)."""
    connection.close()
    child = os.fork()  # what making the rows takes must not count
    if not child:
        connection.connect()
        PREPARE[what](count)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    connection.connect()
    before = memory.now()
    start = time.perf_counter()
    done = ACT[what]()
    seconds = time.perf_counter() - start
    assert done == (0 if what == "strangers" else count), (what, done)
    print(seconds, before, memory.peak())


def _overdue(count: int) -> None:
    ConnectSession.objects.waiting().delete()
    fill.sessions(count - 1)  # and the one that they are copies of
    ended = timezone.now() - timedelta(days=2)
    ConnectSession.objects.waiting().update(expires_at=ended)


def _unmatched(count: int) -> None:
    _stray(session.pending_token for session in fill.sessions(count))


def _strangers(count: int) -> None:
    _stray(uuid.uuid4() for _ in range(count))


def _stray(tokens: object) -> None:
    """Keep an event that has matched nothing for each of the tokens, as if it had come a minute ago."""
    ConnectionEvent.objects.unmatched().delete()
    pattern_token = uuid.uuid4()
    fill.deliver(deliveries.body(pattern_token, "66"))
    pattern = ConnectionEvent.objects.get(pending_token=pattern_token)
    assert pattern.outcome == "unmatched"
    pattern.received_at -= timedelta(minutes=1)
    pattern.delete()
    made = []
    for number, token in enumerate(tokens):  # type: ignore[arg-type, var-annotated]
        event = fill.copy_of(pattern)
        event.pending_token, event.digest = token, uuid.uuid4().hex * 2
        event.upstream_id = f"67{number}"
        made.append(event)
    ConnectionEvent.objects.bulk_create(made, batch_size=500)


def _old(count: int) -> None:
    """Make so many events that are two years old, of all the connections in turn."""
    columns = [str(field.column) for field in ConnectionEvent._meta.concrete_fields if not field.primary_key]
    fresh = {
        "digest": "md5('old' || t.digest || n) || md5(n || t.digest)",
        "received_at": "t.received_at - interval '730 days'",
        "occurred_at": "t.occurred_at - interval '730 days'",
    }
    table = ConnectionEvent._meta.db_table
    values = ", ".join(fresh.get(column, f"t.{column}") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET received_at = now()")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM generate_series(1, %s) n,"
            f" (SELECT * FROM {table} WHERE outcome = 'applied' AND kind = 'succeeded' LIMIT 500) t"
            " ORDER BY n, t.id LIMIT %s",
            [count // 500 + 1, count],
        )


PREPARE: dict[str, Callable[[int], None]] = {
    "overdue": _overdue,
    "unmatched": _unmatched,
    "strangers": _strangers,
    "prune": _old,
}
ACT: dict[str, Callable[[], int]] = {
    "overdue": lambda: reconcile().expired,
    "unmatched": lambda: reconcile().applied,
    "strangers": lambda: reconcile().applied,
    "prune": lambda: prune().events,
}
