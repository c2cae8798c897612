"""What the sandbox's tests share. They run under any settings that have the sandbox installed."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from business_os_banking.sandbox import deliveries
from business_os_banking.sandbox.models import SandboxSession

from .listener import Listener

API = "/sandbox/v2/banking"
Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.sandbox.urls"
    settings.BUSINESS_OS_SANDBOX = {
        "API_KEYS": ["key-a", "key-b"],
        "ALLOW_WITHOUT_DEBUG": True,
        "DELIVERY": "manual",
    }


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Change single keys of the sandbox's settings."""

    def change(**values: object) -> None:
        settings.BUSINESS_OS_SANDBOX = {**settings.BUSINESS_OS_SANDBOX, **values}

    return change


class Api:
    """A caller of the fake API, as strict about CSRF as a browser's site would be."""

    def __init__(self, key: str = "key-a") -> None:
        self.client = Client(enforce_csrf_checks=True, headers={"x-api-key": key} if key else {})

    def post(self, body: object, query: str = "", **extra: Any) -> Any:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        extra = {"content_type": "application/json", **extra}
        return self.client.post(f"{API}/connect{query}", text, **extra)

    def get(self, path: str) -> Any:
        return self.client.get(API + path)

    def delete(self, path: str) -> Any:
        return self.client.delete(API + path)

    def session(self, query: str = "", /, **body: object) -> SandboxSession:
        """Open a session with a plausible body; returns its row."""
        body = {"return_to": "https://shop.test/back?state=1", **body}
        answer = self.post(body, query)
        assert answer.status_code == 200, answer.content
        return SandboxSession.objects.get(pending_token=answer.json()["pending_token"])


@pytest.fixture
def api(db: None) -> Api:
    return Api()


class Person:
    """Somebody with a browser in the widget."""

    def __init__(self, session: SandboxSession) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.path = f"/sandbox/connect?token={session.token}"

    def look(self) -> Any:
        return self.client.get(self.path)

    def do(self, action: str, **fields: str) -> Any:
        """Press a button of the page as it stands now, with its CSRF token."""
        self.look()
        token = self.client.cookies["csrftoken"].value
        fields = {"csrfmiddlewaretoken": token, "action": action, **fields}
        return self.client.post(self.path, fields)

    def choose(self, slug: str) -> Any:
        return self.do("choose", bank=slug)

    def log_in(self, username: str = "username", password: str = "secret") -> Any:
        return self.do("login", username=username, password=password)


class Inbox:
    """A site's webhook. Answers with ``statuses`` in turn, and then with 200."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self.got: list[tuple[str, bytes, dict[str, str]]] = []

    def send(self, url: str, body: bytes, headers: dict[str, str]) -> int | None:
        self.got.append((url, body, headers))
        return self.statuses.pop(0) if self.statuses else 200

    def deliver(self, **arguments: Any) -> int:
        return deliveries.deliver_due(send=self.send, **arguments)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body, _ in self.got]

    @property
    def kinds(self) -> list[str]:
        """A word for each body: its stage, its error class, or ``destroy``."""
        return [
            body["data"].get("stage") or body["data"].get("error_class") or "destroy" for body in self.bodies
        ]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def query_of(url: str) -> str:
    return urlsplit(url).query
