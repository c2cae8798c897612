"""One reader for one thing: a connection means the same in a webhook, in the list, and read by its id."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import responses
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.deeds import start
from tests.reading.world import LINK, OPEN, SUCCEEDED, ago, connected, latest, post, stands
from tests.upstream.fake import BASE_URL, Upstream

pytestmark = pytest.mark.django_db

Item = dict[str, Any]
Report = Callable[[Upstream, Item], None]


def attempt(token: object, **more: Any) -> Item:
    named = {"pending_token": str(token)} if token else {}
    return {"id": "777", "custom_fields": named, "success_at": None, "fail_at": None, **more}


def item(last_attempt: Item | None, status: str | None = "active", link: str = LINK, **more: Any) -> Item:
    return {"id": link, "customer_id": "9", "status": status, "last_attempt": last_attempt, **more}


def webhook(wrap: Callable[[Item], Item]) -> Report:
    def report(upstream: Upstream, content: Item) -> None:
        assert post(wrap(content)) == 200

    return report


def by_list(wrap: Callable[[Item], Any]) -> Report:
    def report(upstream: Upstream, content: Item) -> None:
        upstream.lists(body=wrap(content))
        reconcile(timezone.now() + timedelta(minutes=11))

    return report


def by_id(upstream: Upstream, content: Item) -> None:
    """Have it read by its id: something of it must be open for that, and its link be known."""
    rows = BankingConnection.objects.exclude(upstream_id="")
    rows.update(read_due_at=timezone.now())
    upstream.lists()
    upstream.mock.upsert(responses.GET, f"{BASE_URL}/v2/banking/connections/{LINK}", json={"data": content})
    reconcile(timezone.now() + timedelta(minutes=11))


META = {"meta": {"version": "6", "time": None}}
WEBHOOKS: dict[str, Report] = {
    "in data": webhook(lambda content: {"data": content, **META}),
    "bare": webhook(lambda content: content),
    "in connection": webhook(lambda content: {"data": {"connection": content}, **META}),
    "in payload": webhook(lambda content: {"payload": {"data": content}}),
    "in body": webhook(lambda content: {"body": {"event": "connection.updated", "data": content}}),
    "in connections": webhook(lambda content: {"connections": [content]}),
    "in an event of its own": webhook(
        lambda content: {"id": "evt_1", "status": "active", "data": {"connection": content}}
    ),
    "alone in a list": webhook(lambda content: {"data": [content]}),
    "named a success": webhook(lambda content: {"type": "connection.success", "data": content}),
    "named a progress": webhook(lambda content: {"event": "connection.notify", "data": content}),
}
LISTS: dict[str, Report] = {
    "data": by_list(lambda content: {"data": [content], "meta": {}}),
    "connections": by_list(lambda content: {"connections": [content]}),
    "bare": by_list(lambda content: [content]),
    "beside an empty list": by_list(lambda content: {"data": [], "connections": [content]}),
    "wrapped twice": by_list(lambda content: {"data": {"connections": [content]}}),
    "each wrapped": by_list(lambda content: {"data": [{"connection": content}]}),
    "each in data": by_list(lambda content: {"connections": [{"data": content, "meta": {}}]}),
    "among others": by_list(lambda content: {"data": ["x", None, {}, {"id": "1"}, content], "meta": None}),
}
ANY = {f"webhook, {name}": report for name, report in WEBHOOKS.items()}
ANY |= {f"list, {name}": report for name, report in LISTS.items()}
# The others are read by the same code, and take as long again: they are for the long runs.
QUICK = {
    "webhook, in data",
    "webhook, in payload",
    "webhook, named a success",
    "list, data",
    "list, each wrapped",
}
any_way = pytest.mark.parametrize(
    "way", [pytest.param(way, marks=() if way in QUICK else pytest.mark.long) for way in ANY]
)


@any_way
def test_an_attempt_that_succeeded(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    ANY[way](upstream, item(attempt(session.pending_token, success_at=ago(minutes=3))))
    assert stands(session) == SUCCEEDED
    assert BankingConnection.objects.get().upstream_id == LINK


@any_way
@pytest.mark.parametrize("more", [{"finished": True}, {"last_stage": {"name": "finish"}}])
def test_an_attempt_that_is_finished(upstream: Upstream, user: User, way: str, more: Item) -> None:
    session = start(user)
    ANY[way](upstream, item(attempt(session.pending_token, **more), updated_at=ago(minutes=3)))
    assert stands(session) == SUCCEEDED


@any_way
@pytest.mark.parametrize("more", [{"finished": "true"}, {"finished": 1}, {"finished": "True"}])
def test_an_attempt_that_is_finished_in_another_spelling(
    upstream: Upstream, user: User, way: str, more: Item
) -> None:
    session = start(user)
    ANY[way](upstream, item(attempt(session.pending_token, **more), updated_at=ago(minutes=3)))
    assert stands(session) == SUCCEEDED


@any_way
@pytest.mark.parametrize("key", ["fail_error_class", "error_class"])
def test_a_flat_failure_is_that_of_the_attempt(upstream: Upstream, user: User, way: str, key: str) -> None:
    connection = connected(start(user))
    renewal = start(user, connection=connection)
    content = item(None, pending_token=str(renewal.pending_token), **{key: "InvalidCredentials"})
    ANY[way](upstream, {**content, "fail_at": ago(minutes=1)})
    assert stands(renewal) == ("failed", "active", "")


@any_way
def test_an_attempt_of_which_only_its_end_is_denied_is_under_way(
    upstream: Upstream, user: User, way: str
) -> None:
    session = start(user)
    empty: Item = {"finished": False, "success_at": None, "fail_at": None, "error": {}}
    ANY[way](upstream, {**item(empty), "pending_token": str(session.pending_token)})
    assert stands(session) == OPEN


@any_way
@pytest.mark.parametrize(
    "more",
    [
        {"fail_at": "now", "fail_error_class": "InvalidCredentials"},
        {"fail_at": "29.11.2026", "fail_error_class": "InvalidCredentials"},
        {"fail_error_class": "InvalidCredentials", "finished": True},
        {"error": {"class": "InvalidCredentials"}, "fail_at": "now"},
    ],
)
def test_a_renewal_that_failed_leaves_the_link_that_works(
    upstream: Upstream, user: User, way: str, more: Item
) -> None:
    session = start(user)
    connection = connected(session)
    end = connection.consent_expires_at
    renewal = start(user, connection=connection)
    more = {key: ago(minutes=1) if value == "now" else value for key, value in more.items()}
    ANY[way](upstream, item(attempt(renewal.pending_token, **more), last_success_at=ago(days=1)))
    assert stands(renewal) == ("failed", "active", "")
    connection.refresh_from_db()
    assert connection.consent_expires_at == end
    assert ConnectSession.objects.get(pk=renewal.pk).error_class == "InvalidCredentials"


@any_way
def test_an_attempt_under_way_is_not_done(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    connection = connected(session)
    renewal = start(user, connection=connection)
    content = item(
        attempt(renewal.pending_token, last_stage={"name": "fetch_accounts"}), last_success_at=ago(days=1)
    )
    ANY[way](upstream, content)
    assert stands(renewal) == ("open", "active", "")


@any_way
def test_a_first_attempt_under_way_is_not_done(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    ANY[way](upstream, item(attempt(session.pending_token, finished=False)))
    assert stands(session) == OPEN


@any_way
@pytest.mark.parametrize(
    ("status", "error_class", "reason"),
    [
        ("inactive", "ConsentExpired", "consent_expired"),
        ("inactive", "InvalidCredentials", "login_changed"),
        ("inactive", None, "bank_step_required"),
        ("inactive", "SomethingNew", "bank_step_required"),
        ("Inactive", "ProviderAccessNotGranted", "access_denied"),
        ("disabled", None, "bank_disabled"),
    ],
)
def test_a_link_that_needs_its_user(
    upstream: Upstream, user: User, way: str, status: str, error_class: str | None, reason: str
) -> None:
    session = start(user)
    connected(session)
    failed = attempt(session.pending_token, fail_at=ago(minutes=1), fail_error_class=error_class)
    ANY[way](upstream, item(failed, status))
    assert stands(session) == ("succeeded", "inactive", reason)


@any_way
def test_an_old_link_that_is_inactive_says_nothing_of_a_renewal_under_way(
    upstream: Upstream, user: User, way: str
) -> None:
    session = start(user)
    connection = connected(session)
    renewal = start(user, connection=connection)
    ANY[way](upstream, item(attempt(renewal.pending_token), "inactive", updated_at=ago(minutes=1)))
    assert stands(renewal) == ("open", "inactive", "bank_step_required")


@any_way
@pytest.mark.parametrize("place", ["row", "custom_fields", "camel", "attempt", "our key"])
def test_wherever_in_it_the_session_is_named(upstream: Upstream, user: User, way: str, place: str) -> None:
    session = start(user)
    token = str(session.pending_token)
    content = item(attempt(None, success_at=ago(minutes=3)))
    places: dict[str, dict[str, Any]] = {
        "row": {"pending_token": token},
        "custom_fields": {"custom_fields": {"pending_token": token}},
        "camel": {"pendingToken": token.upper()},
        "attempt": {"last_attempt": attempt(None, success_at=ago(minutes=3), pending_token=token)},
        "our key": {"custom_fields": {"session": str(session.reference)}},
    }
    ANY[way](upstream, content | places[place])
    assert stands(session) == SUCCEEDED


@any_way
def test_without_an_attempt_its_status_tells(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    ANY[way](upstream, item(None, pending_token=str(session.pending_token), updated_at=ago(minutes=3)))
    # A mere "active" is said of an old link all through a renewal: no name of a progress makes it a success.
    assert stands(session) == (OPEN if "progress" in way else SUCCEEDED)


@any_way
@pytest.mark.parametrize("status", [None, "", "unknown", "reconnecting"])
def test_without_an_attempt_and_a_status_nothing_is_said(
    upstream: Upstream, user: User, way: str, status: Any
) -> None:
    session = start(user)
    ANY[way](upstream, item(None, status, pending_token=str(session.pending_token)))
    assert stands(session) == (SUCCEEDED if "named a success" in way else OPEN)


@any_way
def test_two_tokens_in_one_change_nothing(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    content = item(attempt(session.pending_token, success_at=ago(minutes=3)), pending_token=str(uuid.uuid4()))
    ANY[way](upstream, content)
    assert stands(session) == OPEN


@any_way
def test_a_further_link_is_found_in_either(upstream: Upstream, user: User, way: str) -> None:
    """Somebody starts again inside the widget: the session has led to two links, and facts of both are ours."""
    session = start(user)
    assert (
        post(callbacks.notify(session.pending_token, "start", connection_id="888", time=ago(minutes=9)))
        == 200
    )
    connected(session, minutes=8)
    ANY[way](
        upstream, item(attempt(None, success_at=ago(minutes=3)), link="888", last_success_at=ago(minutes=3))
    )
    event = BankingConnection.objects.get().events.latest("pk")
    assert (event.upstream_id, event.kind) == ("888", "succeeded")


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_what_belongs_to_a_connection_is_told_from_one(upstream: Upstream, user: User, status: str) -> None:
    """An event, a consent, an account: it has an id of its own beside the connection's."""
    session = start(user)
    connected(session)
    body = {"id": "evt_1", "data": {"id": "999", "connection_id": LINK, "status": "active", "stage": "start"}}
    assert post({**body, "meta": {"time": ago(minutes=1)}}) == 200
    assert (latest().note, latest().upstream_id) == ("", LINK)
    consent = {"id": "998", "connection_id": LINK, "status": "revoked", "consent_id": "998"}
    assert post({"type": "consent.revoked", "data": consent, "meta": {"time": ago(seconds=30)}}) == 200
    assert stands(session) == ("succeeded", "inactive", "consent_revoked")


def test_a_name_that_says_failed_is_not_gainsaid_by_a_link_that_works(upstream: Upstream, user: User) -> None:
    session = start(user)
    connection = connected(session)
    renewal = start(user, connection=connection)
    content = item(None, pending_token=str(renewal.pending_token))
    assert post({"type": "connection.failed", "data": content, "meta": {"time": ago(minutes=1)}}) == 200
    assert stands(renewal) == ("failed", "active", "")


def test_a_flat_status_beside_an_id(upstream: Upstream, user: User) -> None:
    session = start(user)
    body = {"connection_id": LINK, "status": "active", "pending_token": str(session.pending_token)}
    assert post({**body, "time": ago(minutes=1)}) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (item(attempt(None, success_at="2026-11-01T10:00:00Z")), "active"),
        (
            item(
                attempt(None, fail_at="2099-01-01T10:00:00Z", fail_error_class="ConsentExpired"), "inactive"
            ),
            "inactive",
        ),
        ({"connection": item(attempt(None, success_at="2026-11-01T10:00:00Z"))}, "active"),
    ],
)
def test_it_is_read_by_its_id_in_the_same_way(
    upstream: Upstream, user: User, content: Item, expected: str
) -> None:
    session = start(user)
    connected(session)
    by_id(upstream, json.loads(json.dumps(content)))
    assert stands(session)[1] == expected


@any_way
def test_details_are_taken_from_all_of_it(upstream: Upstream, user: User, way: str) -> None:
    session = start(user)
    content = item(
        attempt(session.pending_token, success_at=ago(minutes=3)),
        provider_code="spk_de",
        provider_name="Stadt\u00a0Sparkasse",
        country_code="DE",
        next_refresh_possible_at="2027-01-01 10:00:00 UTC",
        consent_expires_at="2027-03-01",
    )
    ANY[way](upstream, content)
    connection = BankingConnection.objects.get()
    assert (connection.provider_code, connection.provider_name, connection.country_code) == (
        "spk_de",
        "Stadt Sparkasse",
        "DE",
    )
    assert f"{connection.next_refresh_possible_at:%Y-%m-%d %H:%M}" == "2027-01-01 10:00"
    assert f"{connection.consent_expires_at:%Y-%m-%d %H:%M:%S}" == "2027-03-01 23:59:59"


def read_again(upstream: Upstream, *rows: Item, minutes: int) -> None:
    """Read the whole list in *minutes* from now, whatever was read before."""
    upstream.lists(*rows)
    AccountState.objects.update(sweep_next_at=timezone.now(), read_at=None)
    reconcile(timezone.now() + timedelta(minutes=minutes))


def test_a_row_without_times_is_so_whenever_it_is_read(upstream: Upstream, user: User) -> None:
    """The same row again is no new fact, unless something else was said of its link meanwhile."""
    session = start(user)
    connected(session)
    stopped: Item = {"id": LINK, "status": "inactive"}
    read_again(upstream, stopped, minutes=1)
    assert stands(session)[1] == "inactive"
    events = ConnectionEvent.objects.count()
    read_again(upstream, stopped, minutes=2)
    assert ConnectionEvent.objects.count() == events
    now = timezone.now()
    with time_machine.travel(now + timedelta(minutes=10), tick=True):
        assert post(callbacks.success(None, LINK, time=ago())) == 200
        assert stands(session)[1] == "active"
        read_again(upstream, stopped, minutes=1)
        assert stands(session)[1] == "inactive"
        read_again(upstream, {"id": LINK, "status": "active"}, minutes=2)
        assert stands(session)[1] == "active"
    with time_machine.travel(now + timedelta(minutes=20), tick=True):
        failure = callbacks.fail(None, "InvalidCredentials", connection_id=LINK, time=ago())
        assert post(failure) == 200
        assert stands(session)[1] == "inactive"
        read_again(upstream, {"id": LINK, "status": "active"}, minutes=1)
        assert stands(session)[1] == "active"


@any_way
def test_a_success_without_a_time_of_its_own_is_as_old_as_its_object(
    upstream: Upstream, user: User, way: str
) -> None:
    """An attempt that is over, with no error and no time: the object was changed by it, and no later."""
    session = start(user)
    over = attempt(session.pending_token, finished=True)
    ANY[way](upstream, item(over, updated_at=ago(minutes=3)))
    session.refresh_from_db()
    assert session.status == "succeeded"
    assert session.succeeded_at is not None
    age = timezone.now() - session.succeeded_at
    assert timedelta(minutes=2) < age < timedelta(minutes=5)


@pytest.mark.parametrize("way", sorted({*ANY} - {"webhook, named a progress"}))
def test_an_object_that_does_not_work_and_tells_of_no_attempt_is_about_its_session(
    upstream: Upstream, user: User, way: str
) -> None:
    session = start(user)
    ANY[way](
        upstream, item(None, "inactive", pending_token=str(session.pending_token), updated_at=ago(minutes=3))
    )
    session.refresh_from_db()
    assert session.status == "failed"
