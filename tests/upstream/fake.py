"""Business OS as `responses` plays it: for what is about HTTP itself; all else is for the kit's `FakeUpstream`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import requests
import responses

from business_os_banking.testing.bodies import connect_answer, connection_object

__all__ = ["BASE_URL", "Upstream", "connect_answer", "row"]

BASE_URL = "https://api.business-os.test"
_ONE = re.compile(rf"{BASE_URL}/v2/banking/connections/[^/?]+")


def row(
    connection_id: str, *, status: str = "active", token: object = None, session: object = None, **more: Any
) -> dict[str, Any]:
    """Return a connection as the upstream lists it (v6). Of *token* and *session*, it names one."""
    named = {"session": str(session)} if session else {"pending_token": str(token)} if token else {}
    values = {"attempt": {"success_at": "2026-11-01T10:00:00Z"}, "updated_at": "2026-11-01T10:00:00Z", **more}
    return connection_object(connection_id, custom_fields=named, status=status, **values)


@dataclass
class Upstream:
    mock: responses.RequestsMock
    answers: list[dict[str, Any]] = field(default_factory=list)
    listed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mock.add_callback(responses.POST, f"{BASE_URL}/v2/banking/connect", self._connect)
        self.mock.add_callback(responses.GET, _ONE, self._show, match=[self._nobody_else_shows])

    def _connect(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        answer = connect_answer()
        self.answers.append(answer)
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)

    def _show(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        """Show one connection of those that are listed, by its id."""
        asked = str(request.url).rpartition("/")[2]
        found = next(
            (item for item in self.listed if isinstance(item, dict) and item.get("id") == asked), None
        )
        if found is None:
            return 404, {"Content-Type": "application/json"}, json.dumps({"error": {"class": "NotFound"}})
        return 200, {"Content-Type": "application/json"}, json.dumps({"data": found})

    def _nobody_else_shows(self, request: requests.PreparedRequest) -> tuple[bool, str]:
        others = [item for item in self.mock.registered() if item.method == "GET" and item.url == request.url]
        return not others, "a test has an answer of its own"

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
        self.listed = list(rows)
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
