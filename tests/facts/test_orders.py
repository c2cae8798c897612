"""Facts in every order, repeated, through the real door and a real database: one end state."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.facts.record import record
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.verifiers import Delivery
from tests import callbacks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
Body = dict[str, Any]


def deliver(body: Body) -> None:
    content = json.dumps(body).encode()
    record(payloads.read(Delivery(body=content, headers={}, received_at=timezone.now()), "default"))


def a_connection(user: User, sessions: int) -> tuple[BankingConnection, list[ConnectSession]]:
    connection = BankingConnection.objects.create(user=user)
    rows = [
        ConnectSession.objects.create(connection=connection, pending_token=uuid4(), status="open")
        for _ in range(sessions)
    ]
    return connection, rows


def end_of(connection: BankingConnection, sessions: list[ConnectSession], links: dict[str, str]) -> Any:
    """Return all that can be seen in the end, with the names that each run gave to its own links taken out."""
    connection.refresh_from_db()
    seen: list[Any] = [
        (connection.status, connection.status_reason, links.get(connection.upstream_id, "")),
        (connection.connected_at, connection.last_success_at, connection.last_error_class),
        (
            connection.disconnected_at,
            connection.ended_by,
            connection.consent_expires_at,
            connection.removal_due,
        ),
    ]
    for session in sessions:
        session.refresh_from_db()
        seen.append((session.status, session.succeeded_at, session.error_class, session.error_group))
        seen.append((session.stage, links.get(session.upstream_id, ""), session.connect_url))
    return tuple(seen)


def at(minute: int) -> str:
    return f"2026-11-01T10:{minute:02}:00.000Z"


def a_first_connect(first: ConnectSession, _second: ConnectSession, a: str, _b: str) -> list[Body]:
    token = first.pending_token
    return [
        callbacks.notify(token, "start", connection_id=a, time=at(1)),
        callbacks.fail(token, time=at(2)),
        callbacks.success(token, a, time=at(3)),
        callbacks.success(None, a, time=at(4)),
        callbacks.fail(None, "InvalidCredentials", connection_id=a, time=at(5)),
        callbacks.success(None, a, time=at(6)),
    ]


def a_renewal(first: ConnectSession, second: ConnectSession, a: str, b: str) -> list[Body]:
    return [
        callbacks.success(first.pending_token, a, time=at(1)),
        callbacks.body(connection_id=a, consent_status="expired", time=at(2)),
        callbacks.fail(second.pending_token, time=at(3)),
        callbacks.notify(second.pending_token, "start", connection_id=b, time=at(4)),
        callbacks.success(None, b, time=at(5)),
        callbacks.destroy(None, a, time=at(6)),
    ]


def a_folded_renewal(first: ConnectSession, second: ConnectSession, a: str, _b: str) -> list[Body]:
    return [
        callbacks.success(first.pending_token, a, time=at(1)),
        callbacks.fail(None, "InvalidCredentials", connection_id=a, time=at(2)),
        callbacks.notify(second.pending_token, "start", connection_id=a, time=at(3)),
        callbacks.success(second.pending_token, a, time=at(4)),
        callbacks.success(first.pending_token, a, time=at(5)),
        callbacks.body(connection_id=a, consent_status="revoked", time=at(6)),
    ]


@pytest.mark.once
@pytest.mark.no_cover  # it goes over the same lines twenty thousand times, and being watched doubles its time
@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("journey", [a_first_connect, a_renewal, a_folded_renewal])
def test_every_order_of_a_journey_ends_alike(user: User, journey: Any, first: int) -> None:
    """All orders that begin with the same fact, and the one in which things happened: so all end like that one."""
    chance = random.Random(f"{journey.__name__} {first}")
    orders = [order for order in itertools.permutations(range(6)) if order[0] == first]
    ends = set()
    for number, order in enumerate([tuple(range(6)), *orders]):
        connection, sessions = a_connection(user, 2)
        a, b = f"1{number:05}", f"2{number:05}"
        bodies = journey(*sessions, a, b)
        for index in order:
            for _ in range(chance.choice([1, 1, 2])):
                deliver(bodies[index])
        ends.add(end_of(connection, sessions, {a: "A", b: "B"}))
    assert len(ends) == 1
    assert not ConnectionEvent.objects.filter(outcome__in=("unmatched", "failed")).exists()


NAMES = st.sampled_from(["first", "second", ""])
LINKS = st.sampled_from(["a", "b"])
FACTS = st.one_of(
    st.tuples(st.just("success"), NAMES, LINKS),
    st.tuples(st.just("notify"), NAMES, LINKS),
    st.tuples(st.just("fail"), NAMES, st.sampled_from(["a", "b", ""])),
    st.tuples(st.just("consent"), st.just(""), LINKS),
    st.tuples(st.just("destroy"), NAMES, LINKS),
)


def body_of(
    fact: tuple[str, str, str], minute: int, tokens: dict[str, Any], links: dict[str, str]
) -> Body | None:
    kind, name, link_name = fact
    token, link = tokens.get(name), links.get(link_name, "")
    if not token and not link:
        return None
    if kind == "success":
        return callbacks.success(token, link, time=at(minute))
    if kind == "notify":
        return callbacks.notify(token, "start", connection_id=link, time=at(minute))
    if kind == "fail":
        known = {"connection_id": link} if link else {}
        return callbacks.fail(token, "InvalidCredentials", time=at(minute), **known)
    if kind == "consent":
        return callbacks.body(connection_id=link, consent_status="revoked", time=at(minute))
    return callbacks.destroy(token, link, time=at(minute))


@pytest.mark.once
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
# Each fact has a minute of its own: at the very same moment names decide, and here each run makes its own names.
@given(
    facts=st.lists(st.tuples(FACTS, st.integers(1, 59)), max_size=10, unique_by=lambda fact: fact[1]),
    chance=st.randoms(use_true_random=False),
)
def test_longer_random_journeys_end_alike_in_two_orders(
    user: User, facts: list[tuple[tuple[str, str, str], int]], chance: random.Random
) -> None:
    ends = []
    for shuffled in (False, True):
        connection, sessions = a_connection(user, 2)
        links = {name: uuid4().hex[:18] for name in ("a", "b")}
        tokens = dict(zip(("first", "second"), (s.pending_token for s in sessions), strict=True))
        bodies = [body for fact, minute in facts if (body := body_of(fact, minute, tokens, links))]
        if shuffled:
            bodies = chance.sample(bodies * 2, len(bodies) * 2)
        for body in bodies:
            deliver(body)
        ends.append(end_of(connection, sessions, {link: name for name, link in links.items()}))
    assert ends[0] == ends[1]
    assert list(rebuild(check=True)) == []
    # Each example is its own world; a rebuild of all of them would only be slow.
    BankingConnection.objects.all().delete()


def test_a_wrong_clock_ahead_holds_back_the_truth_for_five_minutes_at_most(user: User) -> None:
    _connection, [session] = a_connection(user, 1)
    deliver(callbacks.success(session.pending_token, "777", time="2036-01-01T00:00:00Z"))
    session.refresh_from_db()
    assert session.succeeded_at is not None
    assert (session.succeeded_at - datetime.now(UTC)).total_seconds() <= 300
