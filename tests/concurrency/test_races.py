"""Many workers at once, on real locks: no deadlock, no 500, one row each, and the end is the same."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
import responses
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.flows.erase import erase
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, Removal
from business_os_banking.signals import event_recorded
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import BASE_URL, Upstream, connect_answer, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server_database]
WORKERS = 12


def start(user: User, **more: Any) -> ConnectSession:
    return connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/", **more)


def deliver(body: dict[str, Any]) -> int:
    headers = {"X-Webhook-Secret": SECRET}
    return (
        Client()
        .post("/banking/webhook/", callbacks.raw(body), "application/json", headers=headers)
        .status_code
    )


def visit(session: ConnectSession) -> int:
    return Client().get(f"/banking/return/{session.reference}/").status_code


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in many threads, let go together, and return what they return."""
    gate = threading.Barrier(min(WORKERS, len(jobs)))

    def run(job: Callable[[], Any], number: int) -> Any:
        try:
            if number < gate.parties:
                gate.wait(30)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(run, job, number) for number, job in enumerate(jobs)]
        return [future.result(60) for future in futures]


def test_the_same_event_fifty_times(upstream: Upstream, user: User) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token)
    assert at_once(*[lambda: deliver(body)] * 50) == [200] * 50
    event = ConnectionEvent.objects.get(kind="succeeded")
    assert (event.deliveries, event.outcome) == (50, "applied")
    assert BankingConnection.objects.get().status == "active"
    assert list(rebuild(check=True)) == []


def test_fifty_events_of_one_connection(upstream: Upstream, user: User) -> None:
    session = start(user)
    renewal = start(user, connection=session.connection)
    bodies = [callbacks.success(session.pending_token, "777", time="2026-11-01T10:00:00Z")]
    bodies += [
        callbacks.notify(token, stage, connection_id=link, time=f"2026-11-01T09:{minute:02}:00Z")
        for token, link in ((session.pending_token, "777"), (renewal.pending_token, "888"))
        for minute, stage in enumerate(
            ["start", "connect", "interactive", "fetch_accounts", "fetch_recent"] * 4
        )
    ]
    bodies += [callbacks.success(None, "777", time=f"2026-11-02T10:{minute:02}:00Z") for minute in range(4)]
    bodies += [
        callbacks.fail(renewal.pending_token, time=f"2026-11-01T11:{minute:02}:00Z") for minute in range(4)
    ]
    bodies += [callbacks.success(renewal.pending_token, "888", time="2026-11-03T10:00:00Z")]
    assert len(bodies) == 50
    random.shuffle(bodies)
    assert at_once(*[partial(deliver, body) for body in bodies]) == [200] * 50
    reconcile_once(upstream)
    assert ConnectionEvent.objects.filter(source="webhook").count() == 50
    assert not ConnectionEvent.objects.filter(outcome__in=("unmatched", "failed")).exists()
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.upstream_id) == ("active", "888")
    assert set(ConnectSession.objects.values_list("status", flat=True)) == {"succeeded"}
    assert list(rebuild(check=True)) == []


def reconcile_once(upstream: Upstream) -> None:
    upstream.lists(row("777"), row("888"))
    reconcile(timezone.now() + timedelta(minutes=1))


def test_webhook_return_and_reconcile(upstream: Upstream, user: User) -> None:
    for number in range(8):
        session = start(user, next_url=f"/{number}/")
        link = f"77{number}"
        upstream.lists(row(link, token=session.pending_token), *[row(f"77{n}") for n in range(number)])
        body = callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z")
        answers = at_once(
            partial(deliver, body),
            partial(visit, session),
            lambda: bool(reconcile(timezone.now() + timedelta(minutes=1))),
            partial(visit, session),
            partial(deliver, body),
            lambda: bool(reconcile(timezone.now() + timedelta(minutes=1))),
        )
        assert answers == [200, 200, True, 200, 200, True]
        session.refresh_from_db()
        assert (session.status, session.returned_at is not None) == ("succeeded", True)
    assert list(rebuild(check=True)) == []


def test_many_clicks_make_one_call(upstream: Upstream, user: User) -> None:
    sessions = at_once(*[lambda: start(user).pk] * WORKERS)
    assert len(set(sessions)) == 1
    assert len(upstream.calls("POST")) == 1
    assert (BankingConnection.objects.count(), ConnectSession.objects.count()) == (1, 1)


def test_many_clicks_on_a_page_land_at_one_address(upstream: Upstream, user: User) -> None:
    def click() -> tuple[int, str]:
        browser = Client()
        browser.force_login(user)
        answer = browser.post("/banking/connect/", {})
        return answer.status_code, answer["Location"]

    landed = set(at_once(*[click] * 6))
    [answer] = upstream.answers
    assert landed == {(303, answer["connect_url"])}


def test_a_webhook_that_races_the_answer_of_the_api(upstream: Upstream, user: User) -> None:
    threads: list[threading.Thread] = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        opened = connect_answer()
        delay = random.choice([0, 0, 0.002, 0.005, 0.01, 0.02])

        def webhook() -> None:
            threading.Event().wait(delay)
            deliver(callbacks.success(opened["pending_token"], str(uuid.uuid4().int)[:18]))
            connections.close_all()

        threads.append(threading.Thread(target=webhook))
        threads[-1].start()
        return 200, {}, json.dumps(opened)

    upstream.mock.remove("POST", f"{BASE_URL}/v2/banking/connect")
    upstream.mock.add_callback("POST", f"{BASE_URL}/v2/banking/connect", answer)
    for number in range(25):
        start(user, next_url=f"/{number}/")
    for thread in threads:
        thread.join(30)
    # No reconcile: the two sides found each other by themselves, every time.
    assert set(ConnectSession.objects.values_list("status", flat=True)) == {"succeeded"}
    assert set(BankingConnection.objects.values_list("status", flat=True)) == {"active"}
    assert not ConnectionEvent.objects.filter(outcome="unmatched").exists()


def test_a_fact_of_the_link_that_races_the_fact_that_names_it(upstream: Upstream, user: User) -> None:
    for number in range(15):
        session = start(user, next_url=f"/{number}/")
        link = f"55{number}"
        at_once(
            partial(deliver, callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z")),
            partial(deliver, callbacks.destroy(None, link, time="2026-11-02T10:00:00Z")),
        )
    assert set(BankingConnection.objects.values_list("status", flat=True)) == {"disconnected"}


def test_two_reconciles_share_the_work(upstream: Upstream, user: User) -> None:
    upstream.lists()
    for number in range(30):
        start(user, next_url=f"/{number}/")
    later = timezone.now() + timedelta(hours=2)
    results = at_once(*[lambda: reconcile(later).expired] * 3)
    assert sum(results) == 30
    assert ConnectionEvent.objects.filter(kind="expired").count() == 30
    assert set(ConnectSession.objects.values_list("status", flat=True)) == {"expired"}


def test_what_is_committed_after_the_first_look_is_not_missed(upstream: Upstream, user: User) -> None:
    def shared(session: ConnectSession, link: str) -> dict[str, Any]:
        other = start(user, next_url="/other/")
        return callbacks.success(other.pending_token, link, time="2026-11-01T09:00:00Z")

    bank = {"provider_code": "demobank_xf", "provider_status": "inactive"}
    intruders: list[Callable[[ConnectSession, str], dict[str, Any]]] = [
        lambda _session, link: callbacks.destroy(None, link, time="2026-11-02T10:00:00Z"),
        lambda _session, _link: {"data": bank, "meta": {"version": "6", "time": "2026-11-03T10:00:00Z"}},
        shared,
    ]
    ends = []
    for number, make in enumerate(intruders):
        session = start(user, next_url=f"/{number}/")
        link = f"88{number}"
        intruder = make(session, link)
        body = callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z")
        if intruder["data"] is bank:
            body["data"]["provider_code"] = "demobank_xf"
        with after_the_first_look(partial(deliver, intruder)) as done:
            assert deliver(body) == 200
        assert done == [200]
        session.connection.refresh_from_db()
        ends.append((session.connection.status, session.connection.status_reason))
    assert ends == [("disconnected", ""), ("inactive", "bank_disabled"), ("active", "")]
    # The one that came to share the link knows as much of it.
    sharing = BankingConnection.objects.filter(upstream_id="882").values_list("last_success_at", flat=True)
    assert [f"{time:%H:%M}" for time in sharing if time] == ["10:00", "10:00"]
    assert not ConnectionEvent.objects.filter(outcome__in=("unmatched", "failed")).exists()
    assert list(rebuild(check=True)) == []


def test_a_repetition_that_comes_after_the_first_look_is_counted(upstream: Upstream, user: User) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, "777")
    with after_the_first_look(partial(deliver, body)) as done:
        assert deliver(body) == 200
    assert done == [200]
    assert ConnectionEvent.objects.get(kind="succeeded").deliveries == 2


@contextmanager
def after_the_first_look(job: Callable[[], int]) -> Iterator[list[int]]:
    """Do *job* in a thread of its own, once, as soon as this one has made its first query; give what it returns."""
    done: list[int] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if not done and sql.lstrip().startswith("SELECT 'event', id"):
            done.extend(at_once(job))
        return result

    with connections["default"].execute_wrapper(watch):
        yield done


def test_a_link_that_another_account_has_too_costs_and_tells_nothing_more(
    upstream: Upstream, user: User, settings: Any
) -> None:
    ours = start(user)
    theirs = BankingConnection.objects.create(account="other", user=user)
    ConnectSession.objects.create(connection=theirs, status="succeeded", upstream_id="777")
    told: list[str] = []

    def receiver(**kwargs: Any) -> None:
        told.append(kwargs["event"].kind)
        raise RuntimeError("a receiver that fails")

    event_recorded.connect(receiver)
    try:
        assert deliver(callbacks.success(ours.pending_token, "777")) == 200
    finally:
        event_recorded.disconnect(receiver)
    assert told == ["succeeded"]
    theirs.refresh_from_db()
    assert (theirs.status, theirs.state) == ("pending", {})


MARKER = "marker-of-a-person"


def everything() -> str:
    """Return all that the database holds in the tables of the app and of the admin's history."""
    from django.apps import apps

    models = [*apps.get_app_config("business_os_banking").get_models(), apps.get_model("admin.LogEntry")]
    rows = (row for model in models for row in model._default_manager.values())
    return "\n".join(repr({**row, "at": None}) for row in rows)


def test_people_are_erased_while_webhooks_pour_in(upstream: Upstream, other_user: User) -> None:
    """Nothing is left of them but what names nobody, every webhook is answered 200, and nobody waits."""
    people = [User.objects.create_user(f"person{n}", f"{MARKER}{n}@kunde.example", "x") for n in range(8)]
    kept = start(other_user)
    sessions = [start(person, next_url=f"/{MARKER}/{turn}/") for person in people for turn in range(2)]
    tokens = [str(session.pending_token) for session in sessions]
    for session in sessions:
        deliver(callbacks.success(session.pending_token, f"{MARKER}-{session.pk}"))
        upstream.mock.upsert(
            responses.DELETE,
            f"{BASE_URL}/v2/banking/connections/{MARKER}-{session.pk}",
            json={"data": {"connection_id": f"{MARKER}-{session.pk}", "removed": True}},
        )

    def pour(number: int) -> set[int]:
        chance, statuses = random.Random(number), set()
        for _ in range(40):
            session = chance.choice(sessions)
            link = f"{MARKER}-{session.pk}"
            at = timezone.now().isoformat()
            body = chance.choice(
                [
                    callbacks.success(session.pending_token, link, time=at),
                    callbacks.fail(session.pending_token, "InvalidCredentials", connection_id=link, time=at),
                    callbacks.destroy(None, link, time=at),
                    callbacks.notify(session.pending_token, connection_id=link, time=at),
                    callbacks.fail(
                        kept.pending_token, "ConnectionDuplicated", duplicated_connection_id=link, time=at
                    ),
                ]
            )
            statuses.add(deliver(body))
        return statuses

    def forget(person: User) -> set[int]:
        return {erase(user=person).connections}

    jobs = [*(partial(pour, number) for number in range(4)), *(partial(forget, person) for person in people)]
    results = at_once(*jobs)
    assert set().union(*results[:4]) == {200}
    assert results[4:] == [{2}] * len(people)
    reconcile(timezone.now() + timedelta(hours=1))
    assert not Removal.objects.due().exists()
    left = everything()
    assert MARKER not in left
    assert not any(token in left or token.replace("-", "") in left for token in tokens)
    assert list(rebuild(check=True)) == []


def test_three_reconciles_at_once_tell_a_receiver_once(upstream: Upstream, user: User) -> None:
    upstream.lists()
    for number in range(60):
        deliver(callbacks.success(start(user, next_url=f"/{number}/").pending_token, f"link{number}"))
    ConnectionEvent.objects.filter(kind="succeeded").update(announced_at=None)
    heard: list[int] = []

    def receiver(event: ConnectionEvent, **_: Any) -> None:
        time.sleep(0.005)  # as one that does something
        if event.kind == "succeeded":
            heard.append(event.pk)

    event_recorded.connect(receiver)
    try:
        at_once(*[lambda: reconcile(timezone.now() + timedelta(minutes=1))] * 3)
    finally:
        event_recorded.disconnect(receiver)
    assert (len(heard), len(set(heard))) == (60, 60)
    assert not ConnectionEvent.objects.unannounced().exists()


def test_what_a_dead_worker_has_taken_is_taken_over(upstream: Upstream, user: User) -> None:
    upstream.lists()
    deliver(callbacks.success(start(user).pending_token, "777"))
    now = timezone.now()
    taken = now + timedelta(minutes=5)
    ConnectionEvent.objects.filter(kind="succeeded").update(announced_at=None, leased_until=taken)
    assert reconcile(now + timedelta(minutes=2)).announced == 0
    assert reconcile(now + timedelta(minutes=6)).announced == 1
