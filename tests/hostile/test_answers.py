"""Whatever the API answers: an error that is meant for it, or rows that fit; never a crash, never a page that fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses
from django.test import TestCase
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts import notes
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests.hostile.conftest import World, hostile, taken_back
from tests.hostile.strategies import MINE, ROW, TEXTS, THEIR_LINK, VALUES, changed, written
from tests.upstream.fake import BASE_URL, connect_answer

pytestmark = pytest.mark.long

LIST = {
    "data": [ROW, {**ROW, "id": THEIR_LINK}],
    "meta": {"next_id": None},
    "business-os": {"neuesGuthaben": 3},
}
FAILURE = {
    "error": {"class": "ConnectionDuplicated", "message": "no"},
    "errors": [{"field": "email", "message": "no"}],
}
OPENED = connect_answer(pending_token=MINE.replace("8", "7"))
STATUSES = st.sampled_from(
    [200, 200, 200, 200, 201, 204, 302, 400, 401, 402, 404, 405, 409, 422, 429, 500, 503]
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding", "Link"]),
    TEXTS.filter(lambda text: len(text) < 6000).map(
        lambda text: "".join(c for c in text if " " <= c < "\x7f").strip()
    ),
    max_size=2,
)
BODIES = written(changed([LIST, FAILURE, OPENED, {"data": OPENED}]) | VALUES) | st.binary(max_size=60)


def answers(
    mock: responses.RequestsMock, method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    mock.add(method, f"{BASE_URL}{path}", body=body, status=status, headers=headers)


@hostile
@given(status=STATUSES, headers=HEADERS, body=BODIES)
def test_any_answer_to_connect(world: World, status: int, headers: dict[str, str], body: bytes) -> None:
    with taken_back(), responses.RequestsMock() as mock:
        answers(mock, "POST", "/v2/banking/connect", status, headers, body)
        with TestCase.captureOnCommitCallbacks(execute=True):
            page = world.owner.post(reverse("business_os_banking:connect"), {"api": "partner"})
        assert page.status_code in {303, 503}
        session = ConnectSession.objects.latest("pk")
        assert session.status == ("open" if page.status_code == 303 else "failed")
        world.mine = session
        world.check(list(ConnectionEvent.objects.filter(session=session)))


@hostile
@given(status=STATUSES, headers=HEADERS, body=BODIES)
def test_any_list(world: World, status: int, headers: dict[str, str], body: bytes) -> None:
    with taken_back(), responses.RequestsMock() as mock:
        answers(mock, "GET", "/v2/banking/connections", status, headers, body)
        with TestCase.captureOnCommitCallbacks(execute=True):
            reconcile()
        failed = ConnectionEvent.objects.filter(outcome="failed")
        assert not failed.exclude(note=notes.UNUSABLE_ID).exists()
        world.check(list(ConnectionEvent.objects.filter(source="read").exclude(kind="opened")))
        world._sees(world.operator, reverse("admin:business_os_banking_accountstate_changelist"))


@hostile
@given(rows=st.lists(changed([ROW, {**ROW, "id": THEIR_LINK}]), min_size=1, max_size=4), left=VALUES)
def test_any_rows(world: World, rows: list[Any], left: Any) -> None:
    """The same, with more that is nearly right."""
    page = {"data": rows, "business-os": {"neuesGuthaben": left}}
    with taken_back(), responses.RequestsMock() as mock:
        answers(mock, "GET", "/v2/banking/connections", 200, {}, json.dumps(page).encode())
        with TestCase.captureOnCommitCallbacks(execute=True):
            reconcile()
        assert AccountState.objects.get().troubles == 0
        failed = ConnectionEvent.objects.filter(outcome="failed")
        assert not failed.exclude(note=notes.UNUSABLE_ID).exists()
        world.check(list(ConnectionEvent.objects.filter(source="read").exclude(kind="opened")))


@hostile
@given(
    body=written(changed([{"data": {"connection_id": THEIR_LINK, "removed": True}}]) | VALUES),
    status=STATUSES,
)
def test_any_answer_to_a_removal(world: World, body: bytes, status: int) -> None:
    with taken_back(), responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        BankingConnection.objects.filter(pk=world.theirs.connection_id).update(
            user=world.mine.connection.user
        )
        answers(mock, "DELETE", f"/v2/banking/connections/{THEIR_LINK}", status, {}, body)
        url = reverse("business_os_banking:connection-disconnect", args=[world.theirs.connection.reference])
        with TestCase.captureOnCommitCallbacks(execute=True):
            assert world.owner.post(url).status_code == 303
        connection = BankingConnection.objects.get(pk=world.theirs.connection_id)
        assert connection.status == "disconnected"
        world.check(list(ConnectionEvent.objects.filter(connection=connection)))
