"""The wire, over real sockets: keep-alive, timeouts, what is never sent twice, and what is not followed."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection

from business_os_banking.conf import Account
from business_os_banking.exceptions import NotReachable, Refused, TimedOut, Unintelligible
from business_os_banking.upstream import http
from business_os_banking.upstream.client import BusinessOSClient, OpenedSession
from tests.upstream.server import GOOD, KEY, Exchange, Server

pytestmark = pytest.mark.long

GOOD_BYTES = json.dumps(GOOD).encode()


def connect(account: Account) -> OpenedSession:
    return BusinessOSClient(account).connect(return_to="https://shop.example/back")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        assert time.monotonic() - began < seconds


# --- Keep-alive ------------------------------------------------------------------------------------------


def read(account: Account) -> None:
    """Read a page: as all but connecting a bank, that uses what is kept open."""
    BusinessOSClient(account).list_connections_page()


@pytest.fixture
def reading(server: Server) -> Server:
    server.behave = lambda exchange: exchange.answer({"data": []})
    return server


def test_one_thread_uses_one_connection(reading: Server) -> None:
    account = reading.account()
    for _ in range(3):
        read(account)
    BusinessOSClient(account).delete_connection("1")
    assert (len(reading.seen), reading.connections) == (4, 1)


def test_a_customer_who_waits_gets_a_connection_of_their_own(server: Server) -> None:
    """One that something in between has dropped in silence would cost them the whole timeout, and an error page."""
    account = server.account()
    for _ in range(3):
        connect(account)
    assert (len(server.seen), server.connections) == (3, 3)
    assert [seen.headers["Connection"] for seen in server.seen] == ["keep-alive"] * 3


@pytest.mark.parametrize(
    ("named", "is_packed"),
    [
        *(("", False), ("identity", False), (" ", False), ("identity, ", False)),
        *(("gzip", True), ("x-gzip", True), ("GZIP ", True), ("gzip, identity", True), ("gzip,", True)),
    ],
)
def test_how_an_answer_is_packed(server: Server, named: str, is_packed: bool) -> None:
    body = json.dumps(GOOD).encode()

    def answer(exchange: Exchange) -> None:
        exchange.answer(gzip.compress(body) if is_packed else body, Content_Encoding=named)

    server.behave = answer
    connect(server.account())


@pytest.mark.parametrize("named", ["br", "gzip, br", "gzip, gzip", "deflate"])
def test_a_packing_that_was_not_asked_for(server: Server, named: str) -> None:
    server.behave = lambda exchange: exchange.answer(b"x", Content_Encoding=named)
    with pytest.raises(Unintelligible):
        connect(server.account())


def test_connecting_leaves_nothing_open(server: Server) -> None:
    closed = threading.Event()

    def answer_and_wait(exchange: Exchange) -> None:
        exchange.answer(GOOD)
        if not exchange.connection.recv(1):
            closed.set()
            exchange.hang_up()

    server.behave = answer_and_wait
    connect(server.account())
    assert closed.wait(2)


def test_what_is_kept_can_be_closed(reading: Server) -> None:
    account = reading.account()
    http.close_kept()  # there is none yet
    read(account)
    http.close_kept()
    read(account)
    assert (len(reading.seen), reading.connections) == (2, 2)


def test_what_has_not_been_used_for_a_while_is_not_used_again(
    reading: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = reading.account()
    read(account)
    read(account)
    assert reading.connections == 1
    monkeypatch.setattr(http, "_IDLE_SECONDS", 0)
    read(account)
    assert (len(reading.seen), reading.connections) == (3, 2)


def test_refusals_keep_the_connection(server: Server) -> None:
    server.behave = lambda exchange: exchange.answer({}, status=401)
    for _ in range(3):
        with pytest.raises(Refused):
            read(server.account())
    assert server.connections == 1


def test_each_thread_has_a_connection_of_its_own(reading: Server) -> None:
    account = reading.account()
    read(account)

    def two_calls() -> None:
        read(account)
        read(account)

    for _ in range(2):
        thread = threading.Thread(target=two_calls)
        thread.start()
        thread.join()
    read(account)
    assert (len(reading.seen), reading.connections) == (6, 3)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_a_connection_of_its_own(reading: Server) -> None:
    account = reading.account()
    read(account)
    child = os.fork()
    if not child:  # pragma: no cover - another process
        try:
            read(account)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    read(account)
    assert (len(reading.seen), reading.connections) == (3, 2)


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(server: Server) -> None:
    def answer_and_close(exchange: Exchange) -> None:
        exchange.answer({"data": []})
        exchange.hang_up()

    server.behave = answer_and_close
    account = server.account()
    read(account)
    time.sleep(0.1)
    read(account)
    assert (len(server.seen), server.connections) == (2, 2)


def test_each_answer_has_the_whole_timeout(server: Server) -> None:
    account = server.account()

    def slowly(exchange: Exchange) -> None:
        time.sleep(0.25)
        exchange.answer({"data": []})

    server.behave = slowly
    for _ in range(3):  # longer together than one timeout
        read(account)
    assert server.connections == 1


def test_cookies_are_not_kept(server: Server) -> None:
    """The connection serves all accounts: one's cookie must not go out with the other's key."""
    server.behave = lambda exchange: exchange.answer(GOOD, Set_Cookie="session=1; Path=/")
    connect(server.account())
    connect(server.account(API_KEY="another"))
    assert [seen.headers["Cookie"] for seen in server.seen] == [None, None]
    assert [seen.headers["x-api-key"] for seen in server.seen] == [KEY, "another"]


def test_a_netrc_file_is_not_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    connect(server.account())
    assert server.seen[0].headers["Authorization"] is None
    assert server.seen[0].headers["x-api-key"] == KEY


# --- No connection ---------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_is_tried_twice(server: Server, attempts: list[Any]) -> None:
    account = server.account(BASE_URL=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotReachable), within(2):
        connect(account)
    assert len(attempts) == 2


def test_a_second_try_may_succeed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    create = urllib3.util.connection.create_connection
    outcomes: list[Any] = [ConnectionRefusedError(), None]

    def once_refused(*args: Any, **kwargs: Any) -> socket.socket:
        if problem := outcomes.pop(0):
            raise problem
        return create(*args, **kwargs)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", once_refused)
    connect(server.account())
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "problem", [socket.gaierror("no such host"), TimeoutError("timed out"), OSError("no route")]
)
def test_no_name_no_route_no_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch, problem: OSError
) -> None:
    def fails(*args: Any, **kwargs: Any) -> socket.socket:
        raise problem

    monkeypatch.setattr(urllib3.util.connection, "create_connection", fails)
    with pytest.raises(NotReachable, match="No connection"):
        connect(server.account())


# --- Proxies ---------------------------------------------------------------------------------------------


def test_no_proxy_is_told_a_key_that_is_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is for loopback; a proxy of the environment is another machine, and would read the key."""
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    connect(server.account())
    assert server.seen[0].path == "/v2/banking/connect?api=partner"


def test_a_proxy_passes_tls_through(
    server: Server, tls_server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    account = tls_server.account()
    connect(account)
    assert (server.tunnels, tls_server.connections, len(tls_server.seen)) == (1, 1, 1)
    tls_server.behave = lambda exchange: exchange.answer({"data": []})
    read(account)
    read(account)
    assert (server.tunnels, tls_server.connections, len(tls_server.seen)) == (2, 2, 3)
    assert not server.seen

    tls_server.behave = drips_body
    with within(1.2), pytest.raises(TimedOut):
        connect(account)


def test_a_proxy_that_is_down(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(NotReachable):
        connect(server.account(BASE_URL="https://api.business-os.test"))


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://proxy.test:1",
        "http://[::1",
        "http://a b:80",
        "http://proxy.test:99999",
        "http://:1",
        "ftp://x:1",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_as_such(
    proxy: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(NotReachable, match=r"^The proxy that HTTPS_PROXY names cannot be used"):
        connect(server.account(BASE_URL="https://api.business-os.test"))


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_answers_for_itself(
    status: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.tunnel = lambda exchange: exchange.answer({}, status=status)
    with pytest.raises(NotReachable, match=f"names answered {status} itself"):
        connect(server.account(BASE_URL="https://api.business-os.test"))


def test_a_proxy_that_hangs_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.tunnel = Exchange.hang_up
    with pytest.raises(NotReachable):
        connect(server.account(BASE_URL="https://api.business-os.test"))


def test_a_proxy_that_drips(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.tunnel = lambda exchange: exchange.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99)
    with pytest.raises((NotReachable, TimedOut)), within(3):
        connect(server.account(BASE_URL="https://api.business-os.test"))
    assert server.tunnels


# --- No whole answer: never sent twice -------------------------------------------------------------------


def drips_body(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Content-Length", str(len(GOOD_BYTES)))
    exchange.end_headers()
    exchange.drip(GOOD_BYTES)


def drips_chunks(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Transfer-Encoding", "chunked")
    exchange.end_headers()
    exchange.drip(b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD_BYTES) + b"0\r\n\r\n")


def breaks_off(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Content-Length", str(len(GOOD_BYTES)))
    exchange.end_headers()
    exchange.wfile.write(GOOD_BYTES[:40])
    exchange.hang_up()


def breaks_off_in_chunks(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Transfer-Encoding", "chunked")
    exchange.end_headers()
    exchange.wfile.write(b"5\r\n{'con\r\n")
    exchange.hang_up()


def resets(exchange: Exchange) -> None:
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    exchange.hang_up()


def is_no_http(exchange: Exchange) -> None:
    exchange.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


NO_ANSWER: dict[str, Callable[[Exchange], None]] = {
    "hangs": Exchange.hang,
    "hangs up": Exchange.hang_up,
    "resets": resets,
    "drips headers": lambda exchange: exchange.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99),
    "drips a header line": lambda exchange: exchange.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 999),
    "drips the body": drips_body,
    "drips chunks": drips_chunks,
    "breaks off": breaks_off,
    "breaks off in chunks": breaks_off_in_chunks,
    "is no HTTP": is_no_http,
}


@pytest.mark.parametrize("how", NO_ANSWER)
def test_an_answer_that_does_not_come_whole(server: Server, how: str) -> None:
    server.behave = NO_ANSWER[how]
    account = server.account()
    with within(1.2), pytest.raises(TimedOut):
        connect(account)
    time.sleep(0.05)
    assert len(server.seen) == 1

    server.behave = lambda exchange: exchange.answer(GOOD)
    connect(account)
    assert server.connections == 2


def test_an_answer_that_breaks_off_has_its_request_id(server: Server) -> None:
    """Support needs it most where nothing else came."""

    def breaks_off_with_an_id(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("X-Request-Id", "req-7")
        exchange.send_header("Content-Length", "99")
        exchange.end_headers()
        exchange.wfile.write(b"{")
        exchange.hang_up()

    server.behave = breaks_off_with_an_id
    with pytest.raises(TimedOut, match=r"\(request req-7\)") as caught:
        connect(server.account())
    assert caught.value.request_id == "req-7"


def test_a_delete_is_not_sent_twice_either(server: Server) -> None:
    """The step is tracked, and tried again by the flow that tracks it."""
    server.behave = Exchange.hang_up
    with pytest.raises(TimedOut):
        BusinessOSClient(server.account()).delete_connection("1")
    time.sleep(0.05)
    assert len(server.seen) == 1


def test_the_bytes_of_one_answer_have_one_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.1)
        answer = http._Within(ours)
        theirs.sendall(b"abc")
        assert answer.read(1) == b"a"
        assert 0 < (ours.gettimeout() or 0) < 0.1
        time.sleep(0.1)
        with pytest.raises(TimeoutError):
            answer.read(1)  # although there is a byte
        answer.close()
        answer.close()
        assert ours.gettimeout() == 0.1  # as the next request expects it


def test_a_socket_without_timeout_stays_so() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, http._Within(ours) as answer:
        theirs.sendall(b"a")
        assert answer.read(1) == b"a"
        assert ours.gettimeout() is None


def test_an_answer_that_contradicts_itself(server: Server) -> None:
    def two_lengths(exchange: Exchange) -> None:
        exchange.answer(GOOD, Content_length="7")

    server.behave = two_lengths
    with pytest.raises(Unintelligible, match="InvalidHeader"):
        connect(server.account())
    assert len(server.seen) == 1


# --- Strange answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    other = server.url + "/elsewhere"
    server.behave = lambda exchange: exchange.answer(b"", status=status, Location=other)
    with pytest.raises(Unintelligible) as error:
        connect(server.account())
    assert error.value.status == status
    assert len(server.seen) == 1


def test_a_wait_that_is_asked_for_is_not_waited(server: Server) -> None:
    server.behave = lambda exchange: exchange.answer({}, status=503, Retry_After="9")
    with pytest.raises(Exception, match="503"), within(1):
        BusinessOSClient(server.account()).delete_connection("1")
    assert len(server.seen) == 1


def test_an_answer_without_a_length_is_read_to_its_end(server: Server) -> None:
    def until_closed(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + GOOD_BYTES)
        exchange.hang_up()

    server.behave = until_closed
    assert connect(server.account()).connect_url == GOOD["connect_url"]


def test_a_compressed_answer_is_read(server: Server) -> None:
    server.behave = lambda exchange: exchange.answer(gzip.compress(GOOD_BYTES), Content_Encoding="gzip")
    assert connect(server.account()).connect_url == GOOD["connect_url"]


def test_an_answer_that_is_not_compressed_as_it_says(server: Server) -> None:
    server.behave = lambda exchange: exchange.answer(GOOD, Content_Encoding="gzip")
    with pytest.raises(Unintelligible, match="compressed"):
        connect(server.account())


def test_an_oversized_answer(server: Server) -> None:
    content = b"[" + b" " * http.ANSWER_MAX_BYTES + b"]"
    server.behave = lambda exchange: exchange.answer(content)
    with pytest.raises(Unintelligible, match="too large"):
        connect(server.account())


def test_an_oversized_answer_in_a_small_parcel(server: Server) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.behave = lambda exchange: exchange.answer(bomb, Content_Encoding="gzip")
    with pytest.raises(Unintelligible, match="too large"):
        connect(server.account())
