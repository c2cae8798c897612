"""What an operator may do: each with its permission, asked once more, logged, and done by the flow."""

import re
import uuid
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from business_os_banking.facts import lifecycle
from business_os_banking.facts.encoding import to_json
from business_os_banking.facts.events import fact_of
from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, Removal
from tests import callbacks
from tests.admin.conftest import list_url, make_connection, make_event, page_url, staff
from tests.deeds import deliver
from tests.docs.pages import table
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)

OF_CONNECTIONS = ("check", "renew", "withdraw", "disconnect", "replay", "answer")
OF_EVENTS = ("replay", "match", "ignore", "unignore")
PERMISSIONS = {
    ("bankingconnection", "check"): "check_bankingconnection",
    ("bankingconnection", "renew"): "renew_bankingconnection",
    ("bankingconnection", "withdraw"): "renew_bankingconnection",
    ("bankingconnection", "disconnect"): "disconnect_bankingconnection",
    ("bankingconnection", "replay"): "replay_connectionevent",
    ("bankingconnection", "accept"): "answer_bankingconnection",
    ("bankingconnection", "refuse"): "answer_bankingconnection",
    ("removal", "settle"): "settle_removal",
    ("connectionevent", "replay"): "replay_connectionevent",
    ("connectionevent", "match"): "match_connectionevent",
    ("connectionevent", "ignore"): "ignore_connectionevent",
    ("connectionevent", "unignore"): "ignore_connectionevent",
}
IN_LISTS = [
    ("bankingconnection", "check_selected", "check_bankingconnection"),
    ("bankingconnection", "renew_selected", "renew_bankingconnection"),
    ("bankingconnection", "disconnect_selected", "disconnect_bankingconnection"),
    ("connectionevent", "replay_selected", "replay_connectionevent"),
    ("connectionevent", "ignore_selected", "ignore_connectionevent"),
    ("connectionevent", "unignore_selected", "ignore_connectionevent"),
]


@pytest.fixture
def connected(upstream: Upstream, user: User) -> BankingConnection:
    """A connection with its log, as the flows make it."""
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    deliver(callbacks.success(session.pending_token, "777", time="2026-11-01T10:00:00Z"))
    return BankingConnection.objects.get()


def stray() -> ConnectionEvent:
    return deliver(callbacks.success(None, "999", time="2026-11-01T10:00:00Z"))


def row_for(model: str, verb: str) -> Any:
    """Return a row at which there is something to do."""
    if model == "bankingconnection":
        held = {"held_reason": "other_bank"} if verb in {"accept", "refuse"} else {}
        return make_connection(None, **held)
    if model == "removal":
        return Removal.objects.create(upstream_id="777", digest="777")
    ignored_at = timezone.now() if verb == "unignore" else None
    return make_event(None, outcome="unmatched", ignored_at=ignored_at)


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def logged() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def do(client: Client, row: Any, verb: str, **data: Any) -> Any:
    return client.post(page_url(row, verb), {"confirmed": "yes", **data}, follow=True)


# --- who may ---


@pytest.mark.parametrize(("model", "verb"), PERMISSIONS)
def test_each_action_has_a_permission_of_its_own(model: str, verb: str) -> None:
    row = row_for(model, verb)
    url, needed = page_url(row, verb), PERMISSIONS[model, verb]
    others = {*PERMISSIONS.values(), f"change_{model}"} - {needed}
    without, with_it = staff(f"view_{model}", *others), staff(f"view_{model}", needed)
    blind = staff(needed)
    for client in (without, blind):
        assert client.get(url).status_code == 403
        assert client.post(url, {"confirmed": "yes"}).status_code == 403
    assert f'"{url}"' not in without.get(page_url(row)).content.decode()
    assert f'"{url}"' in with_it.get(page_url(row)).content.decode()
    assert with_it.get(url).status_code == 200
    assert logged() == []


@pytest.mark.parametrize(("model", "action", "needed"), IN_LISTS)
def test_each_action_of_a_list_has_a_permission_of_its_own(model: str, action: str, needed: str) -> None:
    row = row_for(model, action.removesuffix("_selected"))
    data = {"action": action, "_selected_action": [row.pk], "index": "0"}
    others = {*PERMISSIONS.values(), f"change_{model}"} - {needed}
    without, with_it = staff(f"view_{model}", *others), staff(f"view_{model}", needed)
    assert f'value="{action}"' not in without.get(list_url(model)).content.decode()
    for more in ({}, {"confirmed": "yes"}):
        assert without.post(list_url(model), {**data, **more}).status_code == 403
    assert f'value="{action}"' in with_it.get(list_url(model)).content.decode()
    asked = with_it.post(list_url(model), data)
    assert (asked.status_code, 'name="confirmed"' in asked.content.decode()) == (200, True)
    assert logged() == []


def test_the_permissions_are_those_of_the_documentation() -> None:
    ours = Permission.objects.filter(content_type__app_label="business_os_banking")
    own = {
        name
        for name in ours.values_list("codename", flat=True)
        if name.split("_")[0] in {*OF_CONNECTIONS, *OF_EVENTS, "settle"}
    }
    assert {row[0].strip("`") for row in table("admin.md", "permissions")} == {
        *own,
        *(
            f"view_{model}"
            for model in ("bankingconnection", "connectsession", "connectionevent", "accountstate", "removal")
        ),
        "change_bankingconnection",
    }
    assert own == set(PERMISSIONS.values())


@pytest.mark.parametrize(("model", "verb"), PERMISSIONS)
def test_each_action_is_protected_against_forgery(operator: Client, model: str, verb: str) -> None:
    url = page_url(row_for(model, verb), verb)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(url, {"confirmed": "yes"}).status_code == 403


# --- check now ---


def test_check_now_reads_the_list_and_tells_what_it_brought(
    operator: Client, upstream: Upstream, connected: BankingConnection
) -> None:
    upstream.lists(
        row(
            "777",
            status="inactive",
            attempt={"fail_at": "2026-11-02T10:00:00Z", "fail_error_class": "InvalidCredentials"},
        )
    )
    asked = operator.get(page_url(connected, "check")).content.decode()
    assert "may cost a credit" in asked
    assert "0 of today&#x27;s 200 reads are used" in asked
    assert upstream.calls("GET") == []
    answer = do(operator, connected, "check")
    assert said(answer) == [
        "Account default: pages read: 1, new facts: 1.",
        "Demobank: Connected, now Needs the customer.",
    ]
    assert logged() == ["Checked by an operator."]
    assert "less than a minute ago" in said(do(operator, connected, "check"))[0]
    assert len(upstream.calls("GET")) == 1


def test_check_now_of_several_reads_each_account_once(operator: Client, upstream: Upstream) -> None:
    upstream.lists()
    some = [make_connection(None, "pending") for _ in range(3)]
    data = {"action": "check_selected", "_selected_action": [item.pk for item in some], "confirmed": "yes"}
    operator.post(list_url("bankingconnection"), data)
    assert len(upstream.calls("GET")) == 1
    assert len(logged()) == 3


# --- renewal links ---


def links_on(response: Any) -> list[str]:
    page = BeautifulSoup(response.content, "html.parser")
    return [area.get_text().strip() for area in page.select(".banking-copy")]


def test_a_renewal_link_is_made_works_and_is_withdrawn(
    operator: Client, settings: Any, connected: BankingConnection
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "SITE_URL": "https://books.example"}
    asked = operator.get(page_url(connected, "renew"))
    assert "good for 7 days" in asked.content.decode()
    assert links_on(asked) == []
    answer = do(operator, connected, "renew")
    (link,) = links_on(answer)
    path = link.removeprefix("https://books.example")
    assert answer["Cache-Control"].count("no-store") == 1
    assert re.search(r'<div class="banking-qr"[^>]*><svg [^>]*>', answer.content.decode())
    assert "style=" not in answer.content.decode().split('id="content"')[1].split("</main>")[0]
    assert Client().get(path).status_code == 200
    assert said(do(operator, connected, "withdraw")) == ["All renewal links were withdrawn."]
    assert Client().get(path).status_code == 410
    assert logged() == ["Renewal link made by an operator.", "Renewal links withdrawn by an operator."]


def test_links_for_several(operator: Client, upstream: Upstream) -> None:
    some = [
        make_connection(None),
        make_connection(None),
        make_connection(None, "disconnected", ended_by="owner"),
    ]
    data = {"action": "renew_selected", "_selected_action": [item.pk for item in some]}
    assert (
        "One that you selected is left as it is"
        in operator.post(list_url("bankingconnection"), data).content.decode()
    )
    links = links_on(operator.post(list_url("bankingconnection"), {**data, "confirmed": "yes"}))
    assert len(set(links)) == 2
    assert all(link.startswith("http://testserver/banking/invitations/") for link in links)


# --- replay ---


def snapshot() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (BankingConnection, ConnectSession, ConnectionEvent)
    ]


@pytest.mark.parametrize("of", ["event", "connection", "list"])
def test_a_replay_shows_what_it_would_change_and_then_does_it(
    operator: Client, connected: BankingConnection, of: str
) -> None:
    event = ConnectionEvent.objects.get(kind="succeeded")
    url = page_url(event if of == "event" else connected, "replay")
    data: dict[str, Any] = {}
    if of == "list":
        url, data = list_url("connectionevent"), {"action": "replay_selected", "_selected_action": [event.pk]}
    nothing = operator.post(url, data)
    assert "Nothing: all of this is known" in nothing.content.decode()
    opened = lifecycle.evidence(fact_of(ConnectionEvent.objects.get(kind="opened")))
    BankingConnection.objects.update(status="pending", state=to_json(opened), upstream_id="")
    ConnectSession.objects.update(status="open", succeeded_at=None, upstream_id="")
    before = snapshot()
    page = BeautifulSoup(operator.post(url, data).content, "html.parser")
    told = [cell.get_text(" ", strip=True) for cell in page.select(".banking-table tbody tr")]
    assert any("status Not finished Connected" in line for line in told), told
    assert snapshot() == before
    assert logged() == []
    answer = operator.post(url, {**data, "confirmed": "yes"}, follow=True)
    assert "1 had an effect" in said(answer)[0]
    connected.refresh_from_db()
    assert connected.status == "active"
    assert logged() == [
        "All events applied again by an operator." if of == "connection" else "Applied again by an operator."
    ]
    assert list(rebuild(check=True)) == []


def test_a_change_of_a_bank_is_left_to_the_command(operator: Client) -> None:
    event = make_event(None, kind="provider_changed", provider_code="demobank_xf")
    assert page_url(event, "replay") not in operator.get(page_url(event)).content.decode()
    assert "banking_replay" in said(do(operator, event, "replay"))[0]


# --- match ---


@pytest.mark.parametrize("names", ["session", "connection"])
def test_an_event_is_matched_by_hand(operator: Client, upstream: Upstream, user: User, names: str) -> None:
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    event = stray()
    reference = str(session.reference if names == "session" else session.connection.reference)
    assert "What would change" not in operator.get(page_url(event, "match")).content.decode()
    shown = operator.post(page_url(event, "match"), {"reference": reference}).content.decode()
    assert "Not finished" in shown
    event.refresh_from_db()
    assert (event.outcome, logged()) == ("unmatched", [])
    assert said(do(operator, event, "match", reference=reference)) == ["The event was matched: Applied."]
    assert BankingConnection.objects.get().status == "active"
    assert logged() == [f"Matched by an operator to session {session.reference}."]
    assert list(rebuild(check=True)) == []
    page = operator.get(page_url(session.connection)).content.decode()
    assert "matched by hand" in page


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("nonsense", "Enter a valid UUID"),
        ("0e9d2f4c-5b1a-4c8e-9d3f-6a7b8c9d0e1f", "has no session, and no connection"),
    ],
)
def test_what_cannot_be_matched_is_said(
    operator: Client, upstream: Upstream, reference: str, why: str
) -> None:
    event = stray()
    answer = operator.post(page_url(event, "match"), {"reference": reference, "confirmed": "yes"})
    assert why in answer.content.decode()
    event.refresh_from_db()
    assert (event.outcome, logged()) == ("unmatched", [])


def test_the_bank_of_another_owner_is_not_matched(
    operator: Client, upstream: Upstream, user: User, other_user: User
) -> None:
    mine = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    theirs = connect.start(owner=(other_user, ""), return_to=lambda s: "https://site.example/")
    event = deliver(callbacks.success(uuid.uuid4(), "999"))
    deliver(callbacks.success(theirs.pending_token, "999"))
    data = {"reference": str(mine.reference), "confirmed": "yes"}
    answer = operator.post(page_url(event, "match"), data)
    assert "belongs to another owner" in answer.content.decode()
    event.refresh_from_db()
    assert (event.outcome, event.by_hand) == ("unmatched", False)


def test_a_contradicting_event_is_not_matched(operator: Client) -> None:
    event = make_event(None, outcome="unmatched", note="The token and our own key do not belong together.")
    assert page_url(event, "match") not in operator.get(page_url(event)).content.decode()
    assert "does not contradict itself" in said(do(operator, event, "match"))[0]


# --- ignore ---


def test_an_event_is_ignored_and_listed_again(operator: Client) -> None:
    event = make_event(None, outcome="unmatched")
    unmatched = list_url("connectionevent") + "?look=unmatched"
    assert page_url(event) in operator.get(unmatched).content.decode()
    assert said(do(operator, event, "ignore")) == ["1 event is ignored now."]
    assert page_url(event) not in operator.get(unmatched).content.decode()
    assert page_url(event) in operator.get(list_url("connectionevent") + "?look=ignored").content.decode()
    assert said(do(operator, event, "unignore")) == ["1 event is listed again."]
    assert page_url(event) in operator.get(unmatched).content.decode()
    assert logged() == ["Ignored by an operator.", "No longer ignored, by an operator."]


def test_what_matches_something_is_not_ignored(operator: Client) -> None:
    event = make_event(make_connection(None))
    assert said(do(operator, event, "ignore")) == ["Only events that match nothing can be ignored."]


@pytest.mark.parametrize(("model", "action", "_needed"), IN_LISTS)
def test_nobody_does_it_to_the_whole_table_by_accident(
    operator: Client, model: str, action: str, _needed: str
) -> None:
    rows = [row_for(model, action.removesuffix("_selected")) for _ in range(21)]
    data = {"action": action, "_selected_action": [rows[0].pk], "select_across": "1", "confirmed": "yes"}
    answer = operator.post(list_url(model), data, follow=True)
    assert said(answer) == ["Please select at most 20 at once."]
    assert logged() == []


def no_updates(execute: Any, sql: str, *more: Any) -> Any:
    """A database that takes no change of a connection."""
    if sql.startswith("UPDATE") and "_bankingconnection" in sql:
        raise OperationalError("the disk is full")
    return execute(sql, *more)


def test_what_cannot_be_applied_is_not_decided_either(
    operator: Client, upstream: Upstream, user: User
) -> None:
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    event = stray()
    operator.raise_request_exception = False
    with database.execute_wrapper(no_updates):
        answer = do(operator, event, "match", reference=str(session.reference))
    event.refresh_from_db()
    assert (answer.status_code, event.by_hand, event.outcome, logged()) == (500, False, "unmatched", [])
    do(operator, event, "match", reference=str(session.reference))
    event.refresh_from_db()
    assert (event.by_hand, len(logged())) == (True, 1)


def test_an_operator_is_told_in_german(
    operator: Client, upstream: Upstream, connected: BankingConnection
) -> None:
    upstream.lists()
    do(operator, connected, "check")
    german = {"Accept-Language": "de"}
    answer = operator.post(page_url(connected, "check"), {"confirmed": "yes"}, follow=True, headers=german)
    assert "weniger als eine Minute" in said(answer)[0]
    event = make_event(
        None, outcome="unmatched", note="The body says different things of the same field: stage"
    )
    page = operator.get(page_url(event), headers=german).content.decode()
    assert "Die Meldung nennt für ein Feld verschiedene Werte: stage" in page
