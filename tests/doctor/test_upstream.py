"""The way to Business OS: each fault is named."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from business_os_banking.models import AccountState, BankingConnection, ConnectSession
from tests.doctor.conftest import BusinessOS
from tests.upstream.server import Exchange, Server
from tests.upstream.test_wire import free_port


def change(site: Any, **values: Any) -> None:
    account = site.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    site.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, **values}}}


def test_nothing_is_wrong(site: Any, findings: Any, server: Server) -> None:
    assert findings() == set()
    assert {call.path for call in server.seen} == {"/v2/banking/accounts/0"}


def test_a_key_that_is_not_accepted(site: Any, findings: Any) -> None:
    change(site, API_KEY="revoked")
    assert findings() == {"key-refused"}


@pytest.mark.parametrize("seconds", [-600, 600, 86_400])
def test_a_clock_that_is_off(site: Any, doctor: Any, business_os: BusinessOS, seconds: int) -> None:
    business_os.seconds_off = seconds
    found = doctor()
    assert set(found) == {"clock-off", "public-url-unknown"}
    assert str(abs(seconds))[:2] in found["clock-off"]["what"] or "599" in found["clock-off"]["what"]


def test_a_name_that_does_not_exist(site: Any, findings: Any) -> None:
    change(site, BASE_URL="https://nowhere.invalid")
    assert findings() == {"upstream-name"}


def test_a_port_where_nobody_listens(site: Any, findings: Any) -> None:
    change(site, BASE_URL=f"http://127.0.0.1:{free_port()}")
    assert findings() == {"upstream-unreachable"}


def test_a_proxy_that_is_down(site: Any, doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    change(site, BASE_URL="https://api.business-os.test")
    found = doctor()
    assert set(found) == {"upstream-unreachable", "public-url-unknown"}
    assert "proxy" in found["upstream-unreachable"]["what"]


def test_a_certificate_that_is_not_trusted(site: Any, doctor: Any, tls_server: Server) -> None:
    change(site, BASE_URL=tls_server.url)
    found = doctor()
    assert set(found) == {"upstream-tls", "public-url-unknown"}
    assert "self-signed" in found["upstream-tls"]["what"]


def test_a_server_that_speaks_no_tls(site: Any, findings: Any, server: Server) -> None:
    change(site, BASE_URL=server.url.replace("http://", "https://"))
    assert findings() == {"upstream-tls"}


def test_no_answer(site: Any, findings: Any, server: Server) -> None:
    server.behave = Exchange.hang
    assert findings() == {"upstream-silent"}


def test_something_else_than_http(site: Any, findings: Any, server: Server) -> None:
    server.behave = lambda exchange: exchange.answer(b"x", Content_length="7, 9")
    assert findings() == {"upstream-strange"}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (402, "credits-used-up"),
        (429, "upstream-trouble"),
        (503, "upstream-trouble"),
        (302, "upstream-strange"),
    ],
)
def test_an_answer_that_tells(
    site: Any, findings: Any, business_os: BusinessOS, status: int, code: str
) -> None:
    business_os.unknown_account = (status, {})
    assert findings() == {code}


@pytest.mark.parametrize("status", [200, 400, 404, 405, 422])
def test_any_other_answer_is_that_to_a_good_key(
    site: Any, findings: Any, business_os: BusinessOS, status: int
) -> None:
    business_os.unknown_account = (status, {})
    assert findings() == set()


# --- where a wrong key gets the same answer, nothing is proved by it ---


def test_then_it_says_so_and_spends_nothing(
    site: Any, doctor: Any, business_os: BusinessOS, server: Server
) -> None:
    business_os.knows_keys = False
    found = doctor()
    assert set(found) == {"key-unproved", "public-url-unknown"}
    assert "--spend" in found["key-unproved"]["fix"]
    assert {call.path for call in server.seen} == {"/v2/banking/accounts/0"}


def test_then_it_reads_the_list_if_it_may(
    site: Any, findings: Any, business_os: BusinessOS, server: Server
) -> None:
    business_os.knows_keys = False
    assert findings("--spend") == set()
    assert server.seen[-1].path == "/v2/banking/connections"


@pytest.mark.parametrize(
    ("status", "code"), [(403, "key-refused"), (402, "credits-used-up"), (404, "key-unproved")]
)
def test_then_the_list_tells(
    site: Any, findings: Any, business_os: BusinessOS, status: int, code: str
) -> None:
    business_os.knows_keys = False
    business_os.list_status = status
    assert findings("--spend") == {code}


class Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer + "\n"


@pytest.mark.parametrize(("answer", "reads"), [("y", True), ("YES", True), ("", False), ("n", False)])
def test_then_it_asks_a_person(
    site: Any,
    plain_doctor: Any,
    business_os: BusinessOS,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    reads: bool,
) -> None:
    business_os.knows_keys = False
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    _code, text = plain_doctor()
    assert "may cost one credit" in capsys.readouterr().out
    assert ("key-unproved" in text) is not reads
    assert (server.seen[-1].path == "/v2/banking/connections") is reads


def test_then_what_was_done_of_late_proves_it_too(
    site: Any, findings: Any, business_os: BusinessOS, user: Any
) -> None:
    business_os.knows_keys = False
    AccountState.objects.update(read_at=timezone.now() - timedelta(hours=1))
    assert findings() == set()
    AccountState.objects.update(read_at=timezone.now() - timedelta(days=3))
    assert findings() == {"key-unproved"}
    connection = BankingConnection.objects.create(user=user)
    ConnectSession.objects.create(
        connection=connection, pending_token="8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f", status="open"
    )
    assert findings() == set()
