"""The silence alarm: raised once, with a way out; cleared by itself."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.erase import erase
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.flows.silence import watch
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import EndedBy
from tests import callbacks
from tests.callbacks import SECRET
from tests.deeds import start
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db
SOON = timedelta(minutes=20)


def come_back(times: int, user: User | None = None, tenant: str = "") -> list[ConnectSession]:
    """Have *times* sessions come back: of *user*, or of *tenant*, else each of a person of its own."""
    sessions = []
    for _ in range(times):
        owner = user or (None if tenant else User.objects.create(username=str(uuid.uuid4())))
        sessions.append(start(owner, tenant, next_url=f"/{uuid.uuid4()}/"))
        assert Client().get(f"/banking/return/{sessions[-1].reference}/").status_code == 200
    return sessions


def deliver(token: object) -> None:
    send(callbacks.success(token, str(uuid.uuid4().int)[:18]))


def send(body: dict[str, Any]) -> None:
    headers = {"X-Webhook-Secret": SECRET}
    raw = callbacks.raw(body)
    assert Client().post("/banking/webhook/", raw, "application/json", headers=headers).status_code == 200


def test_three_who_come_back_and_no_webhook(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.lists()
    first, *_ = come_back(2)
    now = timezone.now()
    assert watch("default", now + SOON) is None
    come_back(1)
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
    [session] = come_back(1)
    deliver(session.pending_token)
    assert watch("default", timezone.now()) is None


def test_a_site_that_lives_by_reading_is_not_alarmed(upstream: Upstream, user: User, settings: Any) -> None:
    come_back(3)
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "WEBHOOK_SECRETS": []}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    assert watch("default", timezone.now() + SOON) is None
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}}
    assert watch("default", timezone.now() + SOON) is None


def test_an_alarm_that_a_wrong_clock_has_raised_ends_with_the_next_webhook(upstream: Upstream) -> None:
    first, *_ = come_back(3)
    now = timezone.now()
    assert watch("default", now + SOON) == "no_webhooks"
    AccountState.objects.update(silent_since=now + timedelta(days=400))
    deliver(first.pending_token)
    assert watch("default", now + SOON) is None


def test_pruning_does_not_end_the_alarm(upstream: Upstream, user: User) -> None:
    first, *_ = come_back(3)
    now = timezone.now()
    assert watch("default", now + SOON) == "no_webhooks"
    ConnectionEvent.objects.all().delete()
    assert watch("default", now + timedelta(days=8)) == "no_webhooks"
    AccountState.objects.update(silent_since=now)
    deliver(first.pending_token)
    assert watch("default", now + timedelta(days=8)) is None


def test_what_was_yesterday_is_over(upstream: Upstream, user: User) -> None:
    come_back(3)
    assert watch("default", timezone.now() + timedelta(hours=25)) is None


def test_a_quiet_night_does_not_end_the_alarm(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    [session, *_] = come_back(3)
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
    come_back(3)
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
    come_back(3)
    now = timezone.now() + SOON
    assert watch("default", now) == "no_webhooks"
    body = callbacks.raw({"event": "business_os_banking.self_test"})
    headers = {"X-Webhook-Secret": SECRET}
    assert Client().post("/banking/webhook/", body, "application/json", headers=headers).status_code == 200
    assert watch("default", now) == "no_webhooks"


# --- people, not sessions ---


def test_one_person_is_one_however_often_they_try(upstream: Upstream, user: User) -> None:
    upstream.lists()
    come_back(7, user)
    assert reconcile(timezone.now() + SOON).problems == []
    come_back(1)
    assert watch("default", timezone.now() + SOON) is None
    come_back(5, user)
    assert watch("default", timezone.now() + SOON) is None
    come_back(1)  # behind all that the first one did
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


def test_one_user_is_one_person_in_all_their_tenants(upstream: Upstream, user: User) -> None:
    for tenant in ("", "north", "south"):
        come_back(1, user, tenant)
    assert watch("default", timezone.now() + SOON) is None


def test_without_users_each_tenant_is_one(upstream: Upstream) -> None:
    come_back(4, tenant="north")
    come_back(4, tenant="south")
    assert watch("default", timezone.now() + SOON) is None
    come_back(1, tenant="east")
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


def test_a_user_does_not_hide_their_tenant(upstream: Upstream, user: User) -> None:
    come_back(1, user, "north")
    come_back(1, tenant="north")
    come_back(1, User.objects.create(username="bob"), "north")
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


def test_without_users_and_tenants_each_connection_is_one(upstream: Upstream, user: User) -> None:
    come_back(3, user)
    BankingConnection.objects.update(user=None)  # the site has deleted them
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


def test_what_one_person_does_all_day_costs_no_more(upstream: Upstream, user: User) -> None:
    come_back(20, user)
    with CaptureQueriesContext(connection) as few:
        watch("default", timezone.now() + SOON)
    come_back(20, user)
    with CaptureQueriesContext(connection) as many:
        watch("default", timezone.now() + SOON)
    assert len(many) == len(few)


def test_a_webhook_since_the_last_three_people_came_back_is_heard(upstream: Upstream, user: User) -> None:
    [first] = come_back(1)
    deliver(first.pending_token)
    # As if that had been an hour before the others.
    earlier = timezone.now() - timedelta(hours=1)
    ConnectionEvent.objects.update(received_at=earlier)
    come_back(2)
    assert watch("default", timezone.now() + SOON) is None
    come_back(1)
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


# --- not what we erased or removed ourselves ---


def test_what_is_said_of_links_that_were_erased_raises_nothing(upstream: Upstream) -> None:
    upstream.lists()
    links = [str(uuid.uuid4().int)[:18] for _ in range(4)]
    for link in links:
        [session] = come_back(1)
        send(callbacks.success(session.pending_token, link))
        erase(user=User.objects.latest("pk"), upstream=False)
    for link in links:
        send(callbacks.destroy(None, link))
        send(callbacks.fail(None, "ConsentExpired", connection_id=link))
        send(callbacks.bare_destroy(link))
    assert ConnectionEvent.objects.filter(outcome="unmatched").count() >= 8
    # Nor does that hide for more than a day what is wrong.
    assert reconcile(timezone.now() + SOON).problems == []
    AccountState.objects.update(heard_at=None)
    assert watch("default", timezone.now() + SOON) is None


def test_strangers_are_told_of_though_something_was_erased(upstream: Upstream) -> None:
    come_back(1)
    erase(user=User.objects.latest("pk"), upstream=False)
    for _ in range(3):
        deliver(uuid.uuid4())
    assert watch("default", timezone.now() + SOON) == "nothing_matches"


def test_one_session_that_is_told_of_many_times_is_one(upstream: Upstream) -> None:
    token = uuid.uuid4()
    for stage in ("start", "connect", "fetch_accounts", "finish"):
        send(callbacks.notify(token, stage))
    assert watch("default", timezone.now() + SOON) is None


def test_removals_alone_are_no_sign_of_another_organisation(upstream: Upstream) -> None:
    for number in range(5):
        send(callbacks.destroy(None, f"77{number}"))
    assert watch("default", timezone.now() + SOON) is None


def test_that_a_webhook_came_is_not_forgotten_with_whom_it_was_about(upstream: Upstream) -> None:
    come_back(3)
    [last] = come_back(1)
    deliver(last.pending_token)
    assert watch("default", timezone.now() + SOON) is None
    erase(user=User.objects.latest("pk"), upstream=False)
    assert not ConnectionEvent.objects.filter(source="webhook").exists()
    assert watch("default", timezone.now() + SOON) is None
    for _ in range(3):
        deliver(uuid.uuid4())
    assert watch("default", timezone.now() + SOON) is None
    # A day later that says nothing any more.
    AccountState.objects.update(heard_at=timezone.now() - timedelta(days=2))
    assert watch("default", timezone.now() + SOON) == "nothing_matches"


def test_who_was_disconnected_waits_for_no_webhook(upstream: Upstream) -> None:
    for session in come_back(3):
        disconnect(session.connection, EndedBy.OPERATOR)
    assert watch("default", timezone.now() + SOON) is None
    come_back(3)
    assert watch("default", timezone.now() + SOON) == "no_webhooks"


def test_a_clock_that_was_wrong_at_an_erasure_silences_nothing(upstream: Upstream) -> None:
    AccountState.objects.create(alias="default", heard_at=timezone.now() + timedelta(days=400))
    come_back(3)
    assert watch("default", timezone.now() + SOON) == "no_webhooks"
