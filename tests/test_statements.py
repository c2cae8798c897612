"""How many statements each thing that happens often costs: exactly, so that a further one is a decision."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from business_os_banking.models import BankingConnection, ConnectSession
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = 2  # the row of the login, and that of the user
ADMIN = "/admin/business_os_banking"


@dataclass
class Site:
    """A customer with a connection that works, and a session whose customer is at the bank."""

    customer: Client
    operator: Client
    active: BankingConnection
    finished: ConnectSession
    waiting: ConnectSession


@pytest.fixture
def site(user: User, upstream: Upstream) -> Site:
    first = start(user)
    deliver(callbacks.success(first.pending_token, "777"))
    customer, operator = Client(), Client()
    customer.force_login(user)
    operator.force_login(User.objects.create_superuser("root", "root@site.example", "secret"))
    waiting = start(user)
    ConnectSession.objects.update(returned_at=timezone.now())
    return Site(customer, operator, BankingConnection.objects.get(status="active"), first, waiting)


def webhook(body: dict[str, Any], secret: str = callbacks.SECRET) -> int:
    headers = {"X-Webhook-Secret": secret}
    return (
        Client()
        .post("/banking/webhook/", callbacks.raw(body), "application/json", headers=headers)
        .status_code
    )


def page(client: Client, path: str) -> int:
    return client.get(path).status_code


def success(site: Site, **more: Any) -> dict[str, Any]:
    return callbacks.success(site.waiting.pending_token, "888", **more)


# Before BEGIN: a look at whose it is. Inside: lock, session, connection, event. After COMMIT: another look, since a
# connection may have come to share the link, and something may have waited for the link or told of the bank.
COSTS: dict[str, tuple[int, int, Callable[[Site], int]]] = {
    "a webhook that changes state": (1 + 4 + 1, 200, lambda site: webhook(success(site))),
    "one that names a bank": (
        1 + 4 + 1,
        200,
        lambda site: webhook(success(site, provider_code="demobank_de")),
    ),
    "one that changes nothing": (
        1 + 2 + 1,
        200,
        lambda site: webhook(callbacks.notify(None, connection_id="777", time="2026-01-25T10:40:47.965Z")),
    ),
    "one that matches nothing": (
        1 + 1 + 1 + 1,  # is it about what was erased?
        200,
        lambda _site: webhook(callbacks.success(uuid.uuid4(), "999")),
    ),
    # No transaction: the first look finds it. Then the event, and the count of its deliveries.
    "a repetition": (1 + 2, 200, lambda site: webhook(callbacks.success(site.finished.pending_token, "777"))),
    "a bad signature": (0, 403, lambda site: webhook(success(site), secret="wrong")),
    "the landing page": (1, 200, lambda site: page(Client(), f"/banking/return/{site.waiting.reference}/")),
    "a look at how it stands": (
        1,
        200,
        lambda site: page(Client(), f"/banking/sessions/{site.waiting.reference}/status/"),
    ),
    "the list": (LOGIN + 1, 200, lambda site: page(site.customer, "/banking/")),
    "a connection": (LOGIN + 2, 200, lambda site: page(site.customer, site.active.get_absolute_url())),
    "the API's list": (LOGIN + 1, 200, lambda site: page(site.customer, "/banking/api/connections/")),
    "the API's connection": (
        LOGIN + 1,
        200,
        lambda site: page(site.customer, f"/banking/api/connections/{site.active.reference}/"),
    ),
    "the admin's connections": (
        LOGIN + 4,
        200,
        lambda site: page(site.operator, f"{ADMIN}/bankingconnection/"),
    ),
    "the admin's sessions": (LOGIN + 3, 200, lambda site: page(site.operator, f"{ADMIN}/connectsession/")),
    "the admin's events": (LOGIN + 3, 200, lambda site: page(site.operator, f"{ADMIN}/connectionevent/")),
}


@pytest.mark.parametrize("what", COSTS)
def test_it_costs_this_many_statements(site: Site, what: str) -> None:
    expected, status, act = COSTS[what]
    if what.startswith("the admin"):
        act(site)  # content types are read once per process
    with CaptureQueriesContext(database) as captured:
        assert act(site) == status
    words = [query["sql"].lstrip("(").split()[0] for query in captured.captured_queries]
    assert sum(word in {"SELECT", "INSERT", "UPDATE", "DELETE"} for word in words) == expected, words
