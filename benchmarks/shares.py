"""What share of a webhook each of its parts takes, told by doing that part twice, in turns with doing it once.

A profiler tells other shares: it slows Python down, and not the database. And where the machine is half as fast from
one second to the next, only what is done within the same second can be compared. The second time finds the processor's
caches warm, so that a part may take more than is told here, and not less.

As PostgreSQL comes; with ``BENCHMARK_PREPARED=1`` in the environment, with prepared statements.
"""

from __future__ import annotations

import random
import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from types import ModuleType
from typing import Any
from unittest.mock import patch

from benchmarks import fill, webhooks
from benchmarks.tables import show
from business_os_banking.facts import match, record, rows
from business_os_banking.webhooks import payloads, views

TURNS = 500
ONCE, AGAIN = "once", "nothing"  # the same, to be compared: what is not more than that is noise
# All of these only read, so that doing them twice changes nothing else.
PARTS = {
    "the account and its verifiers": (views, "_verifiers"),
    "the verification": (views, "_verify"),
    "reading the body": (payloads, "read"),
    "looking for what is meant": (match, "candidates"),
    "making columns of the state": (rows, "connection_columns"),
    "the second look, after the commit": (record, "second_look"),
}


def run() -> None:
    names = [ONCE, AGAIN, *PARTS]
    turns = []
    for _ in range(1 + TURNS):
        random.shuffle(names)
        bodies = [body.encode() for _, body in webhooks.finishing(len(names))]
        turns.append({name: _timed(name, body) for name, body in zip(names, bodies, strict=True)})
    shares = {name: median(turn[name] / turn[ONCE] - 1 for turn in turns[1:]) for name in (AGAIN, *PARTS)}
    show(("done twice", "of a webhook's time"), ((name, f"{share:.1%}") for name, share in shares.items()))


def _timed(name: str, body: bytes) -> float:
    """Return the seconds that a webhook takes in which the part of this name is done twice."""
    with _twice(*PARTS[name]) if name in PARTS else nullcontext():
        start = time.perf_counter()
        fill.deliver(body)
        return time.perf_counter() - start


def _twice(module: ModuleType, name: str) -> AbstractContextManager[object]:
    part = getattr(module, name)

    def twice(*given: Any, **named: Any) -> Any:
        part(*given, **named)
        return part(*given, **named)

    return patch.object(module, name, twice)
