"""The two deeds that most stories are made of: somebody presses *Connect*, and Business OS reports."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from business_os_banking.flows import connect
from business_os_banking.models import ConnectionEvent, ConnectSession
from tests import callbacks


def start(user: User | None, tenant: str = "", **more: Any) -> ConnectSession:
    """Start a session, as the pages do."""
    return connect.start(owner=(user, tenant), return_to=lambda s: "https://site.example/", **more)


def deliver(body: dict[str, Any]) -> ConnectionEvent:
    """Post a webhook that is accepted, and return what is written of it."""
    headers = {"X-Webhook-Secret": callbacks.SECRET}
    response = Client().post("/banking/webhook/", callbacks.raw(body), "application/json", headers=headers)
    assert response.status_code == 200
    return ConnectionEvent.objects.latest("id")
