"""Callbacks arrive: on demand, and on their own over a real socket."""

import json
import logging
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.utils import timezone

from business_os_banking.sandbox import background, deliveries, simulate
from business_os_banking.sandbox.callbacks import STAGES
from business_os_banking.sandbox.models import SandboxDelivery, SandboxSession

from .conftest import Api, Configure, Inbox
from .listener import Listener, threads, wait_for_threads

pytestmark = pytest.mark.long


def ended(api: Api, scenario: str = "succeed", url: str = "") -> SandboxSession:
    session = api.session()
    simulate.finish(session.token, scenario, webhook_url=url)
    return session


def test_retries_until_the_answer_is_good(api: Api, inbox: Inbox) -> None:
    ended(api, "cancel")
    inbox.statuses = [500, None, 302]
    now = timezone.now()
    assert inbox.deliver(now=now) == 0
    row = SandboxDelivery.objects.get()
    assert (row.attempts, row.last_status, row.sent_at) == (1, 500, None)
    assert inbox.deliver(now=now) == 0, "not before the back-off is over"
    assert inbox.deliver(now=now + timedelta(seconds=10)) == 0
    assert SandboxDelivery.objects.get().last_status is None
    assert inbox.deliver(now=now + timedelta(seconds=20)) == 0
    assert inbox.deliver(now=now + timedelta(seconds=30)) == 1
    row.refresh_from_db()
    assert (row.attempts, row.last_status) == (4, 200)
    assert row.sent_at == now + timedelta(seconds=30)
    assert len({body for _, body, _ in inbox.got}) == 1


def test_gives_up_after_three_retries(api: Api, inbox: Inbox) -> None:
    ended(api, "cancel")
    inbox.statuses = [500] * 10
    for minute in range(10):
        inbox.deliver(now=timezone.now() + timedelta(minutes=minute))
    assert len(inbox.got) == 4
    assert SandboxDelivery.objects.get().sent_at is None


def test_the_log_keeps_the_url_to_itself(api: Api, inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    ended(api, "cancel", "https://shop.test/webhook/default/s3cret/")
    inbox.statuses = [403]
    with caplog.at_level(logging.DEBUG):
        inbox.deliver()
    assert "answered 403" in caplog.text
    assert "s3cret" not in caplog.text


def test_signed_when_sent(api: Api, inbox: Inbox, configure: Configure) -> None:
    ended(api, "cancel")
    configure(WEBHOOK_SIGNING="hmac")
    with pytest.raises(ImproperlyConfigured):
        inbox.deliver()
    configure(WEBHOOK_SECRET="s")
    assert inbox.deliver() == 1
    assert "X-Signature" in inbox.got[0][2]


def test_real_http(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    listener.statuses = [204, 302]
    assert deliveries.post(listener.url, b"{}", {"X-Webhook-Secret": "s"}) == 204
    assert deliveries.post(listener.url, b"{}", {}) == 302
    body, headers = listener.got[0]
    assert body == b"{}"
    assert headers["X-Webhook-Secret"] == "s"


def test_nobody_listens() -> None:
    assert deliveries.post("http://127.0.0.1:9/", b"{}", {}) is None


@pytest.mark.django_db(transaction=True)
def test_thread(configure: Configure, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PACE", 0)
    monkeypatch.setattr(deliveries, "BACKOFF", (0.2, 0.2, 0.2))
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url, WEBHOOK_SECRET="s")
    listener.statuses = [500]
    ended(Api())
    wait_for_threads()
    stages = [json.loads(body)["data"]["stage"] for body, _ in listener.got]
    assert sorted(stages) == sorted([*STAGES, "start", "finish"])
    assert {headers["X-Webhook-Secret"] for _, headers in listener.got} == {"s"}
    rows = SandboxDelivery.objects.order_by("pk")
    assert [row.attempts for row in rows] == [2, 1, 1, 1, 1, 1]
    assert all(row.sent_at and row.last_status == 200 for row in rows)


@pytest.mark.django_db(transaction=True)
def test_thread_waits_for_late_ones(configure: Configure, listener: Listener) -> None:
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url, LATE_SECONDS=0.5)
    started = time.monotonic()
    ended(Api(), "webhook_late")
    assert listener.got == []
    wait_for_threads()
    assert len(listener.got) == 6
    assert time.monotonic() - started > 0.5


@pytest.mark.django_db(transaction=True)
def test_thread_leaves_alone_what_is_gone(configure: Configure, listener: Listener) -> None:
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url, LATE_SECONDS=0.3)
    ended(Api(), "webhook_late")
    SandboxDelivery.objects.all().delete()
    wait_for_threads()
    assert listener.got == []


@pytest.mark.django_db(transaction=True)
def test_thread_gives_up(configure: Configure, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "BACKOFF", (0.01, 0.01, 0.01))
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url)
    listener.statuses = [500] * 9
    ended(Api(), "cancel")
    wait_for_threads()
    assert len(listener.got) == 4


@pytest.mark.django_db(transaction=True)
def test_thread_says_why_it_cannot_sign(
    configure: Configure, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url, WEBHOOK_SIGNING="hmac")
    ended(Api(), "cancel")
    wait_for_threads()
    assert listener.got == []
    assert "WEBHOOK_SECRET" in caplog.text
    assert "Traceback" not in caplog.text


def test_nothing_is_sent_if_the_transaction_is_not_committed(
    api: Api, configure: Configure, listener: Listener
) -> None:
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url)
    ended(api)
    assert threads() == []


def test_a_vanished_database_is_no_traceback(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(api)
    jobs = [deliveries.job_of(row) for row in SandboxDelivery.objects.all()]

    def vanished(job: object) -> bool:
        raise OperationalError("no such table")

    monkeypatch.setattr(background, "_is_waiting", vanished)
    monkeypatch.setattr(background, "sleep", lambda seconds: None)
    thread = threading.Thread(target=background._run, args=(jobs,))
    thread.start()
    thread.join()
    assert capsys.readouterr().err == ""


def test_a_busy_database_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "sleep", lambda seconds: None)
    answers: list[Any] = [OperationalError("locked"), OperationalError("locked"), 7]

    def action() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    assert background._retry_if_busy(action) == 7
