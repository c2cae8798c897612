"""Every known callback is understood, as it is and wrapped; nothing that was not asked for is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils.datastructures import CaseInsensitiveMapping
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts.report import Report
from business_os_banking.upstream.values import MAX_NESTING
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.body import NotUnderstoodError
from business_os_banking.webhooks.verifiers import Delivery
from tests import callbacks

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOKEN = UUID("8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f")
OTHER = UUID("11111111-9b7c-4f9d-9a3e-1a2b3c4d5e6f")
LINK = "111222333444555666"


def read(body: Any, **headers: str) -> Report:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given_headers = CaseInsensitiveMapping({key.replace("_", "-"): value for key, value in headers.items()})
    return payloads.read(Delivery(body=content, headers=given_headers, received_at=NOW), "default")


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (callbacks.success(TOKEN), "succeeded", {"stage": "finish"}),
        (callbacks.notify(TOKEN), "progressed", {"stage": "fetch_accounts"}),
        (callbacks.notify(TOKEN, stage="finish_fetching"), "succeeded", {"stage": "finish_fetching"}),
        (callbacks.notify(TOKEN, stage="never_heard_of"), "progressed", {"stage": "never_heard_of"}),
        (callbacks.fail(TOKEN, connection_id=LINK), "failed", {"error_class": "InvalidCredentials"}),
        (callbacks.fail(TOKEN, "ProviderAccessNotGranted", connection_id=LINK), "cancelled", {}),
        (callbacks.fail(TOKEN, "AispConsentRevoked", connection_id=LINK), "consent_ended", {}),
        (
            callbacks.fail(TOKEN, "NeverHeardOf", connection_id=LINK),
            "failed",
            {"error_class": "NeverHeardOf"},
        ),
        (callbacks.destroy(TOKEN), "removed", {}),
        (callbacks.bare_destroy(TOKEN), "guessed_removal", {}),
        (
            callbacks.body(token=TOKEN, connection_id=LINK, consent_status="revoked"),
            "consent_ended",
            {"reason": "consent_revoked"},
        ),
        (
            callbacks.body(token=TOKEN, connection_id=LINK, status="expired", reason="expired"),
            "consent_ended",
            {"reason": "consent_expired"},
        ),
        (
            callbacks.body(token=TOKEN, connection_id=LINK, reason="client"),
            "consent_ended",
            {"reason": "consent_revoked"},
        ),
        (callbacks.body(token=TOKEN, connection_id=LINK, consent_status="active"), "unknown", {}),
        (callbacks.body(token=TOKEN, connection_id=LINK, payment_id="5", status="executed"), "unknown", {}),
        (callbacks.body(token=TOKEN, connection_id=LINK, something="else"), "unknown", {}),
    ],
)
def test_the_callbacks_of_salt_edge(body: dict[str, Any], kind: str, says: dict[str, str]) -> None:
    report = read(body)
    assert report.fact.kind == kind
    assert (report.pending_token, report.fact.link, report.conflict) == (TOKEN, LINK, "")
    assert report.fact.at == datetime(2026, 1, 25, 10, 40, 47, 965000, tzinfo=UTC)
    for name, value in says.items():
        assert getattr(report.fact, name) == value


def test_a_failure_may_come_without_a_connection() -> None:
    assert read(callbacks.fail(TOKEN)).fact.link == ""


@pytest.mark.parametrize(("status", "active"), [("active", True), ("inactive", False), ("odd", None)])
def test_a_bank_that_is_switched_on_or_off(status: str, active: bool | None) -> None:
    body = {"data": {"provider_code": "bank_xf", "provider_status": status}, "meta": {"version": "6"}}
    report = read(body)
    assert (report.fact.kind, report.fact.provider_code, report.fact.provider_active) == (
        "provider_changed",
        "bank_xf",
        active,
    )


INNER = callbacks.success(TOKEN)


@pytest.mark.parametrize(
    "body",
    [
        {"payload": INNER},
        {"data": INNER},
        {"event": INNER},
        {"body": INNER},
        {"type": "connection.success", "data": INNER["data"]},
        {"event_type": "success", "pending_token": str(TOKEN), "connection_id": LINK},
        {"event": "success", "pendingToken": str(TOKEN).upper(), "data": {"connection_id": int(LINK)}},
        {"action": "success", "custom_fields": {"pending_token": str(TOKEN)}, "connection_id": LINK},
        {
            "event_name": "connection_success",
            "payload": {"data": {"connection": {"id": LINK, "custom_fields": {"pending_token": str(TOKEN)}}}},
        },
        {
            "connection": {
                "id": LINK,
                "status": "active",
                "last_attempt": {
                    "custom_fields": {"pending_token": str(TOKEN)},
                    "success_at": "2026-01-25T10:40:47Z",
                },
            }
        },
        {
            "data": {
                "id": LINK,
                "status": "active",
                "last_attempt": {"finished": True, "custom_fields": {"pending_token": str(TOKEN)}},
            }
        },
    ],
)
def test_wrapped_and_flat_variants(body: dict[str, Any]) -> None:
    report = read(body)
    assert (report.fact.kind, report.pending_token, report.fact.link) == ("succeeded", TOKEN, LINK)
    assert report.conflict == ""


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ({"event": "consent.revoked", "data": {"connection_id": LINK}}, "consent_ended", "consent_revoked"),
        ({"event": "consent_expired", "connection_id": LINK}, "consent_ended", "consent_expired"),
        ({"type": "connection", "action": "destroyed", "connection_id": LINK}, "removed", ""),
    ],
)
def test_events_that_are_told_by_name_only(body: dict[str, Any], kind: str, reason: str) -> None:
    report = read(body)
    assert (report.fact.kind, report.fact.reason, report.fact.link) == (kind, reason, LINK)


@pytest.mark.parametrize(
    "own", [{"action": "remove_trial"}, {"type": "error-report"}, {"connection_id": "7"}, {"stage": "start"}]
)
def test_what_a_site_puts_into_custom_fields_is_no_envelope(own: dict[str, str]) -> None:
    body = callbacks.success(TOKEN)
    body["data"]["custom_fields"].update(own)
    report = read(body)
    assert (report.fact.kind, report.fact.link, report.pending_token) == ("succeeded", LINK, TOKEN)


def test_an_object_that_tells_no_time_is_dated_by_its_receipt() -> None:
    fact = read(
        {"data": {"id": LINK, "status": "active", "custom_fields": {"pending_token": str(TOKEN)}}}
    ).fact
    assert (fact.kind, fact.at, fact.dated) == ("succeeded", NOW, True)


def test_the_case_of_an_upstream_id_is_kept() -> None:
    assert read(callbacks.success(TOKEN, "AbC-12")).fact.link == "AbC-12"


def test_the_name_of_the_event_may_be_in_a_header() -> None:
    body = {"connection_id": LINK}
    assert read(body).fact.kind == "guessed_removal"
    assert read(body, X_Event_Type="connection.destroyed").fact.kind == "removed"
    assert read(body, X_Event_Type="connection.destroyed").digest == read(body).digest


@pytest.mark.parametrize(
    "header", ["connection.destroyed", "success", "fail", "consent.revoked", payloads.SELF_TEST]
)
def test_a_header_that_nobody_signed_does_not_outdo_the_body(header: str) -> None:
    for body in (
        callbacks.success(TOKEN),
        callbacks.fail(TOKEN),
        {"event": "success", "connection_id": LINK},
    ):
        assert read(body, X_Event=header) == read(body)
    assert read({"connection_id": LINK}, X_Event=payloads.SELF_TEST).fact.kind == "guessed_removal"


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"connection_id": LINK, "custom_fields": {}}},
        {"data": {"connection_id": LINK}, "meta": {}},
        {"connection_id": LINK, "meta": {"version": "6"}},
        {"payload": {"data": {"connection_id": LINK}, "meta": {"version": None}}},
        {"data": {"connection": {"id": LINK}}, "meta": {"version": "6"}},
    ],
)
def test_ids_and_nothing_more_look_like_a_removal_whatever_they_are_wrapped_in(body: dict[str, Any]) -> None:
    assert read(body).fact.kind == "guessed_removal"


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"connection_id": LINK, "new": 1}, "meta": {"version": "6"}},
        {"data": {"connection_id": LINK}, "meta": {"version": "6"}, "new": 1},
        {"data": {"connection_id": LINK}, "meta": {"version": "6", "new": 1}},
        {"data": {"customer_id": "1"}, "meta": {"version": "6"}},
    ],
)
def test_what_says_more_or_names_no_link_does_not_look_like_a_removal(body: dict[str, Any]) -> None:
    assert read(body).fact.kind == "unknown"


def test_what_only_looks_like_a_removal_is_no_proof_of_one() -> None:
    assert not read(callbacks.bare_destroy(TOKEN)).fact.final
    assert not read(callbacks.destroy(TOKEN)).fact.final


def test_our_own_key_is_read_from_custom_fields_only() -> None:
    assert read(callbacks.body(session=OTHER, connection_id=LINK, stage="start")).session_reference == OTHER
    assert read({"session": str(OTHER), "stage": "start"}).session_reference is None


@pytest.mark.parametrize(
    "body",
    [
        {**INNER, "pending_token": str(OTHER)},
        {**INNER, "connection_id": "999"},
        {
            **INNER,
            "payload": {"custom_fields": {"session": str(OTHER)}},
            "custom_fields": {"session": str(TOKEN)},
        },
    ],
)
def test_a_body_that_contradicts_itself_is_not_to_be_acted_on(body: dict[str, Any]) -> None:
    assert "different" in read(body).conflict


def test_the_same_token_twice_is_no_contradiction() -> None:
    assert read({**INNER, "pending_token": str(TOKEN).upper()}).conflict == ""


def test_personal_data_and_secrets_are_not_kept() -> None:
    body = callbacks.fail(TOKEN, connection_id=LINK, holder_name="Ada", iban="DE02120300000000202051")
    body["data"]["custom_fields"]["note"] = "ada@kunde.example"
    report = read(body)
    kept = json.dumps(dict(report.payload)) + json.dumps(report.assertions())
    for marker in ("ada", "Ada", "DE0212", str(TOKEN), "note"):
        assert marker not in kept
    assert report.payload == {
        "connection_id": LINK,
        "error_class": "InvalidCredentials",
        "version": "6",
        "time": "2026-01-25T10:40:47.965Z",
    }


def test_what_is_said_of_the_bank_and_the_consent_is_read() -> None:
    body = callbacks.success(
        TOKEN,
        provider_code="bank_xf",
        provider_name="Bänk\x00 & Co",
        country_code="XF",
        consent_expires_at="2027-05-01T00:00:00+02:00",
        next_refresh_possible_at="soon",
        owner_user_id=str(OTHER),
    )
    assert read(body).fact.details == {
        "provider_code": "bank_xf",
        "provider_name": "Bänk & Co",
        "country_code": "XF",
        "consent_expires_at": "2027-04-30T22:00:00+00:00",
        "owner_user_id": str(OTHER),
    }


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("2026-11-22T12:04:59Z", NOW + timedelta(minutes=4, seconds=59)),
        ("2036-01-01T00:00:00Z", NOW + timedelta(minutes=5)),
        ("1970-01-01T00:00:00Z", NOW),
        ("yesterday", NOW),
        ("2026-11-22T12:00:00", NOW),
        ("2026-11-22T13:00:00+01:00", NOW),
        ("0001-01-01T00:00:00+14:00", NOW),
    ],
)
def test_a_wrong_clock_is_not_believed(claimed: str, expected: datetime) -> None:
    assert read(callbacks.success(TOKEN, time=claimed)).fact.at == expected


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"null", b"[]", b'"text"', b"1", b"<html>", b"{", b"\xff\xfe{}", b'{"a": "\xff"}']
    + [b"[" * 60_000, b'{"a":' * 10_000, b'{"a": ' + b"9" * 9_000 + b"}"],
)
def test_what_is_no_json_object_is_not_understood(body: bytes) -> None:
    with pytest.raises(NotUnderstoodError):
        read(body)


@pytest.mark.parametrize(
    "value", [None, True, 1.5, -1, [], {}, "", " ", "\x00", "\ud800", "x" * 10_000, 10**400, "ü", "NaN"]
)
def test_values_of_a_wrong_kind_are_as_good_as_missing(value: Any) -> None:
    body = callbacks.success(TOKEN)
    body["data"].update(upstream_id=value, stage=value, provider_name=value, provider_code=value)
    report = read(body)
    assert report.pending_token == TOKEN
    for text in (
        report.fact.link,
        report.fact.stage,
        *report.fact.details.values(),
        *map(str, report.payload.values()),
    ):
        assert len(text) <= 255
        text.encode()
        assert "\x00" not in text


@pytest.mark.parametrize(
    "value", ["DE89370400440532013000", "DE89-3704-0044-0532-0130-00", "GB29NWBK60161331926819"]
)
def test_an_account_number_is_no_word(value: str) -> None:
    words = dict.fromkeys([*payloads.KEPT, "type", "action"], value)
    report = read({"data": words, "meta": words})
    assert value not in repr(report)
    assert report.payload == {}


@pytest.mark.parametrize(
    "text", ["Bank DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "ada@kunde.example"]
)
def test_what_is_no_name_of_a_bank_is_not_taken_for_one(text: str) -> None:
    assert read(callbacks.success(TOKEN, provider_name=text)).fact.details == {}


def test_a_token_is_not_in_the_repr_of_a_report() -> None:
    assert str(TOKEN) not in repr(read(callbacks.success(TOKEN)))


def test_nan_and_repeated_keys_do_no_harm() -> None:
    assert read(b'{"a": NaN, "stage": "start", "stage": "connect"}').fact.stage == "connect"
    assert read(b'{"a": 1, "a": 2, "stage": "start", "stage": "start"}').conflict == ""


@pytest.mark.parametrize(
    "body",
    [
        '{"pending_token": "$A", "pending_token": "$B"}',
        '{"data": {"pendingToken": "$B", "pendingToken": "$A"}}',
        '{"custom_fields": {"pending_token": "$A"}, "custom_fields": {"pending_token": "$B"}}',
        '{"custom_fields": {"session": "$A", "session": "$B"}}',
        '{"data": {"connection_id": "1", "connection_id": "2"}}',
        '{"connection": {"id": "1", "id": "2"}}',
        '{"type": "connection.success", "type": "connection.destroyed", "pending_token": "$A"}',
        '{"data": {"error_class": "InvalidCredentials", "error_class": "ConsentRevoked"}}',
        '{"data": {"stage": "finish", "stage": "start"}}',
        '{"data": {"provider_code": "a", "provider_code": "b", "provider_status": "inactive"}}',
        '{"data": {"pending_token": ["$A"], "pending_token": "$A"}}',
    ],
)
def test_one_key_with_two_values_is_a_contradiction(body: str) -> None:
    """A sender and a proxy before us may have read the one; the last one is only what Python finds."""
    report = read(body.replace("$A", str(TOKEN)).replace("$B", str(OTHER)).encode())
    assert report.conflict.startswith("The body says different things of ")
    assert len(report.conflict) <= 255


@pytest.mark.parametrize(
    "body",
    [
        '{"data": {"pending_token": "$A", "pending_token": null, "stage": "finish"}}',
        '{"data": {"pending_token": "undefined", "pending_token": "$A", "stage": "finish"}}',
        '{"data": {}, "data": {"stage": "finish", "custom_fields": {"pending_token": "$A"}}}',
        '{"data": {"stage": "finish", "custom_fields": {"pending_token": "$A"}}, "data": {}}',
    ],
)
def test_what_says_nothing_contradicts_nothing(body: str) -> None:
    report = read(body.replace("$A", str(TOKEN)).encode())
    assert (report.pending_token, report.fact.kind, report.conflict) == (TOKEN, "succeeded", "")


def test_one_key_with_one_value_twice_is_none() -> None:
    body = f'{{"data": {{"pending_token": "{TOKEN}", "pending_token": "{TOKEN}", "stage": "finish"}}}}'
    twice = body.replace("}}", f"}}, {body[1:-1]}}}")
    report = read(twice.encode())
    assert (report.pending_token, report.fact.kind, report.conflict) == (TOKEN, "succeeded", "")


@pytest.mark.parametrize(
    "deep", ["[" * 31 + "1" + "]" * 31, '{"a":' * 31 + "1" + "}" * 31, '[{"a":' * 15 + "1" + "}]" * 15]
)
def test_a_body_may_be_so_deep_and_no_deeper(deep: str) -> None:
    assert read(f'{{"stage": "start", "x": {deep}}}'.encode()).fact.stage == "start"
    with pytest.raises(NotUnderstoodError, match=f"more than {MAX_NESTING} deep"):
        read(f'{{"stage": "start", "x": [[{deep}]]}}'.encode())


@pytest.mark.parametrize("more", ["{}", '{"a": 1}', '{"a": 1, "a": 1}'])
def test_a_body_may_have_so_many_keys_and_no_more(more: str) -> None:
    keys = [{str(number): 1} for number in range(1998)]
    body = json.dumps({"stage": "start", "x": keys})
    assert read(body.encode()).fact.stage == "start"
    longer = f'{body[:-1]}, "y": {more}}}'.encode()
    with pytest.raises(NotUnderstoodError, match="more than 2000 keys"):
        read(longer)


def test_a_bank_without_a_code_is_no_bank() -> None:
    """It must not be taken for that of all connections of which the bank is not known yet."""
    assert read({"data": {"provider_status": "inactive"}, "meta": {"version": "6"}}).fact.kind == "unknown"


@pytest.mark.parametrize(
    "claimed",
    ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
)
def test_a_time_that_is_centuries_off_is_none(claimed: str) -> None:
    """No other time zone could show it."""
    body = callbacks.success(
        TOKEN, time=claimed, consent_expires_at=claimed, next_refresh_possible_at=claimed
    )
    assert (read(body).fact.at, read(body).fact.details) == (NOW, {})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "meta",
                    "payload",
                    "event",
                    "custom_fields",
                    "connection",
                    "last_attempt",
                    "stage",
                    "type",
                ]
                + [
                    "pending_token",
                    "connection_id",
                    "id",
                    "status",
                    "reason",
                    "error_class",
                    "time",
                    "session",
                ]
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["data", "meta", "event", "payload"]), JSON_VALUES))
def test_any_object_gives_a_report_that_can_be_stored(body: dict[str, Any]) -> None:
    report = read(body)
    json.dumps(dict(report.payload)).encode()
    json.dumps(report.assertions()).encode()
    assert len(report.fact.stage) <= 64
    assert len(report.fact.error_class) <= 128
    assert len(report.fact.link) <= 64
    assert report.fact.at <= NOW + timedelta(minutes=5)
    if report.fact.kind == "consent_ended":
        report.of_session("s1")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_report_or_a_clear_refusal(body: bytes) -> None:
    try:
        read(body)
    except NotUnderstoodError as error:
        assert str(error)
