"""The key goes to BASE_URL and nowhere else, and no answer may cost more than its limits."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking import conf
from business_os_banking.conf import Account, addresses
from business_os_banking.exceptions import BusinessOSError, InvalidRequest, Refused, TimedOut, Unintelligible
from business_os_banking.flows import connect as connect_flow
from business_os_banking.models import ConnectSession
from business_os_banking.upstream import http
from business_os_banking.upstream.client import BusinessOSClient
from tests.upstream.server import GOOD, KEY, Exchange, Server, serve
from tests.upstream.test_wire import GOOD_BYTES, connect, within

# --- Where the key goes ----------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Another server, which must never hear of anything."""
    script = Server()
    stop = serve(script)
    yield script
    stop()
    assert not script.seen


PATHS_ELSEWHERE = [
    "",
    ".evil.example/",
    "@evil.example/",
    ":80@evil.example/",
    ":8443/",
    "evil.example/",
    "//evil.example/",
    "///evil.example/",
    "\\evil.example/",
    "/\\evil.example/",
    "/..//evil.example/",
    "?x=/",
    "/connect?x=1",
    "/connect#x",
    "/a/../connect",
    "/a/%2e%2E/connect",
    "/./connect",
    "/..",
    "/connect x",
    "/connect\r\nX-Evil: 1",
    "/connect\t",
    "/verbinden/ü",
    "/%zz",
]


@pytest.mark.parametrize("key", ["CONNECT_PATH", "CONNECTIONS_PATH", "CONNECTION_PATH"])
@pytest.mark.parametrize("path", PATHS_ELSEWHERE)
def test_a_path_that_could_lead_elsewhere_is_refused_before_anything_is_sent(
    server: Server, key: str, path: str
) -> None:
    client = BusinessOSClient(server.account(**{key: path}))
    calls: list[Callable[[], Any]] = [
        lambda: client.connect(return_to="https://shop.example/back"),
        client.list_connections_page,
        lambda: client.delete_connection("1"),
    ]
    for call in calls:
        with pytest.raises(ImproperlyConfigured, match=f"{key}.* must be a plain path"):
            call()
    assert not server.seen


BAD_BASES = [
    "",
    "api.business-os.de",
    "//api.business-os.de",
    "ftp://api.business-os.de",
    "file:///etc/passwd",
    "https:api.business-os.de",
    "https://",
    "http://",
    "http://[x",
    "http://[1.2.3.4]",
    "https://me@api.business-os.de",
    "https://me:secret@api.business-os.de",
    "https://api.business-os.de@evil.example",
    "https://api.business-os.de?x=1",
    "https://api.business-os.de/#x",
    "https://api.business-os.de/..",
    "https://api.business-os.de/a/../b",
    "https://api.business-os.de//evil.example",
    "https://api.business-os.de\\@evil.example",
    "https://api.business-os.de:port",
    "https://api.business-os.de:99999",
    "https://api.business-os.de ",
    "https://api.business-os.de\r\nX-Evil: 1",
    "https://api..business-os.de",
    "https://.business-os.de",
    "https://*.business-os.de",
    "https://api.büro.de",
    "https://api.business-os%2ede",
    f"https://{'a' * 64}.de",
    f"https://{'a.' * 126}de",
    "https://127.1",
    "https://0x7f.0.0.1",
    "https://api.bu\u017finess-os.de",
    "https://\u212aey.business-os.de",
]
OPEN_BASES = [
    "http://api.business-os.de",
    "http://internal/",
    "http://10.0.0.1:8000",
    "http://[2001:db8::1]",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "HTTP://internal",
]


@pytest.mark.parametrize("base", [*BAD_BASES, *OPEN_BASES])
def test_no_key_is_sent_to_a_base_url_that_is_none_or_is_plain_http(server: Server, base: str) -> None:
    """The checks say so of settings; this is what holds for accounts that an adapter makes."""
    with pytest.raises(ImproperlyConfigured, match="BASE_URL") as error:
        connect(server.account(BASE_URL=base))
    assert ("plain http" in str(error.value)) == (base in OPEN_BASES)
    assert "secret" not in str(error.value)


@pytest.mark.django_db
def test_a_customer_is_told_that_it_is_our_fault(settings: Any, user: Any, caplog: Any) -> None:
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "BASE_URL": "http://internal"}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    with pytest.raises(Refused) as error:
        connect_flow.start(owner=(user, ""), return_to=lambda session: "https://shop.example/back")
    assert error.value.error_class == "NotConfigured"
    assert "plain http" in caplog.text
    assert not ConnectSession.objects.exists()


def test_without_a_place_for_the_id_nothing_is_removed(server: Server) -> None:
    client = BusinessOSClient(server.account(CONNECTION_PATH="/v2/banking/connections"))
    with pytest.raises(ImproperlyConfigured, match=r"CONNECTION_PATH.*\{id\}"):
        client.delete_connection("1")
    assert not server.seen


@pytest.mark.parametrize("connection_id", ["", ".", "..", "..."])
def test_an_id_that_would_name_something_else_is_not_sent(server: Server, connection_id: str) -> None:
    with pytest.raises(InvalidRequest, match="Not sent"):
        BusinessOSClient(server.account()).delete_connection(connection_id)
    assert not server.seen


@pytest.mark.parametrize(
    "connection_id",
    [
        "../1",
        "../../accounts/1",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        "a%2fb",
        "%2e%2e",
        "ü",
        "a\\b",
        "@evil",
        "..;x",
        "{id}",
    ],
)
def test_an_id_stays_one_piece_of_the_path(server: Server, connection_id: str) -> None:
    BusinessOSClient(server.account()).delete_connection(connection_id)
    (seen,) = server.seen
    below = seen.path.removeprefix("/v2/banking/connections/")
    assert below != seen.path
    assert not set("/?#\\") & set(below)
    assert unquote(below) == connection_id


def test_wire_itself_takes_no_other_path(server: Server) -> None:
    for path in ["/v2/..", "//evil.example", "/connect?x=1"]:
        with pytest.raises(InvalidRequest, match="Not sent"):
            http.send(server.account(), "GET", path)
    assert not server.seen


hosts = st.text("aA.-@:/\\[]%1x?#é", max_size=12)


@given(
    base=st.sampled_from(["https://", "http://", "https:", ""]).flatmap(lambda s: hosts.map(s.__add__)),
    path=st.text("/.@:\\%2eE?#;a", max_size=12),
)
def test_whatever_is_accepted_leads_to_the_host_of_base_url(base: str, path: str) -> None:
    account = conf.make_account("default", {"API_KEY": KEY, "BASE_URL": base, "CONNECT_PATH": path})
    try:
        conf.require_usable(account)
    except ImproperlyConfigured:
        return
    address = addresses.parse(account.base_url)
    assert address
    sent = urlsplit(requests.Request("GET", account.base_url + path).prepare().url or "")
    assert (sent.hostname or "").removesuffix(".") == address.host
    assert (sent.username, sent.password, sent.query, sent.fragment) == (None, None, "", "")
    assert len(sent.path) >= len(address.rest + path)


def test_the_host_header_is_that_of_base_url(server: Server) -> None:
    connect(server.account())
    assert server.seen[0].headers.get_all("Host") == [urlsplit(server.url).netloc]


@pytest.mark.parametrize(
    "headers",
    [{"status": status} for status in (300, 301, 302, 303, 305, 307, 308)]
    + [{"status": status, "Refresh": "0; url={}"} for status in (200, 302)]
    + [{"status": status, "Location": "{}"} for status in (200, 201, 202)]
    + [{"status": 200, "Content_Location": "{}", "Link": "<{}>; rel=next", "Alt_Svc": 'h2="{}"'}],
    ids=str,
)
def test_nothing_that_points_elsewhere_is_followed(
    server: Server, elsewhere: Server, headers: dict[str, Any]
) -> None:
    target = elsewhere.url + "/v2/banking/connect"
    status = headers["status"]
    more = {name: text.format(target) for name, text in headers.items() if name != "status"}
    if status >= 300:
        more["Location"] = target
    server.behave = lambda exchange: exchange.answer(GOOD, status=status, **more)
    client = BusinessOSClient(server.account())
    for call in (lambda: connect(server.account()), lambda: client.delete_connection("1")):
        if status < 300:
            call()
        else:
            with pytest.raises(Unintelligible, match=str(status)):
                call()
    assert len(server.seen) == 2
    assert elsewhere.connections == 0


# --- What an answer may cost -----------------------------------------------------------------------------

MEMORY_MAX_BYTES = 4 * http.ANSWER_MAX_BYTES


@cache
def bomb() -> bytes:
    """A hundred megabytes of zeroes, in a tenth of one."""
    return gzip.compress(bytes(100_000_000))


def endless(piece: bytes, start: bytes = b"HTTP/1.1 200 OK\r\n") -> Callable[[Exchange], None]:
    """Send *piece* over and over, as fast as it is taken."""

    def behave(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(start)
        while not exchange.server.script.stop.is_set():
            exchange.wfile.write(piece * (1 + 65_536 // len(piece)))

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[Callable[[Exchange], None], type[BusinessOSError], str]] = {
    "body": (endless(b" ", b"HTTP/1.1 200 OK\r\n\r\n"), Unintelligible, "too large"),
    "chunks": (endless(b"10000\r\n" + b" " * 65_536 + b"\r\n", CHUNKED), Unintelligible, "too large"),
    "one chunk": (endless(b" ", CHUNKED + b"fffffffff\r\n"), Unintelligible, "too large"),
    "trailers": (endless(b"X: y\r\n", CHUNKED + b"0\r\n"), TimedOut, "broke off|did not"),
    "length of a chunk": (endless(b"0", CHUNKED), TimedOut, "broke off|did not"),
    "headers": (endless(b"X: y\r\n"), TimedOut, "did not answer"),
    "line of a header": (endless(b"y", b"HTTP/1.1 200 OK\r\nX: "), TimedOut, "did not answer"),
    "status line": (endless(b"y", b""), TimedOut, "did not answer"),
    "100 Continue": (endless(b"HTTP/1.1 100 Continue\r\n\r\n", b""), TimedOut, "did not answer"),
    "103 Early Hints": (
        endless(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", b""),
        TimedOut,
        "did not answer",
    ),
    "empty gzip": (
        endless(gzip.compress(b""), b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
        TimedOut,
        "broke off",
    ),
}


@pytest.mark.once
@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_answer_ends(server: Server, what: str) -> None:
    server.behave, kind, words = ENDLESS[what]
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=words), within(5):
            connect(server.account())
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()
    server.behave = lambda exchange: exchange.answer(GOOD)
    connect(server.account())


@pytest.mark.once
@pytest.mark.parametrize("status", [200, 302, 400, 503])
def test_a_bomb_does_not_fill_the_memory(server: Server, elsewhere: Server, status: int) -> None:
    """With a redirect, too: `requests` would have read its body whole although it follows none."""
    packed = bomb()
    server.behave = lambda exchange: exchange.answer(
        packed, status=status, Content_Encoding="gzip", Location=elsewhere.url
    )
    tracemalloc.start()
    try:
        with pytest.raises(Unintelligible, match="too large"):
            connect(server.account(TIMEOUT=(1, 10)))
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extra", [-1, 0])
def test_the_largest_answer_is_read(server: Server, extra: int) -> None:
    content = GOOD_BYTES + b" " * (http.ANSWER_MAX_BYTES + extra - len(GOOD_BYTES))
    for packing, body in (("identity", content), ("gzip", gzip.compress(content, 1))):
        server.behave = lambda exchange: exchange.answer(body, Content_Encoding=packing)  # noqa: B023
        assert connect(server.account(TIMEOUT=(1, 10))).connect_url == GOOD["connect_url"]
    assert len(server.seen) == 2


def test_gzip_alone_is_offered(server: Server) -> None:
    """Whatever else is installed beside us: other packings are not unpacked here within a limit."""
    connect(server.account())
    assert server.seen[0].headers.get_all("Accept-Encoding") == ["gzip"]


@pytest.mark.parametrize("packing", ["br", "zstd", "deflate", "gzip, gzip", "x"])
def test_another_packing_is_not_unpacked(server: Server, packing: str) -> None:
    server.behave = lambda exchange: exchange.answer(GOOD, Content_Encoding=packing)
    with pytest.raises(Unintelligible, match="not asked for"):
        connect(server.account())


@pytest.mark.parametrize("cut", [5, 30])
def test_a_packed_answer_that_breaks_off(server: Server, cut: int) -> None:
    packed = gzip.compress(GOOD_BYTES)[:cut]
    server.behave = lambda exchange: exchange.answer(packed, Content_Encoding="gzip")
    with pytest.raises(Unintelligible, match="compressed"):
        connect(server.account())


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_comes_before_the_answer_is_not_taken_for_it(server: Server, interim: str) -> None:
    """Left behind, the answer itself would be read as that to the next request: perhaps another account's."""
    ids = iter("123")

    def twice(exchange: Exchange) -> None:
        exchange.wfile.write(f"HTTP/1.1 {interim}\r\nLink: </x.css>\r\n\r\n".encode() * 2)
        exchange.server.script.stop.wait(0.1)
        exchange.answer({"data": [{"id": next(ids)}]})

    server.behave = twice
    assert [listed(server.account(API_KEY=key)) for key in ("one", "two", "three")] == [["1"], ["2"], ["3"]]
    assert server.connections == 1


def listed(account: Account) -> list[str]:
    """Return the ids in the list: as all but connecting a bank, it is read over what is kept open."""
    return [row.id for row in BusinessOSClient(account).list_connections_page().rows]


def test_a_second_answer_that_nobody_asked_for_is_nobodys(server: Server) -> None:
    def two_answers(exchange: Exchange) -> None:
        bodies = [json.dumps({"data": [{"id": text}]}).encode() for text in ("ours", "foreign")]
        # In one piece: what comes only after the next request was sent cannot be told from its answer by anybody.
        exchange.wfile.write(
            b"".join(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies
            )
        )

    server.behave = two_answers
    assert [listed(server.account(API_KEY=key)) for key in ("one", "two", "three")] == [["ours"]] * 3
