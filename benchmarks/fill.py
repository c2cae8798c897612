"""Fill an empty database with as many connections, sessions and events as are asked for.

A hundred of each are made through the app itself, in the mixture that a site has, and then copied inside PostgreSQL:
what a copy holds is what the app wrote, but for the names that must be unique.
"""

from __future__ import annotations

import copy
import json
import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection as database
from django.db import models
from django.test import Client
from django.utils import timezone

from benchmarks import deliveries
from business_os_banking.conf.secret import Secret, Token
from business_os_banking.facts.record import record
from business_os_banking.facts.report import expired, opened, returned
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.upstream.client import OpenedSession

PATTERN = 100  # connections that are made through the app
STRIDE = 10_000  # between the primary keys of one copy and those of the next
PER_USER = 2
# Copies: a site got a thousand connections on each day, so that sizes differ in age, not in traffic.
PER_DAY = 10
WEBHOOK = "/banking/webhook/"
# What is unique, or has an index in which equal values would stand in one place.
FRESH = {
    "reference": "gen_random_uuid()",
    "pending_token": "CASE WHEN t.pending_token IS NULL THEN NULL ELSE md5(t.pending_token || '-' || n)::uuid END",
    "digest": "md5(t.digest || n) || md5(n || t.digest)",
    "upstream_id": "CASE WHEN t.upstream_id = '' THEN '' ELSE t.upstream_id || n END",
    "provider_code": "CASE WHEN t.provider_code = '' THEN '' ELSE t.provider_code || n % 50 END",
    "single_flight": "md5(t.single_flight || n)",
    "idempotency_key": "NULL",
}
# All other times move into the past, as the site grew.
ABOUT_THE_FUTURE = {"consent_expires_at", "next_refresh_possible_at"}


def fill(connections: int) -> None:
    """Make so many connections (a multiple of 100), each with a session or two and events; and users, two each."""
    _make_pattern()
    multiply(connections // PATTERN - 1, users=max(connections // PER_USER, 1), per_day=PER_DAY)


def multiply(copies: int, *, users: int, per_day: int) -> None:
    """Copy everything that there is so many times, so many for each day, and give it to so many new users in turn."""
    models_of_app = (BankingConnection, ConnectSession, ConnectionEvent)
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO auth_user (username, email, password, first_name, last_name, is_superuser, is_staff,"
            " is_active, date_joined) SELECT 'user' || n, 'user' || n || '@kunde.example', '', '', '', false,"
            " false, true, now() FROM generate_series(1, %s) n",
            [users],
        )
        cursor.execute("SELECT min(id) FROM auth_user WHERE username LIKE 'user%%'")
        first_user = cursor.fetchone()[0]
        for model in models_of_app:
            _multiply(cursor, model, copies, per_day, first_user, users)
        for model in models_of_app:
            table = model._meta.db_table
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        cursor.execute("VACUUM ANALYZE")


def session(user: Any = None) -> ConnectSession:
    """Make a session at which somebody is at the bank now."""
    connection = BankingConnection.objects.create(user=user)
    made = ConnectSession.objects.create(
        connection=connection, email="user@kunde.example", scopes=["accounts"], custom_fields={}
    )
    token, now = uuid.uuid4(), timezone.now()
    answer = OpenedSession(
        connect_url=Secret("http://127.0.0.1:9/connect"),
        expires_at=now + timedelta(hours=1),
        pending_token=Token(int=token.int),
        owner_user_id=None,
    )
    record(
        opened(made, answer, now),
        store={
            "pending_token": token,
            "connect_url": answer.connect_url.open(),
            "expires_at": answer.expires_at,
        },
    )
    made.refresh_from_db()
    connection.refresh_from_db()
    made.connection = connection
    return made


def sessions(count: int) -> list[ConnectSession]:
    """Make so many of them, as copies of one that the app has made."""
    pattern = session()
    old = str(pattern.reference)
    connections, made = [], []
    for _ in range(count):
        root, one = copy_of(pattern.connection), copy_of(pattern)
        root.reference, one.reference, one.pending_token = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        root.state = json.loads(json.dumps(root.state).replace(old, str(one.reference)))
        one.connection = root
        connections.append(root)
        made.append(one)
    BankingConnection.objects.bulk_create(connections, batch_size=500)
    for one in made:
        one.connection_id = one.connection.pk
    return ConnectSession.objects.bulk_create(made, batch_size=500)


def copy_of(row: Any) -> Any:
    """Return the row as one that is still to be written."""
    copied = copy.copy(row)
    copied._state = copy.copy(row._state)
    copied._state.fields_cache = {}
    copied._state.adding = True
    copied.pk = None
    return copied


def deliver(content: bytes) -> None:
    headers = {name: value for name, value in deliveries.headers(content).items() if name != "Content-Type"}
    answer = Client().post(WEBHOOK, content, "application/json", headers=headers)
    assert answer.status_code == 200, answer.content


def _make_pattern() -> None:
    user = get_user_model().objects.create_superuser("root", "root@site.example", "secret")
    for place in range(PATTERN):
        made = session(user)
        token, link = made.pending_token, f"77{place:04}"
        if place < 8:  # given up
            if place % 2:
                record(expired(made, timezone.now()))
            continue
        if place < 14:
            deliver(deliveries.body(token, link, error_class="InvalidCredentials"))
            continue
        deliver(deliveries.body(token, link, stage="fetch_accounts"))
        deliver(deliveries.body(token, link))
        record(returned(made, {}, timezone.now()))
        if place < 20:
            later = "2026-11-02T10:00:00Z"
            deliver(deliveries.body(token, link, time=later, consent_status="expired", reason="EXPIRED"))
        elif place < 26:
            made.connection.refresh_from_db()
            disconnect(made.connection)
        elif place == 26:
            deliver(deliveries.body(uuid.uuid4(), f"99{place:04}"))
    # A consent every few hours over the half year, so that a few per cent end soon.
    active = BankingConnection.objects.filter(status="active").order_by("pk")
    for place, row in enumerate(active):
        ends = timezone.now() + timedelta(days=1 + 180 * place / len(active))
        BankingConnection.objects.filter(pk=row.pk).update(consent_expires_at=ends)


def _multiply(
    cursor: object, model: type[models.Model], copies: int, per_day: int, first_user: int, users: int
) -> None:
    names, values = [], []
    for field in model._meta.concrete_fields:
        column = str(field.column)
        names.append(f'"{column}"')
        if field.primary_key:
            values.append(f"t.id + n * {STRIDE}")
        elif column == "user_id":
            values.append(
                f"CASE WHEN t.id %% 3 = 0 THEN NULL ELSE {first_user} + (t.id + n * {PATTERN}) %% {users} END"
            )
        elif isinstance(field, models.DateTimeField) and column not in ABOUT_THE_FUTURE:
            age = f"n / {per_day} * interval '1 day' + n %% {per_day} * interval '5 minutes'"
            values.append(f't."{column}" - ({age})')
        elif isinstance(field, models.ForeignKey):
            values.append(f't."{column}" + n * {STRIDE}')
        else:
            values.append(FRESH.get(column, f't."{column}"').replace("%", "%%"))
    table = model._meta.db_table
    cursor.execute(  # type: ignore[attr-defined]
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
        f" FROM generate_series(1, %s) n, {table} t ORDER BY n, t.id",
        [copies],
    )
