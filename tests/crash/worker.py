"""A worker process that dies at a chosen step: run as ``python -m tests.crash.worker FLOW STEP ARGUMENTS``.

It performs FLOW against the test's own database and upstream, and kills itself (SIGKILL: no handler, no clean-up)
right before its STEPth step. Steps are the statements that reach the database and the commits. With STEP 0 it
lives. Exit code 0 means that it got through.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - Django must be set up first
from django.db import connection, transaction  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from business_os_banking import signals  # noqa: E402
from business_os_banking.flows import connect  # noqa: E402
from business_os_banking.flows.disconnect import disconnect  # noqa: E402
from business_os_banking.flows.reconcile import reconcile  # noqa: E402
from business_os_banking.models import BankingConnection  # noqa: E402
from tests.crash.receivers import listen  # noqa: E402


class Countdown:
    """Counts steps, and ends the process before the last one."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.step()
        return execute(sql, params, many, context)


def start(owner: str, next_url: str) -> None:
    user = get_user_model().objects.get(pk=owner)
    connect.start(
        owner=(user, ""), return_to=lambda s: f"https://site.example/{s.reference}/", next_url=next_url
    )


def webhook(path: str) -> None:
    with open(path, "rb") as body:  # noqa: PTH123 - bytes as they are
        headers = {"X-Webhook-Secret": "test-webhook-secret"}
        answer = Client().post("/banking/webhook/", body.read(), "application/json", headers=headers)
    assert answer.status_code == 200


def end(reference: str) -> None:
    disconnect(BankingConnection.objects.get(reference=reference))


def again(now: str) -> None:
    reconcile(datetime.fromisoformat(now))


FLOWS: dict[str, Callable[..., None]] = {
    "connect": start,
    "webhook": webhook,
    "disconnect": end,
    "reconcile": again,
}


def main() -> None:
    flow, steps, base_url, heard, *arguments = sys.argv[1:]
    countdown = Countdown(int(steps))
    listen(signals, heard)
    # The commit is a step of its own: before it all is undone, after it all is done.
    commit = connection._commit  # type: ignore[attr-defined]

    def counted_commit() -> None:
        countdown.step()
        commit()

    connection._commit = counted_commit  # type: ignore[attr-defined]
    account = {
        "API_KEY": "test-key-not-a-secret",
        "WEBHOOK_SECRETS": ["test-webhook-secret"],
        "BASE_URL": base_url,
        "CONNECT_URL_HOSTS": ["www.saltedge.com"],
    }
    with (
        override_settings(BUSINESS_OS_BANKING={"ACCOUNTS": {"default": account}}, ALLOWED_HOSTS=["*"]),
        connection.execute_wrapper(countdown.statement),
    ):
        FLOWS[flow](*arguments)
    assert not transaction.get_connection().in_atomic_block


if __name__ == "__main__":
    main()
