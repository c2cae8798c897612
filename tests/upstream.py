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
        self.mock.replace(responses.POST, f"{BASE_URL}/v2/banking/connect", body=text, status=status, **kwargs)

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

    def calls(self, method: str) -> list[requests.PreparedRequest]:
        return [call.request for call in self.mock.calls if call.request.method == method]
