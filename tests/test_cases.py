"""Cases from outside: each file under tests/cases is sent as it is, and what it says must come of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import group_of
from tests.callbacks import SECRET, success
from tests.deeds import deliver, start
from tests.upstream.fake import BASE_URL, Upstream, connect_answer

pytestmark = pytest.mark.django_db(transaction=True)

CASES = sorted(Path(__file__).with_name("cases").glob("*.json"))
PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}")
BACK = re.compile(r"now-(\d+)h")
# Each until the issue that mends it.
OPEN: dict[str, str] = {}


def expand(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *case*, and one for each of its other values in the place of the odd one."""
    text = json.dumps({key: value for key, value in case.items() if key != "also"})
    yield json.loads(text)
    odd = {"38": '"undefined"', "65": '"-"'}.get(case["name"][:2], "")
    for other in case.get("also", []) if odd else []:
        yield json.loads(text.replace(odd, json.dumps(other)))


def cases() -> list[Any]:
    params = []
    for path in CASES:
        case = json.loads(path.read_text(encoding="utf-8")) | {"name": path.stem}
        marks = [pytest.mark.xfail(reason=OPEN[path.stem], strict=True)] if path.stem in OPEN else []
        params += [
            pytest.param(one, id=f"{path.stem}-{n}", marks=marks) for n, one in enumerate(expand(case))
        ]
    return params


@dataclass
class World:
    """What a case happens in: sessions, a link that works, and what was answered."""

    user: User
    upstream: Upstream
    link: str = "111222333444555666"
    sessions: list[ConnectSession] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def session(self, number: int = 0, **more: Any) -> ConnectSession:
        while len(self.sessions) <= number:
            owner = self.user if not self.sessions else User.objects.create_user(f"other{len(self.sessions)}")
            self.sessions.append(start(owner, **more))
        return self.sessions[number]

    def works(self) -> BankingConnection:
        """Let there be a connection that works."""
        deliver(
            success(self.session().pending_token, self.link, time=moment(timezone.now() - timedelta(days=1)))
        )
        return BankingConnection.objects.get(upstream_id=self.link)

    def filled(self, value: Any) -> Any:
        """Return *value* with its placeholders filled."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return PLACEHOLDER.sub(self._fill, value) if isinstance(value, str) else value

    def _fill(self, match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("now"):
            back = BACK.match(name)
            at = timezone.now() - timedelta(hours=int(back[1]) if back else 0)
            return str(at) if "form" in name or " as " in name else moment(at)
        if name.startswith("upstream_id"):
            if "working" in name:
                self.works()
            return self.link
        if "renewal" in name:
            connection = self.works()
            self.sessions.append(start(self.user, connection=connection))
            return str(self.sessions[-1].pending_token)
        return str(self.session(1 if name.endswith("B") else 0).pending_token)

    def posts(self, case: dict[str, Any]) -> None:
        prefix = bytes.fromhex(case.get("body_hex_prefix", ""))
        headers = {"X-Webhook-Secret": SECRET}
        for body in case.get("bodies") or [case["body"]]:
            content = prefix + json.dumps(self.filled(body)).encode()
            environ: dict[str, Any] = {}
            if case.get("headers", {}).get("Transfer-Encoding") == "chunked":
                # As gunicorn hands it over: no length, and an input that ends by itself.
                environ = {
                    "wsgi.input": io.BytesIO(content),
                    "CONTENT_LENGTH": "",
                    "HTTP_TRANSFER_ENCODING": "chunked",
                    "wsgi.input_terminated": True,
                }
            client = Client(headers=headers)
            response = client.generic("POST", "/banking/webhook/", content, "application/json", **environ)
            self.statuses.append(response.status_code)


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def world(upstream: Upstream, user: User) -> World:
    return World(user, upstream)


@pytest.mark.parametrize("case", cases())
def test_case(world: World, case: dict[str, Any], settings: Any) -> None:
    expect = case["expect"]
    if "body" in case or "bodies" in case:
        world.posts(case)
        assert set(world.statuses) == {200}
        CHECKS[expect.split(",")[0].split(":")[0].split(";")[0].split(" (")[0]](world)
    elif "answer" in case:
        world.session()
        world.upstream.lists(body=world.filled(case["answer"]))
        reconcile(timezone.now() + timedelta(minutes=11))
        is_succeeded(world)
    elif "user_email" in case:
        world.user.email = case["user_email"]
        world.user.save()
        assert str(connect_status(world)) == expect
    elif "answers" in case:
        for status in case["answers"]:
            cache.clear()
            world.upstream.connect_answers(status, {})
            connect_status(world)
            assert group_of(ConnectSession.objects.latest("pk").error_class) == expect, status
    elif "answer_header" in case:
        world.upstream.connect_answers(200, connect_answer(), headers=case["answer_header"])
        assert str(connect_status(world)) == expect
    elif "answers_to_DELETE" in case:
        connection = world.works()
        for status, content_type, content in case["answers_to_DELETE"]:
            text = content if isinstance(content, str) else json.dumps(content)
            world.upstream.mock.upsert(
                responses.DELETE,
                f"{BASE_URL}/v2/banking/connections/{world.link}",
                body=text,
                status=status,
                content_type=content_type,
            )
            disconnect(connection)
            connection.refresh_from_db()
            assert connection.removal_due, text
    else:
        signature_forms(world, case, settings)


def connect_status(world: World) -> int:
    client = Client()
    client.force_login(world.user)
    return client.post("/banking/connect/").status_code


def signature_forms(world: World, case: dict[str, Any], settings: Any) -> None:
    import base64
    import hashlib
    import hmac

    content = json.dumps(success(world.session().pending_token)).encode()
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).digest()
    forms = {
        "SHA256=<hex>": f"SHA256={digest.hex()}",
        "base64url": base64.urlsafe_b64encode(digest).decode(),
        "base64 without padding": base64.b64encode(digest).decode().rstrip("="),
    }
    for form in case["headers"]["X-Signature"]:
        client = Client(headers={"X-Signature": forms[form]})
        response = client.generic("POST", "/banking/webhook/", content, "application/json")
        assert str(response.status_code) == case["expect"], form


def is_succeeded(world: World) -> None:
    session = ConnectSession.objects.get(pk=world.sessions[0].pk)
    assert (session.status, session.connection.status) == ("succeeded", "active")
    assert session.connection.upstream_id == world.link


def stays_open(world: World) -> None:
    assert ConnectSession.objects.get(pk=world.sessions[0].pk).status == "open"


def is_named_by_its_code(world: World) -> None:
    is_succeeded(world)
    assert BankingConnection.objects.get().display_name == "spk_de"


def nothing_changed(world: World) -> None:
    assert BankingConnection.objects.get(upstream_id=world.link).status == "active"


def renewal_has_failed(world: World) -> None:
    connection = BankingConnection.objects.get()
    renewal = ConnectSession.objects.latest("pk")
    assert (connection.status, renewal.status, renewal.error_class) == (
        "active",
        "failed",
        "InvalidCredentials",
    )
    assert connection.consent_expires_at is not None
    assert connection.consent_expires_at < timezone.now() + timedelta(days=179, hours=12)


def both_succeed_without_an_id(world: World) -> None:
    rows = BankingConnection.objects.order_by("pk")
    assert [(row.status, row.upstream_id) for row in rows] == [("active", ""), ("active", "")]


CHECKS = {
    "session succeeded": is_succeeded,
    "succeeded": is_succeeded,
    "200 succeeded": is_succeeded,
    "active": is_succeeded,
    "falls back to the code": is_named_by_its_code,
    "the session stays open": stays_open,
    "nothing changes": nothing_changed,
    "the renewal failed": renewal_has_failed,
    "both succeed": both_succeed_without_an_id,
}


def test_every_case_is_read() -> None:
    assert len(CASES) >= 18
