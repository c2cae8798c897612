"""People with browsers of their own, a bank that says yes to whoever is at the widget, and nothing made by our code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import User
from django.test import Client

from business_os_banking import signals
from business_os_banking.models import BankingConnection, ConnectSession
from tests.upstream.fake import Upstream

SECRET = "test-webhook-secret"
SITE = "http://testserver"


class Browser(Client):
    """A browser with its own cookies, as strict about CSRF as a real site."""

    def __init__(self, user: User | None = None) -> None:
        super().__init__(enforce_csrf_checks=True)
        if user:
            self.force_login(user)

    def see(self, path: str) -> str:
        """Return the text of the page that *path* leads to."""
        response = self.get(path, follow=True)
        assert response.status_code == 200, (path, response.status_code)
        return " ".join(BeautifulSoup(response.content, "html.parser").get_text(" ").split())

    def press(self, page: str, **answer: str) -> Any:
        """Post the form on *page* that has a button with this *answer*."""
        html: Any = BeautifulSoup(self.get(page, follow=True).content, "html.parser")
        name, value = next(iter(answer.items()))
        button = html.find("button", {"name": name, "value": value})
        assert button is not None, f"no such button on {page}"
        form = button.find_parent("form")
        token = form.find("input", {"name": "csrfmiddlewaretoken"})["value"]
        return self.post(form["action"] or page, {"csrfmiddlewaretoken": token, name: value})

    def offers(self, page: str) -> set[str]:
        html: Any = BeautifulSoup(self.get(page, follow=True).content, "html.parser")
        return {button["value"] for button in html.find_all("button", {"name": "answer"})}

    def starts(self, path: str = "/banking/connect/", **data: str) -> ConnectSession:
        """Press the button that leads to the bank, and return the session that is open then."""
        html = BeautifulSoup(self.get(path).content, "html.parser")
        field_ = html.find("input", {"name": "csrfmiddlewaretoken"})
        token = {"csrfmiddlewaretoken": field_["value"]} if field_ else {}
        response = self.post(path, {**token, **data}, headers={"Origin": SITE})
        assert response.status_code == 303, response.status_code
        return ConnectSession.objects.select_related("connection").latest("pk")


@dataclass
class Bank:
    """The bank's side: it says yes, knows where to send the browser back to, and posts callbacks."""

    upstream: Upstream
    clock: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def return_to(self, session: ConnectSession) -> str:
        """Return the path that the connect call of *session* told, with the key in it."""
        for call in self.upstream.calls("POST"):
            body = json.loads(call.body or b"{}")
            if body["custom_fields"]["session"] == str(session.reference):
                return str(urlsplit(body["return_to"]).path)
        raise AssertionError("no connect call for this session")

    def says_yes(
        self, session: ConnectSession, link: str, code: str = "", name: str = "", *, at: str = ""
    ) -> None:
        """Post the success of *session*, as a callback and as the whole object that the list would show."""
        self.clock += timedelta(minutes=1)
        time = at or self.clock.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        session.refresh_from_db()
        named = {"pending_token": str(session.pending_token)}
        data: dict[str, Any] = {"connection_id": link, "customer_id": "1", "custom_fields": named}
        if code:
            data = {
                **data,
                "id": link,
                "provider_code": code,
                "provider_name": name or code,
                "country_code": "DE",
                "status": "active",
                "last_attempt": {"success_at": time, "finished": True},
            }
        else:
            data["stage"] = "finish"
        self.post({"data": data, "meta": {"version": "6", "time": time}})

    def post(self, body: dict[str, Any]) -> None:
        answer = Client().post(
            "/banking/webhook/",
            json.dumps(body),
            content_type="application/json",
            headers={"X-Webhook-Secret": SECRET},
        )
        assert answer.status_code == 200


@pytest.fixture
def bank(upstream: Upstream) -> Bank:
    return Bank(upstream)


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna", "anna@kunde.example", "pw")


@pytest.fixture
def mallory(db: None) -> User:
    return User.objects.create_user("mallory", "mallory@kunde.example", "pw")


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The names of the signals that were sent, in order, but for those of every event."""
    names: list[str] = []
    receivers = []
    for name, each in signals.BY_NAME.items():
        if not name.startswith("event_"):

            def hear(name: str = name, **_: Any) -> None:
                names.append(name)

            each.connect(hear)
            receivers.append((each, hear))
    yield names
    for each, hear in receivers:
        each.disconnect(hear)


def state_of(connection: BankingConnection) -> tuple[str, str, str]:
    connection.refresh_from_db()
    return connection.status, connection.held_reason, connection.provider_name
