"""Workers as a site has them: processes of their own, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.models import BankingConnection, ConnectionEvent
from tests import callbacks
from tests.crash.test_crash import Upstream, heard, server, work

__all__ = ["heard", "server"]  # fixtures

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.server_database,
    pytest.mark.timeout(300),
]


def test_processes_that_deliver_at_once(server: Upstream, heard: Path, user: User, tmp_path: Path) -> None:
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://s.example/")
    bodies = [
        callbacks.success(session.pending_token, "777", time=f"2026-11-01T10:0{n // 2}:00Z") for n in range(8)
    ]
    paths = []
    for number, body in enumerate(bodies):
        paths.append(tmp_path / f"body-{number}")
        paths[-1].write_bytes(callbacks.raw(body))
    with ThreadPoolExecutor(len(paths)) as pool:
        assert all(pool.map(lambda path: work(server, heard, "webhook", 0, str(path)), paths))
    events = ConnectionEvent.objects.filter(source="webhook")
    assert [event.deliveries for event in events] == [2, 2, 2, 2]
    assert BankingConnection.objects.get().status == "active"
    assert list(rebuild(check=True)) == []
    told = heard.read_text().split()
    assert told.count("connection_activated") == told.count("connect_session_finished") == 1
