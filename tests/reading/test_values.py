"""What single values say: nothing, a word, an id, a name."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.upstream import values

NOTHING: list[Any] = [
    *(None, False, "", [], {}, " ", "\t\n", "\u00a0", "\u2003", "\u200b", "\ufeff", "\x00"),
    *(
        "null",
        "NULL",
        "Null",
        "None",
        "none",
        "nil",
        "NaN",
        "nan",
        "undefined",
        "UNDEFINED",
        "never",
        "n/a",
        "N/A",
    ),
    *("-", "--", "\u2013", " null ", "undefined\n", float("nan")),
    *([None], [[]], [{}], ["", None], {"a": None}, {"a": {"b": ""}}, {"a": [], "b": "n/a"}, [{"a": "null"}]),
]
SOMETHING: list[Any] = [
    *(
        0,
        1,
        True,
        "0",
        "false",
        "no",
        "empty",
        "nothing",
        "nullable",
        "none of it",
        "NaNo",
        "x",
        0.0,
        "neverland",
    ),
    *([0], {"a": 0}, {"a": [{"b": "c"}]}, "---", "undefined behaviour"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NOTHING),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_nothing(value: Any) -> None:
    assert values.is_nothing(value)
    assert values.something({"key": value, "other": 1}) == {"other": 1}
    assert values.word_of(value) == values.id_of(value) == values.bank_name_of(value) == ""
    assert not values.is_unusable_id(value)


@pytest.mark.parametrize("value", SOMETHING, ids=repr)
def test_something(value: Any) -> None:
    assert not values.is_nothing(value)
    assert values.something({"key": value}) == {"key": value}


@given(json_values)
def test_what_is_left_is_something(value: Any) -> None:
    left = values.something({"key": value, "one": 1})
    assert left["one"] == 1
    assert ("key" in left) == (not values.is_nothing(value))
    assert values.something(left) == left


def test_what_is_nested_without_end_is_cut_off() -> None:
    deep: Any = {"a": 1}
    for _ in range(500):
        deep = {"a": [deep]}
    assert values.something({"deep": deep, "b": 1}) == {"b": 1}


@pytest.mark.parametrize(
    "value",
    ["0", 0, "00000000-0000-0000-0000-000000000000", " 0 ", 0.0, values.NotWhole("0.0"), "000", "0" * 32]
    + ["{00000000-0000-0000-0000-000000000000}", "0.0", "00"],
    ids=str,
)
def test_as_an_id_zero_is_nothing_too(value: Any) -> None:
    assert values.id_of(value) == ""
    assert not values.is_unusable_id(value)


@pytest.mark.parametrize(
    "value",
    ["a", "A1", "abc=", "YWJj+/==", "urn:bank:1.2", "conn.1", "1.2", "a-b_c", "x" * 128, 17, 2**63, "9" * 40],
)
def test_an_id_is_kept_to_the_letter(value: Any) -> None:
    assert values.id_of(value) == str(value)
    assert not values.is_unusable_id(value)


@pytest.mark.parametrize(
    "value",
    ["x" * 129, "a b", "a\nb", "ä", "a/b?c", "<id>", "a,b", True, ["1"], {"id": "1"}, 1.5, 1e21]
    + [values.NotWhole("1.1122233344455567e17"), values.NotWhole("12.0"), "DE89370400440532013000", 2**300],
    ids=str,
)
def test_an_id_that_cannot_be_used_is_told_from_none(value: Any) -> None:
    assert values.id_of(value) == ""
    assert values.is_unusable_id(value)


def test_a_number_that_is_not_whole_is_no_id_wherever_it_comes_from() -> None:
    """A relay whose numbers are floats has lost digits: it would be the id of another connection."""
    from business_os_banking.webhooks import body

    parsed, _contradicted = body.parse(b'{"id": 111222333444555666.0, "other": 1.1122e17, "text": "1.5"}')
    assert [values.id_of(parsed[key]) for key in ("id", "other", "text")] == ["", "", "1.5"]
    assert [values.is_unusable_id(parsed[key]) for key in ("id", "other", "text")] == [True, True, False]
    assert json.loads(json.dumps(parsed)) == parsed


@pytest.mark.parametrize("form", ["{}", "{} ", "\t{}\n", "{{{}}}", "urn:uuid:{}"])
def test_a_uuid_in_its_forms(form: str) -> None:
    token = uuid.uuid4()
    assert values.uuid_of(form.format(token)) == token
    assert values.uuid_of(form.format(str(token).upper())) == token


@pytest.mark.parametrize(
    "value", [None, 0, "0" * 32, str(uuid.UUID(int=0)), "undefined", "null", "x", 12, True, []]
)
def test_no_uuid(value: Any) -> None:
    assert values.uuid_of(value) is None


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Stadt\u00a0Sparkasse", "Stadt Sparkasse"),
        ("Stadt\u2003\u2009Sparkasse\u3000", "Stadt Sparkasse"),
        ("Volks\u2028bank", "Volks bank"),
        (" \tBank\r\n of   Test ", "Bank of Test"),
        ("بانک\u200cملی", "بانک\u200cملی"),
        ("ක්\u200dෂ", "ක්\u200dෂ"),
        ("Bank\u200bName\ufeff", "BankName"),
        ("\u202eknaB", "knaB"),
        ("\x00B\x07ank", "Bank"),
        ("\u200b \u2060", ""),
        ("\u200d", ""),
        ("n/a", ""),
        (" - ", ""),
        ("x" * 300, "x" * 255),
        ("x" * 254 + " y", "x" * 254),
        ("Bank ada@kunde.example", ""),
        ("DE89 3704 0044 0532 0130 00", ""),
        (17, ""),
        ("\u2800", ""),
        ("\u3164\u115f \u1160", ""),
        ("\uffa0\u034f", ""),
    ],
)
def test_the_name_of_a_bank_is_one_line(name: Any, read: str) -> None:
    assert values.bank_name_of(name) == read
