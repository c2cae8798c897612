"""What webhooks and pages cost with 1 000, 100 000 and 1 000 000 connections: it should be the same."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.test import Client

from benchmarks import deliveries, fill
from benchmarks.tables import show, text
from business_os_banking.models import BankingConnection, ConnectionEvent


class Taken(NamedTuple):
    """Milliseconds, and rows of the list, if it is one."""

    ms: float
    rows: int = 0


ROUNDS = 7
PASSES = 4
WEBHOOKS = 300
ADMIN = "/admin/business_os_banking"


def run(sizes: list[int]) -> None:
    """Print what everything costs on a database of each of the sizes.

    Each is measured by a process of its own, in turns, and the best of the medians counts: a machine that was slow for
    a minute must not look like a table that grew. The ratio is that of the largest to the smallest with as many rows on
    the page: a short page takes less time to render, however large the table.
    """
    found: dict[str, dict[int, Taken]] = {}
    for _ in range(PASSES):
        for size in sizes:
            command = [sys.executable, "-m", "benchmarks", "--size", str(size)]
            done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
            for taken, rows, name in (line.split("\t") for line in done.stdout.splitlines()):
                now = Taken(float(taken), int(rows))
                of_sizes = found.setdefault(name, {})
                of_sizes[size] = min(now, of_sizes.get(size, now))
    heads = (f"{size:,} ms".replace(",", " ") for size in sizes)
    show(("", *heads, "ratio"), ((f"`{name}`", *_row(list(of.values()))) for name, of in found.items()))


def _row(of_sizes: list[Taken]) -> list[str]:
    """Return what each took, with the rows on the page where they are fewer, and the ratio."""
    last = of_sizes[-1]
    cells = [
        text(taken.ms) + (f" ({taken.rows} rows)" if taken.rows != last.rows else "") for taken in of_sizes
    ]
    first = next(taken for taken in of_sizes if taken.rows == last.rows)
    return [*cells, f"{last.ms / first.ms:.2f}" if first is not last else ""]


def measure() -> dict[str, Taken]:
    """Return what each took, by what was done, on the database as it is."""
    found = {"webhook": Taken(_webhooks())}
    operator, customer = Client(), Client()
    operator.force_login(get_user_model().objects.get(username="root"))
    theirs = BankingConnection.objects.filter(user__username__startswith="user")[100]
    assert theirs.user
    customer.force_login(theirs.user)
    for path in ("/banking/", f"/banking/connections/{theirs.reference}/", "/banking/api/connections/"):
        found[path.replace(str(theirs.reference), "…")] = _page(customer, path)
    one = BankingConnection.objects.exclude(connection_id="").order_by("pk")[500]
    event = ConnectionEvent.objects.order_by("pk")[500]
    middle = BankingConnection.objects.order_by("-pk").values_list("pk", flat=True)[400]
    pages = [
        f"bankingconnection/{one.pk}/change/",
        f"connectionevent/{event.pk}/change/",
        "bankingconnection/overview/",
        f"bankingconnection/?q={one.reference}",
        f"bankingconnection/?q={one.connection_id}",
        "bankingconnection/?q=user77",
        "bankingconnection/?q=user77%40kunde.example",
        "bankingconnection/?q=nobody-at-all",
        f"bankingconnection/?id__lt={middle}",
    ]
    for model, queries in LISTS.items():
        pages += [f"{model}/{query}" for query in queries]
    shown = {str(one.reference): "reference", str(one.connection_id): "upstream id"}
    shown |= {str(pk): "…" for pk in (one.pk, event.pk, middle)}
    for page in pages:
        name = page
        for value, word in shown.items():
            name = name.replace(value, word)
        found[f"admin {name}"] = _page(operator, f"{ADMIN}/{page}")
    return found


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


def _webhooks() -> float:
    bodies = [deliveries.body(fill.session().pending_token, f"88{time.time_ns()}") for _ in range(WEBHOOKS)]
    return statistics.median(_timed(partial(fill.deliver, body)) for body in bodies)


def _page(client: Client, path: str) -> Taken:
    def get() -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer

    rows = get().content.count(b'<th class="field-')  # one in each row of a list in the admin
    return Taken(statistics.median(_timed(get) for _ in range(ROUNDS)), rows)


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
