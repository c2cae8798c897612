"""What follows a commit may fail: what is committed is answered as such, and done again by reconcile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.deeds import start
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def losing_the_database(name: str) -> Iterator[list[str]]:
    """While this lasts, the first receiver of the signal *name* that is told loses the connection for good."""
    told: list[str] = []
    with ExitStack() as stack:

        def away(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            raise OperationalError("server closed the connection unexpectedly")

        def receiver(**_told: object) -> None:
            told.append(name)
            stack.enter_context(connection.execute_wrapper(away))

        signal = signals.BY_NAME[name]
        signal.connect(receiver, weak=False)
        stack.callback(signal.disconnect, receiver)
        yield told


def later() -> None:
    reconcile(timezone.now() + timedelta(minutes=1))


@pytest.mark.parametrize("name", ["connection_activated", "connect_session_finished", "event_recorded"])
def test_a_webhook_that_is_committed_is_answered_200(upstream: Upstream, user: User, name: str) -> None:
    upstream.lists()
    session = start(user)
    body = callbacks.raw(callbacks.success(session.pending_token, "777"))
    client = Client(headers={"X-Webhook-Secret": SECRET})
    with losing_the_database(name) as told:
        assert client.post("/banking/webhook/", body, "application/json").status_code == 200
    assert told == [name]
    assert BankingConnection.objects.get().status == "active"
    assert ConnectionEvent.objects.unannounced().count() == 1
    later()
    assert not ConnectionEvent.objects.unannounced().exists()


def test_a_customer_whose_session_is_open_is_sent_to_the_bank(
    upstream: Upstream, user: User, client: Client
) -> None:
    client.force_login(user)
    upstream.lists()
    with losing_the_database("connect_session_started") as told:
        # All that is read after the commit is lost as well; the session, which was committed, is not.
        client.raise_request_exception = False
        client.post("/banking/connect/", {})
    assert told == ["connect_session_started"]
    session = ConnectSession.objects.get()
    assert (session.status, session.connect_url != "") == ("open", True)
    assert client.post("/banking/connect/", {})["Location"] == session.connect_url
    assert len(upstream.calls("POST")) == 1


def test_a_session_that_is_expired_stays_so(upstream: Upstream, user: User) -> None:
    session = start(user)
    ConnectSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(days=2))
    upstream.lists()
    with losing_the_database("connect_session_finished") as told, pytest.raises(SystemExit):
        call_command("banking_reconcile", verbosity=0)
    assert told == ["connect_session_finished"]
    session.refresh_from_db()
    assert session.status == "expired"
    later()
    assert not ConnectionEvent.objects.unannounced().exists()
