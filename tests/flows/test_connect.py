"""Starting a session: one API call, one row, and every wrong answer leaves a session that says what happened."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from datetime import timezone as dt_timezone
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from business_os_banking import exceptions, signals
from business_os_banking.flows import connect
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests.upstream.fake import Upstream, connect_answer

pytestmark = pytest.mark.django_db


def start(user: User | None, **more: Any) -> ConnectSession:
    return connect.start(
        owner=(user, more.pop("tenant", "")),
        return_to=lambda session: f"https://site.example/return/{session.reference}/",
        **more,
    )


def test_everything_is_sent_and_everything_is_kept(upstream: Upstream, user: User) -> None:
    session = start(
        user,
        tenant="org-7",
        api="openbanking",
        email="ada@kunde.example",
        scopes=["accounts"],
        custom_fields={"client": "42"},
        next_url="/books/",
    )
    [call] = upstream.calls("POST")
    assert call.url == "https://api.business-os.test/v2/banking/connect?api=openbanking"
    assert call.body is not None
    assert json.loads(call.body) == {
        "email": "ada@kunde.example",
        "return_to": f"https://site.example/return/{session.reference}/",
        "scopes": ["accounts"],
        "custom_fields": {"client": "42", "session": str(session.reference)},
    }
    answer = upstream.answers[0]
    session.refresh_from_db()
    assert session.status == "open"
    assert str(session.pending_token) == answer["pending_token"]
    assert session.connect_url == answer["connect_url"]
    assert session.expires_at == datetime.fromisoformat(answer["expires_at"])
    assert str(session.owner_user_id) == answer["owner_user_id"]
    assert (session.api, session.email, session.scopes) == ("openbanking", "ada@kunde.example", ["accounts"])
    connection = session.connection
    assert (connection.user, connection.tenant, connection.account) == (user, "org-7", "default")
    assert connection.status == "pending"
    assert str(connection.owner_user_id) == answer["owner_user_id"]


def test_what_is_not_said_comes_from_the_settings(upstream: Upstream, user: User) -> None:
    session = start(user)
    assert (session.api, session.email) == ("partner", "")
    assert session.scopes == ["accounts", "holder_info", "transactions"]
    assert "email" not in json.loads(upstream.calls("POST")[0].body or b"")


def test_without_an_end_a_session_lives_as_long_as_the_setting_says(upstream: Upstream, user: User) -> None:
    upstream.connect_answers(body=connect_answer(expires_at="soon", owner_user_id=None))
    session = start(user)
    assert session.expires_at is not None
    assert timedelta(minutes=59) < session.expires_at - timezone.now() <= timedelta(minutes=60)
    assert session.owner_user_id is None


def test_asked_twice_it_makes_one_call(upstream: Upstream, user: User) -> None:
    first, second = start(user), start(user)
    assert first == second
    assert second.connect_url == upstream.answers[0]["connect_url"]
    assert len(upstream.calls("POST")) == 1
    assert BankingConnection.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [{"api": "openbanking"}, {"scopes": ["accounts"]}, {"tenant": "org-8"}, {"next_url": "/x/"}]
    + [{"custom_fields": {"client": "1"}}, {"email": "other@kunde.example"}],
)
def test_asked_for_something_else_it_makes_another_call(
    upstream: Upstream, user: User, other: dict[str, Any]
) -> None:
    start(user)
    start(user, **other)
    assert len(upstream.calls("POST")) == 2


def test_two_people_never_share_a_session(upstream: Upstream, user: User, other_user: User) -> None:
    assert len({start(user).pk, start(other_user).pk, start(None).pk, start(None).pk}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"returned_at": timezone.now()},
        {"expires_at": timezone.now() + timedelta(seconds=30)},
        {"expires_at": None},
        {"connect_url": ""},
        {"status": "failed"},
        {"status": "created", "created_at": timezone.now() - timedelta(minutes=5)},
    ],
)
def test_a_session_that_is_used_up_is_not_used_again(
    upstream: Upstream, user: User, change: dict[str, Any]
) -> None:
    first = start(user)
    ConnectSession.objects.filter(pk=first.pk).update(**change)
    assert start(user) != first
    assert len(upstream.calls("POST")) == 2


@pytest.mark.server_database  # SQLite in memory locks whole tables against other threads
@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_call(upstream: Upstream, user: User) -> None:
    calling, answer = threading.Event(), threading.Event()
    answers: list[dict[str, Any]] = []

    def slow(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        calling.set()
        answer.wait(10)
        answers.append(connect_answer())
        return 200, {}, json.dumps(answers[-1])

    upstream.mock.remove("POST", "https://api.business-os.test/v2/banking/connect")
    upstream.mock.add_callback("POST", "https://api.business-os.test/v2/banking/connect", slow)
    urls: list[str] = []

    def click() -> None:
        try:
            urls.append(start(user).connect_url)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=click) for _ in range(2)]
    threads[0].start()
    assert calling.wait(10)
    threads[1].start()
    threads[1].join(0.5)
    answer.set()
    for thread in threads:
        thread.join(20)
    assert urls == [answers[0]["connect_url"]] * 2
    assert len(answers) == 1
    assert ConnectSession.objects.count() == 1


@pytest.mark.server_database
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error_class", "expected"),
    [("RateLimited", exceptions.RateLimited), ("ConnectionDuplicated", exceptions.BusinessOSError)],
)
def test_who_waits_for_a_session_that_fails_fails_alike(
    upstream: Upstream, user: User, error_class: str, expected: type[exceptions.BusinessOSError]
) -> None:
    session = start(user)
    ConnectSession.objects.filter(pk=session.pk).update(status="created", connect_url="")

    def fail() -> None:
        ConnectSession.objects.filter(pk=session.pk).update(status="failed", error_class=error_class)
        connections.close_all()

    other_worker = threading.Timer(0.3, fail)
    other_worker.start()
    with pytest.raises(expected) as caught:
        start(user)
    other_worker.join()
    assert (caught.value.error_class, caught.value.session) == (error_class, session)
    assert len(upstream.calls("POST")) == 1


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_who_waits_in_vain_is_told_so(upstream: Upstream, user: User, settings: Any) -> None:
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "TIMEOUT": 0.01}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    session = start(user)
    # By the clock of another machine, which is ahead: nobody waits until then.
    ahead = timezone.now() + timedelta(minutes=4)
    ConnectSession.objects.filter(pk=session.pk).update(status="created", connect_url="", created_at=ahead)
    with pytest.raises(exceptions.TimedOut):
        start(user)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400)])
def test_a_session_that_a_wrong_clock_has_written_stands_in_nobodys_way(
    upstream: Upstream, user: User, ahead: timedelta
) -> None:
    session = start(user)
    at = timezone.now() + ahead
    ConnectSession.objects.filter(pk=session.pk).update(status="created", connect_url="", created_at=at)
    assert start(user) != session
    session = start(user, next_url="/b/")
    ConnectSession.objects.filter(pk=session.pk).update(expires_at=at + timedelta(days=1))
    assert start(user, next_url="/b/") != session


@pytest.mark.parametrize(
    ("status", "body", "error", "error_class", "group"),
    [
        (401, {"error": {"class": "ApiKeyNotFound"}}, exceptions.Refused, "ApiKeyNotFound", "setup"),
        (403, {}, exceptions.Refused, "Refused", "setup"),
        (402, {}, exceptions.OutOfCredits, "OutOfCredits", "setup"),
        (400, {"error_class": "ReturnURLInvalid"}, exceptions.InvalidRequest, "ReturnURLInvalid", "setup"),
        (422, {"errors": {"email": ["bad"]}}, exceptions.InvalidRequest, "InvalidRequest", "setup"),
        (
            409,
            {"error": {"class": "ConnectionDuplicated"}},
            exceptions.InvalidRequest,
            "ConnectionDuplicated",
            "already_connected",
        ),
        (404, {}, exceptions.NotFound, "NotFound", "try_again"),
        (429, {}, exceptions.RateLimited, "RateLimited", "try_again"),
        (502, "<html>Bad gateway</html>", exceptions.UpstreamTrouble, "UpstreamTrouble", "try_again"),
        (200, "<html>Hello</html>", exceptions.Unintelligible, "Unintelligible", "setup"),
        (200, {}, exceptions.Unintelligible, "Unintelligible", "setup"),
        (200, connect_answer(connect_url=5), exceptions.Unintelligible, "Unintelligible", "setup"),
        (
            200,
            connect_answer(connect_url="https://evil.example/connect"),
            exceptions.Unintelligible,
            "Unintelligible",
            "setup",
        ),
        (200, connect_answer(pending_token="x"), exceptions.Unintelligible, "Unintelligible", "setup"),
    ],
)
def test_a_wrong_answer_leaves_a_session_that_says_so(
    upstream: Upstream,
    user: User,
    status: int,
    body: Any,
    error: type[exceptions.BusinessOSError],
    error_class: str,
    group: str,
) -> None:
    upstream.connect_answers(status, body)
    with pytest.raises(error) as caught:
        start(user)
    session = ConnectSession.objects.get()
    assert caught.value.session == session
    assert (session.status, session.error_class, session.error_group) == ("failed", error_class, group)
    assert (session.connect_url, session.pending_token, session.single_flight) == ("", None, None)
    event = ConnectionEvent.objects.get()
    assert (event.kind, event.source, event.outcome) == ("failed", "read", "applied")
    assert BankingConnection.objects.get().last_error_class == error_class


@pytest.mark.parametrize(
    ("raised", "error", "group"),
    [
        (requests.ConnectTimeout(), exceptions.NotReachable, "try_again"),
        (requests.ReadTimeout(), exceptions.TimedOut, "try_again"),
        (requests.exceptions.SSLError(), exceptions.NotReachable, "try_again"),
    ],
)
def test_no_answer_leaves_a_session_that_says_so(
    upstream: Upstream, user: User, raised: Exception, error: type[Exception], group: str
) -> None:
    upstream.connect_fails(raised)
    with pytest.raises(error):
        start(user)
    session = ConnectSession.objects.get()
    assert (session.status, session.error_class, session.error_group) == ("failed", error.__name__, group)


def test_after_a_failure_one_can_try_again_at_once(upstream: Upstream, user: User) -> None:
    upstream.connect_answers(502, "trouble")
    with pytest.raises(exceptions.UpstreamTrouble):
        start(user)
    upstream.connect_answers(body=connect_answer())
    failed = ConnectSession.objects.get()
    again = start(user, connection=failed.connection)
    assert again.status == "open"
    assert again.connection == failed.connection


def test_a_token_that_was_given_before_is_not_taken(upstream: Upstream, user: User, other_user: User) -> None:
    upstream.connect_answers(body=connect_answer())
    first = start(user)
    with pytest.raises(exceptions.Unintelligible):
        start(other_user)
    first.refresh_from_db()
    assert first.status == "open"
    assert ConnectSession.objects.get(connection__user=other_user).status == "failed"


@pytest.mark.parametrize(
    "bad",
    [
        {"scopes": ["everything"]},
        {"api": "other"},
        {"custom_fields": {"a": "x" * 1024}},
    ],
)
def test_what_would_be_refused_is_not_sent(upstream: Upstream, user: User, bad: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidRequest) as caught:
        start(user, **bad)
    assert set(caught.value.fields) == set(bad)
    assert upstream.calls("POST") == []
    assert ConnectSession.objects.get().error_group == "setup"


@pytest.mark.parametrize("key", ["session", "pending_token"])
def test_our_own_keys_are_reserved(upstream: Upstream, user: User, key: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=key):
        start(user, custom_fields={key: "x"})
    assert not ConnectSession.objects.exists()


def test_without_a_key_the_operator_is_told_and_nothing_is_written(
    upstream: Upstream, user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {}}}
    with pytest.raises(exceptions.Refused) as caught:
        start(user)
    assert caught.value.error_class == "NotConfigured"
    assert "BUSINESS_OS_API_KEY" in caplog.text
    assert not BankingConnection.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_it_refuses_to_call(upstream: Upstream, user: User) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        start(user)
    assert upstream.calls("POST") == []


def test_a_renewal_is_a_session_on_the_same_connection(upstream: Upstream, user: User) -> None:
    first = start(user)
    second = start(user, connection=first.connection)
    assert second.connection == first.connection
    assert second != first
    assert BankingConnection.objects.count() == 1


def test_what_its_owner_ended_is_not_renewed(upstream: Upstream, user: User) -> None:
    connection = disconnect(start(user).connection)
    with pytest.raises(exceptions.NotAllowed):
        start(user, connection=connection)


@pytest.mark.django_db(transaction=True)
def test_the_start_is_told_once(upstream: Upstream, user: User) -> None:
    heard: list[Any] = []

    def receiver(session: Any, **_: Any) -> None:
        heard.append(session)

    signals.connect_session_started.connect(receiver)
    try:
        session = start(user)
    finally:
        signals.connect_session_started.disconnect(receiver)
    assert heard == [session]


def test_expires_at_is_kept_in_utc(upstream: Upstream, user: User) -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(hours=3)
    there = end.astimezone(dt_timezone(timedelta(hours=2)))
    upstream.connect_answers(body=connect_answer(expires_at=there.isoformat()))
    assert start(user).expires_at == end


@pytest.mark.parametrize(
    "end", ["2099-03-24T12:44:03+02:00", "2199-12-31 23:59:59 UTC", "2199-12-31", 2_000_000_000]
)
def test_no_session_is_open_for_longer_than_a_day(upstream: Upstream, user: User, end: str | int) -> None:
    """It would be waited for, and read, for ever, and its owner could not be erased."""
    upstream.connect_answers(body=connect_answer(expires_at=end))
    session = start(user)
    assert session.expires_at is not None
    left = session.expires_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)


@pytest.mark.parametrize("end", [None, "never", "9999-12-31T23:59:59Z", 0, "29.11.2026", True, "2999-01-01"])
def test_without_a_usable_end_it_is_ours(upstream: Upstream, user: User, end: Any, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "SESSION_MINUTES": 30}
    upstream.connect_answers(body=connect_answer(expires_at=end))
    session = start(user)
    assert session.expires_at is not None
    assert timedelta(minutes=29) < session.expires_at - timezone.now() <= timedelta(minutes=30)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "SESSION_MINUTES": 10_000}
    upstream.connect_answers(body=connect_answer(expires_at=end))
    session = start(user, next_url="/b/")
    assert session.expires_at is not None
    assert session.expires_at - timezone.now() <= timedelta(days=1)


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_meanwhile_ends_it(upstream: Upstream, user: User) -> None:
    ghost = User(pk=user.pk, username="ghost")
    user.delete()
    with pytest.raises(IntegrityError):
        start(ghost)
    assert upstream.calls("POST") == []
    assert not BankingConnection.objects.exists()


def test_a_hook_of_the_site_that_raises_leaves_no_session_that_looks_alive(
    upstream: Upstream, user: User
) -> None:
    def broken(_session: ConnectSession) -> str:
        raise LookupError("the site's own fault")

    with pytest.raises(LookupError):
        connect.start(owner=(user, ""), return_to=broken)
    session = ConnectSession.objects.get()
    assert (session.status, session.error_class, session.error_group) == (
        "failed",
        "Interrupted",
        "try_again",
    )
    assert start(user).status == "open"


def test_custom_fields_must_be_json(upstream: Upstream, user: User) -> None:
    with pytest.raises(ImproperlyConfigured, match="JSON"):
        start(user, custom_fields={"client": object()})


def test_an_address_that_has_been_visited_is_not_given_again(upstream: Upstream, user: User) -> None:
    first = start(user)
    ConnectSession.objects.filter(pk=first.pk).update(stage="fetch_accounts")
    assert start(user) != first


def test_an_end_beyond_all_reckoning_is_as_good_as_none(upstream: Upstream, user: User) -> None:
    upstream.connect_answers(body=connect_answer(expires_at="9999-12-31T23:59:59Z"))
    expires_at = start(user).expires_at
    assert expires_at is not None
    assert expires_at < timezone.now() + timedelta(hours=2)
