"""What happens often never reads a large table through: PostgreSQL's plans, on tables that are large enough to tell."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import fill
from business_os_banking.facts.record import record_return
from business_os_banking.flows.prune import prune
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
_COPIES = 2_000
_OURS = r"on business_os_banking_(?:bankingconnection|connectsession|connectionevent)\b"
# Row by row, or along the primary key from one end to the other with nothing to tell where to begin.
_LARGE = re.compile(rf"Seq Scan {_OURS}|Index Scan(?: Backward)? using \S+_pkey {_OURS}.*\n(?!\s+Index Cond)")
# Nor do webhooks and customers read much of an index: what grows with the site must not cost them more.
_MANY = 500
_ROWS = re.compile(r"actual rows=(\d+) loops=(\d+)|Rows Removed by [^:]+: (\d+)")
_TRULY = "(ANALYZE, TIMING OFF, SUMMARY OFF)"
_ASKS = re.compile(r"\s*\(?\s*(SELECT|UPDATE|DELETE)")


@pytest.fixture
def waiting(user: User, upstream: Upstream) -> Iterator[ConnectSession]:
    """A session that waits, among two thousand times what a site has of everything."""
    upstream.lists(status=404)
    for number in range(4):
        session = start(user)
        deliver(callbacks.notify(session.pending_token, connection_id=f"77{number}"))
        record_return(session, {})
        deliver(callbacks.success(session.pending_token, f"77{number}", provider_code="demobank_de"))
    failed = start(user)
    deliver(callbacks.fail(failed.pending_token))
    deliver(callbacks.success(uuid.uuid4(), "99"))
    waiting = start(user)
    fill.multiply(_COPIES, users=_COPIES, per_day=_COPIES // 7)
    # Most sessions are over, whatever the copies say.
    others = ConnectSession.objects.waiting().exclude(pk=waiting.pk)
    others.exclude(pk__in=others.order_by("pk")[:50]).update(status="succeeded", single_flight=None)
    with database.cursor() as cursor:
        # What PostgreSQL comes to believe of a table with millions of events.
        cursor.execute(
            "ALTER TABLE business_os_banking_connectionevent ALTER upstream_id SET (n_distinct = 500)"
        )
        cursor.execute("VACUUM ANALYZE")
        yield waiting
        cursor.execute("ALTER TABLE business_os_banking_connectionevent ALTER upstream_id RESET (n_distinct)")


THINGS: dict[str, Callable[[ConnectSession, Client], object]] = {
    "a webhook that finishes": lambda session, _: deliver(
        callbacks.success(session.pending_token, "888", provider_code="demobank_de")
    ),
    "one about a link": lambda _, __: deliver(callbacks.fail(None, "ConsentExpired", connection_id="770")),
    "one that matches nothing": lambda _, __: deliver(callbacks.success(uuid.uuid4(), "999")),
    "one that failed": lambda session, _: deliver(callbacks.fail(session.pending_token)),
    "coming back": lambda session, _: Client().get(f"/banking/return/{session.reference}/"),
    "waiting": lambda session, _: Client().get(f"/banking/sessions/{session.reference}/status/"),
    "starting": lambda session, _: start(User.objects.get(username="user7")),
    "the list": lambda _, customer: customer.get("/banking/"),
    "a connection": lambda session, customer: customer.get(session.connection.get_absolute_url()),
    "the API's list": lambda _, customer: customer.get("/banking/api/connections/?status=active"),
    "the API's session": lambda session, customer: customer.get(
        f"/banking/api/sessions/{session.reference}/"
    ),
    "reconcile": lambda _, __: reconcile(timezone.now() + timedelta(hours=3)),
    "prune, with nothing to do": lambda _, __: prune(),
}
SWEEPS = {"reconcile", "prune, with nothing to do"}


@pytest.mark.timeout(300)
def test_no_large_table_is_read_through(waiting: ConnectSession, user: User) -> None:
    customer = Client()
    customer.force_login(user)
    bad = []
    for name, act in THINGS.items():
        with CaptureQueriesContext(database) as captured:
            answer = act(waiting, customer)
        assert getattr(answer, "status_code", 200) == 200, name
        asked = [query["sql"] for query in captured.captured_queries if _ASKS.match(query["sql"])]
        assert asked, name
        for sql in asked:
            with database.cursor() as cursor:
                cursor.execute("SET random_page_cost = 1.1")  # as is usual for disks that do not turn
                reads = sql.lstrip(" (\n").startswith("SELECT")
                cursor.execute(f"EXPLAIN {_TRULY if reads else ''} {sql}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
                cursor.execute("RESET random_page_cost")
            reads_many = name not in SWEEPS and any(
                int(rows or removed) * int(loops or 1) > _MANY for rows, loops, removed in _ROWS.findall(plan)
            )
            if _LARGE.search(plan) or reads_many:
                bad.append(f"{name}:\n{sql}\n{plan}")
    assert not bad, "\n\n".join(bad)
    assert BankingConnection.objects.count() > _COPIES < ConnectionEvent.objects.count()
