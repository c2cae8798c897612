"""A program that speaks to the API as a page of the site does: with the session's cookie and the CSRF token."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from business_os_banking.models import BankingConnection, ConnectSession

TOKEN = "a" * 32
API = "/banking/api/"
CONNECTIONS = f"{API}connections/"
ERROR_KEYS = {"class", "group", "title", "message", "next_step", "fields", "session", "connection"}


class Page:
    """A page of the site, as somebody or nobody has it open."""

    def __init__(self, user: Any = None) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.cookies["csrftoken"] = TOKEN
        if user is not None:
            self.client.force_login(user)

    def get(self, url: str, query: Any = None, **headers: str) -> Any:
        return self.client.get(url, query, headers=headers)

    def post(self, url: str, body: Any = None, **headers: str) -> Any:
        sent = b"" if body is None else json.dumps(body)
        return self.client.post(
            url, sent, "application/json", headers={"X-CSRFToken": TOKEN, **_named(headers)}
        )

    def create(self, body: Any = None, **headers: str) -> Any:
        return self.post(CONNECTIONS, body, **headers)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def page(user: User) -> Page:
    return Page(user)


def error_of(response: Any, status: int) -> dict[str, Any]:
    """Return the error of a response after a look at its shape."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    body = response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == ERROR_KEYS
    assert all(error[name].strip() for name in ("class", "title", "message", "next_step"))
    return error


def a_connection(user: Any, status: str = "active", **values: Any) -> BankingConnection:
    """A connection as a list finds it, written without its history."""
    if status in {"active", "inactive"}:
        values = {
            "provider_name": "Sparkasse",
            "provider_code": "sparkasse_de",
            "connected_at": timezone.now(),
            "consent_expires_at": timezone.now() + timedelta(days=90),
            **values,
        }
    return BankingConnection.objects.create(user=user, status=status, **values)


def a_session(connection: BankingConnection, status: str = "open", **values: Any) -> ConnectSession:
    return ConnectSession.objects.create(connection=connection, status=status, **values)


def url_of(row: BankingConnection | ConnectSession, action: str = "") -> str:
    if isinstance(row, ConnectSession):
        return f"{API}sessions/{row.reference}/"
    return f"{CONNECTIONS}{row.reference}/{action}"
