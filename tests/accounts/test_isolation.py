"""What is done with one account changes no row of another, whatever it names."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.db import connections, transaction
from django.utils import timezone
from responses.matchers import header_matcher

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.facts.replay import replay, select
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.flows.erase import erase
from business_os_banking.flows.explain import explain
from business_os_banking.flows.prune import prune
from business_os_banking.flows.read import read_account
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.flows.remind import remind
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
)
from tests import callbacks
from tests.accounts.conftest import (
    BANK,
    LINK,
    NORTH,
    OTHER_LINK,
    SOUTH,
    Two,
    post,
    rows_of,
    secret_of,
    start,
)
from tests.upstream.fake import BASE_URL, connect_answer, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
Body = dict[str, Any]

KINDS: dict[str, Body] = {
    "succeeded": {"stage": "finish"},
    "progressed": {"stage": "fetch_accounts"},
    "failed": {"error_class": "InvalidCredentials"},
    "failed for a while": {"error_class": "ProviderError"},
    "cancelled": {"error_class": "ProviderAccessNotGranted"},
    "consent expired": {"consent_status": "expired"},
    "consent revoked": {"consent_status": "revoked", "reason": "client"},
    "removed": {},
    "unknown": {"payment_id": "1"},
}
BANKS: dict[str, Body] = {
    "switched off": {"provider_code": BANK, "provider_status": "inactive"},
    "switched on": {"provider_code": BANK, "provider_status": "active"},
}
# What a body may hold to be filed by. ``mine`` is a session of the account that it is posted to.
WAYS: dict[str, Callable[[ConnectSession, ConnectSession], Body]] = {
    "a link that both have": lambda mine, theirs: {"connection_id": LINK},
    "a link under way that both have": lambda mine, theirs: {"connection_id": OTHER_LINK},
    "their token": lambda mine, theirs: {"token": theirs.pending_token},
    "their token and link": lambda mine, theirs: {"token": theirs.pending_token, "connection_id": LINK},
    "their session": lambda mine, theirs: {"session": theirs.reference},
    "their session and link": lambda mine, theirs: {"session": theirs.reference, "connection_id": LINK},
    "their token and session": lambda mine, theirs: {
        "token": theirs.pending_token,
        "session": theirs.reference,
        "connection_id": LINK,
    },
    "my token, their session": lambda mine, theirs: {
        "token": mine.pending_token,
        "session": theirs.reference,
    },
    "their token, my session": lambda mine, theirs: {
        "token": theirs.pending_token,
        "session": mine.reference,
    },
    "my token and a link that both have": lambda mine, theirs: {
        "token": mine.pending_token,
        "connection_id": LINK,
    },
}


def bodies(two: Two) -> list[Body]:
    """Return a body of every kind that names sessions in every way, for North."""
    named = [
        callbacks.body(**way(two.second[NORTH], two.second[SOUTH]), **says, time="2026-11-02T10:00:00Z")
        for way in WAYS.values()
        for says in KINDS.values()
    ]
    return named + [callbacks.body(**says, time="2026-11-02T10:00:00Z") for says in BANKS.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_touches_a_row_of_another_account(two: Two, kind: str) -> None:
    before = rows_of(SOUTH)
    for way in WAYS.values():
        named = way(two.second[NORTH], two.second[SOUTH])
        assert post(NORTH, callbacks.body(**named, **KINDS[kind], time="2026-11-02T10:00:00Z")) == 200
        assert rows_of(SOUTH) == before
        event = ConnectionEvent.objects.latest("pk")
        assert event.account == NORTH
        assert event.connection in {None, two.connection(NORTH)}
    assert ConnectionEvent.objects.filter(account=NORTH, connection=two.connection(NORTH)).count() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_further_link_of_a_session_is_not_looked_for_in_another_account(two: Two, kind: str) -> None:
    third = start(SOUTH, two.user, next_url="/third/")
    for minute, link in enumerate(("888", "999")):
        told = callbacks.success(third.pending_token, link, time=f"2026-11-01T12:0{minute}:00Z")
        assert post(SOUTH, told) == 200
    further = SessionLink.objects.get().upstream_id
    before = rows_of(SOUTH)
    body = callbacks.body(connection_id=further, **KINDS[kind], time="2026-11-02T10:00:00Z")
    assert post(NORTH, body) == 200
    assert rows_of(SOUTH) == before
    event = ConnectionEvent.objects.latest("pk")
    assert (event.account, event.outcome, event.connection) == (NORTH, "unmatched", None)


@pytest.mark.parametrize("change", BANKS)
def test_a_bank_is_switched_for_one_account_only(two: Two, change: str) -> None:
    before = rows_of(SOUTH)
    assert post(NORTH, callbacks.body(**BANKS[change], time="2026-11-02T10:00:00Z")) == 200
    assert rows_of(SOUTH) == before
    assert two.connection(NORTH).status == {"switched off": "inactive", "switched on": "active"}[change]
    # Nor does it wait for connections of the other account that turn out to be at that bank.
    third = start(SOUTH, two.user, next_url="/third/")
    told = callbacks.success(third.pending_token, "999", provider_code=BANK, time="2026-11-01T12:00:00Z")
    assert post(SOUTH, told) == 200
    assert BankingConnection.objects.get(pk=third.connection_id).status == "active"


def test_the_secret_of_one_account_opens_no_other(two: Two, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "REJECTED_WEBHOOKS_PER_MINUTE": 0}
    before = rows_of(NORTH), rows_of(SOUTH)
    for body in bodies(two):
        assert post(SOUTH, body, secret=secret_of(NORTH)) == 403
    assert (rows_of(NORTH), rows_of(SOUTH)) == before


def test_the_answer_does_not_tell_whether_another_account_knows_a_session(two: Two) -> None:
    known = callbacks.success(two.second[SOUTH].pending_token)
    unknown = callbacks.success("8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f")
    assert post(NORTH, known) == post(NORTH, unknown) == 200
    fields = ("outcome", "note", "connection", "session", "announcements")
    one, other = ConnectionEvent.objects.filter(account=NORTH).order_by("-pk").values(*fields)[:2]
    assert one == other


def test_the_same_body_posted_to_two_accounts_is_two_events(two: Two) -> None:
    body = callbacks.destroy(None, LINK, time="2026-11-02T10:00:00Z")
    for alias, statuses in ((NORTH, ["disconnected", "active"]), (SOUTH, ["disconnected", "disconnected"])):
        assert [post(alias, body), post(alias, body)] == [200, 200]
        assert [two.connection(alias).status for alias in (NORTH, SOUTH)] == statuses
    events = ConnectionEvent.objects.filter(kind="removed")
    assert [(event.account, event.deliveries, event.outcome) for event in events.order_by("pk")] == [
        (NORTH, 2, "applied"),
        (SOUTH, 2, "applied"),
    ]
    assert len({event.digest for event in events}) == 2


def test_the_timeline_of_a_connection_shows_no_event_of_another_account(two: Two) -> None:
    for body in bodies(two):
        assert post(NORTH, body) == 200
    shown = {entry.event for entry in explain(two.connection(SOUTH))}
    own = set(ConnectionEvent.objects.filter(account=SOUTH).values_list("pk", flat=True))
    assert shown
    assert shown <= own


def test_a_bank_that_is_connected_already_is_not_looked_for_in_another_account(two: Two) -> None:
    third = start(NORTH, two.user, next_url="/third/")
    two.connection(NORTH).delete()
    fail = callbacks.fail(third.pending_token, "ConnectionDuplicated", duplicated_connection_id=LINK)
    assert post(NORTH, fail) == 200
    third.refresh_from_db()
    assert third.error_group == "already_connected"
    assert known_connection(third) is None


# --- what the flows do with an account ---


def read_changes(two: Two) -> None:
    theirs = two.second[SOUTH]
    two.upstream.lists(
        row(LINK, status="inactive", attempt={"fail_at": "2026-11-02T10:00:00Z", "success_at": None}),
        row(OTHER_LINK, token=theirs.pending_token, attempt={"success_at": "2026-11-02T10:00:00Z"}),
        row("999", session=theirs.reference, attempt={"success_at": "2026-11-02T10:00:00Z"}),
    )
    read_account(NORTH, timezone.now() + timedelta(minutes=11))


def read_nothing_twice(two: Two) -> None:
    # Something has to be in the list, or it is not believed.
    more = start(NORTH, two.user, next_url="/more/")
    post(NORTH, callbacks.success(more.pending_token, "888", time="2026-11-01T10:00:00Z"))
    two.upstream.lists(row("888"))
    for hours in (1, 3):
        read_account(NORTH, timezone.now() + timedelta(hours=hours))


def read_in_vain(two: Two) -> None:
    two.upstream.lists(status=500)
    read_account(NORTH, timezone.now() + timedelta(minutes=11))


def replay_all(two: Two) -> None:
    BankingConnection.objects.filter(account=NORTH).update(state={}, status="pending")
    replay(select(since=timezone.now() - timedelta(days=1)).filter(account=NORTH), again=True)


def mend(two: Two) -> None:
    BankingConnection.objects.filter(account=NORTH).update(state={}, status="pending")
    assert {difference.column for difference in rebuild()} >= {"state", "status"}


def end(two: Two) -> None:
    two.upstream.deletes(LINK)
    disconnect(two.connection(NORTH))
    assert {call.headers["x-api-key"] for call in two.upstream.calls("DELETE")} == {"key-of-north"}


def learn_of_a_link(two: Two) -> None:
    post(SOUTH, callbacks.destroy(None, "999", time="2026-11-03T10:00:00Z"))
    before = rows_of(SOUTH)
    third = start(NORTH, two.user, next_url="/third/")
    post(NORTH, callbacks.success(third.pending_token, "999", time="2026-11-02T10:00:00Z"))
    assert rows_of(SOUTH) == before
    ConnectionEvent.objects.filter(account=SOUTH, upstream_id="999").delete()


def learn_of_a_token(two: Two) -> None:
    answer = connect_answer()
    post(SOUTH, callbacks.success(answer["pending_token"], "999", time="2026-11-03T10:00:00Z"))
    before = rows_of(SOUTH)
    two.upstream.connect_answers(body=answer)
    third = start(NORTH, two.user, next_url="/third/")
    assert rows_of(SOUTH) == before
    third.refresh_from_db()
    assert third.status == "open"
    ConnectionEvent.objects.filter(account=SOUTH, upstream_id="999").delete()


DEEDS: dict[str, Callable[[Two], None]] = {
    "its list is read, and names their sessions": read_changes,
    "its list is read twice, and lacks the link": read_nothing_twice,
    "its list cannot be read": read_in_vain,
    "its events are replayed": replay_all,
    "its rows are rebuilt": mend,
    "its connection is ended, with the same link": end,
    "it learns of a link that an event of theirs waits for": learn_of_a_link,
    "it learns of a token that an event of theirs waits for": learn_of_a_token,
}


@pytest.mark.parametrize("deed", DEEDS)
def test_no_flow_touches_a_row_of_another_account(two: Two, deed: str) -> None:
    before, own = rows_of(SOUTH), rows_of(NORTH)
    DEEDS[deed](two)
    assert rows_of(SOUTH) == before
    assert rows_of(NORTH) != own
    assert list(rebuild(check=True)) == []


def test_what_is_erased_is_of_its_owner(two: Two, other_user: User) -> None:
    BankingConnection.objects.filter(account=NORTH).update(user=other_user)
    ConnectSession.objects.filter(connection__account=NORTH).update(expires_at=timezone.now())
    for alias in (NORTH, SOUTH):  # both keep an event that matched nothing, and names the link
        body = callbacks.success(None, LINK, time="2026-11-02T10:00:00Z")
        body["data"]["connection"] = {"id": "another"}
        assert post(alias, body) == 200
    before = rows_of(SOUTH)
    two.upstream.deletes(LINK)
    assert erase(user=other_user).connections == 1
    assert rows_of(SOUTH) == before
    assert rows_of(NORTH)["connections"] == []


def test_what_is_pruned_says_nothing_of_another_account(two: Two) -> None:
    time = "2026-11-02T10:00:00Z"
    for says in ({"stage": "finish"}, {"error_class": "InvalidCredentials"}):
        assert post(NORTH, callbacks.body(connection_id=LINK, **says, time=time)) == 200
    assert post(NORTH, callbacks.destroy(None, LINK, time=time)) == 200
    assert two.connection(NORTH).status == "disconnected"
    ConnectionEvent.objects.filter(account=NORTH).update(received_at=timezone.now() - timedelta(days=401))
    before = rows_of(SOUTH)
    assert prune().events > 0
    assert rows_of(SOUTH) == before
    assert list(rebuild(check=True)) == []


def test_what_is_pruned_is_kept_for_whoever_named_the_link(two: Two) -> None:
    """Within one account, facts of a link concern every connection that has ever named it."""
    third = start(NORTH, two.user, next_url="/third/")
    for token, link, minute in ((third.pending_token, OTHER_LINK, 1), (third.pending_token, "999", 2)):
        told = callbacks.success(token, link, time=f"2026-11-01T12:0{minute}:00Z")
        assert post(NORTH, told) == 200
    fail = callbacks.fail(
        two.second[NORTH].pending_token, connection_id=OTHER_LINK, time="2026-11-02T10:00:00Z"
    )
    assert post(NORTH, fail) == 200
    assert list(rebuild(check=True)) == []
    ConnectionEvent.objects.update(received_at=timezone.now() - timedelta(days=401))
    ConnectSession.objects.update(status="expired")  # so that the events of open ones may go, too
    ConnectSession.objects.filter(pk=third.pk).update(status="succeeded")
    assert prune().events > 0
    assert not [item for item in rebuild(check=True) if item.column == "state"]


def test_reminders_are_of_one_connection(two: Two) -> None:
    ends = timezone.now() + timedelta(days=6)
    BankingConnection.objects.filter(account=NORTH).update(consent_expires_at=ends)
    before = rows_of(SOUTH)
    assert remind(timezone.now()) == 1
    assert rows_of(SOUTH) == before
    assert ConnectionEvent.objects.get(kind="consent_expiring").account == NORTH


def test_a_token_that_two_accounts_are_given_stays_with_the_first(two: Two) -> None:
    theirs = two.second[SOUTH].pending_token
    two.upstream.connect_answers(body=connect_answer(pending_token=str(theirs)))
    before = rows_of(SOUTH)
    with pytest.raises(Exception, match="given before"):
        start(NORTH, two.user, next_url="/third/")
    assert rows_of(SOUTH) == before


def test_the_trouble_of_one_account_holds_up_no_other(two: Two) -> None:
    url = f"{BASE_URL}/v2/banking/connections"
    for alias, status in ((NORTH, 401), (SOUTH, 200)):
        key = header_matcher({"x-api-key": f"key-of-{alias}"})
        ended = {"fail_at": "2026-11-02T10:00:00Z", "success_at": None}
        rows = {"data": [row(LINK, status="inactive", attempt=ended)]}
        two.upstream.mock.add("GET", url, json=rows, status=status, match=[key])
    result = reconcile(timezone.now() + timedelta(minutes=11))
    assert [problem.partition(":")[0] for problem in result.problems] == [NORTH]
    assert [two.connection(alias).status for alias in (NORTH, SOUTH)] == ["active", "inactive"]
    paused = AccountState.objects.exclude(paused_until=None)
    assert [state.alias for state in paused] == [NORTH]


@pytest.mark.server_database
def test_no_event_waits_for_a_row_of_another_account(two: Two) -> None:
    """Somebody holds every row of South; North goes on all the same."""

    def deliver_all() -> list[int]:
        try:
            return [post(NORTH, body) for body in bodies(two)]
        finally:
            connections.close_all()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        for model, condition in (
            (BankingConnection, {"account": SOUTH}),
            (ConnectSession, {"connection__account": SOUTH}),
            (ConnectionEvent, {"account": SOUTH}),
        ):
            keys = list(model.objects.filter(**condition).values_list("pk", flat=True))
            assert list(model.objects.filter(pk__in=keys).select_for_update())
        assert database.in_atomic_block
        assert set(pool.submit(deliver_all).result(60)) == {200}
