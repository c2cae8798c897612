"""Only what is proved counts as removed, and nothing is removed that somebody stands on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.erase import erase as erase_person
from business_os_banking.flows.reconcile import Result, reconcile
from business_os_banking.flows.remove import settle
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)
from business_os_banking.vocabulary import Evidence
from tests import callbacks
from tests.callbacks import SECRET
from tests.deeds import deliver, start
from tests.flows.paged import Paged, paged_upstream
from tests.upstream.fake import BASE_URL, Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)

PATH = f"{BASE_URL}/v2/banking/connections/"
SAID = {"data": {"connection_id": "777", "customer_id": "9", "removed": True}}
NOT_THERE = {"error": {"class": "ConnectionNotFound", "message": "Connection with id: '777' was not found."}}


def connected(user: User, link: str = "777", **more: Any) -> BankingConnection:
    session = start(user, next_url=f"/{link}/{BankingConnection.objects.count()}/", **more)
    deliver(callbacks.success(session.pending_token, link, time=timezone.now().isoformat()))
    return BankingConnection.objects.get(pk=session.connection_id)


def answers(upstream: Upstream, body: Any, status: int = 200, link: str = "777") -> None:
    text, kind = (body, "text/html") if isinstance(body, str) else (json.dumps(body), "application/json")
    upstream.mock.upsert(responses.DELETE, PATH + link, body=text, status=status, content_type=kind)


def run(hours: float = 1) -> Result:
    return reconcile(timezone.now() + timedelta(hours=hours))


def post(body: dict[str, Any]) -> int:
    client = Client(headers={"X-Webhook-Secret": SECRET})
    return client.post("/banking/webhook/", json.dumps(body), "application/json").status_code


# --- evidence ---

NO_PROOF: dict[str, tuple[Any, int]] = {
    "HTML 404": ("<html>Not here</html>", 404),
    "HTML 200": ("<html>Welcome</html>", 200),
    "nothing": ("", 200),
    "no content": ("", 204),
    "an object of nothing": ({}, 200),
    "removed is false": ({"removed": False, "data": {}}, 200),
    "removed is false further in": ({"data": {"connection_id": "777", "result": {"removed": False}}}, 200),
    "removed is null": ({"data": {"connection_id": "777", "removed": None}}, 200),
    "an error": ({"error": {"class": "ConnectionFetchingStopped"}}, 200),
    "another id": ({"data": {"connection_id": "778", "removed": True}}, 200),
    "no path": ({"error": "method not allowed"}, 405),
    "a redirect": ("", 302),
    "busy": ({"error": {"class": "BackgroundFetchInProgress"}}, 409),
}


@pytest.mark.parametrize("what", NO_PROOF)
def test_what_is_no_proof_is_asked_again(upstream: Upstream, user: User, what: str) -> None:
    connection = connected(user)
    answers(upstream, *NO_PROOF[what])
    assert disconnect(connection).status == "disconnected"
    removal = Removal.objects.get()
    assert (removal.settled_at, removal.evidence, removal.tries) == (None, "", 1)
    assert connection.removal_due
    answers(upstream, SAID)
    assert run().removed == 1
    removal.refresh_from_db()
    assert (removal.evidence, removal.upstream_id) == ("said", "777")
    assert ConnectionEvent.objects.filter(kind="removed", upstream_id="777", connection=connection).exists()


@pytest.mark.parametrize("status", [404, 410])
def test_that_it_is_not_there_is_proof_from_the_api_itself(
    upstream: Upstream, user: User, status: int
) -> None:
    connection = connected(user)
    answers(upstream, NOT_THERE, status)
    assert not disconnect(connection).removal_due
    assert Removal.objects.get().evidence == "said"


def test_to_another_key_nothing_is_there(upstream: Upstream, user: User, settings: Any) -> None:
    connection = connected(user)
    answers(upstream, NOT_THERE, 404)
    accounts = settings.BUSINESS_OS_BANKING["ACCOUNTS"]
    other = {"default": {**accounts["default"], "API_KEY": "the-key-of-another-organisation"}}
    ours = settings.BUSINESS_OS_BANKING
    settings.BUSINESS_OS_BANKING = {**ours, "ACCOUNTS": other}
    assert disconnect(connection).removal_due
    assert run().removed == 0
    settings.BUSINESS_OS_BANKING = ours
    assert run(2).removed == 1


def test_a_key_is_the_same_under_another_secret_key_of_the_site(
    upstream: Upstream, user: User, settings: Any
) -> None:
    connection = connected(user)
    answers(upstream, NOT_THERE, 404)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    assert not disconnect(connection).removal_due


def test_a_2xx_that_proves_nothing_is_asked_once_more_after_ten_minutes(
    upstream: Upstream, user: User
) -> None:
    answers(upstream, "", 204)
    disconnect(connected(user))
    assert reconcile(timezone.now() + timedelta(minutes=9)).not_removed == 0
    answers(upstream, NOT_THERE, 404)
    assert reconcile(timezone.now() + timedelta(minutes=11)).removed == 1


def test_an_operator_settles_what_nothing_proves(
    upstream: Upstream, user: User, admin_client: Client
) -> None:
    connection = connected(user)
    answers(upstream, "<html>", 502)
    disconnect(connection)
    assert not run(24).needs_a_person
    result = run(24 * 7 + 1)
    assert result.needs_a_person
    assert any("not proved after a week" in problem for problem in result.problems)
    removal = Removal.objects.get()
    base = "/admin/business_os_banking/removal/"
    page = admin_client.get(f"{base}{removal.pk}/change/")
    assert page.status_code == 200
    listed = admin_client.get(f"{base}?state=due")
    assert [item.pk for item in listed.context["cl"].result_list] == [removal.pk]
    url = f"{base}{removal.pk}/settle/"
    assert "still holds" in admin_client.get(url).content.decode()
    assert Removal.objects.get().settled_at is None
    admin_client.post(url, {"confirmed": "1", "reason": ""})
    assert Removal.objects.get().settled_at is None  # a reason is wanted
    admin_client.post(url, {"confirmed": "1", "reason": "Their support has removed it"})
    removal.refresh_from_db()
    assert (removal.evidence, removal.reason) == ("by_hand", "Their support has removed it")
    assert not connection.removal_due
    assert not run(24 * 7 + 1).needs_a_person


# --- two whole readings ---


@pytest.fixture
def paged() -> Iterator[Paged]:
    with paged_upstream() as paged:
        yield paged


def test_two_whole_readings_that_lack_it_are_proof(paged: Paged, user: User, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READ_EVERY_HOURS": 2}
    kept, gone = connected(user, "100"), connected(user, "777")
    bank = {"provider_code": "demobank_xf", "provider_name": "Demobank"}
    paged.rows = [row("100", **bank), row("777", **bank)]
    run(1)  # the key has seen both
    disconnect(gone)  # by id, this upstream answers to no DELETE
    assert Removal.objects.due().exists()
    for hours in (4, 7):
        run(hours)
        assert Removal.objects.due().exists()  # as long as the list shows it
    paged.rows = paged.rows[:1]
    run(10)
    assert Removal.objects.due().exists()  # one reading may be wrong
    run(13)
    assert Removal.objects.get().evidence == "unlisted"
    assert not Removal.objects.due().exists()
    kept.refresh_from_db()
    assert kept.status == "active"


# --- who stands on it ---


def test_what_an_owner_shares_is_left_without_alarm(upstream: Upstream, user: User) -> None:
    first, second = connected(user), connected(user)
    disconnect(first)
    assert not first.removal_due
    for hours in (1, 30, 24 * 8):
        result = run(hours)
        assert (result.needs_a_person, result.removed, result.not_removed) == (False, 0, 0)
    assert upstream.calls("DELETE") == []
    answers(upstream, SAID)
    assert not disconnect(second).removal_due
    assert len(upstream.calls("DELETE")) == 1


def test_what_is_left_is_removed_once_the_other_moves_on(upstream: Upstream, user: User) -> None:
    first, second = connected(user), connected(user)
    disconnect(first)
    renewal = start(user, connection=second)
    moment = (timezone.now() + timedelta(minutes=1)).isoformat()
    deliver(callbacks.success(renewal.pending_token, "888", time=moment))
    answers(upstream, SAID)
    assert run(25).removed == 1
    second.refresh_from_db()
    assert (second.status, second.upstream_id) == ("active", "888")


def test_an_imported_row_of_somebody_else_keeps_its_link(
    upstream: Upstream, user: User, other_user: User
) -> None:
    connection = connected(user)
    BankingConnection.objects.create(user=other_user, status="active", upstream_id="777")
    disconnect(connection)
    assert upstream.calls("DELETE") == []
    assert not run(24 * 8).needs_a_person


def test_an_imported_row_of_somebody_else_is_not_taken_over(
    upstream: Upstream, user: User, other_user: User
) -> None:
    imported = BankingConnection.objects.create(user=other_user, status="active", upstream_id="777")
    session = start(user)
    assert post(callbacks.success(session.pending_token, "777")) == 200
    session.refresh_from_db()
    assert session.status == "open"
    assert ConnectionEvent.objects.get(kind="succeeded").note
    upstream.lists(row("777", token=session.pending_token))
    run()
    session.refresh_from_db()
    imported.refresh_from_db()
    assert (session.upstream_id, imported.status, imported.user_id) == ("", "active", other_user.pk)


def test_a_superseded_link_that_has_become_current_is_kept(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    bank = {"provider_code": "demobank_xf"}
    session = start(user)
    then = timezone.now() - timedelta(days=3)
    deliver(callbacks.success(session.pending_token, "777", time=then.isoformat(), **bank))
    connection = session.connection
    renewal = start(user, connection=connection)
    deliver(callbacks.success(renewal.pending_token, "888", time=timezone.now().isoformat(), **bank))
    upstream.lists(row("777", **bank), row("888", **bank))
    answers(upstream, SAID)
    assert run(2).removed == 0  # the new link is not a day old
    again = start(user, connection=connection, next_url="/again/")
    later = timezone.now() + timedelta(minutes=2)
    deliver(callbacks.success(again.pending_token, "777", time=later.isoformat(), **bank))
    assert upstream.calls("DELETE") == []
    run(26)
    assert [str(call.url)[-3:] for call in upstream.calls("DELETE")] in ([], ["888"])
    connection.refresh_from_db()
    assert (connection.status, connection.upstream_id) == ("active", "777")


def test_a_link_that_was_missed_is_asked_for_when_its_owner_ends_it(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    assert post(callbacks.destroy(None, "777", time=timezone.now().isoformat())) == 200
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by) == ("disconnected", "provider")
    answers(upstream, SAID)
    disconnect(connection)
    assert len(upstream.calls("DELETE")) == 1


def test_three_at_once_ask_once(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    answers(upstream, "<html>", 502)
    disconnect(connection)
    Removal.objects.update(leased_until=timezone.now() + timedelta(minutes=61), next_at=None)
    assert run().not_removed == 0  # another worker is at it
    assert run(2).not_removed == 1  # it has died


# --- erase ---


def erase(*arguments: str) -> str:
    out = StringIO()
    call_command("banking_erase", "--user", "ada", *arguments, stdout=out)
    return out.getvalue()


def test_what_is_left_after_an_erasure_names_nobody(upstream: Upstream, user: User) -> None:
    connected(user)
    answers(upstream, "<html>", 502)
    assert "1 of their links" in erase()
    assert not ConnectSession.objects.exists()
    due = Removal.objects.due().get()
    assert (due.connection_id, due.upstream_id) == (None, "777")
    answers(upstream, SAID)
    assert run().removed == 1
    due.refresh_from_db()
    assert (due.evidence, due.upstream_id) == ("said", "")
    assert not ConnectionEvent.objects.filter(upstream_id="777").exists()


def test_what_a_late_success_of_an_erased_session_brings_is_removed(upstream: Upstream, user: User) -> None:
    session = start(user)
    erase()
    assert not BankingConnection.objects.exists()
    body = callbacks.success(session.pending_token, "777", provider_name="Sparkasse")
    assert post(body) == 200
    event = ConnectionEvent.objects.get()
    assert (event.outcome, event.upstream_id, event.pending_token, event.payload) == (
        "orphaned",
        "",
        None,
        {},
    )
    assert "erased" in event.note
    answers(upstream, NOT_THERE, 404)
    assert run().removed == 1
    assert Removal.objects.exclude(settled_at=None).get().upstream_id == ""
    # The destroy callback that our own DELETE causes, and one more success, name nobody and alarm nobody.
    assert post(callbacks.destroy(None, "777")) == 200
    assert post(callbacks.success(session.pending_token, "777", time=timezone.now().isoformat())) == 200
    assert set(ConnectionEvent.objects.values_list("outcome", "upstream_id")) == {("orphaned", "")}
    assert not run().needs_a_person


def test_what_works_after_its_removal_is_removed_once_more(upstream: Upstream, user: User) -> None:
    session = start(user)
    post(callbacks.success(session.pending_token, "777", time=timezone.now().isoformat()))
    answers(upstream, SAID)
    erase()
    assert not Removal.objects.due().exists()
    moment = (timezone.now() + timedelta(minutes=2)).isoformat()
    assert post(callbacks.success(session.pending_token, "777", time=moment)) == 200
    assert run().removed == 1
    assert len(upstream.calls("DELETE")) == 2
    assert set(Removal.objects.values_list("upstream_id", flat=True)) == {""}


def test_after_a_change_of_the_secret_key_the_erased_are_known_still(
    upstream: Upstream, user: User, settings: Any
) -> None:
    session = start(user)
    erase()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    assert post(callbacks.success(session.pending_token, "777")) == 200
    assert ConnectionEvent.objects.get().outcome == "orphaned"
    assert Removal.objects.due().get().upstream_id == "777"


def test_a_strangers_event_never_holds_which_link_there_is_already(
    upstream: Upstream, user: User, other_user: User
) -> None:
    connected(user)
    mine, theirs = start(user, next_url="/again/"), start(other_user)
    for session in (mine, theirs):
        post(callbacks.fail(session.pending_token, "ConnectionDuplicated", duplicated_connection_id="777"))
    own = ConnectionEvent.objects.get(kind="failed", session=mine)
    assert own.payload["duplicated_connection_id"] == "777"
    of_a_stranger = ConnectionEvent.objects.get(kind="failed", session=theirs)
    assert '"777"' not in json.dumps(of_a_stranger.payload)


def test_of_a_key_that_the_site_no_longer_has_reconcile_says_so(
    upstream: Upstream, user: User, settings: Any
) -> None:
    connected(user)
    answers(upstream, "<html>", 502)
    erase()
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ACCOUNTS": {}}
    assert run().not_removed == 1
    assert run(24 * 7 + 1).needs_a_person


# --- what a review found ---


def test_what_is_left_cannot_be_settled_by_hand(upstream: Upstream, user: User, admin_client: Client) -> None:
    """It would end the living connection that stands on the link."""
    first, second = connected(user), connected(user)
    disconnect(first)
    removal = Removal.objects.get()
    assert not settle(removal, Evidence.BY_HAND, timezone.now(), "looks gone")
    url = f"/admin/business_os_banking/removal/{removal.pk}/settle/"
    admin_client.post(url, {"confirmed": "1", "reason": "looks gone"})
    second.refresh_from_db()
    removal.refresh_from_db()
    assert (second.status, removal.settled_at) == ("active", None)


def test_a_run_that_began_before_a_renewal_waits_a_day_for_it_as_well(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    bank, now = {"provider_code": "demobank_xf"}, timezone.now()
    session = start(user)
    deliver(
        callbacks.success(session.pending_token, "777", time=(now - timedelta(days=3)).isoformat(), **bank)
    )
    renewal = start(user, connection=session.connection)
    deliver(callbacks.success(renewal.pending_token, "888", time=now.isoformat(), **bank))
    upstream.lists(row("777", **bank), row("888", **bank))
    answers(upstream, SAID)
    reconcile(now - timedelta(minutes=6))
    assert upstream.calls("DELETE") == []


def test_inside_a_transaction_nobody_is_erased(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        erase_person(user=user)
    connection.refresh_from_db()
    assert (connection.status, upstream.calls("DELETE")) == ("active", [])


def test_a_session_that_is_being_opened_is_known_after_an_erasure(upstream: Upstream, user: User) -> None:
    session = start(user)
    token, reference = session.pending_token, str(session.reference)
    ConnectSession.objects.update(pending_token=None, status="created")
    ConnectionEvent.objects.all().delete()
    erase()
    assert post(callbacks.success(token, "777", custom_fields={"session": reference})) == 200
    assert ConnectionEvent.objects.get().upstream_id == ""
    assert Removal.objects.due().get().upstream_id == "777"


def test_what_was_refused_was_not_asked_for(upstream: Upstream, user: User) -> None:
    """So that the list lacks it afterwards is no word on our request."""
    for status in (400, 401, 402, 403, 422, 429):
        Removal.objects.all().delete()
        answers(upstream, {"error": {"class": "Forbidden"}}, status, link=str(status))
        disconnect(connected(user, str(status)))
        assert Removal.objects.get().asked_at is None


def test_what_comes_to_be_again_is_removed_again(upstream: Upstream, user: User) -> None:
    connected(user)
    answers(upstream, SAID)
    erase()
    again = connected(user)  # under the same id
    calls = len(upstream.calls("DELETE"))
    disconnect(again)
    assert len(upstream.calls("DELETE")) == calls + 1


def test_what_is_reopened_begins_anew(upstream: Upstream, user: User) -> None:
    session = start(user)
    post(callbacks.success(session.pending_token, "777", time=timezone.now().isoformat()))
    answers(upstream, "", 204)
    erase()
    rows = Removal.objects.filter(of_session=False)
    long_ago = timezone.now() - timedelta(minutes=5)
    rows.update(settled_at=long_ago, evidence="unlisted", unlisted_at=long_ago)
    assert post(callbacks.success(session.pending_token, "777", time=timezone.now().isoformat())) == 200
    removal = rows.get()
    assert (removal.evidence, removal.asked_at, removal.unlisted_at) == ("", None, None)
    assert (removal.settled_at, removal.tries) == (None, 0)


def test_a_link_with_which_somebody_is_at_the_bank_is_not_removed(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    waiting = start(user, next_url="/b/")
    deliver(callbacks.notify(waiting.pending_token, connection_id="777"))
    disconnect(connection)
    assert upstream.calls("DELETE") == []
    ConnectSession.objects.filter(pk=waiting.pk).update(status="expired")
    answers(upstream, SAID)
    assert run(25).removed == 1


def test_what_is_no_longer_left_has_a_week_from_then(upstream: Upstream, user: User) -> None:
    first, second = connected(user), connected(user)
    disconnect(first)
    Removal.objects.update(requested_at=timezone.now() - timedelta(days=30))
    BankingConnection.objects.filter(pk=second.pk).update(upstream_id="888")
    answers(upstream, "<html>", 502)
    result = run(25)
    assert (result.not_removed, result.needs_a_person) == (1, False)


def test_the_places_of_the_list_forget_an_erased_link_once_it_is_gone(
    paged: Paged, user: User, other_user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READ_EVERY_HOURS": 2}
    connected(other_user, "100")
    connected(user, "777")
    paged.size, paged.rows = 1, [row("100"), row("777"), row("888")]
    run(1)
    erase()
    run(4)
    settle(Removal.objects.due().get(), Evidence.BY_HAND, timezone.now())
    assert "777" not in AccountState.objects.get().anchors


def test_a_new_key_gets_to_know_what_a_page_shows_it(paged: Paged, user: User, settings: Any) -> None:
    connected(user, "100")
    disconnect(connected(user, "777"))
    [old] = Removal.objects.get().known_to
    accounts = settings.BUSINESS_OS_BANKING["ACCOUNTS"]
    other = {"default": {**accounts["default"], "API_KEY": "the-key-after-a-rotation"}}
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ACCOUNTS": other}
    paged.rows = [row("100"), row("777")]
    run(1)
    known = Removal.objects.get().known_to
    assert old in known
    assert len(known) == 2


def test_a_change_of_a_bank_is_kept_without_the_erased_that_it_names(upstream: Upstream, user: User) -> None:
    session = start(user)
    erase()
    change = {"provider_code": "bank_xf", "provider_status": "inactive", "connection_id": "777"}
    assert post(callbacks.body(token=session.pending_token, **change)) == 200
    event = ConnectionEvent.objects.get(kind="provider_changed")
    assert (event.provider_code, event.upstream_id, event.pending_token) == ("bank_xf", "", None)
    assert event.payload == {}


# --- the record of consent ---


def test_the_record_tells_from_consent_to_proof(upstream: Upstream, user: User, admin_client: Client) -> None:
    connection = connected(user)
    answers(upstream, SAID)
    disconnect(connection)
    out = StringIO()
    call_command("banking_explain", str(connection.reference), stdout=out)
    page = admin_client.get(
        f"/admin/business_os_banking/bankingconnection/{connection.pk}/change/"
    ).content.decode()
    for text in (out.getvalue(), page):
        assert "for: accounts, holder_info, transactions." in text
        assert "By: Owner" in text
        assert "The provider said so" in text


def test_export_holds_everything_but_means_of_access(
    upstream: Upstream, user: User, other_user: User
) -> None:
    connection = connected(user)
    connected(other_user, "8884711888")
    session = connection.sessions.get()
    out = StringIO()
    call_command("banking_export", "--user", "ada", stdout=out)
    content = json.loads(out.getvalue())
    (one,) = content["connections"]
    assert one["upstream_id"] == "777"
    assert one["sessions"][0]["email"] == session.email
    assert {event["kind"] for event in one["events"]} == {"opened", "succeeded"}
    assert one["consent"][0].startswith("Given ")
    assert str(session.pending_token) not in out.getvalue()
    assert "8884711888" not in out.getvalue()
