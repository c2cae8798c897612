"""A running site, Business OS on a real socket, and the doctor."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from business_os_banking.models import AccountState
from business_os_banking.upstream import http
from tests.upstream.conftest import certificate, server, tls_server  # noqa: F401 - fixtures
from tests.upstream.server import KEY, Exchange, Server

SECRETS = ["a-secret-of-the-shared-kind", "whsec_YS1zZWNyZXQtb2YtdGhlLXN0YW5kYXJkLWtpbmQ="]
Serve = Callable[..., str]


class BusinessOS:
    """What the scripted server answers as: it knows one key, and no bank account."""

    def __init__(self) -> None:
        self.seconds_off = 0
        self.knows_keys = True
        self.unknown_account: tuple[int, Any] = (404, {"error": {"class": "AccountNotFound"}})
        self.list_status = 200

    def __call__(self, exchange: Exchange) -> None:
        exchange.date_time_string = lambda timestamp=None: formatdate(  # type: ignore[method-assign]
            timezone.now().timestamp() + self.seconds_off, usegmt=True
        )
        status, body = self.unknown_account
        refused = exchange.headers["x-api-key"] != KEY
        if exchange.path == "/v2/banking/connections":
            exchange.answer({"data": []}, status=401 if refused else self.list_status)
        elif refused and self.knows_keys:
            exchange.answer({"error": {"class": "ApiKeyNotFound"}}, status=401)
        elif status in {301, 302}:
            exchange.answer(b"", status=status, Location="https://www.business-os.test/")
        else:
            exchange.answer(body, status=status)


@pytest.fixture
def business_os(server: Server) -> BusinessOS:  # noqa: F811 - the fixture
    script = BusinessOS()
    server.behave = script
    return script


@pytest.fixture
def site(db: None, server: Server, business_os: BusinessOS, settings: Any) -> Iterator[Any]:  # noqa: F811
    """The settings of a healthy site, of which nobody has said the address yet."""
    account = {"API_KEY": KEY, "BASE_URL": server.url, "WEBHOOK_SECRETS": SECRETS, "TIMEOUT": (1, 0.5)}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    settings.DEBUG = connection.vendor == "sqlite"  # in production it would be told to be another one
    AccountState.objects.create(alias="default", reconciled_at=timezone.now())
    yield settings
    http.close_kept()


@pytest.fixture
def serve(transactional_db: None, site: Any) -> Iterator[Serve]:
    """Start the site, behind these middlewares; return its address."""
    running: list[LiveServer] = []

    def start(*middlewares: str) -> str:
        ours = [f"tests.doctor.faults.{name}" for name in middlewares]
        with override_settings(MIDDLEWARE=[*ours, *django_settings.MIDDLEWARE]):
            running.append(LiveServer("127.0.0.1"))
        return str(running[0].url)

    yield start
    for started in running:
        started.stop()


@pytest.fixture
def plain_doctor(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the command; return its exit code and what it printed."""

    def run(*arguments: str, **options: Any) -> tuple[int, str]:
        output = io.StringIO()
        try:
            call_command("banking_doctor", *arguments, stdout=output, **options)
        except SystemExit as end:
            return int(str(end.code)), output.getvalue()
        return 0, output.getvalue()

    return run


@pytest.fixture
def doctor(plain_doctor: Callable[..., tuple[int, str]]) -> Callable[..., dict[str, Any]]:
    """Run the command; return its findings by code."""

    def run(*arguments: str) -> dict[str, Any]:
        code, text = plain_doctor("--json", *arguments)
        told = json.loads(text)
        assert (code == 0) == told["healthy"] == (not told["findings"])
        for finding in told["findings"]:
            assert all(finding[name] for name in ("code", "severity", "what", "why", "fix"))
            assert not any(secret in json.dumps(finding) for secret in (KEY, *SECRETS))
        return {finding["code"]: finding for finding in told["findings"]}

    return run


@pytest.fixture
def findings(doctor: Callable[..., dict[str, Any]]) -> Callable[..., set[str]]:
    """The codes for a site whose public address nobody has named: for what can be seen without it."""

    def run(*arguments: str) -> set[str]:
        found = set(doctor(*arguments))
        assert "public-url-unknown" in found
        return found - {"public-url-unknown"}

    return run
