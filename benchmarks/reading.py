"""A whole reading of a long list: rows a second, reads, and whether memory grows with the number of rows.

Each measurement has a process of its own, as with `sweeps`; the list is served by another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from benchmarks import databases, memory
from benchmarks.tables import show
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection

DATABASE = "banking_bench_reading"
SIZES = (100_000, 1_000_000)
PAGE = 1_000
OURS = 10  # one row in so many is ours; the rest is of other systems of the organisation
READS_PER_DAY = 5_000


def run() -> None:
    """Print the table, for a list of each of the sizes."""
    rows = []
    for size in SIZES:
        databases.drop(DATABASE)
        command = [sys.executable, "-m", "benchmarks", "--reading", str(size)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
        seconds, reads, runs, before, peak = (float(word) for word in done.stdout.split())
        rows.append(
            (size, size // OURS, reads, runs, seconds, f"{size / seconds:.0f}", before, peak - before)
        )
    databases.drop(DATABASE)
    show(("rows", "ours", "reads", "runs", "seconds", "rows/s", "MB before", "MB more at the peak"), rows)


def measure(size: int) -> None:
    """Print seconds, reads, runs of reconcile, and the process's memory before and at the peak (MB)."""
    server = HTTPServer(("127.0.0.1", 0), _handler(size))
    connection.close()
    child = os.fork()
    if not child:
        server.serve_forever()
    server.socket.close()
    try:
        _read(size, f"http://127.0.0.1:{server.server_port}")
    finally:
        os.kill(child, signal.SIGTERM)


def _read(size: int, address: str) -> None:
    _fill(size // OURS)
    reconcile()  # where nobody answers: what is imported and compiled at first must not count
    AccountState.objects.all().delete()
    banking: dict[str, Any] = settings.BUSINESS_OS_BANKING
    banking["ACCOUNTS"]["default"]["BASE_URL"] = address
    banking["READS_PER_DAY"] = READS_PER_DAY
    before, start, begin = memory.now(), time.perf_counter(), timezone.now()
    runs, state = 0, None
    while state is None or state.read_at is None:
        reconcile(begin + timedelta(minutes=5 * runs))
        state, runs = AccountState.objects.get(), runs + 1
    seconds = time.perf_counter() - start
    assert state.learnt["pages"]["value"] == size // PAGE, state.learnt
    named = BankingConnection.objects.filter(provider_name="Demobank").count()
    assert named == size // OURS, named
    print(seconds, state.reads, runs, before, memory.peak())


def _fill(count: int) -> None:
    """Make so many connections, with the ids that every tenth row of the list has."""
    BankingConnection.objects.all().delete()  # those that every benchmark begins with
    row = BankingConnection(status="active", upstream_id="0", connected_at=timezone.now())
    row.save()
    columns = [str(field.column) for field in row._meta.concrete_fields if not field.primary_key]
    fresh = {"reference": "gen_random_uuid()", "upstream_id": f"(n * {OURS})::text"}
    values = ", ".join(fresh.get(column, f"t.{column}") for column in columns)
    table = row._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"
            f" FROM {table} t, generate_series(1, %s) n WHERE t.id = %s",
            [count, row.pk],
        )
        cursor.execute(f"DELETE FROM {table} WHERE id = %s", [row.pk])
        cursor.execute("VACUUM ANALYZE")


def _row(number: int) -> dict[str, Any]:
    attempt = {"id": str(number), "success_at": "2026-01-01T00:00:00Z", "custom_fields": {}}
    bank = {"provider_code": "demobank_xf", "provider_name": "Demobank", "country_code": "XF"}
    return {"id": str(number), "status": "active", "last_attempt": attempt, **bank}


def _handler(size: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if not url.path.endswith("/connections"):
                return self.answer(404, {"error": {"class": "NotFound"}})
            first = int(parse_qs(url.query).get("from_id", ["1"])[0])
            last = min(first + PAGE, size + 1)
            following = str(last) if last <= size else None
            rows = [_row(number) for number in range(first, last)]
            return self.answer(200, {"data": rows, "meta": {"next_id": following}})

        def answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    return Handler
