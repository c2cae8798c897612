"""Two accounts at random: what is stored of one is what its own events alone would have made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from business_os_banking.facts.record import record
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.verifiers import Delivery
from tests import callbacks
from tests.accounts.conftest import NORTH, SOUTH
from tests.accounts.test_isolation import BANKS, KINDS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.long]
NOW = datetime(2026, 11, 20, tzinfo=UTC)
# Two sessions of each account, always with the same names, so that two runs can be compared.
SESSIONS = {
    (alias, number): UUID(int=16 * place + number)
    for place, alias in enumerate((NORTH, SOUTH), start=1)
    for number in (1, 2)
}
TOKENS = {key: UUID(int=reference.int + 256) for key, reference in SESSIONS.items()}
LINKS = ("", "777", "888")  # the same for both
WHO = st.sampled_from([None, *SESSIONS])
EVENT = st.tuples(
    st.sampled_from([NORTH, SOUTH]),
    st.sampled_from(sorted([*KINDS, *BANKS])),
    WHO,  # whose token it holds: perhaps one of the other account
    WHO,  # whose key
    st.sampled_from(LINKS),
    st.integers(0, 59),
)
Event = tuple[str, str, Any, Any, str, int]


def deliver(event: Event) -> None:
    alias, kind, token, key, link, minute = event
    named: dict[str, Any] = {"connection_id": link} if link else {}
    body = callbacks.body(
        token=TOKENS.get(token),
        session=SESSIONS.get(key),
        time=f"2026-11-02T10:{minute:02}:00Z",
        **{**KINDS, **BANKS}[kind],
        **named,
    )
    content = json.dumps(body).encode()
    record(payloads.read(Delivery(body=content, headers={}, received_at=NOW), alias))


def world_of(user: User, events: list[Event], alias: str) -> Any:
    """Return all that is stored of *alias* after *events*, but for keys and the time of the test itself."""
    for key, reference in SESSIONS.items():
        connection = BankingConnection.objects.create(
            user=user, account=key[0], reference=UUID(int=reference.int + 512), provider_code="demobank_xf"
        )
        ConnectSession.objects.create(
            connection=connection, reference=reference, pending_token=TOKENS[key], status="open"
        )
    # What no fact has told of a session yet is read off its row.
    ConnectSession.objects.update(created_at=NOW)
    for event in events:
        deliver(event)
    found = {
        "connections": BankingConnection.objects.filter(account=alias).order_by("reference"),
        "sessions": ConnectSession.objects.filter(connection__account=alias).order_by("reference"),
        "events": ConnectionEvent.objects.filter(account=alias).order_by("digest"),
    }
    names = {row.pk: row.reference for row in BankingConnection.objects.all()}
    world = {name: [_nameless(row, names) for row in rows.values()] for name, rows in found.items()}
    BankingConnection.objects.all().delete()
    ConnectionEvent.objects.all().delete()
    return world


def _nameless(row: dict[str, Any], names: dict[int, UUID]) -> dict[str, Any]:
    """Return *row* without what every run makes anew; the connection by its reference instead of its key."""
    own = {"id", "created_at", "updated_at", "named_at", "announcements", "announced_at", "session_id"}
    kept = {name: value for name, value in row.items() if name not in own}
    if "connection_id" in kept:
        kept["connection_id"] = names.get(kept["connection_id"])
    return kept


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(events=st.lists(EVENT, max_size=12))
def test_one_account_is_as_if_the_other_did_not_exist(user: User, events: list[Event]) -> None:
    alone = world_of(user, [event for event in events if event[0] == SOUTH], SOUTH)
    assert world_of(user, events, SOUTH) == alone
