"""Two accounts on one site. North does and suffers things; South must not notice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from business_os_banking.facts.record import record_return
from business_os_banking.flows import connect
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
)
from tests import callbacks
from tests.upstream.fake import BASE_URL, Upstream

NORTH, SOUTH = "north", "south"
LINK, OTHER_LINK, BANK = "111222333444555666", "777", "demobank_xf"
Rows = dict[str, list[dict[str, Any]]]


def account(alias: str) -> dict[str, Any]:
    return {"API_KEY": f"key-of-{alias}", "WEBHOOK_SECRETS": [secret_of(alias)], "BASE_URL": BASE_URL}


def secret_of(alias: str) -> str:
    return f"webhook-secret-of-{alias}"


def start(alias: str, user: User, **more: Any) -> ConnectSession:
    account = connect.account_of(alias)
    return connect.start(
        owner=(user, ""), account=account, return_to=lambda s: "https://site.example/", **more
    )


def post(alias: str, body: dict[str, Any], *, secret: str = "") -> int:
    """Deliver *body* at the webhook of *alias*, with its own secret unless another one is given."""
    headers = {"X-Webhook-Secret": secret or secret_of(alias)}
    url = f"/banking/webhook/{alias}/"
    return Client().post(url, callbacks.raw(body), "application/json", headers=headers).status_code


def rows_of(alias: str) -> Rows:
    """Return every column of every row of *alias*."""
    found = {
        "connections": BankingConnection.objects.filter(account=alias),
        "sessions": ConnectSession.objects.filter(connection__account=alias),
        "links": SessionLink.objects.filter(session__connection__account=alias),
        "events": ConnectionEvent.objects.filter(account=alias),
        "states": AccountState.objects.filter(alias=alias),
    }
    return {name: list(rows.order_by("pk").values()) for name, rows in found.items()}


@dataclass
class Two:
    """A connection of each account: same link, same bank, and a second session under way on each."""

    user: User
    upstream: Upstream
    first: dict[str, ConnectSession] = field(default_factory=dict)
    second: dict[str, ConnectSession] = field(default_factory=dict)

    def connection(self, alias: str) -> BankingConnection:
        return BankingConnection.objects.get(pk=self.first[alias].connection_id)


@pytest.fixture
def accounts(settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {alias: account(alias) for alias in (NORTH, SOUTH)}}


@pytest.fixture
def two(accounts: None, upstream: Upstream, user: User) -> Two:
    """Both belong to one person, too, so that nothing but the account keeps them apart."""
    world = Two(user, upstream)
    for alias in (NORTH, SOUTH):
        session = world.first[alias] = start(alias, user)
        told = callbacks.success(session.pending_token, LINK, provider_code=BANK, time="2026-11-01T10:00:00Z")
        assert post(alias, told) == 200
        world.second[alias] = start(alias, user, connection=session.connection)
        away = callbacks.notify(
            world.second[alias].pending_token, connection_id=OTHER_LINK, time="2026-11-01T11:00:00Z"
        )
        assert post(alias, away) == 200
        record_return(session, {})
        AccountState.objects.create(alias=alias, read_at=timezone.now())
        assert world.connection(alias).status == "active"
    return world
