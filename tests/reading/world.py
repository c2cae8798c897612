"""A session, a way to report on it, and how it stands: what the tests of this folder have in common."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET

URL = "/banking/webhook/"
LINK = "111222333444555666"
SUCCEEDED = ("succeeded", "active", "")
OPEN = ("open", "pending", "")


def post(body: Any, **environ: Any) -> int:
    """Post *body*, bytes or JSON, as an authentic sender does; return the status of the answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Client(headers={"X-Webhook-Secret": SECRET})
    return client.generic("POST", URL, content, "application/json", **environ).status_code


def stands(session: ConnectSession) -> tuple[str, str, str]:
    """Return the statuses of *session* and its connection, and the reason, as they are stored now."""
    session = ConnectSession.objects.select_related("connection").get(pk=session.pk)
    return session.status, session.connection.status, session.connection.status_reason


def latest() -> ConnectionEvent:
    return ConnectionEvent.objects.filter(source="webhook").latest("pk")


def ago(**span: float) -> str:
    """Return the moment that long ago as Salt Edge writes it."""
    at = (timezone.now() - timedelta(**span)).astimezone(UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def connected(session: ConnectSession, **span: float) -> BankingConnection:
    """Let *session* have succeeded that long ago (default: a day)."""
    assert post(callbacks.success(session.pending_token, LINK, time=ago(**(span or {"days": 1})))) == 200
    connection = BankingConnection.objects.get(pk=session.connection_id)
    assert connection.status == "active"
    return connection
