"""The databases that the benchmarks run on, and Django set up on one of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
import psycopg
import psycopg.sql
from django.core.management import call_command

SERVER = os.environ.get("BENCHMARK_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432").rstrip("/")


def make(name: str) -> tuple[str, bool]:
    """Return the address of the database on PostgreSQL, and whether it was made just now."""
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        is_new = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None
        if is_new:
            server.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"{SERVER}/{name}", is_new


def drop(name: str) -> None:
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
        )


def use(name: str, *, connections: int) -> None:
    """Set Django up on this database of PostgreSQL; a new one gets so many connections."""
    address, is_new = make(name)
    _set_up(address)
    if is_new:
        from benchmarks import fill

        call_command("migrate", verbosity=0)
        print(f"Filling {name} …", file=sys.stderr)
        fill.fill(connections)


def use_sqlite(folder: Path) -> None:
    """Set Django up on a new database of SQLite in *folder*."""
    _set_up(f"sqlite:///{folder / 'site.sqlite3'}")
    call_command("migrate", verbosity=0)


def _set_up(address: str) -> None:
    os.environ["DATABASE_URL"] = address
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    django.setup()
