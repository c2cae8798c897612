"""Lists cost the same however many rows there are."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from business_os_banking.admin import BankingConnectionAdmin
from business_os_banking.admin.paginator import AtLeast, BoundedPaginator
from business_os_banking.models import BankingConnection
from tests.admin.conftest import MODELS, list_url, make_connection, make_event, make_session, page_url

pytestmark = pytest.mark.long


def add(owner: User, count: int) -> None:
    for _ in range(count):
        connection = make_connection(owner)
        make_event(connection, make_session(connection))


def queries(client: Client, url: str) -> list[str]:
    client.get(url)  # fills the cache of content types, which lives as long as the process
    with CaptureQueriesContext(database) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("query", ["", "?q=ingrid", "?id__gt=0", "?o=1"])
def test_a_list_takes_the_same_number_of_queries(
    operator: Client, owner: User, model: str, query: str
) -> None:
    add(owner, 5)
    few = queries(operator, list_url(model) + query)
    add(owner, 45)
    assert len(queries(operator, list_url(model) + query)) == len(few)


def test_a_connection_takes_the_same_number_of_queries(operator: Client, owner: User) -> None:
    connection = make_connection(owner)
    make_event(connection, make_session(connection))
    few = queries(operator, page_url(connection))
    for _ in range(30):
        make_event(connection, make_session(connection))
    many = queries(operator, page_url(connection))
    assert len(many) == len(few)
    assert (
        sum('FROM "business_os_banking' in sql or "FROM `business_os_banking" in sql for sql in many) == 6
    )  # its sessions, the links and the events of its timeline, and of the record of consent sessions and removals


@pytest.mark.parametrize(
    ("model", "look"),
    [
        ("bankingconnection", "attention"),
        ("bankingconnection", "ending"),
        ("bankingconnection", "stuck"),
        ("connectsession", "stuck"),
        ("connectionevent", "unmatched"),
        ("connectionevent", "contradicting"),
        ("connectionevent", "orphaned"),
        ("connectionevent", "ignored"),
    ],
)
def test_what_needs_a_look_takes_the_same_number_of_queries(
    operator: Client, owner: User, model: str, look: str
) -> None:
    def more(count: int) -> None:
        soon = timezone.now() + timedelta(days=2)
        for _ in range(count):
            make_connection(owner, "inactive")
            make_connection(owner, consent_expires_at=soon)
            make_session(make_connection(owner, "pending"), expires_at=timezone.now() - timedelta(hours=1))
            for values in ({}, {"note": "Two tokens."}, {"ignored_at": soon}):
                make_event(None, outcome="unmatched", **values)
            make_event(make_connection(owner), outcome="orphaned")

    more(2)
    few = queries(operator, f"{list_url(model)}?look={look}")
    more(15)
    assert len(queries(operator, f"{list_url(model)}?look={look}")) == len(few)


@pytest.mark.parametrize("page", ["check", "renew", "withdraw", "disconnect", "replay"])
def test_a_question_takes_the_same_number_of_queries(operator: Client, owner: User, page: str) -> None:
    connection = make_connection(owner)
    make_event(connection, make_session(connection))
    few = queries(operator, page_url(connection, page))
    for _ in range(30):
        make_event(connection, make_session(connection))
    assert len(queries(operator, page_url(connection, page))) == len(few)


def test_the_overview_takes_the_same_number_of_queries(operator: Client, owner: User) -> None:
    overview = reverse("admin:business_os_banking_bankingconnection_overview")
    add(owner, 2)
    few = queries(operator, overview)
    add(owner, 30)
    assert len(queries(operator, overview)) == len(few)
    assert not any("business_os_banking_connectsession" in sql and "created_at" not in sql for sql in few)


def test_far_pages_join_nothing_that_they_skip(operator: Client, owner: User) -> None:
    add(owner, 60)
    sent = queries(operator, list_url("connectsession") + "?p=2")
    skipping = [sql for sql in sent if "OFFSET" in sql]
    assert len(skipping) == 1
    assert "JOIN" not in skipping[0]


@pytest.mark.parametrize("model", MODELS)
def test_every_count_has_a_bound(operator: Client, rows: Any, model: str) -> None:
    counts = [sql for sql in queries(operator, list_url(model)) if "COUNT(" in sql]
    assert len(counts) == 1
    assert all(f"LIMIT {BoundedPaginator.max_count + 1}" in sql for sql in counts)
    assert not any("DISTINCT" in sql for sql in queries(operator, list_url(model)))


def test_a_user_is_looked_up_before_not_joined_in_the_search(operator: Client, rows: Any) -> None:
    sent = queries(operator, list_url("bankingconnection") + "?q=ingrid")
    [count] = [sql for sql in sent if "COUNT(" in sql]
    assert "auth_user" not in count


def test_counting_stops(operator: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "max_count", 100)
    monkeypatch.setattr(BankingConnectionAdmin, "list_max_show_all", 60)
    add(owner, 101)
    page = operator.get(list_url("bankingconnection")).content.decode()
    assert "100+ bank connections" in page
    assert "Show all" not in page
    assert operator.get(list_url("bankingconnection") + "?p=2").status_code == 200
    assert "100+ results" in operator.get(list_url("bankingconnection") + "?account=default").content.decode()
    assert (
        "1 result "
        in operator.get(
            list_url("bankingconnection") + f"?q={BankingConnection.objects.all()[0].reference}"
        ).content.decode()
    )


def test_a_short_list_is_counted_exactly(operator: Client, rows: Any) -> None:
    assert "1 bank connection\n" in operator.get(list_url("bankingconnection")).content.decode()


def test_a_number_at_which_counting_stopped() -> None:
    assert f"{AtLeast(100)!s}" == "100+"
    assert AtLeast(100) == 100
    assert BoundedPaginator([1, 2, 3], 2).count == 3
