"""The list: page by page, filtered, at the same price however long it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from business_os_banking.models import BankingConnection
from tests.api.conftest import CONNECTIONS, Page, a_connection, error_of

AUTHENTICATION = 2  # the login's row and the user's


def references(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["reference"] for row in answer.json()["results"]]


def newest_first() -> list[str]:
    return [
        str(found) for found in BankingConnection.objects.order_by("-pk").values_list("reference", flat=True)
    ]


def test_pages_follow_each_other_forth_and_back(page: Page, user: User) -> None:
    for _ in range(7):
        a_connection(user)
    first = page.get(CONNECTIONS, {"page_size": 3})
    second = page.get(first.json()["next"])
    third = page.get(second.json()["next"])
    assert references(first) + references(second) + references(third) == newest_first()
    assert (first.json()["previous"], third.json()["next"]) == (None, None)
    back = page.get(third.json()["previous"])
    assert references(back) == references(second)
    assert page.get(back.json()["next"]).json() == third.json()
    front = page.get(back.json()["previous"])
    assert references(front) == references(first)
    assert front.json()["previous"] is None
    assert "page_size=3" in first.json()["next"]


def test_new_rows_shift_nothing(page: Page, user: User) -> None:
    for _ in range(4):
        a_connection(user)
    expected = newest_first()
    first = page.get(CONNECTIONS, {"page_size": 2})
    a_connection(user)
    assert references(first) + references(page.get(first.json()["next"])) == expected


def test_a_page_that_ends_with_the_list_leads_nowhere(page: Page, user: User) -> None:
    assert page.get(CONNECTIONS).json() == {"next": None, "previous": None, "results": []}
    a_connection(user)
    a_connection(user)
    whole = page.get(CONNECTIONS, {"page_size": 2}).json()
    assert (whole["next"], whole["previous"]) == (None, None)


def test_filters(page: Page, user: User) -> None:
    soon, now = timezone.now() + timedelta(days=3), timezone.now()
    rows = {
        "pending": a_connection(user, "pending"),
        "active": a_connection(user, account="berlin"),
        "expiring": a_connection(user, consent_expires_at=soon),
        "unknown end": a_connection(user, consent_expires_at=None, provider_code="other_de"),
        "inactive": a_connection(user, "inactive", status_reason="consent_revoked"),
        "ended": a_connection(user, "disconnected", ended_by="owner"),
    }
    names = {str(row.reference): name for name, row in rows.items()}

    def found(**query: str) -> set[str]:
        return {names[reference] for reference in references(page.get(CONNECTIONS, query))}

    assert found() == set(rows)
    assert found(status="active") == {"active", "expiring", "unknown end"}
    assert found(status_reason="consent_revoked") == {"inactive"}
    assert found(account="berlin") == {"active"}
    assert found(provider_code="other_de") == {"unknown end"}
    assert found(needs_attention="true") == {"expiring", "inactive"}
    assert found(needs_attention="false") == set(rows) - {"expiring", "inactive"}
    assert found(expires_before=(now + timedelta(days=5)).isoformat()) == {"expiring"}
    assert found(expires_before=now.isoformat()) == set()
    assert found(status="active", needs_attention="true", account="default") == {"expiring"}
    assert found(provider_code="no_such_bank") == set()
    told = {row["reference"]: row["needs_attention"] for row in page.get(CONNECTIONS).json()["results"]}
    assert {names[reference] for reference, needs in told.items() if needs} == {"expiring", "inactive"}


def test_links_keep_the_filters(page: Page, user: User) -> None:
    for _ in range(3):
        a_connection(user)
        a_connection(user, "inactive")
    first = page.get(CONNECTIONS, {"page_size": 2, "status": "inactive"})
    assert len(references(page.get(first.json()["next"]))) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nonsense", "status"),
        ("status=", "status"),
        ("status=active&status=pending", "status"),
        ("status_reason=no", "status_reason"),
        ("account=", "account"),
        ("provider_code=%00", "provider_code"),
        ("provider_code=" + "x" * 200, "provider_code"),
        ("needs_attention=1", "needs_attention"),
        ("needs_attention=yes", "needs_attention"),
        ("expires_before=tomorrow", "expires_before"),
        ("expires_before=0001-01-01T00:00:00%2B14:00", "expires_before"),
        ("expires_before=9999-12-31T23:59:59-14:00", "expires_before"),
        ("cursor=5", "cursor"),
        ("cursor=11111111-2222-3333-4444-555555555555", "cursor"),
        ("cursor=after.11111111-2222-3333-4444", "cursor"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=ten", "page_size"),
        ("page_size=" + "9" * 5000, "page_size"),
        ("format=json", "format"),
        ("state=active", "state"),
        ("user=1", "user"),
        ("%F0%9F=1", "�"),
    ],
)
def test_what_is_not_understood_is_refused(page: Page, user: User, query: str, field: str) -> None:
    error = error_of(page.get(f"{CONNECTIONS}?{query}"), 400)
    assert list(error["fields"]) == [field]


def test_another_persons_connection_is_no_place_to_begin(page: Page, other_user: User) -> None:
    theirs = a_connection(other_user)
    for cursor in (f"after.{theirs.reference}", "before.11111111-2222-3333-4444-555555555555"):
        error_of(page.get(CONNECTIONS, {"cursor": cursor}), 404)


@pytest.mark.parametrize("query", [{}, {"status": "active", "needs_attention": "false"}])
def test_the_price_is_the_same_however_many_rows(
    page: Page, user: User, query: dict[str, str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    last = a_connection(user)
    for count in (1, 40):
        for _ in range(count):
            a_connection(user)
        with django_assert_num_queries(AUTHENTICATION + 1) as captured:
            page.get(CONNECTIONS, query)
        with django_assert_num_queries(AUTHENTICATION + 2):
            page.get(CONNECTIONS, {**query, "cursor": f"before.{last.reference}"})
    assert not any("COUNT(" in found["sql"] for found in captured.captured_queries)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"status": "inactive"},
        {"provider_code": "bank_7", "page_size": "100"},
        {"needs_attention": "true"},
        {"account": "default", "expires_before": "2026-01-01T00:00:00Z"},
    ],
)
def test_no_page_walks_over_all_the_rows(page: Page, user: User, query: dict[str, str]) -> None:
    """100 000 connections of a thousand people, and 20 000 of one: the planner never reads the table through."""
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO auth_user (username, password, email, first_name, last_name, is_superuser, is_staff, "
            "is_active, date_joined) SELECT 'u' || n, '', '', '', '', false, false, true, now() "
            "FROM generate_series(1, 1000) n"
        )
    row = a_connection(user)
    multiply(row, 100_000, who="(SELECT min(id) FROM auth_user WHERE username = 'u' || (1 + n % 1000))")
    multiply(row, 20_000, who=str(user.pk))
    with database.cursor() as cursor:
        cursor.execute("ANALYZE business_os_banking_bankingconnection")
    middle = BankingConnection.objects.filter(user=user).order_by("pk")[10_000]
    for place in ({}, {"cursor": f"after.{middle.reference}"}, {"cursor": f"before.{middle.reference}"}):
        with CaptureQueriesContext(database) as captured:
            answer = page.get(f"{CONNECTIONS}?{urlencode({**query, **place})}")
        assert answer.status_code == 200
        for found in captured.captured_queries[AUTHENTICATION:]:
            with database.cursor() as cursor:
                cursor.execute(f"EXPLAIN {found['sql']}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, plan
            assert "Index" in plan


# In SQL, of n; whatever else a row has is as in the row that is multiplied.
_DIFFERENT = {
    "reference": "gen_random_uuid()",
    "status": "CASE WHEN n % 10 = 0 THEN 'inactive' ELSE 'active' END",
    "provider_code": "'bank_' || n % 50",
}


def multiply(row: BankingConnection, count: int, *, who: str) -> None:
    """Copy *row* so many times, for the user whose key is *who*, in SQL."""
    table = row._meta.db_table
    names = [str(field.column) for field in row._meta.concrete_fields if not field.primary_key]
    columns = {name: f"t.{name}" for name in names}
    columns |= {**_DIFFERENT, "user_id": who}
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} "
            f"FROM {table} t, generate_series(1, {count}) n WHERE t.id = {row.pk}"
        )
