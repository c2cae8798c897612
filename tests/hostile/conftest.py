"""A small world for hostile news: somebody whose session waits, somebody else whose bank is connected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, settings

from business_os_banking.conf.secret import Secret, Token
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.facts.record import record
from business_os_banking.facts.replay import replay, select
from business_os_banking.facts.report import opened
from business_os_banking.flows.explain import explain
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.upstream.client import OpenedSession
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.verifiers import Delivery
from tests import callbacks
from tests.callbacks import SECRET
from tests.hostile.strategies import BANK, MINE, REFERENCE, THEIR_LINK, THEIRS

# Each example is rolled back, so it does not matter that the fixtures are made once for all of them.
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "3"))
hostile = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
FAR_EAST = (
    "Pacific/Kiritimati"  # fourteen hours ahead: a time at the end of the calendar is over there already
)


@dataclass
class World:
    """What there is before the news come, and what must hold afterwards."""

    owner: Client
    operator: Client
    mine: ConnectSession
    theirs: ConnectSession

    def post(self, body: bytes) -> int:
        """Post *body* with a valid secret; what is due after the commit is done before this returns."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            answer = Client(headers={"X-Webhook-Secret": SECRET}, raise_request_exception=False).post(
                "/banking/webhook/", body, "application/json"
            )
        assert answer.content == b""
        return answer.status_code

    def events_of(self, body: bytes) -> list[ConnectionEvent]:
        digest = payloads.read(Delivery(body=body, headers={}, received_at=timezone.now()), "default").digest
        return list(ConnectionEvent.objects.filter(digest=digest))

    def state(self) -> list[object]:
        rows = BankingConnection.objects.order_by("pk")
        return [from_json(row.state) for row in rows]

    def check(self, events: list[ConnectionEvent]) -> None:
        """Assert that *events* can be replayed and explained, the state be rebuilt, and all pages be shown."""
        before = self.state()
        with TestCase.captureOnCommitCallbacks(execute=True):
            assert replay(select(ids=[event.pk for event in events])).failed == 0
        assert self.state() == before
        assert list(rebuild(check=True)) == []
        for connection in BankingConnection.objects.all():
            assert all(str(entry) for entry in explain(connection))
        with timezone.override(FAR_EAST):
            self._look_around(events)

    def _look_around(self, events: list[ConnectionEvent]) -> None:
        connections = {self.mine.connection, *(event.connection for event in events if event.connection)}
        for row in (*events, *connections, self.mine):
            name = f"admin:business_os_banking_{row._meta.model_name}_change"
            self._sees(self.operator, reverse(name, args=[row.pk]))
        self._sees(self.operator, reverse("admin:business_os_banking_connectionevent_changelist"))
        self._sees(self.owner, reverse("business_os_banking:connection-list"))
        self._sees(self.owner, self.mine.connection.get_absolute_url())
        self._sees(Client(), reverse("business_os_banking:session-status", args=[self.mine.reference]))

    def _sees(self, client: Client, url: str) -> None:
        assert client.get(url).status_code == 200, url


@contextmanager
def taken_back() -> Iterator[None]:
    """Let everything that happens within be undone, what is counted in the cache included."""
    cache.clear()
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined] # as the block around each test: it is no transaction of the code's own
    with block:
        yield
        transaction.set_rollback(True)


def open_session(user: User, token: str, **values: object) -> ConnectSession:
    now = timezone.now()
    connection = BankingConnection.objects.create(user=user)
    session = ConnectSession.objects.create(connection=connection, **values)
    answer = OpenedSession(
        connect_url=Secret("https://www.saltedge.com/connect?token=x"),
        pending_token=Token(token),
        expires_at=now + timedelta(hours=1),
        owner_user_id=None,
    )
    stored = {
        "pending_token": answer.pending_token,
        "connect_url": answer.connect_url.open(),
        "expires_at": answer.expires_at,
    }
    record(opened(session, answer, now), store=stored)
    return session


@pytest.fixture
def world(db: None) -> World:
    users = get_user_model().objects
    ada, bob = users.create_user("ada"), users.create_user("bob")
    owner, operator = Client(), Client()
    owner.force_login(ada)
    operator.force_login(users.create_superuser("operator"))
    mine = open_session(ada, MINE, reference=UUID(REFERENCE))
    theirs = open_session(bob, THEIRS)
    made = World(owner=owner, operator=operator, mine=mine, theirs=theirs)
    assert made.post(callbacks.raw(callbacks.success(THEIRS, THEIR_LINK, provider_code=BANK))) == 200
    return made
