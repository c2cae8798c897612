"""Connect and delete: what is sent, what is refused before, and what is understood of the answers."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from business_os_banking import __version__, conf
from business_os_banking.conf.secret import Secret, Token
from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotFound,
    Unintelligible,
    UpstreamTrouble,
)
from business_os_banking.upstream import client
from business_os_banking.upstream.client import BusinessOSClient
from tests.upstream.fake import Upstream
from tests.upstream.server import GOOD, KEY, TOKEN, Server

RETURN_TO = "https://app.business-os.de/close"


def connect(upstream: Upstream, body: Any, status: int = 200, **kwargs: Any) -> client.OpenedSession:
    """Open a session with an upstream that answers so."""
    upstream.connect_answers(status, body, **kwargs)
    return BusinessOSClient().connect(return_to=RETURN_TO)


# --- What is sent ----------------------------------------------------------------------------------------


def test_every_documented_parameter_is_sent(server: Server) -> None:
    BusinessOSClient(server.account()).connect(
        api="openbanking",
        email="info@mustermann.de",
        return_to=RETURN_TO,
        scopes=["accounts", "transactions"],
        custom_fields={"session": "abc"},
    )
    (seen,) = server.seen
    parts = urlsplit(seen.path)
    assert (seen.method, parts.path) == ("POST", "/v2/banking/connect")
    assert parse_qs(parts.query) == {"api": ["openbanking"]}
    assert json.loads(seen.body) == {
        "email": "info@mustermann.de",
        "return_to": RETURN_TO,
        "scopes": ["accounts", "transactions"],
        "custom_fields": {"session": "abc"},
    }
    assert seen.headers["x-api-key"] == KEY
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["User-Agent"] == f"django-business-os-banking/{__version__}"
    assert seen.headers["Authorization"] is None


def test_what_is_not_given_has_the_defaults_of_the_account(server: Server) -> None:
    account = server.account(API="openbanking", SCOPES=["accounts"])
    BusinessOSClient(account).connect(return_to=RETURN_TO)
    (seen,) = server.seen
    assert urlsplit(seen.path).query == "api=openbanking"
    assert json.loads(seen.body) == {"return_to": RETURN_TO, "scopes": ["accounts"], "custom_fields": {}}


def test_the_paths_are_settings(server: Server) -> None:
    account = server.account(
        BASE_URL=server.url + "/sandbox/", CONNECT_PATH="/v3/connect", CONNECTION_PATH="/v3/link/{id}/end"
    )
    BusinessOSClient(account).connect(return_to=RETURN_TO)
    BusinessOSClient(account).delete_connection("1")
    assert [seen.path for seen in server.seen] == [
        "/sandbox/v3/connect?api=partner",
        "/sandbox/v3/link/1/end",
    ]


def test_the_account_is_the_default_one_unless_given(upstream: Upstream) -> None:
    BusinessOSClient().connect(return_to=RETURN_TO)
    assert upstream.calls("POST")[0].headers["x-api-key"] == conf.account().api_key


# --- What is refused before the call ---------------------------------------------------------------------

_nested: dict[str, Any] = {}
for _ in range(5000):
    _nested = {"a": _nested}

NOT_SENT: list[tuple[str, dict[str, Any]]] = [
    ("api", {"api": "partners"}),
    ("scopes", {"scopes": ["accounts", "payments"]}),
    ("scopes", {"scopes": "accounts"}),
    ("return_to", {"return_to": ""}),
    ("return_to", {"return_to": "/back"}),
    ("return_to", {"return_to": "//shop.example/back"}),
    ("return_to", {"return_to": "javascript:alert(1)"}),
    ("return_to", {"return_to": "https:///back"}),
    ("return_to", {"return_to": "https://[::1/back"}),
    ("return_to", {"return_to": "https://shop.example/" + "x" * 2020}),
    ("custom_fields", {"custom_fields": {"a": "x" * 1020}}),
    ("custom_fields", {"custom_fields": {"a": "ü" * 200}}),
    ("custom_fields", {"custom_fields": {"a": uuid.uuid4()}}),
    ("custom_fields", {"custom_fields": {"a": float("nan")}}),
    ("custom_fields", {"custom_fields": _nested}),
    ("email", {"email": "info@"}),
    ("email", {"email": "a@b.example\nBcc: c@d.example"}),
]


@pytest.mark.parametrize(("field", "arguments"), NOT_SENT, ids=[field for field, _ in NOT_SENT])
def test_a_local_limit(upstream: Upstream, field: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Not sent") as error:
        BusinessOSClient().connect(**{"return_to": RETURN_TO, **arguments})
    assert list(error.value.fields) == [field]
    assert error.value.fields[field][0]
    assert error.value.status is None
    assert not upstream.calls("POST")


def test_all_problems_are_told_at_once(upstream: Upstream) -> None:
    with pytest.raises(InvalidRequest) as error:
        BusinessOSClient().connect(return_to="x", api="x", scopes=["x"], email="x")
    assert set(error.value.fields) == {"return_to", "api", "scopes", "email"}
    assert not upstream.calls("POST")


@pytest.mark.parametrize(
    "arguments",
    [
        {"return_to": "https://shop.example/" + "x" * (client.RETURN_TO_MAX_LENGTH - 21)},
        {"return_to": "http://localhost:8000/back?a=b"},
        {"custom_fields": {"a": "x" * (client.CUSTOM_FIELDS_MAX_BYTES - 9)}},
        {"email": "jürgen@müller.example".replace("jürgen", "juergen")},
    ],
    ids=str,
)
def test_what_is_just_allowed_is_sent(upstream: Upstream, arguments: dict[str, Any]) -> None:
    BusinessOSClient().connect(**{"return_to": RETURN_TO, **arguments})
    assert len(upstream.calls("POST")) == 1


# --- What is understood ----------------------------------------------------------------------------------


def test_the_answer_of_the_page(upstream: Upstream) -> None:
    assert connect(upstream, GOOD) == client.OpenedSession(
        connect_url=Secret("https://www.saltedge.com/connect?token=xxx"),
        pending_token=Token(TOKEN),
        expires_at=datetime(2026, 3, 24, 12, 44, 3, tzinfo=UTC),
        owner_user_id=uuid.UUID("d90f20ae-f6c1-46da-a080-3d4c86329bf6"),
    )


@pytest.mark.parametrize(
    "answer",
    [
        {**GOOD, "business-os": {"neuesGuthaben": 3}, "new": None},
        {"data": GOOD},
        {"data": GOOD, "business-os": {"neuesGuthaben": 3}},
        {**GOOD, "data": {"something": "else"}},
        {**GOOD, "data": []},
        {"connect_url": None, "pending_token": "", "data": GOOD},
        {**GOOD, "pending_token": TOKEN.upper()},
        {**GOOD, "pending_token": f" {TOKEN} "},
        {**GOOD, "expires_at": "2026-03-24T12:44:03+00:00"},
        {**GOOD, "expires_at": "2026-03-24T14:44:03+02:00"},
        {**GOOD, "expires_at": "2026-03-24T12:44:03.000Z"},
        {**GOOD, "expires_at": "2026-03-24T12:44:03"},
        {**GOOD, "expires_at": "2026-03-24 12:44:03 UTC"},
        {**GOOD, "expires_at": 1774356243},
        {**GOOD, "expires_at": "1774356243000"},
        {**GOOD, "expires_at": "Tue, 24 Mar 2026 12:44:03 GMT"},
    ],
    ids=str,
)
def test_the_same_session_said_otherwise(upstream: Upstream, answer: dict[str, Any]) -> None:
    assert connect(upstream, answer) == connect(upstream, GOOD)


def test_201_is_a_success_too(upstream: Upstream) -> None:
    assert connect(upstream, GOOD, 201).connect_url == GOOD["connect_url"]


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", 177435504, ["2026"], "2026-13-45T00:00:00Z", "0001-01-01T00:00:00+23:59", "n/a"],
    ids=str,
)
def test_a_garbled_end_is_no_end(upstream: Upstream, value: Any) -> None:
    assert connect(upstream, {**GOOD, "expires_at": value}).expires_at is None


@pytest.mark.parametrize("value", [None, "", "me", 7, {}], ids=str)
def test_a_garbled_owner_is_no_owner(upstream: Upstream, value: Any) -> None:
    assert connect(upstream, {**GOOD, "owner_user_id": value}).owner_user_id is None


def test_end_and_owner_may_be_missing(upstream: Upstream) -> None:
    opened = connect(upstream, {"connect_url": GOOD["connect_url"], "pending_token": TOKEN})
    assert (opened.expires_at, opened.owner_user_id) == (None, None)


UNINTELLIGIBLE: dict[str, Any] = {
    "no token": {**GOOD, "pending_token": None},
    "garbled token": {**GOOD, "pending_token": "8c4a8b18"},
    "token of another type": {**GOOD, "pending_token": 8},
    "missing token": {"connect_url": GOOD["connect_url"]},
    "no url": {**GOOD, "connect_url": None},
    "url of another type": {**GOOD, "connect_url": ["https://www.saltedge.com/"]},
    "missing url": {"pending_token": TOKEN},
    "empty object": {},
    "list": [GOOD],
    "list in data": {"data": [GOOD]},
    "text": "ok",
    "number": 5,
    "null": None,
    "html": b"<!doctype html><title>Welcome</title>",
    "empty": b"",
    "blank": b" \r\n",
    "not UTF-8": b'{"connect_url": "\xff\xfe"}',
    "half": b'{"connect_url": "https://www.salt',
    "too deep": b"[" * 100_000,
    "huge number": b'{"connect_url": ' + b"9" * 5_000 + b"}",
}


@pytest.mark.parametrize("body", UNINTELLIGIBLE.values(), ids=UNINTELLIGIBLE)
def test_an_unintelligible_answer(upstream: Upstream, body: Any) -> None:
    with pytest.raises(Unintelligible):
        connect(upstream, body)


def test_no_content_is_unintelligible(upstream: Upstream) -> None:
    with pytest.raises(Unintelligible):
        connect(upstream, b"", 204)


def test_a_url_off_the_list_is_unintelligible(upstream: Upstream) -> None:
    with pytest.raises(Unintelligible, match="CONNECT_URL_HOSTS"):
        connect(upstream, {**GOOD, "connect_url": "https://www.evil.example/"})


def test_a_url_longer_than_anybody_need_take_is_unintelligible(upstream: Upstream) -> None:
    url = "https://www.saltedge.com/?token="
    longest = url + "x" * (client.CONNECT_URL_MAX_LENGTH - len(url))
    assert connect(upstream, {**GOOD, "connect_url": longest}).connect_url == longest
    with pytest.raises(Unintelligible, match="longer"):
        connect(upstream, {**GOOD, "connect_url": longest + "x"})


def test_results_and_clients_keep_their_secrets_out_of_repr(upstream: Upstream) -> None:
    opened = connect(upstream, GOOD)
    assert TOKEN not in repr(opened)
    assert "token=xxx" not in repr(opened)
    assert repr(BusinessOSClient()) == "<BusinessOSClient default https://api.business-os.test>"


# --- Delete ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "is_proof"),
    [
        (200, {"data": {"connection_id": "111", "customer_id": "1", "removed": True}}, True),
        (200, {"id": "111", "removed": True}, True),
        (
            200,
            {"data": {"connection_id": "111", "removed": True, "error": None}, "request": {"id": "7"}},
            True,
        ),
        (200, {"removed": "true", "connection_id": 111}, True),
        (200, {"data": {"id": "111"}}, False),
        (200, {"removed": None}, False),
        (200, {}, False),
        (200, [], False),
        (202, b"", False),
        (204, b"", False),
    ],
    ids=str,
)
def test_delete_says_whether_it_is_done(server: Server, status: int, body: Any, is_proof: bool) -> None:
    server.behave = lambda exchange: exchange.answer(body, status=status)
    assert BusinessOSClient(server.account()).delete_connection("111") is is_proof
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("DELETE", "/v2/banking/connections/111", b"")
    assert seen.headers["x-api-key"] == KEY


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"data": {"removed": False}}, Unintelligible),
        (200, {"removed": False}, Unintelligible),
        (200, {"removed": "false"}, Unintelligible),
        (200, {"removed": 0}, Unintelligible),
        (200, {"data": [{"removed": True}, {"removed": False}]}, Unintelligible),
        (200, {"removed": True, "error": {"class": "ConnectionFetchingStopped"}}, Unintelligible),
        (200, {"data": {"removed": True, "error_class": "x"}}, Unintelligible),
        (200, {"data": {"connection_id": "112", "removed": True}}, Unintelligible),
        (200, {"data": {"id": "another one", "removed": True}}, Unintelligible),
        (200, {"removed": True, "connection": {"id": 112}}, Unintelligible),
        (404, {"error": {"class": "ConnectionNotFound", "message": "gone"}}, NotFound),
        (404, b"<html>", NotFound),
        (410, b"", NotFound),
        (200, b"<html>", Unintelligible),
        (405, b"", NotFound),
        (500, b"", UpstreamTrouble),
    ],
    ids=str,
)
def test_delete_is_not_done(server: Server, status: int, body: Any, kind: type[BusinessOSError]) -> None:
    server.behave = lambda exchange: exchange.answer(body, status=status)
    with pytest.raises(kind):
        BusinessOSClient(server.account()).delete_connection("111")


def test_an_id_cannot_leave_its_place_in_the_path(server: Server) -> None:
    BusinessOSClient(server.account()).delete_connection("../../x?y#z")
    assert server.seen[0].path == "/v2/banking/connections/..%2F..%2Fx%3Fy%23z"
