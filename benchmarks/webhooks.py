"""Webhooks through gunicorn: the app against the floor and against dj-stripe, in turns."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from statistics import median

from django.db import connection

from benchmarks import databases, deliveries, fill
from benchmarks.serving import Request, Result, load, serving
from benchmarks.tables import show

PEER = os.environ.get("BENCHMARK_PEER", ".venv/bench-peer/bin/python")
PEER_SECRET = "whsec_benchmarks"
PREPARED = {"BENCHMARK_PREPARED": "1"}
OURS = "the app: accepted, changing state"
FLOOR = "the floor: the same statements"
KEYS = ("rate", "p50", "p99")
RATE = 200  # webhooks a second where the load is steady


def run(events: int, rounds: int) -> None:
    """Print how fast each server is, first as PostgreSQL is used by default, then with prepared statements.

    All of them run at once and are loaded in turns, since what else the machine does changes by the minute: what
    counts is the median of the ratios within a turn.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    print(
        f"\nPostgreSQL {version}; gunicorn, one worker with one thread; {rounds} turns of {events} webhooks"
    )
    for title, variables in (("as it comes", {}), ("with prepared statements", PREPARED)):
        print(f"\n### PostgreSQL {title}")
        with ExitStack() as stack:
            loads = _loads(events, variables, stack)
            turns = [_turn(loads, first=(OURS, FLOOR)[number % 2]) for number in range(1 + rounds)][1:]
        rows = []
        for name in loads:
            rate, p50, p99 = (median(getattr(turn[name], key) for turn in turns) for key in KEYS)
            ratios = [median(turn[name].rate / turn[other].rate for turn in turns) for other in (OURS, FLOOR)]
            rows.append((name, f"{rate:.0f}", *(f"{ratio:.3g}" for ratio in ratios), p50, p99))
        show(("", "webhooks/s", "of ours", "of the floor", "p50 ms", "p99 ms"), rows)


def _turn(loads: Mapping[str, Callable[[], Result]], first: str) -> dict[str, Result]:
    """Load each server once. A duplicate is one of what ours was loaded with before."""
    return {name: loads[name]() for name in sorted(loads, key=lambda name: name != first)}


def _loads(events: int, variables: Mapping[str, str], stack: ExitStack) -> dict[str, Callable[[], Result]]:
    """Start all servers; return what loads each of them once."""
    peer = {
        **variables,
        "DATABASE_URL": databases.make("banking_bench_peer")[0],
        "DJANGO_SETTINGS_MODULE": "benchmarks.peer.settings",
    }
    prepare = [PEER, "-m", "benchmarks.peer.prepare", PEER_SECRET]
    path = subprocess.run(
        prepare, env={**os.environ, **peer}, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.strip()
    storing = {**peer, "DJANGO_SETTINGS_MODULE": "benchmarks.peer.storing"}
    at_floor = {**variables, "DJANGO_SETTINGS_MODULE": "benchmarks.floor_settings"}
    ours = stack.enter_context(serving(variables=variables)) + fill.WEBHOOK
    floor = stack.enter_context(serving(variables=at_floor)) + fill.WEBHOOK
    in_one_go = {**at_floor, "BENCHMARK_PIPELINE": "1"}
    pipelined = stack.enter_context(serving(variables=in_one_go)) + fill.WEBHOOK
    triggers = stack.enter_context(serving(PEER, variables=peer)) + path
    stored = stack.enter_context(serving(PEER, variables=storing)) + path
    delivered: list[Request] = []

    def accepted() -> Result:
        delivered[:] = finishing(events)
        return load(ours, delivered)

    return {
        OURS: accepted,
        FLOOR: lambda: load(floor, finishing(events)),
        "the floor, in pipeline mode": lambda: load(pipelined, finishing(events)),
        "dj-stripe: kept as an Event, too": lambda: load(stored, of_peer(events)),
        "dj-stripe: verified, kept as a trigger": lambda: load(triggers, of_peer(events)),
        "the app: duplicate": lambda: load(ours, delivered),
        "the app: bad signature": lambda: load(ours, forged(events), status=403),
    }


def workers(events: int, minutes: int) -> None:
    """Print what several workers do, and how it goes at 200 webhooks a second for so many minutes.

    The row tells the middle minute, and beside it each of them with the processor time that a webhook took: a p99 may
    be the machine's doing.
    """
    rows: list[tuple[object, ...]] = []
    for count, threads in ((1, 1), (1, 4), (2, 1), (4, 1)):
        with serving(workers=count, threads=threads, variables=PREPARED) as origin:
            url = origin + fill.WEBHOOK
            load(url, finishing(50 * count * threads), connections=8)
            full = load(url, finishing(events), connections=8)
            rows.append((count, threads, "as fast as it goes", f"{full.rate:.0f}", full.p50, full.p99, ""))
            steady = sorted(
                (load(url, finishing(RATE * 60), connections=16, per_second=RATE) for _ in range(minutes)),
                key=lambda minute: minute.p99,
            )
            middle = steady[minutes // 2]
            each = ", ".join(f"{minute.p99:.0f} ({minute.busy:.1f})" for minute in steady)
            sent = f"{RATE} a second"
            rows.append((count, threads, sent, f"{middle.rate:.0f}", middle.p50, middle.p99, each))
    heads = (
        "workers",
        "threads",
        "sent",
        "answered/s",
        "p50 ms",
        "p99 ms",
        "p99 ms of each minute (ms of processor time)",
    )
    show(heads, rows)


def sqlite(events: int) -> None:
    """Print how fast it is with SQLite."""
    rows = []
    for count in (1, 2):
        with serving(workers=count) as origin:
            url = origin + fill.WEBHOOK
            load(url, finishing(100))
            requests = finishing(events)
            for name, result in (
                ("accepted, changing state", load(url, requests)),
                ("duplicate", load(url, requests)),
                ("bad signature", load(url, forged(events), status=403)),
            ):
                rows.append((count, name, f"{result.rate:.0f}", result.p50, result.p99))
    show(("workers", "SQLite", "webhooks/s", "p50 ms", "p99 ms"), rows)


def finishing(count: int) -> list[Request]:
    """Make so many sessions, and return webhooks each of which finishes one."""
    bodies = [
        deliveries.body(session.pending_token, f"55{time.time_ns()}{number}")
        for number, session in enumerate(fill.sessions(count))
    ]
    return [(deliveries.headers(body), body.decode()) for body in bodies]


def forged(count: int) -> list[Request]:
    bodies = [deliveries.body("0" * 32, f"44{number}") for number in range(count)]
    return [(deliveries.headers(body, good=False), body.decode()) for body in bodies]


def of_peer(count: int) -> list[Request]:
    """Return so many events as Stripe signs them, of about the size of ours."""
    made = []
    now = int(time.time())
    for number in range(count):
        event = {
            "id": f"evt_{time.time_ns()}{number}",
            "object": "event",
            "api_version": "2020-08-27",
            "created": now,
            "livemode": False,
            "type": "radar.early_fraud_warning.created",
            "data": {"object": {"id": f"issfr_{number}", "object": "radar.early_fraud_warning"}},
        }
        body = json.dumps(event)
        digest = hmac.new(PEER_SECRET.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={digest}"}
        made.append((headers, body))
    return made
