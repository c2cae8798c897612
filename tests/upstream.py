"""A stand-in for Business OS in unit tests, with answers in the shapes of its public pages."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import responses

BASE_URL = "https://api.business-os.test"


def connect_answer(**changes: Any) -> dict[str, Any]:
    """Return an answer to connect, as the seed page shows it."""
    return {
        "connect_url": "https://www.saltedge.com/connect?token=" + uuid.uuid4().hex,
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "owner_user_id": "d90f20ae-f6c1-46da-a080-3d4c86329bf6",
        "pending_token": str(uuid.uuid4()),
        **changes,
    }


def row(
    connection_id: str, *, status: str = "active", token: object = None, session: object = None, **more: Any
) -> dict[str, Any]:
    """Return a connection as the upstream lists it (v6)."""
    attempt: dict[str, Any] = {
        "custom_fields": {},
        "success_at": None,
        "fail_at": None,
        "fail_error_class": None,
    }
    if token:
        attempt["custom_fields"] = {"pending_token": str(token)}
    if session:
        attempt["custom_fields"] = {"session": str(session)}
    attempt |= more.pop("attempt", {"success_at": "2026-11-01T10:00:00Z"})
    return {
        "id": connection_id,
        "customer_id": "9876543210123",
        "provider_code": "demobank_xf",
        "provider_name": "Demobank",
        "country_code": "XF",
        "status": status,
        "last_attempt": attempt,
        "updated_at": "2026-11-01T10:00:00Z",
        **more,
    }


@dataclass
class Upstream:
    mock: responses.RequestsMock
    answers: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mock.add_callback(responses.POST, f"{BASE_URL}/v2/banking/connect", self._connect)

    def _connect(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        answer = connect_answer()
        self.answers.append(answer)
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)

    def connect_answers(self, status: int = 200, body: Any = None, **kwargs: Any) -> None:
        """Answer connect calls with this instead."""
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        self.mock.replace(
            responses.POST, f"{BASE_URL}/v2/banking/connect", body=text, status=status, **kwargs
        )

    def connect_fails(self, error: Exception) -> None:
        """Let connect calls end with this exception of `requests`."""
        self.mock.replace(responses.POST, f"{BASE_URL}/v2/banking/connect", body=error)

    def deletes(self, connection_id: str, status: int = 200, body: Any = None) -> None:
        answer = {"data": {"connection_id": connection_id, "customer_id": "1", "removed": True}}
        self.mock.add(
            responses.DELETE,
            f"{BASE_URL}/v2/banking/connections/{connection_id}",
            json=answer if body is None else body,
            status=status,
        )

    def lists(self, *rows: dict[str, Any], status: int = 200, body: Any = None, left: Any = None) -> None:
        """Answer the list of connections with these rows on one page, from now on."""
        answer: dict[str, Any] = {"data": list(rows), "meta": {"next_id": None, "next_page": None}}
        if left is not None:
            answer["business-os"] = {"neuesGuthaben": left}
        self.mock.upsert(
            responses.GET,
            f"{BASE_URL}/v2/banking/connections",
            json=answer if body is None else body,
            status=status,
        )

    def calls(self, method: str) -> list[requests.PreparedRequest]:
        return [call.request for call in self.mock.calls if call.request.method == method]
