"""How a session stands, for whoever polls: one query, and nothing for anybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from business_os_banking.models import ConnectSession
from tests.api.conftest import Page, a_connection, a_session, error_of, url_of

AUTHENTICATION = 2  # the login's row and the user's
WIDGET = "https://www.saltedge.com/connect?token=1"


@pytest.mark.parametrize(
    ("status", "minutes_left", "returned", "final", "poll_after"),
    [
        ("created", 60, None, False, 5),
        ("open", 60, None, False, 5),
        ("open", 60, 0, False, 2),
        ("open", 60, 10, False, 5),
        ("open", -1, None, False, 30),
        ("failed", 60, 0, False, 30),
        ("cancelled", 60, 0, False, 30),
        ("expired", -60, None, False, 30),
        ("succeeded", 60, 0, True, None),
    ],
)
def test_it_says_when_to_ask_again(
    page: Page,
    user: User,
    status: str,
    minutes_left: int,
    returned: int | None,
    final: bool,
    poll_after: int | None,
) -> None:
    now = timezone.now()
    session = a_session(
        a_connection(user, "pending"),
        status,
        expires_at=now + timedelta(minutes=minutes_left),
        returned_at=None if returned is None else now - timedelta(minutes=returned),
    )
    told = page.get(url_of(session)).json()
    assert (told["status"], told["final"], told["poll_after"]) == (status, final, poll_after)


def test_it_takes_one_query(
    page: Page, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    session = a_session(a_connection(user))
    with django_assert_num_queries(AUTHENTICATION + 1):
        assert page.get(url_of(session)).status_code == 200


def test_the_address_is_there_while_it_can_be_used(page: Page, user: User) -> None:
    session = a_session(a_connection(user, "pending"), connect_url=WIDGET)
    answer = page.get(url_of(session))
    assert answer.json()["connect_url"] == WIDGET
    assert answer["Cache-Control"] == "no-store"
    session.connect_url = ""
    session.save()
    assert page.get(url_of(session)).json()["connect_url"] is None


def test_times_are_in_utc_and_absent_ones_null(page: Page, user: User, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    session = a_session(a_connection(user), created_at=timezone.now())
    ConnectSession.objects.update(expires_at="2026-11-01T10:00:00Z")
    told = page.get(url_of(session)).json()
    assert (told["expires_at"], told["returned_at"], told["group"]) == ("2026-11-01T10:00:00Z", None, None)


def test_it_is_nobody_elses(page: Page, user: User, other_user: User) -> None:
    session = a_session(a_connection(user), connect_url=WIDGET)
    for anybody, status in ((Page(other_user), 404), (Page(), 403)):
        answer = anybody.get(url_of(session))
        error_of(answer, status)
        assert "saltedge" not in answer.content.decode()
