"""Events that match nothing: found when there is something to match, and no dearer the more there are."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from business_os_banking.facts import record as door
from business_os_banking.flows import waiting
from business_os_banking.flows.assign import assign
from business_os_banking.flows.prune import prune
from business_os_banking.flows.reconcile import Result, preview, reconcile
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
)
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream, connect_answer

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
_numbers: Final = itertools.count()


@pytest.fixture(autouse=True)
def empty_list(upstream: Upstream) -> None:
    upstream.lists()


def run(later: timedelta = timedelta(minutes=1)) -> Result:
    return reconcile(timezone.now() + later)


def strangers(count: int, received_at: datetime | None = None, **more: Any) -> None:
    """Make *count* events that match nothing, and never will."""
    at = received_at or timezone.now() - timedelta(hours=2)
    ConnectionEvent.objects.bulk_create(
        ConnectionEvent(
            source="webhook",
            kind="succeeded",
            outcome="unmatched",
            occurred_at=at,
            received_at=at,
            announced_at=at,
            digest=f"stranger {next(_numbers)}",
            **({"pending_token": uuid.uuid4(), "upstream_id": str(uuid.uuid4())} | more),
        )
        for _ in range(count)
    )


@pytest.fixture
def crowd() -> None:
    """More strangers than any share of a run, all of them looked at before."""
    strangers(waiting._SHARE * 500 + 1_200)
    run()


def bury(event: ConnectionEvent) -> None:
    """Put *event* where no run will look at it by itself: far behind what is new, and no part of the next share."""
    strangers(1_200)
    run()
    AccountState.objects.update(share_to=event.pk)


def dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die between each commit and what follows it."""
    monkeypatch.setattr(door, "_after_commit", lambda *_: None)


# --- what becomes matchable ---


def test_a_token_is_known_and_the_process_dies(
    upstream: Upstream, user: User, crowd: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = connect_answer()
    event = deliver(callbacks.success(answer["pending_token"], "777"))
    bury(event)
    with monkeypatch.context() as patched:
        dies(patched)
        upstream.connect_answers(body=answer)
        session = start(user)
    assert str(session.pending_token) == answer["pending_token"]
    assert preview(timezone.now() + timedelta(minutes=1)).applied == 1
    assert run().applied == 1
    assert BankingConnection.objects.get().status == "active"


@pytest.mark.parametrize("further", [False, True])
def test_a_link_is_known_and_the_process_dies(
    user: User, crowd: None, monkeypatch: pytest.MonkeyPatch, further: bool
) -> None:
    session = start(user)
    if further:
        deliver(callbacks.notify(session.pending_token, connection_id="777"))
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="888", time="2036-01-01T00:00:00Z"))
    BankingConnection.objects.update(named_at=timezone.now() - timedelta(days=90))
    bury(event)
    with monkeypatch.context() as patched:
        dies(patched)
        deliver(callbacks.success(session.pending_token, "888"))
    assert run().applied == 1
    event.refresh_from_db()
    assert event.outcome != "unmatched"


def test_an_operator_matches_one_and_the_process_dies(
    user: User, crowd: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is applied by hand came long ago itself; what it makes known is known only now."""
    session = start(user)
    named = deliver(callbacks.success(uuid.uuid4(), "888"))
    linked = deliver(callbacks.fail(None, "ConsentExpired", connection_id="888", time="2036-01-01T00:00:00Z"))
    BankingConnection.objects.update(named_at=timezone.now() - timedelta(days=90))
    bury(linked)
    with monkeypatch.context() as patched:
        dies(patched)
        assign(named, session)
    assert run().applied == 1
    linked.refresh_from_db()
    assert linked.connection == session.connection


def imported(user: User) -> None:
    BankingConnection.objects.create(user=user, upstream_id="777", status="active")


def imported_in_bulk(user: User) -> None:
    rows = [BankingConnection(user=user, upstream_id=str(link)) for link in range(700, 900)]
    moment = timezone.now()
    for row in rows:
        row.named_at = moment
    BankingConnection.objects.bulk_create(rows)


def imported_with_a_session(user: User) -> None:
    connection = BankingConnection.objects.create(user=user)
    ConnectSession.objects.create(connection=connection, upstream_id="777", status="succeeded")


def imported_with_a_further_link(user: User) -> None:
    connection = BankingConnection.objects.create(user=user)
    session = ConnectSession.objects.create(connection=connection, upstream_id="666", status="succeeded")
    SessionLink.objects.create(session=session, upstream_id="777")


@pytest.mark.parametrize(
    "make", [imported, imported_in_bulk, imported_with_a_session, imported_with_a_further_link]
)
def test_what_a_site_adds_by_hand_is_found_by_the_next_run(
    user: User, crowd: None, make: Callable[[User], None]
) -> None:
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    bury(event)
    make(user)
    assert run().applied == 1
    event.refresh_from_db()
    assert event.connection is not None
    assert run().applied == 0


def test_what_a_site_writes_around_everything_is_found_in_its_turn(user: User, crowd: None) -> None:
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    connection = BankingConnection.objects.create(
        user=user, status="active", named_at=timezone.now() - timedelta(days=90)
    )
    bury(event)
    BankingConnection.objects.filter(pk=connection.pk).update(upstream_id="777")
    rest = ConnectionEvent.objects.unmatched().count()
    turns = -(-rest // (waiting._SHARE * 500)) + 1
    assert sum(run().applied for _ in range(turns)) == 1
    connection.refresh_from_db()
    assert connection.status == "inactive"


def test_a_run_that_ends_early_is_made_up_for(
    user: User, crowd: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a complete look moves on: what one that broke had not come to is new to the next."""
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    imported(user)
    before = waiting.place_of(["default"])
    with monkeypatch.context() as patched:
        patched.setattr(waiting, "known", lambda names: 1 / 0)
        assert "ZeroDivisionError" in run().problems[0]
    assert waiting.place_of(["default"]) == before
    assert run().applied == 1
    event.refresh_from_db()
    assert event.outcome == "applied"


def test_one_that_matches_and_cannot_be_applied_is_tried_by_each_run(user: User, crowd: None) -> None:
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    bury(event)
    imported(user)
    BankingConnection.objects.update(state={"attempts": "broken"})
    for _ in range(3):
        result = run()
        assert (result.applied, result.failed, result.needs_a_person) == (0, 1, True)
        BankingConnection.objects.update(named_at=timezone.now() - timedelta(days=90))
    BankingConnection.objects.update(state={})
    assert run().applied == 1
    event.refresh_from_db()
    assert event.outcome == "applied"


def test_one_that_a_worker_is_at_is_not_passed_over(user: User, crowd: None) -> None:
    deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    strangers(1)  # which has the later key, and came before
    imported(user)
    BankingConnection.objects.update(named_at=timezone.now() - timedelta(days=90))
    assert reconcile(timezone.now()).applied == 0
    assert run().applied == 1


@pytest.mark.parametrize("wrong", [timedelta(days=400), -timedelta(days=400)])
def test_a_clock_that_was_wrong_at_the_last_run_hides_nothing(
    user: User, crowd: None, wrong: timedelta
) -> None:
    reconcile(timezone.now() + wrong)
    event = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    imported(user)
    assert run().applied == 1
    event.refresh_from_db()
    assert event.outcome == "applied"


# --- what it costs ---


def cost() -> tuple[int, int]:
    """Return how many statements a run makes, and how many unmatched events it reads."""
    read: list[int] = []

    from_db = ConnectionEvent.from_db

    def counted(*args: Any) -> ConnectionEvent:
        read.append(1)
        return from_db(*args)

    with pytest.MonkeyPatch.context() as patched, CaptureQueriesContext(database) as captured:
        patched.setattr(ConnectionEvent, "from_db", counted)
        assert run().applied == 0
    return len(captured), len(read)


def test_a_run_costs_the_same_however_many_match_nothing(user: User) -> None:
    start(user)
    strangers(3_000)
    run()
    run()
    few = [cost() for _ in range(4)]
    strangers(9_000)
    run()
    many = [cost() for _ in range(8)]
    assert max(many) <= max(few)
    assert max(rows for _statements, rows in many) <= waiting._SHARE * 500 + waiting._IN_FLIGHT


def test_those_that_are_too_old_cost_no_more_either(user: User) -> None:
    strangers(9_000, timezone.now() - timedelta(days=31))
    first = cost()
    assert first[1] <= waiting._SHARE * 500 + waiting._IN_FLIGHT
    assert max(cost()[1] for _ in range(5)) <= waiting._SHARE * 500 + waiting._IN_FLIGHT


@pytest.mark.postgresql
def test_each_look_is_by_index(user: User) -> None:
    strangers(20_000)
    start(user)
    run()
    with database.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE business_os_banking_connectionevent")
    with CaptureQueriesContext(database) as captured:
        list(waiting.appliable(timezone.now() + timedelta(minutes=1), waiting.place_of(["default"])))
    asked = [query["sql"] for query in captured.captured_queries if "connectionevent" in query["sql"]]
    assert len(asked) >= 5
    for sql in asked:
        with database.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan" not in plan, f"{sql}\n{plan}"
        removed = [int(line.rsplit(":", 1)[1]) for line in plan.splitlines() if "Rows Removed" in line]
        assert sum(removed) <= 2 * waiting._IN_FLIGHT, f"{sql}\n{plan}"


# --- how long they wait ---


def test_what_is_too_old_is_not_tried_any_more_and_pruned(user: User, settings: Any) -> None:
    banking = settings.BUSINESS_OS_BANKING
    settings.BUSINESS_OS_BANKING = {**banking, "UNMATCHED_DAYS": 2}
    old = deliver(callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z"))
    young = deliver(callbacks.fail(None, "ConsentExpired", connection_id="888", time="2036-01-01T00:00:00Z"))
    now = timezone.now()
    ConnectionEvent.objects.filter(pk=old.pk).update(received_at=now - timedelta(hours=49))
    ConnectionEvent.objects.filter(pk=young.pk).update(received_at=now - timedelta(hours=47))
    BankingConnection.objects.create(user=user, upstream_id="777", status="active")
    BankingConnection.objects.create(user=user, upstream_id="888", status="active")
    assert preview().applied == 1
    assert run().applied == 1
    assert run().applied == 0
    old.refresh_from_db()
    assert old.outcome == "unmatched"
    assert prune().events == 1
    assert list(ConnectionEvent.objects.values_list("pk", flat=True)) == [young.pk]


def test_prune_takes_those_that_match_nothing_and_no_others(user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token, "777"))
    deliver(callbacks.success(uuid.uuid4(), "888"))
    strangers(1, note="It contradicts itself.")
    strangers(1, ignored_at=timezone.now())
    strangers(1_100)
    change = {"provider_code": "demobank_xf", "provider_status": "inactive"}
    deliver({"data": change, "meta": {"version": "6", "time": "2026-11-04T09:00:00Z"}})
    untold = deliver(callbacks.success(uuid.uuid4(), "999"))
    ConnectionEvent.objects.filter(pk=untold.pk).update(announced_at=None)
    kept = set(ConnectionEvent.objects.exclude(outcome="unmatched").values_list("pk", flat=True))
    assert prune(timezone.now() + timedelta(days=29)).events == 0
    assert prune(timezone.now() + timedelta(days=31)).events == 1_103
    assert set(ConnectionEvent.objects.values_list("pk", flat=True)) == kept | {untold.pk}


def test_what_was_pruned_and_comes_again_waits_again(user: User) -> None:
    body = callbacks.fail(None, "ConsentExpired", connection_id="777", time="2036-01-01T00:00:00Z")
    deliver(body)
    prune(timezone.now() + timedelta(days=31))
    assert not ConnectionEvent.objects.exists()
    deliver(body)
    imported(user)
    assert run().applied == 1
