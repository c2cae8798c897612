"""Run the benchmarks and print their figures: ``python -m benchmarks [webhooks] [growth] [--sizes 1000 100000]``.

Needs PostgreSQL (``BENCHMARK_POSTGRES_URL``, by default the local one), and for the peer an environment of its own
(``BENCHMARK_PEER``, the path of its Python). The databases are called ``banking_bench_…``; those of the sizes are kept,
since filling them takes longest. ``make bench`` does all of it.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import django
import psycopg
import psycopg.sql
from django.core.management import call_command
from django.db import connection

SERVER = os.environ.get("BENCHMARK_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432").rstrip("/")
PEER = os.environ.get("BENCHMARK_PEER", ".venv/bench-peer/bin/python")
WEBHOOK = "/banking/webhook/"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", choices=["webhooks", "growth", []], default=["webhooks", "growth"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--events", type=int, default=1_500, help="webhooks in each load")
    parser.add_argument("--rounds", type=int, default=3, help="how often the servers take turns")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)  # one size, in a process of its own
    chosen = parser.parse_args()
    if chosen.size:
        _use(f"banking_bench_{chosen.size}", size=chosen.size)
        from benchmarks import growth

        print("\n".join(f"{taken:.2f}\t{name}" for name, taken in growth.measure().items()))
        return
    print(f"Python {platform.python_version()}, Django {django.__version__}, {os.cpu_count()} cores")
    if "webhooks" in chosen.what:
        _webhooks(chosen.events, chosen.rounds)
    if "growth" in chosen.what:
        _growth(chosen.sizes)


def _webhooks(events: int, rounds: int) -> None:
    _use("banking_bench_1000", size=1_000)
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        print(
            f"PostgreSQL {cursor.fetchone()[0]}; gunicorn, one worker with one thread; {events} webhooks a load"
        )
    from benchmarks import webhooks

    peer_database = _database("banking_bench_peer")[0]
    peer = {"DATABASE_URL": peer_database, "DJANGO_SETTINGS_MODULE": "benchmarks.peer.settings"}
    prepare = [PEER, "-m", "benchmarks.peer.prepare", webhooks.PEER_SECRET]
    done = subprocess.run(prepare, env={**os.environ, **peer}, text=True, capture_output=True, check=True)
    storing = {**peer, "DJANGO_SETTINGS_MODULE": "benchmarks.peer.storing"}
    found: dict[str, list[Any]] = {}

    def note(name: str, result: Any) -> None:
        found.setdefault(name, []).append(result)

    floor = {"DJANGO_SETTINGS_MODULE": "benchmarks.floor_settings"}
    if True:
        for _ in range(rounds):
            with webhooks.serving(sys.executable, "benchmarks.wsgi") as origin:
                url = origin + WEBHOOK
                webhooks.load(url, webhooks.finishing(100))
                requests = webhooks.finishing(events)
                note("the app: accepted, changing state", webhooks.load(url, requests))
                note("the app: duplicate", webhooks.load(url, requests))
                note("the app: bad signature", webhooks.load(url, webhooks.forged(events), status=403))
            _serve_and_load(
                note,
                "the floor: the same statements",
                sys.executable,
                "benchmarks.wsgi",
                floor,
                WEBHOOK,
                webhooks.finishing,
                events,
            )
            path = done.stdout.strip()
            for name, variables in (
                ("dj-stripe: verified and kept as a trigger", peer),
                ("dj-stripe: kept as an Event, too", storing),
            ):
                _serve_and_load(
                    note, name, PEER, "benchmarks.wsgi", variables, path, webhooks.of_peer, events
                )
    ours = median(result.rate for result in found["the app: accepted, changing state"])
    print("\n| | webhooks/s | of ours | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |")
    for name, results in found.items():
        rate, p50, p99 = (median(getattr(one, key) for one in results) for key in ("rate", "p50", "p99"))
        print(f"| {name} | {rate:.0f} | {rate / ours:.2f} | {p50:.1f} | {p99:.1f} |")


def _serve_and_load(
    note: Callable[[str, Any], None],
    name: str,
    python: str,
    application: str,
    variables: dict[str, str],
    path: str,
    make: Callable[[int], list[Any]],
    events: int,
) -> None:
    from benchmarks import webhooks

    with webhooks.serving(python, application, **variables) as origin:
        webhooks.load(origin + path, make(100))
        note(name, webhooks.load(origin + path, make(events)))


def _growth(sizes: list[int]) -> None:
    found: list[dict[str, float]] = []
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks", "--size", str(size)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
        rows = (line.split("\t") for line in done.stdout.splitlines())
        found.append({name: float(taken) for taken, name in rows})
    heads = " | ".join(f"{size:,} ms".replace(",", " ") for size in sizes)
    print(f"\n| | {heads} | ratio |\n| --- |{' --- |' * (len(sizes) + 1)}")
    for name, first in found[0].items():
        row = " | ".join(f"{one[name]:.1f}" for one in found)
        print(f"| `{name}` | {row} | {found[-1][name] / first:.2f} |")


def _database(name: str) -> tuple[str, bool]:
    """Return the address of the database, and whether it was made just now."""
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        is_new = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None
        if is_new:
            server.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"{SERVER}/{name}", is_new


def _use(name: str, *, size: int) -> None:
    """Set Django up on this database, filled with so many connections."""
    os.environ["DATABASE_URL"], is_new = _database(name)
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    if is_new:
        from benchmarks import fill

        call_command("migrate", verbosity=0)
        print(f"Filling {name} …", file=sys.stderr)
        fill.fill(size)


if __name__ == "__main__":
    main()
