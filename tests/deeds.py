"""The two deeds that most stories are made of: somebody presses *Connect*, and Business OS reports."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from business_os_banking.flows import connect
from business_os_banking.models import BankingConnection, ConnectSession, Removal
from business_os_banking.testing.reporting import deliver

__all__ = ["deliver", "start"]


def start(user: User | None, tenant: str = "", **more: Any) -> ConnectSession:
    """Start a session, as the pages do."""
    return connect.start(owner=(user, tenant), return_to=lambda s: "https://site.example/", **more)


def to_be_removed(connection: BankingConnection, days: int = 0, **columns: Any) -> BankingConnection:
    """Let what *connection* stood on be something to remove at the provider, asked for so many *days* ago."""
    Removal.objects.create(
        connection=connection,
        account=connection.account,
        upstream_id="777",
        digest=uuid.uuid4().hex,
        requested_at=timezone.now() - timedelta(days=days),
        **columns,
    )
    return connection
