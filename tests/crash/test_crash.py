"""A worker killed at every step of every flow: afterwards reconcile, and nothing is lost, doubled or untold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.crash.receivers import listen
from tests.upstream.fake import connect_answer, row

# Dozens of processes, each of which sets up Django.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgresql,
    pytest.mark.timeout(900),
    pytest.mark.long,
]
MOST_STEPS = 150


class Upstream(ThreadingHTTPServer):
    """Business OS on a real socket; it remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.opened.append(connect_answer())
        self.answer(self.server.opened[-1])

    def do_GET(self) -> None:
        self.answer({"data": list(self.server.rows.values()), "meta": {"next_id": None}})

    def do_DELETE(self) -> None:
        link = self.path.rsplit("/", 1)[-1]
        self.server.deleted.append(link)
        self.server.rows.pop(link, None)
        self.answer({"data": {"connection_id": link, "customer_id": "1", "removed": True}})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(settings: Any) -> Iterator[Upstream]:
    with Upstream() as upstream:
        Thread(target=upstream.serve_forever, daemon=True).start()
        account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "BASE_URL": upstream.url}
        settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
        yield upstream
        upstream.shutdown()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Path]:
    """A file of what all receivers, here and in the workers, have been told."""
    path = tmp_path / "heard"
    path.touch()
    connected = listen(signals, str(path))
    yield path
    for signal, receiver in connected:
        signal.disconnect(receiver)


def work(server: Upstream, heard: Path, flow: str, step: int, *arguments: str) -> bool:
    """Let a worker do *flow* and die before *step*; return whether it got through."""
    url = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + "/" + str(database.settings_dict["NAME"])
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [
        sys.executable,
        "-m",
        "tests.crash.worker",
        flow,
        str(step),
        server.url,
        str(heard),
        *arguments,
    ]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, timeout=60, check=False
    )
    assert done.returncode in {0, -9}, done.stderr.decode()
    return done.returncode == 0


def deliver(body: Path) -> None:
    """Deliver what is in the file to a worker that lives."""
    headers = {"X-Webhook-Secret": SECRET}
    answer = Client().post("/banking/webhook/", body.read_bytes(), "application/json", headers=headers)
    assert answer.status_code == 200


def mend(minutes: float = 11) -> None:
    reconcile(timezone.now() + timedelta(minutes=minutes))


def assert_all_is_well(heard: Path) -> None:
    assert list(rebuild(check=True)) == []
    assert not ConnectionEvent.objects.filter(outcome="failed").exists()
    assert not ConnectionEvent.objects.filter(announced_at=None).exists()
    told = set(heard.read_text().splitlines())
    for event in ConnectionEvent.objects.all():
        for item in event.announcements:
            if item["signal"] not in {"event_recorded", "event_unmatched"}:
                assert f"{item['signal']} {event.digest}" in told


def steps_until_through(server: Upstream, heard: Path, flow: str) -> Iterator[int]:
    """Yield 1, 2, 3 … ; the test breaks when the worker gets through."""
    yield from range(1, MOST_STEPS)
    pytest.fail(f"{flow} has more than {MOST_STEPS} steps")


def test_a_connect_that_is_killed(server: Upstream, heard: Path, user: User) -> None:
    for step in steps_until_through(server, heard, "connect"):
        next_url = f"/{step}/"
        calls = len(server.opened)
        through = work(server, heard, "connect", step, str(user.pk), next_url)
        session = ConnectSession.objects.filter(next_url=next_url).first()
        if len(server.opened) > calls:
            # The upstream opened a session, so the row was there first; the bank says yes, and it is found.
            assert session is not None
            opened, sent = server.opened[-1], server.sent[-1]
            link = str(uuid.uuid4().int)[:18]
            told = row(link, token=opened["pending_token"])
            told["last_attempt"]["custom_fields"] |= sent["custom_fields"]
            server.rows[link] = told
            callback = callbacks.success(
                opened["pending_token"], link, session=sent["custom_fields"]["session"]
            )
            body = heard.with_name("body")
            body.write_bytes(callbacks.raw(callback))
            deliver(body)
            session.refresh_from_db()
            assert session.status == "succeeded"
        mend()
        assert_all_is_well(heard)
        if through:
            break
    succeeded = ConnectSession.objects.filter(status="succeeded").count()
    assert succeeded == len(server.opened) == BankingConnection.objects.filter(status="active").count()
    # Those whose worker died before the call expire, and are in nobody's way.
    mend(90)
    assert not ConnectSession.objects.waiting().exists()
    connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/", next_url="/1/")


@pytest.mark.parametrize("redelivered", [True, False])
def test_a_webhook_that_is_killed(
    server: Upstream, heard: Path, user: User, tmp_path: Path, redelivered: bool
) -> None:
    """Without an answer a sender delivers again; if it does not, reading back finds it."""
    body = tmp_path / "body"
    for step in steps_until_through(server, heard, "webhook"):
        session = connect.start(
            owner=(user, ""), return_to=lambda s: "https://s.example/", next_url=f"/{step}/"
        )
        link = f"777{step}"
        body.write_bytes(
            callbacks.raw(callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z"))
        )
        server.rows[link] = row(link, token=session.pending_token)
        through = work(server, heard, "webhook", step, str(body))
        if redelivered and not through:
            deliver(body)
        mend()
        session.refresh_from_db()
        assert (session.status, session.connection.status) == ("succeeded", "active")
        assert ConnectionEvent.objects.filter(session=session, source="webhook").count() in {0, 1}
        assert_all_is_well(heard)
        if through:
            break


def test_a_disconnect_that_is_killed(server: Upstream, heard: Path, user: User, tmp_path: Path) -> None:
    body = tmp_path / "body"
    for step in steps_until_through(server, heard, "disconnect"):
        session = connect.start(
            owner=(user, ""), return_to=lambda s: "https://s.example/", next_url=f"/{step}/"
        )
        link = f"777{step}"
        body.write_bytes(
            callbacks.raw(callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z"))
        )
        server.rows[link] = row(link, token=session.pending_token)
        deliver(body)
        connection = session.connection
        through = work(server, heard, "disconnect", step, str(connection.reference))
        connection.refresh_from_db()
        before = connection.status
        mend()
        connection.refresh_from_db()
        # Either nothing was recorded and nothing was done, or all of it is.
        assert connection.status == before
        assert (connection.status == "disconnected") == (link in server.deleted)
        assert connection.removal_due is False
        assert_all_is_well(heard)
        if through:
            assert connection.status == "disconnected"
            break


def test_a_reconcile_that_is_killed(server: Upstream, heard: Path, user: User, tmp_path: Path) -> None:
    body = tmp_path / "body"
    later = timezone.now() + timedelta(hours=2)
    for step in steps_until_through(server, heard, "reconcile"):
        found, silent = (
            connect.start(
                owner=(user, ""), return_to=lambda s: "https://s.example/", next_url=f"/{name}{step}/"
            )
            for name in ("found", "silent")
        )
        link = f"777{step}"
        server.rows[link] = row(link, token=found.pending_token)
        body.write_bytes(
            callbacks.raw(callbacks.notify(None, connection_id=link, time="2026-11-01T09:00:00Z"))
        )
        deliver(body)
        later += timedelta(minutes=5)
        # Each step reads anew: by all of them together, the day's reads would be used up.
        AccountState.objects.update(buckets={}, reads=0)
        through = work(server, heard, "reconcile", step, later.isoformat())
        reconcile(later + timedelta(minutes=2))
        found.refresh_from_db()
        silent.refresh_from_db()
        assert (found.status, silent.status) == ("succeeded", "expired")
        assert ConnectionEvent.objects.filter(session=silent, kind="expired").count() == 1
        assert not ConnectionEvent.objects.filter(outcome="unmatched").exists()
        assert_all_is_well(heard)
        if through:
            break


def test_the_settings_of_the_workers_are_those_of_the_suite() -> None:
    assert django_settings.SETTINGS_MODULE == "tests.settings"
