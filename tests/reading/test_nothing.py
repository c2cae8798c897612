"""What is absent is absent however it is written, and what stands for nothing names nothing: in webhooks and lists."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from business_os_banking.doctor.records import examine_records
from business_os_banking.facts import notes
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows.explain import explain
from business_os_banking.flows.prune import prune
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.deeds import start
from tests.reading.world import LINK, OPEN, SUCCEEDED, ago, connected, latest, post, stands
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db

EMPTY: list[Any] = [
    None,
    "",
    " ",
    [],
    {},
    False,
    "null",
    "None",
    "undefined",
    "n/a",
    "-",
    [None],
    {"a": None},
]
# What other callbacks have, and a success has not.
OTHERS = (
    *(
        "error_class",
        "error_message",
        "error",
        "fail_error_class",
        "payment_id",
        "provider_status",
        "provider_code",
    ),
    *(
        "consent_status",
        "consent_id",
        "last_attempt",
        "reason",
        "status",
        "connection",
        "event",
        "type",
        "action",
    ),
    *("pendingToken", "duplicated_connection_id", "payload", "body"),
)
TOO_LONG = "1" * 129


def emptied(body: dict[str, Any], value: Any, keys: tuple[str, ...] = OTHERS) -> dict[str, Any]:
    """Return *body* with *value* under all keys that it has not."""
    return {
        **dict.fromkeys(("error", "type", "event"), value),
        **body,
        "data": {**dict.fromkeys(keys, value), **body["data"]},
    }


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_what_is_empty_makes_no_success_anything_else(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    assert post(emptied(callbacks.success(session.pending_token, LINK, time=ago(minutes=1)), value)) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize("key", OTHERS)
@pytest.mark.parametrize("value", [None, "", {}, "undefined"], ids=repr)
def test_each_key_alone(upstream: Upstream, user: User, key: str, value: Any) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, time=ago(minutes=1))
    assert post(emptied(body, value, (key,))) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_a_link_is_repaired_all_the_same(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    connected(session)
    failure = callbacks.fail(None, "ConsentExpired", connection_id=LINK, time=ago(hours=2))
    assert post(emptied(failure, value)) == 200
    assert stands(session) == ("succeeded", "inactive", "consent_expired")
    success = callbacks.success(None, LINK, time=ago(hours=1))
    success["data"]["custom_fields"] = value
    assert post(emptied(success, value)) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_a_removal_is_one_all_the_same(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    connected(session)
    assert post(emptied(callbacks.bare_destroy(None, LINK, time=ago(hours=2)), value)) == 200
    assert latest().kind == "guessed_removal"
    named = {
        **emptied(callbacks.bare_destroy(None, LINK, time=ago(hours=1)), value),
        "type": "connection.destroyed",
    }
    assert post(named) == 200
    assert stands(session) == ("succeeded", "disconnected", "")


@pytest.mark.parametrize("status", ["active", "Given", "VALID", "renewed"])
@pytest.mark.parametrize("more", [{"reason": "client"}, {"reason": "expired"}, {"event": "consent.updated"}])
def test_a_consent_that_is_said_to_last_has_not_ended(
    upstream: Upstream, user: User, status: str, more: dict[str, Any]
) -> None:
    session = start(user)
    connected(session)
    body = callbacks.body(connection_id=LINK, consent_status=status, time=ago(hours=1), **more)
    assert post(body) == 200
    assert stands(session) == SUCCEEDED
    assert latest().note == "What it says of the connection is not understood"


@pytest.mark.parametrize("name", [None, "notify", "connection.success"])
def test_a_success_with_an_error_is_none(upstream: Upstream, user: User, name: str | None) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, time=ago(minutes=1))
    body["data"]["error"] = {"class": "InvalidCredentials"}
    assert post({**body, "event": name}) == 200
    assert stands(session) == ("failed", "pending", "")


@pytest.mark.parametrize("more", [{"consent_id": "999"}, {"consent_status": "active"}, {"reason": "refresh"}])
def test_a_success_may_speak_of_its_consent(upstream: Upstream, user: User, more: dict[str, Any]) -> None:
    session = start(user)
    assert post(callbacks.success(session.pending_token, LINK, time=ago(minutes=1), **more)) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize(
    "error",
    [
        *({"error_class": "Some words about it"}, {"error_class": {"name": "X"}}, {"error": True}),
        *({"error": {"message": "The bank refused."}}, {"error": "No, sorry"}, {"error_class": "ü"}),
    ],
    ids=repr,
)
def test_an_error_that_cannot_be_read_is_one(upstream: Upstream, user: User, error: dict[str, Any]) -> None:
    session = start(user)
    assert post(callbacks.success(session.pending_token, LINK, time=ago(minutes=1), **error)) == 200
    session.refresh_from_db()
    assert (session.status, session.error_class, session.error_group) == ("failed", "", "try_again")


@pytest.mark.parametrize(
    "error", [{"error_class": 0}, {"error": {"code": 0, "message": "OK"}}, {"error": "0"}], ids=repr
)
def test_the_code_of_success_is_no_error(upstream: Upstream, user: User, error: dict[str, Any]) -> None:
    session = start(user)
    assert post(callbacks.success(session.pending_token, LINK, time=ago(minutes=1), **error)) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"class": "InvalidCredentials", "message": "…"}},
        {"error": {"error_class": "InvalidCredentials"}},
        {"error": {"code": "InvalidCredentials"}},
        {"error": "InvalidCredentials"},
        {"fail_error_class": "InvalidCredentials"},
        {"error_class": " InvalidCredentials "},
    ],
    ids=repr,
)
def test_the_class_of_an_error_wherever_it_stands(
    upstream: Upstream, user: User, error: dict[str, Any]
) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, time=ago(minutes=1), **error)
    assert post(body) == 200
    session.refresh_from_db()
    assert (session.status, session.error_class) == ("failed", "InvalidCredentials")


@pytest.mark.parametrize("stage", ["Finish", "FINISH", " finish ", "finish_fetching", "Finish_Fetching"])
def test_a_stage_in_any_case(upstream: Upstream, user: User, stage: str) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, connection_id=LINK, stage=stage, time=ago(minutes=1))
    assert post(body) == 200
    assert stands(session) == SUCCEEDED


# --- tokens ---

PLACEHOLDERS: list[Any] = [
    *("undefined", "null", "None", "NaN", "", "-", "{{token}}", "***", "pending", 0, 12345, None, True, []),
    *("00000000-0000-0000-0000-000000000000", "8c4a8b18-9b7c-4f9d-9a3e", "not-a-uuid-at-all-but-long"),
]


@pytest.mark.parametrize("value", PLACEHOLDERS, ids=repr)
@pytest.mark.parametrize("key", ["pending_token", "pendingToken"])
def test_what_is_no_token_contradicts_none(upstream: Upstream, user: User, value: Any, key: str) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, time=ago(minutes=1))
    body |= {key: value}
    body["data"] |= {key: value}
    assert post(body) == 200
    assert stands(session) == SUCCEEDED
    assert latest().note == ""


@pytest.mark.parametrize("form", [" {}\n", "\t{}", "{{{}}}", "urn:uuid:{}", "{}\u00a0"])
def test_a_token_with_something_around_it(upstream: Upstream, user: User, form: str) -> None:
    session = start(user)
    assert (
        post(callbacks.success(form.format(str(session.pending_token).upper()), LINK, time=ago(minutes=1)))
        == 200
    )
    assert stands(session) == SUCCEEDED


def test_two_tokens_contradict_each_other_still(upstream: Upstream, user: User) -> None:
    session = start(user)
    body = {"pending_token": str(uuid.uuid4()), **callbacks.success(session.pending_token, LINK)}
    assert post(body) == 200
    assert stands(session) == OPEN
    assert latest().note == notes.TWO_TOKENS


# --- ids ---

NO_IDS: list[Any] = [
    *("undefined", "null", "None", "nil", "NaN", "-", "", " ", "n/a", "0", 0, 0.0, None, [], {}, False),
    "00000000-0000-0000-0000-000000000000",
]


@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_a_word_for_nothing_is_nobodys_id(
    upstream: Upstream, user: User, other_user: User, value: Any
) -> None:
    sessions = [start(owner) for owner in (user, other_user, User.objects.create_user("eve"))]
    for session in sessions:
        assert post(callbacks.success(session.pending_token, value, time=ago(minutes=1))) == 200
        assert stands(session) == SUCCEEDED
        event = latest()
        assert (event.outcome, event.upstream_id, event.note) == ("applied", "", notes.NO_ID)
    assert set(BankingConnection.objects.values_list("upstream_id", flat=True)) == {""}


@pytest.mark.parametrize(
    "value", ["abc=", "YWJj+/==", "urn:salt:1.2", "a.b", "a:b", 111222333444555666, "x" * 128]
)
def test_an_id_may_be_any_plain_word(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    assert post(callbacks.success(session.pending_token, value, time=ago(hours=1))) == 200
    assert stands(session) == SUCCEEDED
    assert BankingConnection.objects.get().upstream_id == str(value)
    # And what names it alone finds it.
    assert post(callbacks.fail(None, "ConsentRevoked", connection_id=value, time=ago(minutes=1))) == 200
    assert stands(session) == ("succeeded", "inactive", "consent_revoked")


def test_an_id_of_base64_is_read_and_removed_by_it(upstream: Upstream, user: User) -> None:
    from business_os_banking.flows.disconnect import disconnect

    session = start(user)
    assert post(callbacks.success(session.pending_token, "a/b+c=", time=ago(hours=1))) == 200
    answer = {"data": {"connection_id": "a/b+c=", "removed": True}}
    upstream.deletes("a%2Fb%2Bc%3D", body=answer)
    assert not disconnect(BankingConnection.objects.get()).removal_due
    [call] = upstream.calls("DELETE")
    assert str(call.url).endswith("/connections/a%2Fb%2Bc%3D")


UNUSABLE: list[Any] = [
    *(
        TOO_LONG,
        10**128,
        "two words",
        "a\nb",
        "Ünïcode",
        1.5,
        {"id": LINK},
        [LINK, LINK],
        True,
        "DE89370400440532013000",
    ),
]


@pytest.mark.parametrize("value", UNUSABLE, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("whole", [False, True])
def test_an_id_that_cannot_be_used_connects_nobody_and_is_seen(
    upstream: Upstream, user: User, value: Any, whole: bool
) -> None:
    session = start(user)
    body: dict[str, Any] = callbacks.success(session.pending_token, value, time=ago(minutes=1))
    if whole:
        body = {"data": row("1", token=session.pending_token) | {"id": value}}
    assert post(body) == 200
    assert stands(session) == OPEN
    event = latest()
    assert (event.outcome, event.note, event.upstream_id) == ("failed", notes.UNUSABLE_ID, "")
    # For good: no run tries it, and none alarms anybody; it is shown for a week, and forgotten like all else.
    result = reconcile(timezone.now() + timedelta(minutes=5))
    assert (result.failed, result.applied, result.needs_a_person) == (0, 0, False)
    assert post(body) == 200
    event.refresh_from_db()
    assert (event.outcome, event.deliveries) == ("failed", 2)
    codes = {finding.code for finding in examine_records("default", timezone.now())}
    assert "events-unusable" in codes
    assert "events-failed" not in codes
    assert any("too long, or no plain word" in entry.effect for entry in explain(session.connection))
    assert list(rebuild(check=True)) == []
    ConnectSession.objects.update(status="expired")
    prune(timezone.now() + timedelta(days=500))
    assert not ConnectionEvent.objects.filter(pk=event.pk).exists()


def test_replaying_an_unusable_id_says_so_and_does_nothing(upstream: Upstream, user: User) -> None:
    session = start(user)
    post(callbacks.success(session.pending_token, TOO_LONG))
    call_command("banking_replay", "--outcome", "failed", verbosity=0)
    assert stands(session) == OPEN
    assert latest().outcome == "failed"


def test_an_unusable_id_in_the_list_is_kept_once_and_seen(upstream: Upstream, user: User) -> None:
    session = start(user)
    upstream.lists(
        row("1", token=session.pending_token) | {"id": TOO_LONG}, row("2") | {"id": "of another system!"}
    )
    for minutes in (11, 12, 13):
        result = reconcile(timezone.now() + timedelta(minutes=minutes))
        assert not result.needs_a_person
    assert stands(session) == OPEN
    [event] = ConnectionEvent.objects.filter(outcome="failed")
    assert (event.source, event.note) == ("read", notes.UNUSABLE_ID)


def test_a_connection_without_its_id_gets_it_from_the_list(upstream: Upstream, user: User) -> None:
    session = start(user)
    assert post(callbacks.success(session.pending_token, "undefined", time=ago(minutes=30))) == 200
    assert "ids-unknown" in {finding.code for finding in examine_records("default", timezone.now())}
    upstream.lists(row(LINK, token=session.pending_token, attempt={"success_at": ago(minutes=30)}))
    reconcile(timezone.now() + timedelta(minutes=2))
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.upstream_id, connection.read_due_at) == ("active", LINK, None)
    assert AccountState.objects.get().list_wanted_at is None
    assert "ids-unknown" not in {finding.code for finding in examine_records("default", timezone.now())}


# --- names of banks ---


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *(
            ("Stadt\u00a0Sparkasse", "Stadt Sparkasse"),
            (" \t", "spk_de"),
            ("\u2003\u200b", "spk_de"),
            (None, "spk_de"),
        ),
        *(("n/a", "spk_de"), ("بانک\u200cملی", "بانک\u200cملی"), ("Volks\u2028bank\r\n", "Volks bank")),
    ],
)
@pytest.mark.parametrize("source", ["webhook", "list"])
def test_how_a_bank_is_called(upstream: Upstream, user: User, name: Any, shown: str, source: str) -> None:
    session = start(user)
    bank = {"provider_name": name, "provider_code": "spk_de"}
    if source == "webhook":
        assert post(callbacks.success(session.pending_token, LINK, **bank)) == 200
    else:
        upstream.lists(row(LINK, token=session.pending_token, **bank))
        reconcile(timezone.now() + timedelta(minutes=11))
    assert BankingConnection.objects.get().display_name == shown


@pytest.mark.parametrize("value", EMPTY, ids=repr)
def test_a_row_of_the_list_with_empty_fields(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    item = row(LINK, token=session.pending_token)
    item |= dict.fromkeys(
        ("pending_token", "custom_fields", "connection_id", "error_class", "last_success_at"), value
    )
    item["last_attempt"] |= dict.fromkeys(
        ("fail_at", "fail_error_class", "last_stage", "error_class", "finished"), value
    )
    upstream.lists(json.loads(json.dumps(item)))
    reconcile(timezone.now() + timedelta(minutes=11))
    assert stands(session) == SUCCEEDED
