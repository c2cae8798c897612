"""What webhooks and pages cost with 1 000, 100 000 and 1 000 000 connections: it should be the same."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.test import Client

from benchmarks import deliveries, fill
from benchmarks.tables import show, text
from business_os_banking.models import BankingConnection, ConnectionEvent

TURNS = 60
ADMIN = "/admin/business_os_banking"


class Timed(NamedTuple):
    """Something to time: what returns the milliseconds that it took; and how many rows the page is made from."""

    take: Callable[[], float]
    rows: int = 0


def run(sizes: list[int]) -> None:
    """Print what everything costs on a database of each of the sizes.

    Each has a process of its own, and they do the same thing in turns, as what else the machine does changes by the
    second: the times are medians of all turns but the first, and the ratio is the median of those within a turn. It
    is that of the largest to the smallest with as many rows on the page, or counted for it: less takes less time,
    however large the table.
    """
    with ExitStack() as stack:
        processes = {size: stack.enter_context(_process(size)) for size in sizes}
        rows = {size: json.loads(_said_by(process)) for size, process in processes.items()}
        names = list(rows[sizes[0]])
        orders = (sizes, sizes[::-1])
        turns = [_turn(processes, names, orders[number % 2]) for number in range(1 + TURNS)][1:]
    heads = (f"{size:,} ms".replace(",", " ") for size in sizes)
    show(("", *heads, "ratio"), (_row(name, turns, rows) for name in names))


def _process(size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks", "--size", str(size)]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _said_by(process: subprocess.Popen[str], asked: str = "") -> str:
    """Return what the process says next, once it is asked."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{asked}\n" if asked else "")
    process.stdin.flush()
    said = process.stdout.readline()
    if not said:
        raise RuntimeError("A process that measures has ended.")
    return said


def _turn(
    processes: dict[int, subprocess.Popen[str]], names: list[str], sizes: list[int]
) -> dict[str, dict[int, float]]:
    """Return the milliseconds that each took, by its name, on each of the sizes."""
    return {name: {size: float(_said_by(processes[size], name)) for size in sizes} for name in names}


def _row(name: str, turns: list[dict[str, dict[int, float]]], rows: dict[int, dict[str, int]]) -> list[str]:
    """Return what it took on each of the sizes, with its rows where they are fewer, and the ratio."""
    counts = {size: of_size[name] for size, of_size in rows.items()}
    last = max(counts)
    cells = []
    for size, count in counts.items():
        fewer = f" ({count} rows)" if count != counts[last] else ""
        cells.append(text(statistics.median(turn[name][size] for turn in turns)) + fewer)
    first = next(size for size, count in counts.items() if count == counts[last])
    ratio = statistics.median(turn[name][last] / turn[name][first] for turn in turns)
    return [f"`{name}`", *cells, f"{ratio:.2f}" if first != last else ""]


def serve() -> None:
    """Say what can be timed, and the rows of each; then print milliseconds for each name that is asked for."""
    offered = dict(_offered())
    print(json.dumps({name: timed.rows for name, timed in offered.items()}), flush=True)
    for line in sys.stdin:
        print(offered[line.strip()].take(), flush=True)


def _offered() -> Iterator[tuple[str, Timed]]:
    yield "webhook", Timed(_webhook)
    operator, customer = Client(), Client()
    operator.force_login(get_user_model().objects.get(username="root"))
    theirs = BankingConnection.objects.filter(user__username__startswith="user")[100]
    assert theirs.user
    customer.force_login(theirs.user)
    for path in ("/banking/", f"/banking/connections/{theirs.reference}/", "/banking/api/connections/"):
        yield path.replace(str(theirs.reference), "…"), _page(customer, path)
    one = BankingConnection.objects.exclude(upstream_id="").order_by("pk")[500]
    event = ConnectionEvent.objects.order_by("pk")[500]
    middle = BankingConnection.objects.order_by("-pk").values_list("pk", flat=True)[400]
    pages = [
        f"bankingconnection/{one.pk}/change/",
        f"connectionevent/{event.pk}/change/",
        "bankingconnection/overview/",
        "bankingconnection/overview/?days=30",
        f"bankingconnection/?q={one.reference}",
        f"bankingconnection/?q={one.upstream_id}",
        "bankingconnection/?q=user77",
        "bankingconnection/?q=user77%40kunde.example",
        "bankingconnection/?q=nobody-at-all",
        f"bankingconnection/?id__lt={middle}",
    ]
    for model, queries in LISTS.items():
        pages += [f"{model}/{query}" for query in queries]
    shown = {str(one.reference): "reference", str(one.upstream_id): "upstream id"}
    shown |= {str(pk): "…" for pk in (one.pk, event.pk, middle)}
    for page in pages:
        name = page
        for value, word in shown.items():
            name = name.replace(value, word)
        yield f"admin {name}", _page(operator, f"{ADMIN}/{page}")


LISTS = {
    "bankingconnection": [
        "",
        "?p=2",
        "?p=20",
        "?o=1",
        "?status__exact=active",
        "?status__exact=inactive",
        "?status__exact=pending",
        "?account=default",
        "?country_code=DE",
        "?look=attention",
        "?look=attention&p=2",
        "?look=ending",
        "?look=ending&p=2",
        "?look=stuck",
        "?look=attention&status__exact=inactive",
        "?status__exact=active&account=default",
    ],
    "connectsession": [
        "",
        "?p=2",
        "?status__exact=open",
        "?status__exact=failed",
        "?api__exact=openbanking",
        "?look=stuck",
    ],
    "connectionevent": [
        "",
        "?p=2",
        "?look=unmatched",
        "?look=contradicting",
        "?look=orphaned",
        "?outcome__exact=failed",
        "?outcome__exact=unmatched",
        "?kind__exact=failed",
        "?source__exact=webhook",
        "?source__exact=operator",
    ],
}


def _webhook() -> float:
    body = deliveries.body(fill.session().pending_token, f"88{time.time_ns()}")
    return _ms(lambda: fill.deliver(body))


def _page(client: Client, path: str) -> Timed:
    def get() -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer

    content = get().content
    rows = content.count(b'<th class="field-')  # one in each row of a list in the admin
    counted = re.search(rb'<td class="banking-number">(\d+)<', content)  # of the sessions of the overview
    return Timed(lambda: _ms(get), int(counted[1]) if counted else rows)


def _ms(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
