"""Reconcile: what was missed is found, once, whatever was in the way."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from business_os_banking import signals, tasks
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import Account
from business_os_banking.exceptions import NotFound, Unintelligible
from business_os_banking.facts.report import expired
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import Result, preview, reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.upstream.client import BusinessOSClient
from tests import callbacks
from tests.callbacks import SECRET
from tests.deeds import deliver, start
from tests.upstream.fake import BASE_URL, Upstream, connect_answer, row

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(minutes=1)


def connected(user: User, link: str = "777", **more: Any) -> BankingConnection:
    session = start(user, **more)
    deliver(callbacks.success(session.pending_token, link, time="2026-11-01T10:00:00Z"))
    return BankingConnection.objects.get(pk=session.connection_id)


def run(minutes: float = 11) -> Result:
    """Reconcile that long after now: a session that was opened now is looked for ten minutes after that."""
    return reconcile(timezone.now() + timedelta(minutes=minutes))


# --- reading back ---


@pytest.mark.parametrize("key", ["token", "session"])
def test_a_site_that_gets_no_webhook_still_learns_of_success(
    upstream: Upstream, user: User, key: str
) -> None:
    session = start(user)
    value = session.pending_token if key == "token" else session.reference
    upstream.lists(row("777", token=value) if key == "token" else row("777", session=value))
    result = run()
    assert (result.read_facts, result.read_pages, result.needs_a_person) == (1, 1, False)
    session.refresh_from_db()
    connection = BankingConnection.objects.get()
    assert (session.status, session.succeeded_at) == ("succeeded", datetime(2026, 11, 1, 10, tzinfo=UTC))
    assert (connection.status, connection.upstream_id) == ("active", "777")
    assert (connection.provider_name, connection.provider_code, connection.country_code) == (
        "Demobank",
        "demobank_xf",
        "XF",
    )


@pytest.mark.parametrize(
    ("error_class", "status", "group"),
    [
        ("InvalidCredentials", "failed", "wrong_login"),
        ("ProviderAccessNotGranted", "cancelled", "you_cancelled"),
        ("ProviderUnavailable", "failed", "bank_not_available"),
        ("ConsentRevoked", "failed", "try_again"),
    ],
)
def test_and_of_failure(upstream: Upstream, user: User, error_class: str, status: str, group: str) -> None:
    session = start(user)
    attempt = {"fail_at": "2026-11-01T10:00:00Z", "fail_error_class": error_class}
    upstream.lists(row("777", status="inactive", token=session.pending_token, attempt=attempt))
    run()
    session.refresh_from_db()
    assert (session.status, session.error_group) == (status, group)
    assert BankingConnection.objects.get().status == "pending"


@pytest.mark.parametrize(
    ("attempt", "status", "reason"),
    [
        (
            {"fail_at": "2026-11-02T10:00:00Z", "fail_error_class": "InvalidCredentials"},
            "inactive",
            "login_changed",
        ),
        (
            {"fail_at": "2026-11-02T10:00:00Z", "fail_error_class": "ProviderError"},
            "inactive",
            "bank_step_required",
        ),
        ({"fail_at": "2026-11-02T10:00:00Z"}, "inactive", "bank_step_required"),
        (
            {"fail_at": "2026-11-02T10:00:00Z", "fail_error_class": "ProviderAccessNotGranted"},
            "inactive",
            "access_denied",
        ),
        ({"fail_at": "2026-11-02T10:00:00Z"}, "disabled", "bank_disabled"),
    ],
)
def test_a_working_connection_that_the_upstream_calls_inactive_needs_the_user(
    upstream: Upstream, user: User, attempt: dict[str, str], status: str, reason: str
) -> None:
    connection = connected(user)
    token = ConnectSession.objects.get().pending_token
    upstream.lists(row("777", status=status, token=token, attempt=attempt))
    run()
    connection.refresh_from_db()
    assert (connection.status, connection.status_reason) == ("inactive", reason)


def test_reading_the_same_again_records_nothing(upstream: Upstream, user: User) -> None:
    session = start(user)
    start(user, next_url="/another/")
    upstream.lists(row("777", token=session.pending_token))
    assert run().read_facts == 1
    assert run(2).read_facts == 0
    assert ConnectionEvent.objects.filter(source="read", kind="succeeded").count() == 1


def test_an_old_link_that_works_says_nothing_of_a_renewal_under_way(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    renewal = start(user, connection=connection)
    upstream.lists(row("777", token=renewal.pending_token, attempt={"success_at": None}))
    run()
    renewal.refresh_from_db()
    assert renewal.status == "open"


def test_what_belongs_to_others_is_left_alone(upstream: Upstream, user: User) -> None:
    start(user)
    upstream.lists(row("888", token=uuid.uuid4()), {"no": "id"}, "nonsense")  # type: ignore[arg-type]
    assert run().read_facts == 0
    assert not ConnectionEvent.objects.filter(source="read", kind="succeeded").exists()


def test_all_pages_are_read(upstream: Upstream, user: User) -> None:
    session = start(user)
    url = f"{BASE_URL}/v2/banking/connections"
    first = {"data": [row("1")], "meta": {"next_id": "2", "next_page": "/api/v6/connections?from_id=2"}}
    second = {"data": [row("777", token=session.pending_token)], "meta": {"next_id": None}}
    matcher = responses.matchers.query_param_matcher
    upstream.mock.get(url, json=first, match=[matcher({})])
    upstream.mock.get(url, json=second, match=[matcher({"from_id": "2"})])
    assert run().read_pages == 2
    assert [item.id for item in BusinessOSClient().list_connections()] == ["1", "777"]
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_the_shapes_of_the_list_are_read_tolerantly(upstream: Upstream) -> None:
    client = BusinessOSClient()
    for body in ({"connections": [{"id": 5}]}, [{"id": "5"}]):
        upstream.lists(body=body)
        assert [item.id for item in client.list_connections()] == ["5"]
    wrongs: list[Any] = [{"data": {}}, "text", {}]
    for wrong in wrongs:
        upstream.lists(body=wrong)
        with pytest.raises(Unintelligible):
            list(client.list_connections())
    upstream.lists(status=404, body={})
    with pytest.raises(NotFound):
        list(client.list_connections())


def test_a_page_may_be_long(upstream: Upstream, user: User) -> None:
    session = start(user)
    strangers = [row(str(number)) for number in range(1200)]
    upstream.lists(*strangers, row("mine", token=session.pending_token), *strangers)
    run()
    assert BankingConnection.objects.get().upstream_id == "mine"
    assert ConnectionEvent.objects.filter(source="read", kind="succeeded").count() == 1


@pytest.mark.parametrize("left", [12.5, "12.50"])
def test_credits_are_remembered_where_an_answer_tells_them(upstream: Upstream, user: User, left: Any) -> None:
    start(user)
    upstream.lists(left=left)
    run()
    state = AccountState.objects.get()
    assert f"{state.credits:.2f}" == "12.50"
    wrongs: list[Any] = [
        True,
        "viel",
        None,
        "NaN",
        10**20,
        [],
        "sNaN",
        "-Infinity",
        "1E+1000000",
        "1E+9999999999",
    ]
    wrongs += ["1" * 100_000, 1e300, 10**4000, "\x00", "\ud800", "999999999999.999", "1E+12"]
    for nonsense in wrongs:
        upstream.lists(left=nonsense)
        assert BusinessOSClient().list_connections_page().credits is None


def test_without_anything_to_learn_nothing_is_read(upstream: Upstream, user: User) -> None:
    upstream.lists()
    assert run().read_pages == 0
    connected(user)
    upstream.lists(row("777"))
    assert (
        run().read_pages == 2
    )  # by its id, since nobody has told of its bank, and the first complete reading
    assert run(20).read_pages == 0
    assert run(24 * 60 + 20).read_pages == 1


def test_the_budget_of_a_day_is_kept(upstream: Upstream, user: User, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": 3}
    start(user)
    upstream.lists()
    day = datetime.now(UTC).replace(hour=0, minute=30) + timedelta(days=1)
    pages, problems = [], []
    for number in range(46):
        # It waits for all of that day, and however often somebody would look.
        ConnectSession.objects.update(expires_at=day + timedelta(days=1), look_at=day)
        result = reconcile(day + timedelta(minutes=30 * number))
        pages.append(result.read_pages)
        problems += result.problems
    assert (sum(pages), max(pages)) == (2, 1)  # what is left is the share of those who ask by hand
    assert all("READS_PER_DAY" in problem for problem in problems)
    assert problems
    # The next day a share fills again, at its pace.
    ConnectSession.objects.update(expires_at=day + timedelta(days=2), look_at=day)
    assert reconcile(day + timedelta(hours=28)).read_pages == 1


def test_a_missing_list_is_said_once_and_switches_reading_off(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    session = start(user)
    upstream.lists(status=405, body={})
    for minute in (11, 12, 13):
        result = run(minute)
        assert (result.needs_a_person, "no such list" in result.problems[0]) == (False, True)
    assert len(upstream.calls("GET")) == 1
    assert caplog.text.count("CONNECTIONS_PATH") == 1
    upstream.lists(row("777", token=session.pending_token))
    run(24 * 60 + 15)
    session.refresh_from_db()
    assert session.status == "succeeded"


@pytest.mark.parametrize("status", [500, 429])
def test_trouble_makes_it_pause_longer_each_time(upstream: Upstream, user: User, status: int) -> None:
    start(user)
    upstream.lists(status=status, body={})
    assert not run(11).needs_a_person
    assert "paused" in run(11.5).problems[0]
    assert len(upstream.calls("GET")) == 1
    run(13)
    first = AccountState.objects.get()
    assert (len(upstream.calls("GET")), first.troubles) == (2, 2)
    assert "paused" in run(14).problems[0]
    upstream.lists()
    run(40)
    assert (AccountState.objects.get().troubles, AccountState.objects.get().paused_until) == (0, None)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_trouble_that_only_a_person_ends_makes_it_pause_for_hours(
    upstream: Upstream, user: User, status: int
) -> None:
    start(user)
    upstream.lists(status=status, body={})
    assert run(11).needs_a_person
    result = run(5 * 60)
    assert ("paused" in result.problems[0], result.needs_a_person) == (True, False)
    assert len(upstream.calls("GET")) == 1
    assert run(7 * 60).needs_a_person
    assert len(upstream.calls("GET")) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_upstream_asks(upstream: Upstream, user: User, status: int) -> None:
    start(user)
    upstream.mock.get(f"{BASE_URL}/v2/banking/connections", status=status, headers={"Retry-After": "3600"})
    run()
    paused = AccountState.objects.get().paused_until
    assert paused is not None
    assert paused > timezone.now() + timedelta(minutes=59)


def test_two_readings_without_it_are_needed_to_believe_that_a_link_is_gone(
    upstream: Upstream, user: User
) -> None:
    gone, there = connected(user, "777"), connected(user, "888", next_url="/b/")
    upstream.lists(row("888"))
    run()
    gone.refresh_from_db()
    assert (gone.status, gone.missing_since is not None) == ("active", True)
    upstream.lists(row("777"), row("888"))
    run(25 * 60)
    gone.refresh_from_db()
    assert gone.missing_since is None
    upstream.lists(row("888"))
    run(50 * 60)
    run(75 * 60)
    gone.refresh_from_db()
    there.refresh_from_db()
    assert (gone.status, gone.ended_by, there.status) == ("disconnected", "provider", "active")


def test_an_empty_list_is_not_believed(
    upstream: Upstream, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connected(user)
    upstream.lists()
    assert run().needs_a_person
    assert run(25 * 60).needs_a_person
    connection.refresh_from_db()
    assert connection.status == "active"
    assert "right key" in caplog.text


# --- what failed, what matched nothing, what nobody heard ---


def test_a_failed_event_is_applied(upstream: Upstream, user: User) -> None:
    session = start(user)
    good = BankingConnection.objects.get()
    BankingConnection.objects.update(state={"links": {"A": "broken"}})
    body = callbacks.raw(callbacks.success(session.pending_token))
    headers = {"X-Webhook-Secret": SECRET}
    assert Client().post("/banking/webhook/", body, "application/json", headers=headers).status_code == 500
    upstream.lists()
    result = run()
    assert (result.applied, result.failed, result.needs_a_person) == (0, 1, True)
    assert "banking_replay" in result.problems[0]
    BankingConnection.objects.update(state=good.state)
    assert run().applied == 1
    assert BankingConnection.objects.get().status == "active"
    assert run().applied == 0


def test_an_event_for_a_row_that_was_imported_since_is_applied(upstream: Upstream, user: User) -> None:
    deliver(callbacks.body(connection_id="777", consent_status="revoked", time="2036-01-01T00:00:00Z"))
    BankingConnection.objects.create(user=user, status="active", upstream_id="777")
    upstream.lists(row("777"))
    assert run().applied == 1
    assert BankingConnection.objects.get().status == "inactive"


def test_an_event_that_found_nothing_is_applied_when_there_is_something(
    upstream: Upstream, user: User
) -> None:
    answer = connect_answer()
    deliver(callbacks.success(answer["pending_token"], "777"))
    stranger = deliver(callbacks.success(uuid.uuid4(), "888"))
    session = start(user)
    # As if the worker had died between storing the token and adopting what waited for it.
    ConnectSession.objects.filter(pk=session.pk).update(pending_token=answer["pending_token"])
    upstream.lists()
    assert run().applied == 1
    assert BankingConnection.objects.get().status == "active"
    stranger.refresh_from_db()
    assert stranger.outcome == "unmatched"


def test_what_a_crash_left_untold_is_told(upstream: Upstream, user: User) -> None:
    heard: list[str] = []

    def receiver(**_: Any) -> None:
        heard.append("activated")

    connection = connected(user)
    ConnectionEvent.objects.filter(kind="succeeded").update(announced_at=None)
    signals.connection_activated.connect(receiver)
    try:
        assert reconcile(timezone.now()).announced == 0  # it may be on its way this very moment
        upstream.lists(row("777"))
        assert run().announced == 1
        assert run().announced == 0
    finally:
        signals.connection_activated.disconnect(receiver)
    assert heard == ["activated"]
    assert connection.status == "active"


def test_what_a_receiver_cannot_hear_is_counted(upstream: Upstream, user: User) -> None:
    def faulty(**_: Any) -> None:
        raise ValueError("still broken")

    connected(user)
    ConnectionEvent.objects.filter(kind="succeeded").update(announced_at=None)
    upstream.lists(row("777"))
    signals.connection_activated.connect(faulty)
    try:
        assert (run().unheard, run().needs_a_person) == (1, True)
    finally:
        signals.connection_activated.disconnect(faulty)


# --- expiry ---


def test_a_silent_session_expires_after_its_end_and_the_grace(upstream: Upstream, user: User) -> None:
    upstream.lists()
    session = start(user)
    assert run(60).expired == 0
    assert run(80).expired == 1
    session.refresh_from_db()
    assert (session.status, session.error_class) == ("expired", "SessionExpired")
    event = ConnectionEvent.objects.get(kind="expired")
    assert session.expires_at is not None
    assert (event.outcome, event.occurred_at) == ("applied", session.expires_at + timedelta(minutes=15))
    assert run(81).expired == 0


def test_a_session_whose_worker_died_before_the_call_expires_too(upstream: Upstream, user: User) -> None:
    upstream.lists()
    session = start(user)
    ConnectSession.objects.update(status="created", pending_token=None)
    BankingConnection.objects.update(state={})
    assert run(90).expired == 1
    session.refresh_from_db()
    assert session.status == "expired"


def test_one_broken_row_keeps_nobody_from_anything(upstream: Upstream, user: User) -> None:
    broken, read, silent = (start(user, next_url=f"/{number}/") for number in range(3))
    BankingConnection.objects.filter(pk=broken.connection_id).update(state={"links": {"A": "broken"}})
    upstream.lists(row("777", token=broken.pending_token), row("888", token=read.pending_token))
    result = run(80)
    assert (result.read_facts, result.expired, result.needs_a_person) == (1, 1, True)
    statuses = [ConnectSession.objects.get(pk=session.pk).status for session in (broken, read, silent)]
    assert statuses == ["open", "succeeded", "expired"]


def test_many_expire_in_few_transactions(upstream: Upstream, user: User) -> None:
    upstream.lists()
    sessions = [start(user, next_url=f"/{number}/") for number in range(7)]
    deliver(callbacks.success(sessions[0].pending_token))
    heard: list[Any] = []

    def receiver(session: ConnectSession, **_: Any) -> None:
        heard.append(session.pk)

    signals.connect_session_finished.connect(receiver)
    try:
        upstream.lists(row("111222333444555666"))
        assert run(80).expired == 6
    finally:
        signals.connect_session_finished.disconnect(receiver)
    assert sorted(heard) == [session.pk for session in sessions[1:]]


def test_news_that_are_read_come_before_expiry(upstream: Upstream, user: User) -> None:
    session = start(user)
    upstream.lists(row("777", token=session.pending_token))
    result = run(80)
    assert (result.read_facts, result.expired) == (1, 0)


# --- disconnecting ---


def test_a_removal_is_repeated_until_it_is_done(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    upstream.deletes("777", 503, {})
    disconnect(connection)
    assert (run(1).not_removed, run(1.5).not_removed, run(3).not_removed) == (1, 0, 1)
    assert len(upstream.calls("DELETE")) == 3
    upstream.mock.replace(responses.DELETE, f"{BASE_URL}/v2/banking/connections/777", status=404, json={})
    assert (run(30).removed, run(31).removed) == (1, 0)


def test_a_removal_that_never_comes_through_calls_a_person(upstream: Upstream, user: User) -> None:
    connection = connected(user)
    upstream.deletes("777", 401, {})
    disconnect(connection)
    calls = [run(60 * hours).needs_a_person for hours in (1, 24, 24 * 7 + 1)]
    assert calls == [False, False, True]


class OwnKeys(BankingAdapter):
    """Knows nothing of the link 777."""

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> Account:
        if connection is not None and connection.upstream_id == "777":
            raise KeyError(connection.upstream_id)
        return super().get_credentials(alias, connection)


def test_a_removal_that_breaks_keeps_no_other_back(upstream: Upstream, user: User, settings: Any) -> None:
    for link in ("777", "888"):
        upstream.deletes(link, 503, {})
        disconnect(connected(user, link, next_url=f"/{link}/"))
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.OwnKeys"}
    upstream.mock.replace(responses.DELETE, f"{BASE_URL}/v2/banking/connections/888", status=404, json={})
    result = run(1)
    assert (result.removed, result.not_removed) == (1, 1)
    assert run(1.5).not_removed == 0  # put off
    assert AccountState.objects.get().reconciled_at is not None


OLDER = {"888": "777", "999": "888"}


def test_the_tries_of_one_link_do_not_count_for_the_next(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    connection = connected(user, "777")
    upstream.lists(row("777"), row("888"), row("999"))
    upstream.deletes("777", 503, {})
    upstream.deletes("888", 503, {})
    for link, day in (("888", 2), ("999", 4)):
        renewal = start(user, connection=connection)
        deliver(callbacks.success(renewal.pending_token, link, time=f"2026-11-0{day}T10:00:00Z"))
        connection.refresh_from_db()
        result = run(1)
        assert set(connection.removals.values_list("upstream_id", "tries")) >= {(OLDER[link], 1)}
        assert result.not_removed >= 1


def test_an_orphan_is_removed_upstream(upstream: Upstream, user: User) -> None:
    session = start(user)
    disconnect(session.connection)
    deliver(callbacks.success(session.pending_token, "777"))
    upstream.deletes("777")
    assert run().removed == 1
    connection = BankingConnection.objects.get()
    assert (connection.status, connection.removal_due) == ("disconnected", False)


@pytest.mark.parametrize("switched_on", [True, False])
def test_what_a_renewal_replaced_is_removed_only_if_asked_for(
    upstream: Upstream, user: User, settings: Any, switched_on: bool
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": switched_on}
    connection = connected(user, "777")
    renewal = start(user, connection=connection)
    assert BankingConnection.objects.get().removal_due is False
    deliver(callbacks.success(renewal.pending_token, "888", time="2026-11-02T10:00:00Z"))
    upstream.deletes("777")
    upstream.lists(row("777"), row("888"))
    assert run().removed == switched_on
    connection.refresh_from_db()
    assert (connection.status, connection.upstream_id) == ("active", "888")
    deliver(callbacks.destroy(None, "777", time="2026-11-03T10:00:00Z"))
    connection.refresh_from_db()
    assert connection.status == "active"


def test_a_link_that_another_connection_stands_on_is_not_removed(upstream: Upstream, user: User) -> None:
    first, second = connected(user, "777"), connected(user, "777", next_url="/b/")
    assert disconnect(first).removal_due is False  # it is left, which is no failure
    assert first.removals.get().left_at is not None
    assert upstream.calls("DELETE") == []
    upstream.deletes("777")
    disconnect(second)
    assert len(upstream.calls("DELETE")) == 1
    first.refresh_from_db()
    assert first.removal_due is False


# --- consents ---


def test_a_consent_is_estimated_where_nobody_says_when_it_ends(
    upstream: Upstream, user: User, settings: Any
) -> None:
    connection = connected(user)
    assert connection.consent_expires_at == datetime(2026, 11, 1, 10, tzinfo=UTC) + timedelta(days=180)
    assert connection.consent_is_estimated
    session = start(user, connection=connection)
    told = callbacks.success(
        session.pending_token, "777", time="2026-11-02T10:00:00Z", consent_expires_at="2027-01-01T00:00:00Z"
    )
    deliver(told)
    known = BankingConnection.objects.get()
    assert known.consent_expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert not known.consent_is_estimated
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "CONSENT_DAYS": None}
    assert connected(user, "999", next_url="/c/").consent_expires_at is None


def test_an_older_word_on_the_consent_is_over_with_a_renewal(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(
        callbacks.success(
            session.pending_token,
            "777",
            time="2026-11-01T10:00:00Z",
            consent_expires_at="2026-12-01T00:00:00Z",
        )
    )
    renewal = start(user, connection=session.connection)
    deliver(callbacks.success(renewal.pending_token, "777", time="2026-11-20T10:00:00Z"))
    connection = BankingConnection.objects.get()
    assert connection.consent_expires_at == datetime(2026, 11, 20, 10, tzinfo=UTC) + timedelta(days=180)


def test_reminders_come_once_a_step_and_stop_with_a_renewal(
    upstream: Upstream, user: User, settings: Any
) -> None:
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "CONSENT_MAILS": True,
        "SITE_URL": "https://site.example",
    }
    connection = connected(user)
    upstream.lists(row("777"))
    ends = connection.consent_expires_at
    assert ends is not None
    heard: list[int] = []

    def receiver(event: ConnectionEvent, connection: BankingConnection, **_: Any) -> None:
        heard.append(event.payload["days"])

    signals.consent_expiring.connect(receiver)
    try:
        for days in (20, 14.5, 13.9, 13, 8, 6.9, 6, 2, 0.9, 0.5, -1):
            reconcile(ends - timedelta(days=days))
        assert heard == [14, 7, 1]
        disconnect_at = connected(user, "888", next_url="/b/")
        upstream.deletes("888")
        disconnect(disconnect_at)
        assert disconnect_at.consent_expires_at is not None
        reconcile(disconnect_at.consent_expires_at - timedelta(days=5))
        assert heard == [14, 7, 1]
    finally:
        signals.consent_expiring.disconnect(receiver)


def test_the_reminder_mail(upstream: Upstream, user: User, settings: Any) -> None:
    options = {**settings.BUSINESS_OS_BANKING, "SITE_URL": "https://site.example"}
    settings.BUSINESS_OS_BANKING = {**options, "CONSENT_MAILS": True}
    session = start(user)
    ends = timezone.now() + timedelta(days=6)
    deliver(
        callbacks.success(
            session.pending_token,
            "777",
            time=timezone.now().isoformat(),
            consent_expires_at=ends.isoformat(),
            provider_name="Müller & Söhne",
        )
    )
    upstream.lists(row("777"))
    assert run().reminded == 1
    [message] = mail.outbox
    assert message.to == ["ada@kunde.example"]
    assert message.subject == "Please renew the connection to Müller & Söhne"
    url = f"https://site.example/banking/connections/{session.connection.reference}/renew/"
    assert url in message.body
    assert "estimate" not in message.body
    [html] = [part.content for part in message.alternatives]  # type: ignore[attr-defined]
    assert url in html
    assert "Müller &amp; Söhne" in html
    settings.BUSINESS_OS_BANKING = options
    assert run(6 * 24 * 60 - 60).reminded == 1
    assert len(mail.outbox) == 1


# --- banks ---


def provider_change(status: str, time: str = "2026-11-05T10:00:00Z") -> dict[str, Any]:
    data = {"provider_code": "demobank_xf", "provider_status": status}
    return {"data": data, "meta": {"version": "6", "time": time}}


def test_a_bank_that_is_switched_off_concerns_all_its_connections(upstream: Upstream, user: User) -> None:
    first, second = connected(user, "777"), connected(user, "888", next_url="/b/")
    upstream.lists(row("777"), row("888", provider_code="other_xf"))
    run()
    deliver(provider_change("inactive"))
    event = ConnectionEvent.objects.filter(kind="provider_changed").earliest("id")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (event.outcome, first.status, first.status_reason) == ("applied", "inactive", "bank_disabled")
    assert second.status == "active"
    assert deliver(provider_change("active", "2026-11-06T10:00:00Z")).outcome == "applied"
    first.refresh_from_db()
    assert first.status == "active"
    deliver(provider_change("active", "2026-11-06T10:00:00Z"))
    told = ConnectionEvent.objects.filter(kind="provider_changed").values_list("deliveries", flat=True)
    assert sorted(told) == [1, 1, 1, 2]


def test_it_concerns_a_connection_that_is_known_to_be_there_only_later(
    upstream: Upstream, user: User
) -> None:
    connection = connected(user)
    assert deliver(provider_change("inactive")).outcome == "no_change"
    upstream.lists(row("777"))
    run()
    connection.refresh_from_db()
    assert (connection.status, connection.status_reason) == ("inactive", "bank_disabled")


# --- the command and the task ---


def test_the_command_says_what_it_did(upstream: Upstream, user: User) -> None:
    session = start(user)
    ConnectSession.objects.update(expires_at=timezone.now() - timedelta(days=2))
    upstream.lists(row("777", token=session.pending_token))
    out = StringIO()
    call_command("banking_reconcile", "--dry-run", stdout=out)
    assert "Due: " in out.getvalue()
    assert "expired 1" in out.getvalue()
    session.refresh_from_db()
    assert (session.status, upstream.calls("GET")) == ("open", [])
    out = StringIO()
    call_command("banking_reconcile", stdout=out)
    assert out.getvalue().strip() == "read pages 1, read facts 1"
    out = StringIO()
    call_command("banking_reconcile", "--json", stdout=out)
    assert '"read_pages": 0' in out.getvalue()


def test_it_can_be_silent_in_cron(upstream: Upstream, user: User) -> None:
    start(user)
    upstream.lists(status=404, body={})
    out, err = StringIO(), StringIO()
    call_command("banking_reconcile", verbosity=0, stdout=out, stderr=err)
    assert out.getvalue() + err.getvalue() == ""


def test_its_exit_code_calls_a_person(upstream: Upstream, user: User) -> None:
    start(user)
    ConnectSession.objects.update(returned_at=timezone.now() - timedelta(minutes=2))
    upstream.lists(status=401, body={})
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("banking_reconcile", stdout=StringIO(), stderr=err)
    assert caught.value.code == 1
    assert "HTTP 401" in err.getvalue()


def test_accounts_that_only_an_adapter_knows_are_looked_after(upstream: Upstream, user: User) -> None:
    session = start(user)
    BankingConnection.objects.update(account="tenant-7")
    ConnectSession.objects.update(expires_at=timezone.now() - timedelta(days=2))
    result = run()
    session.refresh_from_db()
    assert session.status == "expired"
    assert set(AccountState.objects.values_list("alias", flat=True)) == {"default", "tenant-7"}
    assert any(problem.startswith("tenant-7: ") for problem in result.problems)


def test_the_task_returns_the_counts(upstream: Upstream) -> None:
    assert tasks.banking_reconcile()["expired"] == 0
    assert preview().as_dict()["applied"] == 0


def test_an_expired_report_for_a_session_that_made_it_changes_nothing(upstream: Upstream, user: User) -> None:
    from business_os_banking.flows.expire import expire

    session = start(user)
    stale = ConnectSession.objects.select_related("connection").get(pk=session.pk)
    deliver(callbacks.success(session.pending_token))
    assert expire([stale], timedelta(0), timezone.now()) == 0
    assert expired(stale, timezone.now()).fact.kind == "expired"


# --- lists that are wrong, or not to be had ---


def test_a_list_that_lacks_many_is_not_believed(upstream: Upstream, user: User) -> None:
    for number in range(5):
        connected(user, f"77{number}", next_url=f"/{number}/")
    upstream.lists(row("770"), row("foreign"))
    for hours in (1, 30, 60):
        assert run(hours * 60).needs_a_person
    assert set(BankingConnection.objects.values_list("status", flat=True)) == {"active"}


@pytest.mark.parametrize(
    ("there", "lacking", "believed"),
    [(14, 3, False), (15, 3, True), (3, 2, True)],
    ids=["more than a fifth", "a fifth", "two are few, whatever the share"],
)
def test_a_list_that_lacks_more_than_a_fifth_is_not_believed(
    upstream: Upstream, user: User, there: int, lacking: int, believed: bool
) -> None:
    links = [f"77{number}" for number in range(there)]
    for link in links:
        connected(user, link, next_url=f"/{link}/")
    upstream.lists(*(row(link) for link in links[lacking:]))
    assert [run(hours * 60).needs_a_person for hours in (1, 26)] == [not believed] * 2
    gone = BankingConnection.objects.filter(status="disconnected").values_list("upstream_id", flat=True)
    assert sorted(gone) == (links[:lacking] if believed else [])


def test_two_readings_within_the_hour_are_one(upstream: Upstream, user: User) -> None:
    connected(user, "777")
    start(user, next_url="/keeps-reading/")
    upstream.lists(row("foreign"))
    for minutes in (1, 5, 30):
        run(minutes)
    assert BankingConnection.objects.get(upstream_id="777").status == "active"


def test_what_the_list_lacked_comes_back_with_it(upstream: Upstream, user: User) -> None:
    connection = connected(user, "777")
    connected(user, "888", next_url="/b/")
    upstream.lists(row("888"))
    run()
    run(25 * 60)
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by) == ("disconnected", "provider")
    start(user, next_url="/keeps-reading/")
    upstream.lists(row("777"), row("888"))
    run(25 * 60 + 10)
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by) == ("active", "")


def test_a_renewed_connection_starts_afresh_in_the_eyes_of_the_list(upstream: Upstream, user: User) -> None:
    connection = connected(user, "777")
    upstream.lists(row("foreign"))
    run()
    renewal = start(user, connection=connection)
    deliver(callbacks.success(renewal.pending_token, "888", time="2026-11-20T10:00:00Z"))
    assert BankingConnection.objects.get().missing_since is None


def test_a_session_expires_only_when_a_later_reading_said_nothing(upstream: Upstream, user: User) -> None:
    session = start(user)
    upstream.lists(status=502, body={})
    assert (run(80).expired, run(200).expired) == (0, 0)
    upstream.lists(row("777", token=session.pending_token))
    result = run(24 * 60)
    assert (result.read_facts, result.expired) == (1, 0)
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_a_reading_before_its_end_says_nothing_of_a_session(upstream: Upstream, user: User) -> None:
    session = start(user)
    upstream.lists()
    assert (run(11).read_pages, run(11).problems) == (1, [])
    upstream.lists(status=502, body={})
    assert run(80).expired == 0
    session.refresh_from_db()
    assert session.status == "open"
    upstream.lists()
    assert run(90).expired == 1


def test_after_a_day_without_a_list_it_expires_all_the_same(upstream: Upstream, user: User) -> None:
    start(user)
    upstream.lists(status=502, body={})
    assert run(26 * 60).expired == 1


def test_an_attempt_under_way_proves_nothing(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.notify(session.pending_token, connection_id="777"))
    upstream.lists(row("777", token=session.pending_token, attempt={"success_at": None}))
    run()
    session.refresh_from_db()
    assert session.status == "open"


def test_pages_that_lead_in_a_circle_end(upstream: Upstream, user: User) -> None:
    start(user)
    url = f"{BASE_URL}/v2/banking/connections"
    upstream.mock.get(url, json={"data": [], "meta": {"next_id": "2"}})
    assert run().read_pages == 2
    assert list(BusinessOSClient().list_connections()) == []


def test_pages_that_lead_in_a_circle_are_no_whole_list(upstream: Upstream, user: User) -> None:
    connection = connected(user, "777")
    silent = start(user, next_url="/silent/")
    url = f"{BASE_URL}/v2/banking/connections"
    upstream.mock.get(url, json={"data": [row("888")], "meta": {"next_id": "2"}})
    # They may lack the link, and have no word of the session, because they lack the rest.
    assert run(80).expired == 0
    silent.refresh_from_db()
    assert silent.status == "open"
    for hours in (3, 30, 60):
        run(hours * 60)
    connection.refresh_from_db()
    assert connection.status == "active"


# --- what task queues raise ---


class SoftTimeLimitExceeded(Exception):
    """As Celery raises it in a task that has run too long."""


SoftTimeLimitExceeded.__module__ = "billiard.exceptions"


class Limited(BankingAdapter):
    def get_credentials(self, alias: str, connection: BankingConnection | None) -> Account:
        raise SoftTimeLimitExceeded


def test_a_time_limit_ends_the_run_wherever_it_strikes(upstream: Upstream, user: User, settings: Any) -> None:
    upstream.lists()
    connection = connected(user)
    ConnectionEvent.objects.filter(kind="succeeded").update(announced_at=None)

    def receiver(**_: Any) -> None:
        raise SoftTimeLimitExceeded

    signals.connection_activated.connect(receiver)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            run()
    finally:
        signals.connection_activated.disconnect(receiver)
    assert ConnectionEvent.objects.filter(announced_at=None, leased_until=None).count() == 1
    run()
    upstream.deletes("777", 503, {})
    disconnect(connection)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.Limited"}
    with pytest.raises(SoftTimeLimitExceeded):
        run(60)
    assert connection.removals.get().settled_at is None
