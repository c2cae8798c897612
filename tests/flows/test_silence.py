"""The silence alarm: raised once, with a way out; cleared by itself."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from business_os_banking.flows import connect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.flows.silence import watch
from business_os_banking.models import AccountState, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db
SOON = timedelta(minutes=20)


def come_back(user: User, times: int) -> list[ConnectSession]:
    sessions = [
        connect.start(
            owner=(user, ""), return_to=lambda s: "https://x.example/", next_url=f"/{uuid.uuid4()}/"
        )
        for _ in range(times)
    ]
    for session in sessions:
        assert Client().get(f"/banking/return/{session.reference}/").status_code == 200
    return sessions


def deliver(token: object) -> None:
    headers = {"X-Webhook-Secret": SECRET}
    body = callbacks.raw(callbacks.success(token, str(uuid.uuid4().int)[:18]))
    assert Client().post("/banking/webhook/", body, "application/json", headers=headers).status_code == 200


def test_three_who_come_back_and_no_webhook(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.lists()
    first, *_ = come_back(user, 2)
    now = timezone.now()
    assert watch("default", now + SOON) is None
    come_back(user, 1)
    assert watch("default", now) is None  # it may be on its way
    result = reconcile(now + SOON)
    assert result.needs_a_person
    assert any("no webhooks" in problem for problem in result.problems)
    assert "People come back, but no webhook arrives. Make sure" in caplog.text
    assert "curl -X POST" in caplog.text
    state = AccountState.objects.get()
    assert (state.silence, state.silent_since) == ("no_webhooks", now + SOON)
    caplog.clear()
    assert watch("default", now + SOON) == "no_webhooks"
    assert caplog.text == ""
    deliver(first.pending_token)
    assert watch("default", now + SOON) is None
    state.refresh_from_db()
    assert (state.silence, state.silent_since) == ("", None)


def test_webhooks_that_match_nothing(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert watch("default", timezone.now()) is None
        deliver(uuid.uuid4())
    assert watch("default", timezone.now()) == "nothing_matches"
    assert "same Business OS organisation" in caplog.text
    [session] = come_back(user, 1)
    deliver(session.pending_token)
    assert watch("default", timezone.now()) is None


def test_a_site_that_lives_by_reading_is_not_alarmed(upstream: Upstream, user: User, settings: Any) -> None:
    come_back(user, 3)
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "WEBHOOK_SECRETS": []}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    assert watch("default", timezone.now() + SOON) is None
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}}
    assert watch("default", timezone.now() + SOON) is None


def test_pruning_does_not_end_the_alarm(upstream: Upstream, user: User) -> None:
    first, *_ = come_back(user, 3)
    now = timezone.now()
    assert watch("default", now + SOON) == "no_webhooks"
    ConnectionEvent.objects.all().delete()
    assert watch("default", now + timedelta(days=8)) == "no_webhooks"
    AccountState.objects.update(silent_since=now)
    deliver(first.pending_token)
    assert watch("default", now + timedelta(days=8)) is None


def test_what_was_yesterday_is_over(upstream: Upstream, user: User) -> None:
    come_back(user, 3)
    assert watch("default", timezone.now() + timedelta(hours=25)) is None


def test_a_quiet_night_does_not_end_the_alarm(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    [session, *_] = come_back(user, 3)
    raised = timezone.now() + SOON
    assert watch("default", raised) == "no_webhooks"
    caplog.clear()
    assert watch("default", raised + timedelta(days=3)) == "no_webhooks"
    assert caplog.text == ""
    deliver(session.pending_token)
    assert watch("default", raised + timedelta(days=3)) is None


def test_of_two_jobs_one_tells_of_it(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    come_back(user, 3)
    now = timezone.now() + SOON
    AccountState.objects.create(alias="default")
    others = [AccountState.objects.filter(silence="")]

    def other_job(execute: Any, sql: str, *args: Any) -> Any:
        # Between this job's look and its write, another one raises the same alarm.
        if sql.startswith("UPDATE") and others:
            others.pop().update(silence="no_webhooks", silent_since=now)
        return execute(sql, *args)

    with connection.execute_wrapper(other_job):
        assert watch("default", now) == "no_webhooks"
    assert not others
    assert "no webhook arrives" not in caplog.text


def test_a_self_test_ends_no_silence(upstream: Upstream, user: User) -> None:
    come_back(user, 3)
    now = timezone.now() + SOON
    assert watch("default", now) == "no_webhooks"
    body = callbacks.raw({"event": "business_os_banking.self_test"})
    headers = {"X-Webhook-Secret": SECRET}
    assert Client().post("/banking/webhook/", body, "application/json", headers=headers).status_code == 200
    assert watch("default", now) == "no_webhooks"
