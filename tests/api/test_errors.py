"""One shape for everything that goes wrong, in the customer's language."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from business_os_banking.api.parsing import MAX_BYTES
from tests.api.conftest import API, CONNECTIONS, Page, a_connection, a_session, error_of, url_of
from tests.upstream.fake import Upstream

UNKNOWN = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"api": "nonsense"}, ["api"]),
        ({"api": ["partner"]}, ["api"]),
        ({"api": None}, ["api"]),
        ({"email": "no address"}, ["email"]),
        ({"email": 5}, ["email"]),
        ({"scopes": "accounts"}, ["scopes"]),
        ({"scopes": ["accounts", "everything"]}, ["scopes"]),
        ({"scopes": [["accounts"]]}, ["scopes"]),
        ({"scopes": {"0": "accounts"}}, ["scopes"]),
        ({"next": 5}, ["next"]),
        ({"next": "/\0"}, ["next"]),
        ({"next": "/" + "x" * 3000}, ["next"]),
        ({"scope": ["accounts"]}, ["scope"]),
        ({"api": "nonsense", "next": 5}, ["api", "next"]),
        ([], ["body"]),
        ("partner", ["body"]),
        (5, ["body"]),
    ],
)
def test_a_body_that_is_not_as_agreed(page: Page, upstream: Upstream, body: Any, fields: list[str]) -> None:
    error = error_of(page.create(body), 400)
    assert error["class"] == "ValidationError"
    assert sorted(error["fields"]) == fields
    assert all(isinstance(text, str) and text for texts in error["fields"].values() for text in texts)
    assert upstream.calls("POST") == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error_class"),
    [
        (b"{", "application/json", 400, "ParseError"),
        (b"\xff\xfe\xfa", "application/json", 400, "ParseError"),
        (b'{"next": NaN}', "application/json", 400, "ParseError"),
        (b"[" * 10_000, "application/json", 400, "ParseError"),
        (b"1" * 10_000, "application/json", 400, "ParseError"),
        (b'{"next": "\\ud800"}', "application/json", 400, "ValidationError"),
        (b" " * MAX_BYTES + b"{}", "application/json", 413, "ContentTooLarge"),
        (b"api=partner", "application/x-www-form-urlencoded", 415, "UnsupportedMediaType"),
        (b"<api/>", "text/xml", 415, "UnsupportedMediaType"),
        (b"{}", "application/json; charset=no-such-thing", 201, ""),
    ],
)
def test_what_is_no_small_json(
    page: Page, upstream: Upstream, body: bytes, content_type: str, status: int, error_class: str
) -> None:
    answer = page.client.generic("POST", CONNECTIONS, body, content_type, headers={"X-CSRFToken": "a" * 32})
    if status == 201:
        assert answer.status_code == 201
    else:
        assert error_of(answer, status)["class"] == error_class


@pytest.mark.parametrize(
    ("method", "headers", "words"),
    [
        ("GET", {"Accept": "text/html"}, "Accept header"),
        ("PUT", {}, "PUT"),
        ("POST", {"Content-Type": "text/xml"}, "text/xml"),
        ("POST", {"Content-Type": "application/json"}, str(MAX_BYTES)),
    ],
)
def test_what_only_a_developer_reads_is_exact(
    page: Page, method: str, headers: dict[str, str], words: str
) -> None:
    kind = headers.get("Content-Type", "")
    answer = page.client.generic(
        method,
        CONNECTIONS,
        b"x" * 20_000,
        kind,
        headers={"X-CSRFToken": "a" * 32, "Accept": headers.get("Accept", "*/*")},
    )
    assert words in error_of(answer, answer.status_code)["message"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*"])
def test_only_json_can_be_had(page: Page, accept: str) -> None:
    assert error_of(page.get(CONNECTIONS, Accept=accept), 406)["class"] == "NotAcceptable"


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, application/json;q=0.1"])
def test_json_that_is_among_other_things_is_enough(page: Page, accept: str) -> None:
    assert page.get(CONNECTIONS, Accept=accept).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods(page: Page, user: User, method: str) -> None:
    connection = a_connection(user)
    for url, allowed in ((CONNECTIONS, "GET, POST, HEAD"), (url_of(connection, "renew/"), "POST")):
        answer = getattr(page.client, method)(url, headers={"X-CSRFToken": "a" * 32})
        assert error_of(answer, 405)["class"] == "MethodNotAllowed"
        assert sorted(answer["Allow"].split(", ")) == sorted(allowed.split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing/",
        f"connections/{UNKNOWN}/",
        "connections/5/",
        f"sessions/{UNKNOWN}/",
        "connections/a/b/c/",
        "sessions/%0A%C2%B9/",
    ],
)
def test_what_does_not_exist(page: Page, path: str) -> None:
    assert error_of(page.get(API + path), 404)["fields"] == {}


def test_an_address_without_its_slash_is_put_right(page: Page) -> None:
    assert page.get(CONNECTIONS[:-1])["Location"] == CONNECTIONS


def test_words_come_in_the_customers_language(page: Page, user: User, upstream: Upstream) -> None:
    connection = a_connection(user)
    session = a_session(
        connection, "cancelled", error_class="ProviderAccessNotGranted", error_group="you_cancelled"
    )
    german = {"Accept-Language": "de"}
    assert page.get(url_of(connection), **german).json()["label"] == "Verbunden"
    told = page.get(url_of(session), **german).json()
    assert told["title"] == "Sie haben vor dem Ende abgebrochen"
    assert page.get(url_of(session)).json()["title"] == "You stopped before the end"
    upstream.connect_answers(status=429, body={})
    error = error_of(page.create(Accept_Language="de"), 503)
    assert error["title"] != error_of(page.create(), 503)["title"]


def test_the_texts_are_those_of_the_pages(page: Page, user: User) -> None:
    session = a_session(a_connection(user, "pending"), "failed", error_class="X", error_group="try_again")
    public = page.get(f"/banking/sessions/{session.reference}/status/").json()
    told = page.get(url_of(session)).json()
    assert public.pop("phase") == "problem"  # which buttons the page shows; here they are the site's own
    assert public == {name: told[name] for name in public}
