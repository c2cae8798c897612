"""What webhooks and pages cost with 1 000, 100 000 and 1 000 000 connections: it should be the same."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from benchmarks import deliveries, fill
from benchmarks.tables import show
from business_os_banking.models import BankingConnection, ConnectionEvent

ROUNDS = 7
PASSES = 4
WEBHOOKS = 300
ADMIN = "/admin/business_os_banking"


def run(sizes: list[int]) -> None:
    """Print what everything costs on a database of each of the sizes.

    Each is measured by a process of its own, in turns, and the best of the medians counts: a machine that was slow for
    a minute must not look like a table that grew.
    """
    found: dict[str, dict[int, float]] = {}
    for _ in range(PASSES):
        for size in sizes:
            command = [sys.executable, "-m", "benchmarks", "--size", str(size)]
            done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
            for taken, name in (line.split("\t") for line in done.stdout.splitlines()):
                of_sizes = found.setdefault(name, {})
                of_sizes[size] = min(float(taken), of_sizes.get(size, float("inf")))
    heads = (f"{size:,} ms".replace(",", " ") for size in sizes)
    rows = ((f"`{name}`", *of.values(), f"{of[sizes[-1]] / of[sizes[0]]:.2f}") for name, of in found.items())
    show(("", *heads, "ratio"), rows)


def measure() -> dict[str, float]:
    """Return milliseconds by what was done, on the database as it is."""
    found = {"webhook": _webhooks()}
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
        for value, text in shown.items():
            name = name.replace(value, text)
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


def _page(client: Client, path: str) -> float:
    def get() -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)

    get()
    return statistics.median(_timed(get) for _ in range(ROUNDS))


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
