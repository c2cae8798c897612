"""One key from many workers at once, on real locks: one session, one call, one answer."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client

from business_os_banking.models import BankingConnection, ConnectSession
from tests.concurrency.test_races import WORKERS, at_once
from tests.upstream.fake import BASE_URL, Upstream, connect_answer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server_database]
URL = "/banking/api/connections/"


def create(user: User, key: str, body: dict[str, Any] | None = None, url: str = URL) -> tuple[int, Any]:
    client = Client()
    client.force_login(user)
    answer = client.post(url, body or {}, "application/json", headers={"Idempotency-Key": key})
    return answer.status_code, answer.json()


def _answers_after(upstream: Upstream, event: threading.Event, seconds: float) -> None:
    """Have the upstream answer a connect after *event*, or after so many *seconds*."""

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        event.wait(seconds)
        return 200, {}, json.dumps(connect_answer())

    upstream.mock.remove("POST", f"{BASE_URL}/v2/banking/connect")
    upstream.mock.add_callback("POST", f"{BASE_URL}/v2/banking/connect", answer)


def test_one_key_from_many_workers_makes_one_session(upstream: Upstream, user: User) -> None:
    for key in ("a", "b", "c"):
        answers = at_once(*[partial(create, user, key)] * WORKERS)
        assert {status for status, _body in answers} == {201}
        assert len({body["session"]["connect_url"] for _status, body in answers}) == 1
    assert len(upstream.calls("POST")) == 3
    assert (BankingConnection.objects.count(), ConnectSession.objects.count()) == (3, 3)


def test_a_slow_provider_is_waited_for_by_all(upstream: Upstream, user: User) -> None:
    _answers_after(upstream, threading.Event(), 0.5)
    answers = at_once(*[partial(create, user, "slow")] * 6)
    assert [status for status, _body in answers] == [201] * 6
    assert len(upstream.calls("POST")) == 1


def test_one_key_with_two_requests_at_once_makes_one_of_them(upstream: Upstream, user: User) -> None:
    jobs = [partial(create, user, "two", {"next": f"/{number % 2}/"}) for number in range(WORKERS)]
    answers = at_once(*jobs)
    made = [body["session"]["next"] for status, body in answers if status == 201]
    refused = [body["error"]["class"] for status, body in answers if status == 422]
    assert len(made) + len(refused) == WORKERS
    assert (len(set(made)), set(refused)) == (1, {"KeyReused"})
    assert len(upstream.calls("POST")) == 1


def test_many_keys_and_many_clicks_on_one_connection(upstream: Upstream, user: User) -> None:
    connection = BankingConnection.objects.create(user=user, status="active")
    renew = f"{URL}{connection.reference}/renew/"
    answers = at_once(*[partial(create, user, str(number % 4), None, renew) for number in range(WORKERS)])
    assert [status for status, _body in answers] == [201] * WORKERS
    assert ConnectSession.objects.count() == len(upstream.calls("POST")) == 4


def test_one_key_of_many_people(upstream: Upstream, user: User, other_user: User) -> None:
    answers = at_once(*[partial(create, person, "same") for person in (user, other_user) * 4])
    assert len({body["reference"] for _status, body in answers}) == 2


def test_waiting_holds_few_threads_and_not_for_long(
    upstream: Upstream, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one call hangs, twelve requests with its key are answered; who waits, waits no longer than allowed."""
    monkeypatch.setattr("business_os_banking.flows.claim._LONGEST_WAIT_SECONDS", 4.0)
    done = threading.Event()

    _answers_after(upstream, done, 20)

    def once() -> tuple[float, int]:
        client = Client()
        client.force_login(user)
        begin = time.monotonic()
        answer = client.post(URL, {}, "application/json", headers={"Idempotency-Key": "hangs"})
        if answer.status_code != 201:
            assert answer.headers["Retry-After"] == "2"
            seconds.append(time.monotonic() - begin)
            if len(seconds) == WORKERS - 1:
                done.set()
        return time.monotonic() - begin, answer.status_code

    seconds: list[float] = []
    statuses = sorted(status for _seconds, status in at_once(*[once] * WORKERS))
    assert statuses == [201] + [503] * (WORKERS - 1)
    assert len([wait for wait in seconds if wait > 3]) <= 2
    assert max(seconds) < 8
