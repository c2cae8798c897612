"""Faults that random journeys on PostgreSQL and MariaDB brought to light, each as its shortest history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.erase import erase
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)
START = timezone.now() - timedelta(hours=3)  # once: two of one moment must not fall into two seconds


def post(body: dict[str, Any]) -> None:
    answer = Client().post(
        "/banking/webhook/", callbacks.raw(body), "application/json", headers={"X-Webhook-Secret": SECRET}
    )
    assert answer.status_code == 200


def begin(user: User, connection: BankingConnection | None = None) -> ConnectSession:
    client = Client()
    client.force_login(user)
    path = f"{connection.get_absolute_url()}renew/" if connection else "/banking/connect/"
    assert client.post(path).status_code == 303
    return ConnectSession.objects.select_related("connection").latest("pk")


def at(minutes: float) -> str:
    return f"{START + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def success(session: ConnectSession, link: str, minutes: float, bank: str = "") -> None:
    more: dict[str, Any] = (
        {"provider_code": bank, "provider_name": bank, "country_code": "DE"} if bank else {}
    )
    post(callbacks.success(session.pending_token, link, time=at(minutes), **more))


def switched(bank: str, minutes: float, **more: Any) -> None:
    post({"data": {"provider_code": bank, **more}, "meta": {"version": "6", "time": at(minutes)}})


def off(bank: str, minutes: float) -> None:
    switched(bank, minutes, provider_status="inactive")


def status(connection: BankingConnection) -> tuple[str, str]:
    connection.refresh_from_db()
    return connection.status, connection.status_reason


def check() -> None:
    call_command("banking_rebuild", "--check", verbosity=0)


# --- Banks -------------------------------------------------------------------------------------------------


def test_who_comes_to_share_a_link_learns_that_its_bank_is_off(upstream: Upstream, user: User) -> None:
    one, other = begin(user), begin(user, None)
    if one == other:  # the same click twice: the second connection is another tenant's in no way
        success(one, "7", 1, "alpha_xf")
        other = begin(user)
    else:
        success(one, "7", 1, "alpha_xf")
    off("alpha_xf", 10)
    success(other, "7", 5)
    assert status(one.connection) == ("inactive", "bank_disabled")
    assert status(other.connection) == ("inactive", "bank_disabled")
    check()


@pytest.mark.parametrize("first", ["change", "success"])
def test_who_comes_back_to_a_former_bank_learns_that_it_is_off(
    upstream: Upstream, user: User, first: str
) -> None:
    session = begin(user)
    success(session, "7", 1, "alpha_xf")
    success(session, "8", 2, "beta_xf")
    if first == "change":
        off("alpha_xf", 20)
    success(session, "7", 1, "alpha_xf")
    again = begin(user, session.connection)
    success(again, "7", 10, "alpha_xf")
    if first == "success":
        off("alpha_xf", 20)
    check()


def test_a_former_bank_that_is_switched_off_is_no_difference(upstream: Upstream, user: User) -> None:
    session = begin(user)
    success(session, "7", 1, "alpha_xf")
    success(session, "8", 2, "beta_xf")
    off("alpha_xf", 10)
    assert status(session.connection) == ("active", "")
    check()


@pytest.mark.parametrize("first", ["change", "success"])
def test_a_change_that_says_nothing_hides_none(upstream: Upstream, user: User, first: str) -> None:
    session = begin(user)
    if first == "success":
        success(session, "7", 1, "alpha_xf")
    off("alpha_xf", 10)
    switched("alpha_xf", 20)
    switched("alpha_xf", 21, provider_status="perhaps")
    if first == "change":
        success(session, "7", 1, "alpha_xf")
    assert status(session.connection) == ("inactive", "bank_disabled")
    check()


@pytest.mark.parametrize("last", ["active", "inactive"])
def test_of_two_changes_at_one_moment_the_good_one_counts(upstream: Upstream, user: User, last: str) -> None:
    session = begin(user)
    for word in ("active", "inactive") if last == "inactive" else ("inactive", "active"):
        switched("alpha_xf", 10, provider_status=word)
    success(session, "7", 1, "alpha_xf")
    assert status(session.connection) == ("active", "")
    check()


# --- Removals ----------------------------------------------------------------------------------------------


def test_what_the_list_alone_tells_of_an_erased_session_is_removed(upstream: Upstream, user: User) -> None:
    session = begin(user)
    token = session.pending_token
    erase(user=user)
    said = {"success_at": f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}"}
    upstream.lists(
        row("7", token=token, attempt=said), row("99", token="5f0c8a52-0000-4000-8000-00000000abcd")
    )
    upstream.deletes("7")
    reconcile(timezone.now() + timedelta(minutes=5))
    assert [str(call.url).rpartition("/")[2] for call in upstream.calls("DELETE")] == ["7"]


@pytest.mark.parametrize("how", ["missed", "destroyed"])
def test_a_link_on_which_a_connection_may_come_back_is_left(upstream: Upstream, user: User, how: str) -> None:
    one = begin(user)
    success(one, "7", 1)
    other = begin(user)
    success(other, "7", 2)
    if how == "destroyed":
        post(callbacks.destroy(None, "7", time=at(5)))
    else:
        upstream.lists(row("99", token="5f0c8a52-0000-4000-8000-00000000abcd"))
        for hours in (1, 3, 30, 60):
            reconcile(timezone.now() + timedelta(hours=hours))
            BankingConnection.objects.update(missing_since=timezone.now() - timedelta(days=1))
    if {status(one.connection)[0], status(other.connection)[0]} != {"disconnected"}:
        pytest.fail("neither is gone")
    disconnect(one.connection)
    assert not upstream.calls("DELETE")
    assert Removal.objects.get().left_at is not None


def test_a_row_that_has_stopped_since_it_succeeded_is_filed(upstream: Upstream, user: User) -> None:
    session = begin(user)
    said = {"success_at": f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}", "finished": True}
    upstream.lists(row("7", status="inactive", token=session.pending_token, attempt=said))
    reconcile(timezone.now() + timedelta(minutes=20))
    session.refresh_from_db()
    assert (session.status, session.upstream_id) == ("succeeded", "7")
    assert status(session.connection)[0] == "inactive"
    check()
    upstream.deletes("7")
    disconnect(session.connection)
    assert len(upstream.calls("DELETE")) == 1


def test_a_success_after_a_proved_removal_is_removed_too(upstream: Upstream, user: User) -> None:
    session = begin(user)
    post(callbacks.notify(session.pending_token, "start", connection_id="7", time=at(1)))
    upstream.deletes("7", 404, {"error": {"class": "ConnectionNotFound"}})
    disconnect(session.connection)
    assert not Removal.objects.unsettled().exists()
    later = timezone.now() + timedelta(minutes=2)
    post(callbacks.success(session.pending_token, "7", time=f"{later:%Y-%m-%dT%H:%M:%SZ}"))
    assert Removal.objects.unsettled().count() == 1
    upstream.mock.remove("DELETE", "https://api.business-os.test/v2/banking/connections/7")
    upstream.deletes("7")
    reconcile(later + timedelta(minutes=10))
    assert not Removal.objects.unsettled().exists()
    check()


def test_a_renewal_that_only_named_the_link_of_another_connection_replaces_nothing(
    upstream: Upstream, user: User
) -> None:
    """It is at the bank, where a link is named that another connection stands on; that one is refreshed meanwhile."""
    bank = {"provider_code": "alpha_xf", "provider_name": "alpha_xf", "country_code": "DE"}
    mine = begin(user)
    success(mine, "7", 1, "alpha_xf")
    other = begin(user)
    success(other, "8", 2, "alpha_xf")
    renewal = begin(user, mine.connection)
    post(callbacks.notify(renewal.pending_token, "start", connection_id="8", time=at(10)))
    post(callbacks.success(None, "8", time=at(20), **bank))
    setting = {**django_settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    with override_settings(BUSINESS_OS_BANKING=setting):
        post(callbacks.success(None, "8", time=at(21), **bank))
        reconcile(timezone.now() + timedelta(days=2))
    assert not upstream.calls("DELETE")
    assert not Removal.objects.exists()


# --- What is left of the erased ----------------------------------------------------------------------------


def test_what_contradicts_itself_is_not_kept_of_the_erased(upstream: Upstream, user: User) -> None:
    session = begin(user)
    token = session.pending_token
    erase(user=user)
    body = callbacks.success(token, "7", time=at(1))
    body["data"]["connection"] = {"id": "8", "status": "active"}
    post(body)
    event = ConnectionEvent.objects.get(source="webhook")
    assert (event.pending_token, event.session_reference, event.upstream_id, event.payload) == (
        None,
        None,
        "",
        {},
    )


def test_a_stray_by_link_is_forgotten_when_it_is_known_whose_it_is(upstream: Upstream, user: User) -> None:
    session = begin(user)
    token = session.pending_token
    erase(user=user)
    post(callbacks.success(None, "7", time=at(1)))
    post(callbacks.success(token, "7", time=at(2)))
    assert not ConnectionEvent.objects.filter(upstream_id="7").exists()


def test_a_page_that_begins_with_a_link_of_the_erased_is_not_remembered(
    upstream: Upstream, user: User
) -> None:
    session = begin(user)
    success(session, "7", 1)
    upstream.deletes("7")
    erase(user=user)
    reconcile()
    assert not Removal.objects.unsettled().exists()
    state, _new = AccountState.objects.get_or_create(alias="default")
    from business_os_banking.flows import pages

    pages.push_anchor(state, "7", "9")
    assert AccountState.objects.get().anchors == ["9"]


def test_erased_while_the_call_is_under_way(upstream: Upstream, user: User) -> None:
    client = Client()
    client.force_login(user)
    answers: list[Any] = []

    def erasing(request: Any) -> Any:
        erase(user=user)
        return upstream._connect(request)

    upstream.mock.remove("POST", "https://api.business-os.test/v2/banking/connect")
    upstream.mock.add_callback("POST", "https://api.business-os.test/v2/banking/connect", erasing)
    answers.append(client.post("/banking/connect/"))
    assert answers[0].status_code == 503
    assert "interrupted" in answers[0].content.decode()
    token = upstream.answers[-1]["pending_token"]
    post(callbacks.success(token, "7", time=at(1)))
    assert list(Removal.objects.unsettled().values_list("upstream_id", flat=True)) == ["7"]
    assert not ConnectionEvent.objects.exclude(pending_token=None).exists()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_a_late_word_of_an_older_session_is_no_later_success(
    upstream: Upstream, user: User, order: tuple[int, ...], settings: Any
) -> None:
    """The success of the first named its link alone; after the renewal, a refresh of that link named its session."""
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    with time_machine.travel(START, tick=True):
        first = begin(user)
    with time_machine.travel(START + timedelta(minutes=30), tick=True):
        renewal = begin(user, first.connection)
    bank = {"provider_code": "herbst_de", "provider_name": "Herbst", "country_code": "DE"}
    letters = [
        callbacks.success(None, "7001", time=at(5), **bank),
        callbacks.success(renewal.pending_token, "7002", time=at(35), **bank),
        callbacks.success(first.pending_token, "7001", time=at(60), **bank),
    ]
    for place in order:
        post(letters[place])
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.upstream_id) == ("active", "7002")
    first.refresh_from_db()
    assert (first.status, first.succeeded_at) == (
        "succeeded",
        START.replace(microsecond=0) + timedelta(minutes=5),
    )
    # Neither is removed: the word of the old link is the latest.
    reconcile(timezone.now() + timedelta(days=2))
    assert not Removal.objects.exists()
    call_command("banking_rebuild", "--check", verbosity=0)
