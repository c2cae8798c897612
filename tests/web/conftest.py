"""A customer with a browser, and Business OS behind a wire that the tests hold."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from business_os_banking.models import BankingConnection, ConnectSession

CONNECT_API = "https://api.business-os.test/v2/banking/connect"
WEBHOOK = "/banking/webhook/default/test-webhook-secret/"


class Browser(Client):
    """A client as strict about CSRF as a real site, that submits forms with the token of their page."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(enforce_csrf_checks=True, **kwargs)

    def submit(self, url: str, data: dict[str, Any] | None = None, *, page: str = "") -> Any:
        html = soup(self.get(page or url))
        field = html.find("input", {"name": "csrfmiddlewaretoken"})
        assert field is not None, f"no form on {page or url}"
        return self.post(url, {"csrfmiddlewaretoken": field["value"], **(data or {})})

    def callback(self, token: str, **data: str) -> None:
        """Have Business OS report on the session with this token."""
        known = {"connection_id": "1234567890", "custom_fields": {"pending_token": token}}
        body = {"data": {**known, **data}, "meta": {"version": "6", "time": "2025-01-25T10:40:47.965Z"}}
        answer = self.post(WEBHOOK, json.dumps(body), content_type="application/json")
        assert answer.status_code == 200


class Upstream:
    """Business OS, answering a connect call as told."""

    def __init__(self, wire: responses.RequestsMock) -> None:
        self.wire = wire
        self.tokens: list[str] = []

    def opens(self, **changes: Any) -> str:
        token = str(uuid.uuid4())
        self.tokens.append(token)
        answer = {
            "connect_url": f"https://www.saltedge.com/connect?token={token[:8]}",
            "expires_at": (timezone.now() + timedelta(hours=1)).isoformat(),
            "owner_user_id": str(uuid.uuid4()),
            "pending_token": token,
        }
        self.wire.post(CONNECT_API, json={**answer, **changes})
        return token

    @property
    def calls(self) -> list[Any]:
        return [call.request for call in self.wire.calls]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.web.urls"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        yield Upstream(wire)


@pytest.fixture
def eva(db: None) -> Any:
    return get_user_model().objects.create_user("eva", "eva@example.com", "pw")


@pytest.fixture
def browser(eva: Any) -> Browser:
    made = Browser()
    made.force_login(eva)
    return made


@pytest.fixture
def stranger(db: None) -> Browser:
    return Browser()


def soup(response: Any) -> BeautifulSoup:
    return BeautifulSoup(response.content, "html.parser")


def text_of(response: Any) -> str:
    """What a person reads on the page, without what is hidden."""
    html = soup(response)
    for hidden in html.select("[hidden], [data-when=unscripted], noscript, head, svg, .bank-hidden"):
        hidden.decompose()
    return " ".join(html.get_text(" ").split())


def actions_of(response: Any) -> dict[str, str]:
    """The links and buttons that can be seen: what they say, and where they lead."""
    html = soup(response)
    for hidden in html.select("[hidden], [data-when=unscripted], noscript, .bank-hidden"):
        hidden.decompose()
    found = html.select(".bank-button")
    return {" ".join(item.get_text().split()): str(item.get("href", "")) for item in found}


def a_connection(user: Any, status: str = "active", **values: Any) -> BankingConnection:
    """A connection as a list finds it, written without its history."""
    if status != "pending":
        values = {"provider_name": "Sparkasse", "connected_at": timezone.now(), **values}
    return BankingConnection.objects.create(user=user, status=status, **values)


def a_session(
    connection: BankingConnection | None = None, status: str = "open", **values: Any
) -> ConnectSession:
    """An attempt whose browser is back already, so that no page has anything to record."""
    return ConnectSession.objects.create(
        connection=connection or BankingConnection.objects.create(),
        status=status,
        **{"returned_at": timezone.now(), **values},
    )
