"""What needs a look is found, and each connection says what happened and what to do next."""

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from business_os_banking.flows import connect
from business_os_banking.flows.explain import explain
from business_os_banking.models import BankingConnection, ConnectSession
from tests import callbacks
from tests.admin.conftest import list_url, make_connection, make_event, make_session, page_url
from tests.deeds import to_be_removed
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connected(upstream: Upstream, user: User) -> BankingConnection:
    """A connection with its log, as the flows make it."""
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    headers = {"X-Webhook-Secret": callbacks.SECRET}
    body = callbacks.raw(callbacks.success(session.pending_token, "777"))
    Client().post("/banking/webhook/", body, "application/json", headers=headers)
    return BankingConnection.objects.get()


def listed(client: Client, model: str, look: str) -> set[int]:
    response = client.get(f"{list_url(model)}?look={look}")
    return {item.pk for item in response.context["cl"].result_list}


def test_connections_by_what_needs_a_look(operator: Client) -> None:
    now = timezone.now()
    fine = make_connection(None)
    inactive = make_connection(None, "inactive", status_reason="login_changed")
    ending = make_connection(None, consent_expires_at=now + timedelta(days=3))
    held = to_be_removed(make_connection(None, "disconnected"), days=8)
    young = to_be_removed(make_connection(None, "disconnected"), days=1)
    over, back, unopened, under_way = (make_connection(None, "pending") for _ in range(4))
    soon = now + timedelta(minutes=30)
    make_session(over, expires_at=now - timedelta(minutes=1))
    make_session(back, expires_at=soon, returned_at=now - timedelta(minutes=16))
    make_session(unopened, "created", expires_at=soon)
    ConnectSession.objects.filter(connection=unopened).update(created_at=now - timedelta(minutes=6))
    make_session(under_way, expires_at=soon, returned_at=now)
    assert listed(operator, "bankingconnection", "attention") == {inactive.pk, ending.pk, held.pk}
    assert listed(operator, "bankingconnection", "ending") == {ending.pk}
    assert listed(operator, "bankingconnection", "stuck") == {over.pk, back.pk, unopened.pk, held.pk}
    sessions = ConnectSession.objects.filter(connection__in=[over, back, unopened])
    assert listed(operator, "connectsession", "stuck") == set(sessions.values_list("pk", flat=True))
    assert {fine.pk, young.pk, under_way.pk} < listed(operator, "bankingconnection", "")


def test_many_of_one_kind_hide_nothing_of_another(operator: Client) -> None:
    now = timezone.now()
    held = to_be_removed(make_connection(None, "disconnected"), days=8)
    ending = make_connection(None, consent_expires_at=now + timedelta(days=3))
    elsewhere = make_connection(None, "inactive", account="second")
    BankingConnection.objects.bulk_create(BankingConnection(status="inactive") for _ in range(300))
    url = list_url("bankingconnection") + "?look=attention"
    assert operator.get(url).context["cl"].result_count == 202  # the latest 200 of them
    latest = {row.pk for row in operator.get(url + "&all=").context["cl"].queryset}
    assert {held.pk, ending.pk} < latest
    assert elsewhere.pk not in latest
    # What is looked for is found, however many others came after it.
    for narrowed, expected in (
        ("&account=second", elsewhere),
        (f"&q={elsewhere.reference}", elsewhere),
        ("&status__exact=disconnected", held),
    ):
        assert [row.pk for row in operator.get(url + narrowed).context["cl"].result_list] == [expected.pk]


def many_sessions(status: str) -> None:
    """Make more than are listed, that ended an hour ago."""
    connections = BankingConnection.objects.bulk_create(BankingConnection() for _ in range(220))
    ends = timezone.now() - timedelta(hours=1)
    ConnectSession.objects.bulk_create(
        ConnectSession(connection=row, status=status, scopes=[], custom_fields={}, expires_at=ends)
        for row in connections
    )


def test_many_stuck_sessions_hide_no_stuck_removal(operator: Client) -> None:
    held = to_be_removed(make_connection(None, "disconnected"), days=8)
    many_sessions("open")
    results = operator.get(list_url("bankingconnection") + "?look=stuck").context["cl"]
    assert results.result_count == 201
    assert held.pk in {row.pk for row in results.queryset}


def test_many_sessions_that_never_opened_hide_none_that_did(operator: Client) -> None:
    opened = make_session(make_connection(None), expires_at=timezone.now() - timedelta(hours=1))
    many_sessions("created")
    results = operator.get(list_url("bankingconnection") + "?look=stuck").context["cl"]
    assert results.result_count == 201
    assert opened.connection_id in {row.pk for row in results.queryset}


def test_of_many_stuck_sessions_those_that_ended_first_are_listed(operator: Client) -> None:
    later = timezone.now() - timedelta(minutes=59)
    held = make_session(make_connection(None, account="second"), expires_at=later)
    unopened = make_session(make_connection(None), "created", expires_at=later)
    many_sessions("open")
    url = list_url("connectsession") + "?look=stuck"
    first = operator.get(url).context["cl"]
    assert first.result_count == 201
    assert unopened.pk in {row.pk for row in first.queryset}
    assert held.pk not in {row.pk for row in first.queryset}
    # What is looked for is found, however many others there are.
    narrowed = operator.get(f"{url}&q={held.reference}").context["cl"].result_list
    assert [row.pk for row in narrowed] == [held.pk]


def test_events_by_what_needs_a_look(operator: Client) -> None:
    made = {
        "unmatched": make_event(None, outcome="unmatched"),
        "contradicting": make_event(None, outcome="unmatched", note="Two tokens."),
        "ignored": make_event(None, outcome="unmatched", ignored_at=timezone.now()),
        "orphaned": make_event(make_connection(None), outcome="orphaned"),
        "failed": make_event(None, outcome="failed"),
    }
    make_event(make_connection(None))
    for look, event in made.items():
        assert listed(operator, "connectionevent", look) == {event.pk}, look


@pytest.mark.parametrize(
    ("status", "values", "says"),
    [
        ("active", {}, "Nothing."),
        ("active", {"consent_expires_at": timezone.now() + timedelta(days=2)}, "before the consent ends"),
        ("active", {"last_success_at": timezone.now() - timedelta(days=30)}, "Check it now"),
        ("inactive", {"status_reason": "login_changed"}, "Only the customer can help"),
        ("inactive", {"status_reason": "bank_disabled"}, "goes on by itself"),
        ("pending", {}, "never finished"),
        ("disconnected", {"asked": 0}, "banking_reconcile removes it"),
        ("disconnected", {"asked": 8}, "Read the log"),
    ],
)
def test_the_next_step_is_said(operator: Client, status: str, values: dict[str, Any], says: str) -> None:
    asked = values.pop("asked", None)
    connection = make_connection(None, status, **values)
    if asked is not None:
        to_be_removed(connection, days=asked)
    page = BeautifulSoup(operator.get(page_url(connection)).content, "html.parser")
    (step,) = page.select(".field-operator_step .readonly")
    assert says in step.get_text()


def test_the_next_step_of_one_that_is_under_way(operator: Client) -> None:
    connection = make_connection(None, "pending")
    session = make_session(connection, expires_at=timezone.now() + timedelta(minutes=5))
    assert "the customer is on the way" in operator.get(page_url(connection)).content.decode()
    ConnectSession.objects.filter(pk=session.pk).update(returned_at=timezone.now() - timedelta(hours=1))
    assert "waits for an answer that should be here" in operator.get(page_url(connection)).content.decode()


# --- the timeline ---


def test_the_timeline_says_what_banking_explain_says(operator: Client, connected: BankingConnection) -> None:
    page = BeautifulSoup(operator.get(page_url(connected)).content, "html.parser")
    shown = [entry.select_one(".banking-what a").get_text() for entry in page.select(".banking-timeline li")]  # type: ignore[union-attr]
    assert shown == [entry.text for entry in explain(connected)][::-1]
    oldest = BeautifulSoup(operator.get(page_url(connected) + "?timeline=oldest").content, "html.parser")
    assert [item.get_text() for item in oldest.select(".banking-what a")] == shown[::-1]


def test_the_timeline_is_cut(operator: Client) -> None:
    connection = make_connection(None)
    for _ in range(55):
        make_event(connection)
    page = BeautifulSoup(operator.get(page_url(connection)).content, "html.parser")
    assert len(page.select(".banking-timeline li")) == 50
    assert "the latest 50 are shown" in page.get_text()
