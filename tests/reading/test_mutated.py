"""Deliveries as other senders would spell them: each means what the plain one means, or its event says why it does not.

``MUTATED_EXAMPLES=3000 pytest tests/reading/test_mutated.py`` looks further than the suite does.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from business_os_banking.facts import notes
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests.deeds import start
from tests.reading.world import LINK, latest, post
from tests.upstream.fake import Upstream

pytestmark = [pytest.mark.django_db, pytest.mark.long]

EXAMPLES: Final = int(os.environ.get("MUTATED_EXAMPLES", "60"))  # of each type
CONNECTED_AT: Final = datetime(2026, 2, 1, 10, 40, 47, tzinfo=UTC)
AT: Final = datetime(2026, 2, 3, 10, 40, 47, tzinfo=UTC)
ENDS: Final = "2026-08-01T00:00:00Z"
NOTHING: Final[list[Any]] = [
    *(None, "", "  ", [], {}, False, "null", "None", "undefined", "NaN", "nil", "n/a", "N/A", "-", "never"),
    *([None], [""], {"a": None}, {"a": {"b": []}}),
]
# Those of the other types, and of objects: where one is nothing, it is as if it were not there.
FIELDS: Final = [
    *(
        "connection_id",
        "error_class",
        "error_message",
        "stage",
        "status",
        "reason",
        "consent_status",
        "consent_id",
    ),
    *(
        "payment_id",
        "provider_code",
        "provider_name",
        "provider_status",
        "country_code",
        "last_attempt",
        "error",
    ),
    *(
        "fail_error_class",
        "customer_id",
        "customer_identifier",
        "next_refresh_possible_at",
        "last_success_at",
    ),
    *(
        "duplicated_connection_id",
        "consent_expires_at",
        "success_at",
        "fail_at",
        "finished",
        "updated_at",
        "id",
    ),
    *("removed", "show_consent_confirmation", "session", "pending_token", "type", "event"),
]
# Salt Edge's own documentation prints these bodies (upstream facts 3.4); the destroy has the name that makes it one.
TYPES: Final[dict[str, dict[str, Any]]] = {
    "success": {"data": {"stage": "finish"}},
    "notify": {"data": {"stage": "fetch_accounts"}},
    "fail": {"data": {"error_class": "InvalidCredentials", "error_message": "wrong"}},
    "consent": {"data": {"consent_status": "revoked"}},
    "destroy": {"type": "destroy", "data": {}},
    "what looks like a destroy": {"data": {}},
}
WORDS: Final = ["finish", "fetch_accounts", "revoked"]
Body = dict[str, Any]


def body_of(kind: str, session: ConnectSession, at: datetime) -> Body:
    body = copy.deepcopy(TYPES[kind])
    named = {"pending_token": str(session.pending_token)}
    body["data"] = {"connection_id": LINK, "customer_id": "905", "custom_fields": named, **body["data"]}
    return {**body, "meta": {"version": "6", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}}


SPELLINGS: Final[list[Callable[[datetime], Any]]] = [
    lambda at: at.isoformat(),
    lambda at: at.isoformat(sep=" "),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    lambda at: at.strftime("%Y-%m-%dt%H:%M:%Sz"),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
    lambda at: at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    lambda at: at.strftime("%Y-%m-%d %H:%M:%S +0000"),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S"),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000000000Z"),
    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S+00:00Z"),
    lambda at: at.strftime("%Y%m%dT%H%M%SZ"),
    lambda at: at.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    lambda at: at.strftime("%a %b %d %H:%M:%S UTC %Y"),
    lambda at: format_datetime(at, usegmt=True),
    lambda at: format_datetime(at),
    lambda at: int(at.timestamp()),
    lambda at: str(int(at.timestamp())),
    lambda at: int(at.timestamp()) * 1000,
    lambda at: at.timestamp(),
    lambda at: int(at.timestamp()) * 10**9,
    lambda at: f"  {at.isoformat()}\n",
]


def empty_fields(body: Body, chance: random.Random, at: datetime) -> Body:
    for name in chance.sample(FIELDS, chance.randint(1, 4)):
        part = chance.choice([body, body["data"]])
        if name not in body["data"] and name not in part:
            part[name] = chance.choice(NOTHING)
    return body


def spell_the_time(body: Body, chance: random.Random, at: datetime) -> Body:
    body["meta"]["time"] = chance.choice(SPELLINGS)(at)
    return body


def retype_ids(body: Body, chance: random.Random, at: datetime) -> Body:
    data = body["data"]
    if "connection_id" in data:
        data["connection_id"] = chance.choice([int(LINK), f" {LINK} ", f"{LINK}\n", LINK])
    if "customer_id" in data:
        data["customer_id"] = chance.choice([905, None, "", "0", 0])
    named = data["custom_fields"]
    token = named["pending_token"]
    named["pending_token"] = chance.choice([token.upper(), f" {token}\n", token.replace("-", ""), token])
    return body


def spell_words(body: Body, chance: random.Random, at: datetime) -> Body:
    for name in ("stage", "consent_status"):
        if body["data"].get(name) in WORDS:
            word = body["data"][name]
            body["data"][name] = chance.choice([word.upper(), word.title(), f" {word} "])
    if "error_class" in body["data"] and chance.random() < 0.5:
        body["data"]["error"] = {"class": body["data"].pop("error_class"), "message": None}
    if chance.random() < 0.3:
        body["meta"]["version"] = chance.choice([6, 6.0, None, "6.0"])
    return body


def wrap(body: Body, chance: random.Random, at: datetime) -> Body:
    how = chance.randint(0, 3)
    if how == 0:
        return {**body.pop("data"), **body}
    if how == 1:
        return {**{key: value for key, value in body.items() if key == "type"}, "payload": body}
    if how == 2:
        return {**{key: value for key, value in body.items() if key == "type"}, "body": body, "headers": None}
    if how == 3:
        body["data"]["connection"] = {"id": body["data"].get("connection_id")}
    return body


MUTATIONS: Final = [empty_fields, spell_the_time, retype_ids, spell_words, wrap]


def written(body: Body, chance: random.Random) -> bytes:
    text = json.dumps(body, indent=chance.choice([None, 2]), ensure_ascii=chance.random() < 0.5)
    return chance.choice([b"", b"\xef\xbb\xbf", b"\n "]) + text.encode()


def columns() -> dict[str, Any]:
    connection = BankingConnection.objects.values(
        "status",
        "status_reason",
        "upstream_id",
        "last_error_class",
        "connected_at",
        "last_success_at",
        "ended_by",
    ).get()
    session = ConnectSession.objects.values(
        "status", "upstream_id", "succeeded_at", "error_class", "error_group"
    ).get()
    event = ConnectionEvent.objects.filter(source="webhook").values("kind", "outcome").latest("pk")
    return {**connection, **{f"session {name}": value for name, value in session.items()}, **event}


def said_by(content: bytes, before: bytes | None) -> tuple[dict[str, Any], str]:
    """Return what the rows are after *content*, and the note of its event; and take all of it back."""
    with transaction.atomic():
        if before:
            assert post(before) == 200
        assert post(content) == 200
        result = columns(), latest().note
        transaction.set_rollback(True)
    return result


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_another_spelling_means_the_same(
    kind: str, is_connected: bool, user: User, upstream: Upstream
) -> None:
    session = start(user)
    before = json.dumps(body_of("success", session, CONNECTED_AT)).encode() if is_connected else None
    plain, note = said_by(json.dumps(body_of(kind, session, AT)).encode(), before)
    assert note == ("" if kind != "what looks like a destroy" else notes.GUESSED)
    for seed in range(EXAMPLES):
        chance = random.Random(f"{kind} {seed}")
        body = body_of(kind, session, AT)
        for mutation in chance.sample(MUTATIONS[:-1], chance.randint(1, 3)):
            body = mutation(body, chance, AT)
        if chance.random() < 0.4:
            body = wrap(body, chance, AT)
        content = written(body, chance)
        rows, note = said_by(content, before)
        assert rows == plain or note not in {"", notes.GUESSED}, content.decode()
