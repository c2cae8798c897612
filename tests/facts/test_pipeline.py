"""On PostgreSQL the statements of one transaction are sent without waiting in between; what fails must fail as ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.utils import timezone
from psycopg.pq import PipelineStatus

from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, returned
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.webhooks import payloads
from tests import callbacks
from tests.deeds import start
from tests.upstream.fake import Upstream
from tests.webhooks.contract import delivery

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def session(upstream: Upstream, user: User) -> ConnectSession:
    return start(user)


@pytest.fixture
def success(session: ConnectSession) -> Report:
    return reported(callbacks.success(session.pending_token, "777"))


def reported(body: dict[str, Any]) -> Report:
    return payloads.read(delivery({}, callbacks.raw(body)), "default")


def elsewhere(job: Callable[[], Any]) -> None:
    """Do it on a connection of its own, and wait until it is done."""

    def run() -> None:
        try:
            job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result(30)


def just_before(start_of_sql: str, job: Callable[[], Any]) -> Any:
    """Let *job* be done when a statement that begins like this is about to be sent, once."""
    done: list[bool] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(start_of_sql) and not done:
            done.append(True)
            job()
        return execute(sql, params, many, context)

    return connection.execute_wrapper(watch)


@pytest.mark.parametrize("on", [True, False])
def test_what_changes_state_is_sent_in_one_go(success: Report, settings: Any, on: bool) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DATABASE_PIPELINE": on}
    sent: list[tuple[str, bool]] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        status = connection.connection.pgconn.pipeline_status
        sent.append((sql.split()[0], status == PipelineStatus.ON))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        event = record(success)
    inside = [("SELECT", on), ("UPDATE", on), ("UPDATE", on), ("INSERT", on)]
    assert sent == [("SELECT", False), *inside, ("SELECT", False)]
    assert event == ConnectionEvent.objects.latest("pk")
    assert BankingConnection.objects.get().status == "active"


def test_a_driver_that_is_too_old_is_asked_one_after_the_other(
    success: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(psycopg, "capabilities")  # as with psycopg 3.1
    seen: list[Any] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(connection.connection.pgconn.pipeline_status)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        record(success)
    assert set(seen) == {PipelineStatus.OFF}
    assert BankingConnection.objects.get().status == "active"


def test_an_update_that_fails_says_why_and_all_goes_on(session: ConnectSession) -> None:
    other = start(User.objects.create_user("bob"))
    report = returned(other, {}, timezone.now())
    with pytest.raises(IntegrityError):
        record(report, store={"pending_token": session.pending_token})
    assert not ConnectionEvent.objects.filter(digest=report.digest).exists()
    assert record(reported(callbacks.success(session.pending_token, "777"))).outcome == "applied"


def test_who_comes_second_with_the_same_event_counts_it() -> None:
    report = reported(callbacks.success(None, "999"))
    with just_before("INSERT", lambda: elsewhere(lambda: record(report))):
        event = record(report)
    event.refresh_from_db()
    assert (ConnectionEvent.objects.count(), event.deliveries, event.outcome) == (1, 2, "unmatched")


def test_the_transaction_around_it_survives_that() -> None:
    report = reported(callbacks.success(None, "999"))
    with transaction.atomic(), just_before("INSERT", lambda: elsewhere(lambda: record(report))):
        event = record(report)
        User.objects.create_user("somebody")
    event.refresh_from_db()
    assert (event.deliveries, User.objects.filter(username="somebody").exists()) == (2, True)


@pytest.mark.parametrize("statement", ["SELECT id", "UPDATE business_os_banking_bankingconnection", "INSERT"])
def test_a_server_that_goes_away_half_way_leaves_all_of_it_to_be_done(
    success: Report, statement: str
) -> None:
    pid = connection.connection.info.backend_pid

    def stop_the_server() -> None:
        elsewhere(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid]))

    with just_before(statement, stop_the_server), pytest.raises(OperationalError):
        record(success)
    assert ConnectionEvent.objects.latest("pk").outcome == "failed"
    assert BankingConnection.objects.get().status == "pending"
    assert record(success).outcome == "applied"
    assert BankingConnection.objects.get().status == "active"
