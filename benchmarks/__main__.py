"""Run the benchmarks and print their tables: ``python -m benchmarks [what …]``, by default all of them.

Needs PostgreSQL (``BENCHMARK_POSTGRES_URL``, by default the local one), and for the peer an environment of its own
(``BENCHMARK_PEER``, the path of its Python). The databases are called ``banking_bench_…``; those of the sizes are kept,
since filling them takes longest: drop them if they are of another version, or of another day, as the overview in the
admin counts the day's sessions. ``make bench`` does all of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import databases, startup

LOADS = 5  # turns that a load is long where no turns are taken
WHAT = ("webhooks", "shares", "workers", "sqlite", "growth", "sweeps", "reading", "connects", "startup")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", help=f"of {', '.join(WHAT)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--events", type=int, default=200, help="webhooks in each turn")
    parser.add_argument("--rounds", type=int, default=21, help="how often the servers take turns")
    parser.add_argument("--minutes", type=int, default=5, help="how long the load is steady")
    # Parts that need a process of their own.
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--sweep", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--reading", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--alone", choices=WHAT, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.size:
        return _one_size(chosen.size)
    if chosen.sweep:
        return _one_sweep(chosen.sweep[0], int(chosen.sweep[1]))
    if chosen.reading:
        return _one_reading(chosen.reading)
    if chosen.alone:
        return _alone(chosen)
    unknown = set(chosen.what) - set(WHAT)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("django", "psycopg", "gunicorn"))
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores")
    for what in chosen.what or WHAT:
        print(f"\n## {what}", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks", *sys.argv[1:], "--alone", what], check=True)
    return None


def _alone(chosen: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if chosen.alone == "sqlite":
            databases.use_sqlite(Path(folder))
        else:
            databases.use("banking_bench_load", connections=1_000)
        # Only now, since they import models.
        from benchmarks import connects, growth, reading, shares, sweeps, webhooks

        parts: dict[str, Callable[[], None]] = {
            "webhooks": lambda: webhooks.run(chosen.events, chosen.rounds),
            "shares": shares.run,
            "workers": lambda: webhooks.workers(LOADS * chosen.events, chosen.minutes),
            "sqlite": lambda: webhooks.sqlite(LOADS * chosen.events),
            "growth": lambda: growth.run(chosen.sizes),
            "sweeps": sweeps.run,
            "reading": reading.run,
            "connects": connects.run,
            "startup": startup.run,
        }
        parts[chosen.alone]()


def _one_size(size: int) -> None:
    databases.use(f"banking_bench_{size}", connections=size)
    from benchmarks import growth

    growth.serve()


def _one_sweep(what: str, count: int) -> None:
    databases.use("banking_bench_sweeps", connections=1_000)
    from benchmarks import sweeps

    sweeps.measure(what, count)


def _one_reading(size: int) -> None:
    databases.use("banking_bench_reading", connections=100)
    from benchmarks import reading

    reading.measure(size)


if __name__ == "__main__":
    main()
