"""What share of a webhook each of its parts takes, told by doing that part twice, in turns with doing it once.

A profiler tells other shares: it slows Python down, and not the database. And where the machine is half as fast from
one second to the next, only what is done within the same second can be compared.

As PostgreSQL comes; with ``BENCHMARK_PREPARED=1`` in the environment, with prepared statements.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any
from unittest.mock import patch

from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from benchmarks import fill, webhooks
from benchmarks.serving import Request
from benchmarks.tables import show
from business_os_banking.flows import columns, statements
from business_os_banking.webhooks import payloads, views

TURNS = 500
ONCE, AGAIN = "once", "nothing"  # the same, to be compared: what is not more than that is noise
# All of these only read, so that doing them twice changes nothing else.
PARTS: dict[str, tuple[Any, str]] = {
    "the account and its verifiers": (views, "_verifiers"),
    "the verification": (views, "_verify"),
    "reading the body": (payloads, "read"),
    "asking what is meant": (statements, "what_is_meant"),
    "making columns of the state": (columns, "of_connection"),
    "values as the database takes them": (statements, "_adapted"),
    "asking what has come meanwhile": (statements, "what_has_come"),
}


def run() -> None:
    site = WSGIHandler()
    names = [ONCE, AGAIN, *PARTS]
    for request in webhooks.finishing(100):
        _timed(site, request)
    turns = []
    for _ in range(TURNS):
        random.shuffle(names)
        turn = {}
        for name, request in zip(names, webhooks.finishing(len(names)), strict=True):
            with _twice(*PARTS[name]) if name in PARTS else nullcontext():
                turn[name] = _timed(site, request)
        turns.append(turn)
    shares = {name: median(turn[name] / turn[ONCE] - 1 for turn in turns) for name in (AGAIN, *PARTS)}
    show(("done twice", "of a webhook's time"), ((name, f"{share:.1%}") for name, share in shares.items()))


def _twice(module: Any, name: str) -> Any:
    part: Callable[..., Any] = getattr(module, name)

    def twice(*given: Any, **named: Any) -> Any:
        kept = [
            list(one) if hasattr(one, "__next__") else one for one in given
        ]  # a generator yields only once
        part(*kept, **named)
        return part(*kept, **named)

    return patch.object(module, name, twice)


def _timed(site: WSGIHandler, request: Request) -> float:
    headers, body = request
    asked = RequestFactory().generic("POST", fill.WEBHOOK, body, "application/json", headers=headers)
    start = time.perf_counter()
    answer = site(asked.environ, _start)
    answer.close()
    taken = time.perf_counter() - start
    assert answer.status_code == 200
    return taken


def _start(*_: object) -> Callable[[bytes], object]:
    return len
