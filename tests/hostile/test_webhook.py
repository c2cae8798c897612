"""Whatever an authentic body holds: the right answer, one event, and nothing that anybody stumbles over later.

``HOSTILE_EXAMPLES=5000 pytest tests/hostile`` looks further than the suite does.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from business_os_banking.facts import notes
from business_os_banking.models import ConnectionEvent
from tests import callbacks
from tests.hostile.conftest import World, hostile, taken_back
from tests.hostile.strategies import BANK, CALLBACKS, LINK, MINE, OBJECTS, VALUES, changed, written

pytestmark = pytest.mark.long


def receive(world: World, body: bytes) -> None:
    """Post *body* twice and assert what must hold of each body."""
    known = ConnectionEvent.objects.count()
    status = world.post(body)
    assert status in {200, 400, 413}
    new = ConnectionEvent.objects.count() - known
    if status != 200:
        assert new == 0
        return
    [event] = world.events_of(body)
    assert event.deliveries == 1
    assert event.outcome != "failed" or event.kind == "provider_changed" or event.note == notes.UNUSABLE_ID
    # A bank that is switched off also leaves an event for those whose connections it changes.
    assert new == 1 or (event.kind == "provider_changed" and new == 2)
    world.check([event])
    state = world.state()
    assert world.post(body) == 200
    event.refresh_from_db()
    assert (event.deliveries, ConnectionEvent.objects.count() - known) == (2, new)
    assert world.state() == state


@hostile
@given(body=st.binary() | st.text().map(str.encode))
def test_any_bytes(world: World, body: bytes) -> None:
    with taken_back():
        receive(world, body)


@hostile
@given(body=written(OBJECTS | VALUES))
def test_any_json(world: World, body: bytes) -> None:
    with taken_back():
        receive(world, body)


@hostile
@given(body=written(changed(CALLBACKS)))
@example(json.dumps(callbacks.success(MINE, LINK, consent_expires_at="9999-12-31T23:59:59Z")).encode())
@example(json.dumps(callbacks.success(MINE, LINK, next_refresh_possible_at="9999-12-31T23:59:59Z")).encode())
@example(json.dumps(callbacks.success(MINE, LINK, provider_name="😀" * 300, country_code="x" * 128)).encode())
@example(b'{"data": {"provider_status": "inactive"}, "meta": {"version": "6"}}')
def test_real_callbacks_that_were_changed(world: World, body: bytes) -> None:
    with taken_back():
        receive(world, body)


@hostile
@given(bodies=st.lists(written(changed(CALLBACKS)), min_size=2, max_size=5))
def test_several_of_them_in_a_row(world: World, bodies: list[bytes]) -> None:
    with taken_back():
        accepted = [body for body in bodies if world.post(body) == 200]
        events = [event for body in accepted for event in world.events_of(body)]
        assert len({event.pk for event in events}) == len(set(accepted))
        world.check(events)


def test_the_world_is_one_in_which_something_can_happen(world: World) -> None:
    """Else the tests above would prove little."""
    for original in CALLBACKS:
        with taken_back():
            assert world.post(callbacks.raw(original)) == 200
            assert world.events_of(callbacks.raw(original))[0].kind != "unknown"
    with taken_back():
        world.post(callbacks.raw(callbacks.success(MINE, LINK)))
        world.post(callbacks.raw({"data": {"provider_code": BANK, "provider_status": "inactive"}}))
        statuses = {
            world.mine.connection.__class__.objects.get(pk=s.connection_id).status
            for s in (world.mine, world.theirs)
        }
        assert statuses == {"active", "inactive"}
