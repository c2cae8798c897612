"""Zero stands for nothing where ids, times, stages and classes of errors stand, as a number, a text, and a UUID."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from business_os_banking.models import BankingConnection
from tests import callbacks
from tests.deeds import start
from tests.reading.test_objects import ANY, Item, any_way, attempt, item
from tests.reading.world import LINK, SUCCEEDED, ago, connected, latest, post, stands
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db

ZEROS: list[Any] = [0, "0", 0.0, "0.0", "00000000-0000-0000-0000-000000000000", " 0 "]
KEYS = (
    *("payment_id", "consent_id", "id", "customer_id", "duplicated_connection_id", "error_class"),
    *("fail_error_class", "created_at", "updated_at", "success_at", "fail_at", "consent_expires_at"),
)


@pytest.mark.parametrize("zero", ZEROS, ids=repr)
@pytest.mark.parametrize("key", KEYS)
def test_a_success_is_one_all_the_same(upstream: Upstream, user: User, key: str, zero: Any) -> None:
    session = start(user)
    for place in ("data", "top"):
        body = callbacks.success(session.pending_token, LINK, time=ago(minutes=1))
        (body if place == "top" else body["data"])[key] = zero
        assert post(body) == 200
        assert (latest().kind, stands(session)) == ("succeeded", SUCCEEDED)


@pytest.mark.parametrize("zero", ZEROS, ids=repr)
@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_removal_still_does(upstream: Upstream, user: User, key: str, zero: Any) -> None:
    session = start(user)
    connected(session)
    body = callbacks.bare_destroy(None, LINK, time=ago(hours=1))
    body["data"][key] = zero
    assert post(body) == 200
    assert (latest().kind, latest().note) == (
        "guessed_removal",
        "Ids and nothing more: it may be a removal, so the connection is read",
    )
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.read_due_at is not None) == ("active", True)


@pytest.mark.parametrize("zero", ZEROS, ids=repr)
def test_an_outer_stage_that_is_none_outdoes_no_inner_one(upstream: Upstream, user: User, zero: Any) -> None:
    session = start(user)
    body = {**callbacks.success(session.pending_token, LINK, time=ago(minutes=1)), "stage": zero}
    assert post(body) == 200
    assert stands(session) == SUCCEEDED


@any_way
@pytest.mark.parametrize("zero", ZEROS, ids=repr)
def test_the_id_of_an_object_is_the_one_that_is_there(
    upstream: Upstream, user: User, way: str, zero: Any
) -> None:
    session = start(user)
    content: Item = item(attempt(session.pending_token, success_at=ago(minutes=3)), connection_id=zero)
    ANY[way](upstream, content)
    assert stands(session) == SUCCEEDED
    assert BankingConnection.objects.get().upstream_id == LINK
