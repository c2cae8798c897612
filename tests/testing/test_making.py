"""Connections in every status, made of facts: what is reported later acts on them, and the log tells all of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.models import BankingConnection
from business_os_banking.testing import (
    capture_signals,
    make_connection,
    override_banking,
    report_failure,
    report_success,
)
from business_os_banking.vocabulary import ConnectionStatus, StatusReason

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ConnectionStatus)
def test_each_status(user: User, status: str) -> None:
    connection = make_connection(user, "org-7", status=status, metadata={"cost_centre": 4711})
    assert connection.status == status
    assert (connection.user, connection.tenant, connection.metadata) == (user, "org-7", {"cost_centre": 4711})
    assert (connection.status_reason, connection.ended_by) == (
        "consent_expired" if status == "inactive" else "",
        "owner" if status == "disconnected" else "",
    )
    assert connection == BankingConnection.objects.get()
    assert connection.sessions.get().pending_token
    assert not connection.removal_due


@pytest.mark.parametrize("reason", StatusReason)
def test_each_reason_and_a_success_ends_it(reason: str) -> None:
    connection = make_connection(status="inactive", reason=reason)
    assert (connection.status, connection.status_reason) == ("inactive", reason)
    report_success(connection)
    assert (connection.status, connection.status_reason) == ("active", "")
    report_failure(connection, "InvalidCredentials")
    assert (connection.status, connection.status_reason) == ("inactive", "login_changed")


def test_it_is_made_of_facts_and_can_be_made_of_them_again() -> None:
    for status in ConnectionStatus:
        make_connection(status=status)
    assert list(rebuild(check=True)) == []


def test_a_bank_is_known_with_the_success() -> None:
    assert make_connection(bank="Sparkasse Köln").provider_name == "Sparkasse Köln"
    assert make_connection(bank="").provider_name == ""
    assert make_connection(status="pending").provider_name == ""


def test_as_many_as_one_likes(user: User) -> None:
    """Even of one person's that wait, of which the pages would open one only."""
    made = [make_connection(user, status="pending") for _ in range(3)]
    made += [make_connection(user) for _ in range(3)]
    assert len({connection.pk for connection in made}) == 6
    assert len({connection.upstream_id for connection in made if connection.upstream_id}) == 3


def test_receivers_hear_of_it_as_on_a_site() -> None:
    with capture_signals() as signals:
        make_connection(status="inactive")
    about = [(signal.name, signal.connection.status) for signal in signals if signal.connection]
    assert about == [
        *(("connect_session_started", "pending"), ("event_recorded", "pending")),
        *(
            ("connect_session_finished", "active"),
            ("connection_activated", "active"),
            ("event_recorded", "active"),
        ),
        *(("connection_deactivated", "inactive"), ("event_recorded", "inactive")),
    ]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"status": "connected"}, "status must be one of pending, active, inactive, disconnected"),
        ({"status": "inactive", "reason": "rain"}, "reason must be one of consent_expired"),
        ({"reason": "consent_expired"}, "Only an inactive connection has a reason"),
    ],
)
def test_what_cannot_be_is_said(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_connection(**wrong)
    assert not BankingConnection.objects.exists()


@pytest.mark.parametrize("wrong", [{"provider_name": "X"}, {"account": "berlin"}, {"state": {}}])
def test_any_other_keyword_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make_connection(**wrong)


def test_the_account_is_the_default_one_or_the_first_that_there_is() -> None:
    assert make_connection().account == "default"
    with override_banking(ACCOUNTS={"berlin": {}, "bonn": {}}):
        connection = make_connection()
        report_failure(connection, "ConsentExpired")
    assert (connection.account, connection.status) == ("berlin", "inactive")


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_the_test_s_own() -> None:
    with transaction.atomic():
        connection = make_connection(status="inactive")
        report_success(connection)
        assert connection.status == "active"
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        make_connection(status="disconnected")
