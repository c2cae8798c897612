"""Answers that are not 2xx: which exception, which class, which fields, how long to wait."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotFound,
    OutOfCredits,
    RateLimited,
    Refused,
    Unintelligible,
    UpstreamTrouble,
)
from business_os_banking.upstream import answers, times, values
from business_os_banking.upstream.client import BusinessOSClient
from tests.upstream.fake import Upstream

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"


def v6(name: str) -> dict[str, Any]:
    return {
        "error": {
            "class": name,
            "message": "of ada@kunde.example",
            "documentation_url": "https://docs.example",
        },
        "request": {},
    }


def v4(name: str) -> dict[str, Any]:
    return {"error_class": name, "error_message": "of ada@kunde.example", "request": {}}


def error(status: int, body: Any = b"", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answers.error_of(status, named, content)


STATUSES: list[tuple[int, type[BusinessOSError]]] = [
    (400, InvalidRequest),
    (401, Refused),
    (402, OutOfCredits),
    (403, Refused),
    (404, NotFound),
    (405, NotFound),
    (406, InvalidRequest),
    (409, InvalidRequest),
    (410, NotFound),
    (413, InvalidRequest),
    (418, InvalidRequest),
    (422, InvalidRequest),
    (429, RateLimited),
    (500, UpstreamTrouble),
    (502, UpstreamTrouble),
    (503, UpstreamTrouble),
    (504, UpstreamTrouble),
    (300, Unintelligible),
    (301, Unintelligible),
    (302, Unintelligible),
    (307, Unintelligible),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_each_status_has_its_exception(upstream: Upstream, status: int, kind: type[BusinessOSError]) -> None:
    for body in (b"", HTML, b"null", b"[]", b'"no"', b"[" * 100_000, v6("SomeClass"), v4("SomeClass")):
        upstream.connect_answers(status, body)
        with pytest.raises(BusinessOSError) as caught:
            BusinessOSClient().connect(return_to="https://shop.example/back")
        assert type(caught.value) is kind
        assert caught.value.status == status
        assert f"HTTP {status}" in str(caught.value)
        assert caught.value.session is None
    assert len(upstream.calls("POST")) == 8


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429, 500, 503])
@pytest.mark.parametrize("shape", [v6, v4])
def test_the_class_is_kept_and_the_message_is_not(status: int, shape: Any) -> None:
    caught = error(status, shape("ConnectionDuplicated"))
    assert caught.error_class == "ConnectionDuplicated"
    assert str(caught) == f"HTTP {status} ConnectionDuplicated"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"code": "E_LIMIT"}, "E_LIMIT"),
        ({"error": {"code": "E_LIMIT"}}, "E_LIMIT"),
        ({"error": {"class": None}, "error_class": "Late"}, "Late"),
        ({"error": {"class": "First", "code": "Second"}, "code": "Third"}, "First"),
        ({"error": "Not allowed for ada@kunde.example"}, "InvalidRequest"),
        ({"error": {"class": "ada@kunde.example"}}, "InvalidRequest"),
        ({"error": {"class": 5}, "code": 422}, "InvalidRequest"),
        ({"error": []}, "InvalidRequest"),
        ({"message": "no"}, "InvalidRequest"),
        ([v6("Listed")], "InvalidRequest"),
        ({"code": "x" * 500}, "x" * 128),
        ({"code": "\U0001d400bc"}, "InvalidRequest"),
        ({"code": "größe"}, "InvalidRequest"),
    ],
)
def test_where_a_class_is_found(body: Any, name: str) -> None:
    assert error(400, body).error_class == name


@pytest.mark.parametrize(
    "body",
    [
        {"errors": {"email": ["is invalid"]}},
        {"errors": {"email": "is invalid"}},
        {"errors": [{"field": "email", "message": "is invalid"}]},
        {"errors": [{"param": "email", "msg": "is invalid"}]},
        {"errors": [{"path": "email", "message": "is invalid"}]},
        {"errors": [{"path": ["body", "email"], "message": "is invalid"}]},
        {"detail": [{"loc": ["body", "email"], "msg": "is invalid", "type": "value_error"}]},
        {"fields": {"email": ["is invalid"]}},
        {"issues": [{"path": ["email"], "message": "is invalid", "code": "invalid_string"}]},
        {"error": {"errors": {"email": ["is invalid"]}}},
        {"error": {"fields": {"email": ["is invalid"]}}},
        {"error": {"details": [{"field": "email", "message": "is invalid"}]}},
        {"error": {"issues": [{"path": ["email"], "message": "is invalid"}]}},
        {"error": [{"path": ["email"], "message": "is invalid"}]},
    ],
    ids=str,
)
def test_field_errors_are_kept(body: Any) -> None:
    for status in (400, 422):
        caught = error(status, body)
        assert caught.fields == {"email": ["is invalid"]}
        assert str(caught) == f"HTTP {status} (fields: email)"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"errors": {"email": ["a", "b"], "scopes": "c"}}, {"email": ["a", "b"], "scopes": ["c"]}),
        ({"errors": [{"field": "email"}, {"field": "email", "msg": "b"}]}, {"email": ["", "b"]}),
        ({"errors": [{"loc": ["scopes", 0], "msg": "c"}]}, {"scopes": ["c"]}),
        ({"errors": [{"message": "a"}, "b", None, {"loc": []}, {"path": {}}]}, {}),
        ({"errors": "no", "detail": "no"}, {}),
        ({"errors": {"email": [{"code": 1}]}}, {"email": ["{'code': 1}"]}),
    ],
    ids=str,
)
def test_odd_field_errors(body: Any, fields: dict[str, list[str]]) -> None:
    assert error(422, body).fields == fields


def test_what_is_no_field_name_stays_out_of_the_message() -> None:
    caught = error(
        422, {"errors": {"ada@kunde.example": ["taken"], "Mueller": ["taken"], "email": ["taken"]}}
    )
    assert set(caught.fields) == {"ada@kunde.example", "Mueller", "email"}
    assert str(caught) == "HTTP 422 (fields: email)"


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        *(("0", 0), ("120", 120), (" 7 ", 7), ("9" * 9, 86_400), ("9" * 12, 86_400), ("1.5", 2), ("30.", 30)),
        # The three forms of a date (RFC 9110 5.6.7), long past and far ahead.
        *(("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400)),
        *(("Sunday, 06-Nov-94 08:49:37 GMT", 0), ("Sun Nov  6 08:49:37 1994", 0)),
        ("Fri Dec 31 23:59:59 9999", 86_400),
    ],
)
def test_a_wait_in_seconds(header: str, wait: int) -> None:
    assert error(429, v6("RateLimitExceeded"), Retry_After=header).retry_after == wait


@pytest.mark.parametrize("status", [402, 408, 421, 425, 500, 503])
def test_a_wait_is_read_of_any_error(status: int) -> None:
    assert error(status, Retry_After="120").retry_after == 120


@pytest.mark.parametrize(("seconds", "low", "high"), [(90, 60, 90), (-90, 0, 0)])
def test_a_wait_until_a_date(seconds: int, low: int, high: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert low <= error(429, v6("RateLimitExceeded"), Retry_After=date).retry_after <= high


@pytest.mark.parametrize(
    "header",
    [
        "",
        "soon",
        "-5",
        "1,5",
        ".5",
        "1.5.",
        "٣",
        "²",
        "9" * 13,
        "9" * 5000,
        "Wed, 99 Foo 2026",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_a_garbled_wait_is_none(header: str) -> None:
    assert error(429, Retry_After=header).retry_after is None


def test_no_wait_is_none(upstream: Upstream) -> None:
    assert error(429).retry_after is None


def test_the_wait_is_read_whatever_the_case_of_its_header(upstream: Upstream) -> None:
    upstream.connect_answers(429, {}, headers={"retry-after": "3"})
    with pytest.raises(RateLimited) as caught:
        BusinessOSClient().connect(return_to="https://shop.example/back")
    assert caught.value.retry_after == 3


def test_an_exception_has_its_own_name_for_want_of_a_class() -> None:
    assert BusinessOSError().error_class == "BusinessOSError"
    assert str(RateLimited()) == "RateLimited"
    assert InvalidRequest("x", fields={"a": ("b",)}).fields == {"a": ["b"]}


def test_exceptions_can_be_pickled() -> None:
    caught = error(429, v6("RateLimitExceeded"), Retry_After="3")
    again = pickle.loads(pickle.dumps(caught))
    assert (str(again), vars(again)) == (str(caught), vars(caught))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "detail", "class", "code", "field", "path", "loc", "message", "data"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.integers(100, 599), st.binary(max_size=50) | json_values, st.text(max_size=40))
def test_no_answer_makes_reading_it_raise(status: int, body: Any, header: str) -> None:
    assert isinstance(error(status, body, Retry_After=header), BusinessOSError)


@given(json_values)
def test_any_value_is_read_as_a_time_an_id_or_nothing(value: Any) -> None:
    times.time_of(value, datetime(2026, 11, 29, tzinfo=UTC))
    values.id_of(value)
    values.uuid_of(value)
    values.word_of(value)
    values.bank_name_of(value)
    values.something(value)
    answers.data_of(value)
