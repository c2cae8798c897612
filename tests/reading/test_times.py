"""Times in every form that is known, alone and where their order decides how a connection stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import timezone as offset
from email.utils import format_datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts.report import when
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection
from business_os_banking.upstream.times import Undated, time_of
from tests import callbacks
from tests.deeds import start
from tests.reading.world import LINK, SUCCEEDED, connected, latest, post, stands
from tests.upstream.fake import Upstream, row

RECEIVED = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MOMENT = datetime(2026, 11, 29, 10, 4, 5, 123000, tzinfo=UTC)

Form = Callable[[datetime], Any]


def iso(at: datetime, there: tzinfo = UTC, **more: Any) -> str:
    return at.astimezone(there).isoformat(**more)


def number(digits: int) -> Form:
    def form(at: datetime) -> int:
        microseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return int(microseconds * 10**digits // 10**16)

    return form


BERLIN, NEWFOUNDLAND = offset(timedelta(hours=1)), offset(-timedelta(hours=3, minutes=30))
# Each keeps the moment to the second at least.
DATED: dict[str, Form] = {
    "Salt Edge": lambda at: iso(at, timespec="milliseconds").replace("+00:00", "Z"),
    "Python": lambda at: iso(at),
    "Python, str()": lambda at: str(at),
    "Python, naive": lambda at: str(at.replace(tzinfo=None)),
    "Python, of another zone": lambda at: iso(at, BERLIN),
    "half an hour off": lambda at: iso(at, NEWFOUNDLAND, sep=" "),
    "offset without a colon": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+0000",
    "offset after a blank": lambda at: f"{at:%Y-%m-%d %H:%M:%S} +0000",
    "hours alone": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+00",
    "Ruby": lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC",
    "Go": lambda at: f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond:06}000 +0000 UTC",
    "twice over": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+00:00Z",
    "lower case": lambda at: f"{at:%Y-%m-%dt%H:%M:%S}z",
    "comma": lambda at: f"{at:%Y-%m-%dT%H:%M:%S},5Z",
    "nanoseconds": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z",
    ".NET": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.1234567+00:00",
    "basic": lambda at: f"{at:%Y%m%dT%H%M%SZ}",
    "Java, ZonedDateTime": lambda at: f"{iso(at, BERLIN)}[Europe/Berlin]",
    "Java, Date": lambda at: f"{at:%a %b %d %H:%M:%S UTC %Y}",
    "ctime": lambda at: f"{at:%a %b %d %H:%M:%S %Y}",
    "RFC 9110": lambda at: format_datetime(at, usegmt=True),
    "RFC 5322": lambda at: format_datetime(at.astimezone(BERLIN)),
    "RFC 5322 without its day": lambda at: f"{at:%d %b %Y %H:%M:%S +0000}",
    "Rails": lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC +00:00",
    "Go, of its own clock": lambda at: f"{at:%Y-%m-%d %H:%M:%S} +0000 UTC m=+0.012345",
    "Java, seconds of a Double": lambda at: f"{at.timestamp() / 10**9:.9f}E9",
    "Java, milliseconds of a Double": lambda at: f"{at.timestamp() / 10**9:.12f}E12",
    "JavaScript": lambda at: f"{at:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)",
    "seconds": number(10),
    "seconds, as text": lambda at: str(number(10)(at)),
    "seconds with a fraction": lambda at: at.timestamp(),
    "milliseconds": number(13),
    "milliseconds, as text": lambda at: str(number(13)(at)),
    "milliseconds of a float": lambda at: float(number(13)(at)),
    "microseconds": number(16),
    "nanoseconds, a number": number(19),
    "blanks around": lambda at: f" {iso(at)}\n",
}
UNDATED: list[Any] = [
    *("29.11.2026", "29.11.2026 10:04", "29/11/2026", "11/29/2026 10:04:05", "11/29/26", "26-11-29 10:04:05"),
    *("2026-11-29 10:04:05 AM", "10:04:05", "Nov 29, 2026, 10:04:05 AM", "29. November 2026", "2026-11-29"),
    *("2026-11-29 10:04:05 CET", "Sun Nov 29 10:04:05 CET 2026", "2026-11-29T10:04:05 Europe/Berlin"),
    *("Sunday, 29-Nov-26 10:04:05 GMT", "2026-W48-7", "2026-333", "yesterday", "soon", "unknown", True),
    *("2026-13-29T10:04:05Z", "2026-11-31T10:04:05Z", "2026-11-29T25:04:05Z", "2026-11-29T10:04:05+99:00"),
    *(1, 86400, 999_999_999, 17644, "176440", "12345678901", 1_000_000_000, 4_102_444_800, "20261129"),
    *("2026-11-29T12:30:00", "2026-11-29 13:04:05", {"$date": 1}, ["2026-11-29T10:04:05Z"], "x" * 5000),
    *("1764410645s", "1764410645,123", "1764410645 UTC", "1764410645123ms", "2026-11-29Z"),
    # Written without a zone, and ahead of us: the time of somewhere.
    *("Sun Nov 29 13:04:05 2026", "Sun, 29 Nov 2026 13:04:05 -0000"),
    *("/Date(1764410645123)/", "2026年11月29日", "\u0662026-11-29T10:04:05Z", "2299-11-29T10:04:05Z"),
]
NO_TIME: list[Any] = [
    *(None, "", " ", [], {}, False, "null", "never", "undefined", "NaT", "Invalid Date", "invalid date", "-"),
    *(
        0,
        "0",
        "00",
        "0.0",
        0.0,
        -1,
        "-62135596800",
        "0000-00-00 00:00:00",
        "0000-00-00",
        "0001-01-01T00:00:00Z",
    ),
    *("0001-01-01 00:00:00 +0000 UTC", "1970-01-01T00:00:00Z", "1970-01-01", "1970-01-01 01:00:00 +0100"),
    *("Thu, 01 Jan 1970 00:00:00 GMT", "Thu Jan 01 1970 01:00:00 GMT+0100 (CET)", "1899-12-30T00:00:00"),
    *("Mon, 01 Jan 0001 00:00:00 GMT", "Mon Jan 01 00:00:00 UTC 0001", "Mon Jan 01 00:00:00 0001"),
    *(
        "Mon Jan 01 0001 00:00:00 GMT+0000 (UTC)",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "-0001-11-30T00:00:00+00:00",
    ),
    *("1/1/0001 12:00:00 AM", "01.01.0001 00:00:00", "01.01.1970", "01/01/1970", "/Date(-62135596800000)/"),
    *("/Date(0)/", "Thu Jan 01 01:00:00 CET 1970", "0E0", "0.0E10"),
    *("9999-12-31T23:59:59Z", "9999-12-31", "9999-12-31 23:59:59.9999999+01:00", "1999-12-31T23:59:59Z"),
]


@pytest.mark.parametrize("form", DATED)
def test_a_moment_in_any_form(form: str) -> None:
    time = time_of(DATED[form](MOMENT), RECEIVED)
    assert isinstance(time, datetime)
    assert time.tzinfo is UTC
    assert abs(time - MOMENT) < timedelta(seconds=1)


@pytest.mark.parametrize("value", UNDATED, ids=lambda value: repr(value)[:40])
def test_what_cannot_be_read_without_a_guess(value: Any) -> None:
    time = time_of(value, RECEIVED)
    assert isinstance(time, Undated)
    assert len(time.text) <= 100
    assert when(time, RECEIVED) == RECEIVED


@pytest.mark.parametrize("value", NO_TIME, ids=repr)
@pytest.mark.parametrize("is_end", [False, True])
def test_no_time(value: Any, is_end: bool) -> None:
    assert time_of(value, RECEIVED, is_end=is_end) is None
    assert when(time_of(value, RECEIVED), RECEIVED) == RECEIVED


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("2027-03-01", "2027-03-01T23:59:59"),
        ("20270301", "2027-03-01T23:59:59"),
        ("2027-03-01T00:00:00Z", "2027-03-01T00:00:00"),
        ("2027-03-01 12:00:00", "2027-03-01T12:00:00"),
        ("Mon, 01 Mar 2027 12:00:00 GMT", "2027-03-01T12:00:00"),
        (1803902400, "2027-03-01T12:00:00"),
        ("1803902400000", "2027-03-01T12:00:00"),
        ("2199-12-31", "2199-12-31T23:59:59"),
        ("2027-03-01Z", "2027-03-01T23:59:59"),
        ("2027-03-01+01:00", "2027-03-01T22:59:59"),
        ("2027-03-01T24:00:00Z", "2027-03-02T00:00:00"),
    ],
)
def test_the_end_of_a_consent_may_lie_ahead(value: Any, end: str) -> None:
    assert time_of(value, RECEIVED, is_end=True) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["01.03.2027", "03/01/2027", "in March", 99_999_999_999, 2_200_000_000, "2027-02-29"]
)
def test_an_end_that_cannot_be_read_is_not_guessed_at(value: Any) -> None:
    assert isinstance(time_of(value, RECEIVED, is_end=True), Undated)


@given(st.text(max_size=40) | st.integers() | st.floats() | st.datetimes().map(str))
def test_no_value_is_a_time_that_could_win_by_accident(value: Any) -> None:
    for is_end in (False, True):
        time = time_of(value, RECEIVED, is_end=is_end)
        if isinstance(time, datetime):
            assert datetime(2000, 1, 1, tzinfo=UTC) <= time < datetime(2200, 1, 1, tzinfo=UTC)
            assert datetime(2000, 1, 1, tzinfo=UTC) <= when(time, RECEIVED) <= RECEIVED + timedelta(minutes=5)


# --- where their order decides ---

pytestmark = pytest.mark.django_db
# Where it is told, nothing but the time can be a reason to read the connection.
BANK = {"provider_code": "demobank_xf", "provider_name": "Demobank"}


@pytest.mark.parametrize("form", DATED)
def test_a_late_failure_is_known_as_one(upstream: Upstream, user: User, form: str) -> None:
    """It comes after the success, and is older: whichever way both say when they were."""
    session = start(user)
    now = timezone.now()
    for body, hours in (
        (callbacks.success(session.pending_token, LINK), 1),
        (callbacks.fail(None, connection_id=LINK), 2),
    ):
        body["meta"]["time"] = DATED[form](now - timedelta(hours=hours))
        assert post(body) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["Go", "JavaScript", "milliseconds", "RFC 9110", "Python, naive"])
def test_a_later_failure_is_known_as_one_too(upstream: Upstream, user: User, form: str) -> None:
    session = start(user)
    now = timezone.now()
    for body, hours in (
        (callbacks.fail(None, connection_id=LINK), 1),
        (callbacks.success(session.pending_token, LINK), 2),
    ):
        body["meta"]["time"] = DATED[form](now - timedelta(hours=hours))
        assert post(body) == 200
    assert stands(session) == ("succeeded", "inactive", "login_changed")


@pytest.mark.parametrize("value", ["29.11.2026", "11/29/26 10:04 AM", True, "2026-11-29 10:04:05 PST"])
def test_a_success_at_a_time_that_cannot_be_read_is_one(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, **BANK)
    body["meta"]["time"] = value
    assert post(body) == 200
    assert stands(session) == SUCCEEDED
    connection = BankingConnection.objects.get()
    assert connection.connected_at is not None
    assert timezone.now() - connection.connected_at < timedelta(minutes=1)
    # It is read soon: that settles when it was.
    assert connection.read_due_at is not None
    assert latest().assertions["dated"] is False


def test_a_success_at_a_time_that_cannot_be_read_outdoes_nothing_that_came_later(
    upstream: Upstream, user: User
) -> None:
    session = start(user)
    assert post(callbacks.body(connection_id=LINK, token=session.pending_token, stage="start")) == 200
    later = callbacks.fail(None, "ConsentRevoked", connection_id=LINK)
    later["meta"]["time"] = iso(timezone.now())
    assert post(later) == 200
    body = callbacks.success(session.pending_token, LINK)
    body["meta"]["time"] = "29/11/2026"
    assert post(body) == 200
    assert stands(session) == ("succeeded", "inactive", "consent_revoked")


@pytest.mark.parametrize("value", [None, 0, "0001-01-01T00:00:00Z", "never", "1970-01-01 00:00:00"])
def test_no_time_is_that_of_receipt(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, **BANK)
    body["meta"]["time"] = value
    assert post(body) == 200
    connection = BankingConnection.objects.get()
    assert connection.connected_at is not None
    assert timezone.now() - connection.connected_at < timedelta(minutes=1)
    assert connection.read_due_at is None


def test_of_several_times_the_outermost_that_can_be_read_counts(upstream: Upstream, user: User) -> None:
    session = start(user)
    at = timezone.now() - timedelta(hours=3)
    body = {"time": "29.11.2026", **callbacks.success(session.pending_token, LINK, time=iso(at), **BANK)}
    assert post(body) == 200
    assert BankingConnection.objects.get().connected_at == at
    assert BankingConnection.objects.get().read_due_at is None


@pytest.mark.parametrize("form", DATED)
def test_a_row_of_the_list_tells_when_it_succeeded_in_any_form(
    upstream: Upstream, user: User, form: str
) -> None:
    session = start(user)
    at = timezone.now() - timedelta(minutes=10)
    attempt = {"success_at": DATED[form](at)}
    upstream.lists(row(LINK, token=session.pending_token, attempt=attempt, updated_at=None))
    reconcile(timezone.now() + timedelta(minutes=11))
    assert stands(session) == SUCCEEDED
    connected_at = BankingConnection.objects.get().connected_at
    assert connected_at is not None
    assert abs(connected_at - at) < timedelta(seconds=1)


@pytest.mark.parametrize("value", UNDATED, ids=lambda value: repr(value)[:40])
def test_a_row_that_succeeded_at_an_unreadable_time_succeeded(
    upstream: Upstream, user: User, value: Any
) -> None:
    session = start(user)
    upstream.lists(row(LINK, token=session.pending_token, attempt={"success_at": value}, updated_at=None))
    reconcile(timezone.now() + timedelta(minutes=11))
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize(
    "attempt",
    [
        {"fail_at": "2026-11-29T10:00:00Z"},
        {"fail_at": "yesterday"},
        {"fail_error_class": "InvalidCredentials"},
        {"error": {"class": "InvalidCredentials"}},
    ],
)
def test_an_unreadable_success_is_none_where_something_says_otherwise(
    upstream: Upstream, user: User, attempt: dict[str, Any]
) -> None:
    session = start(user)
    attempt = {"success_at": "29.11.2026", **attempt}
    upstream.lists(row(LINK, token=session.pending_token, attempt=attempt, updated_at=None))
    reconcile(timezone.now() + timedelta(minutes=11))
    assert stands(session)[:2] == ("failed", "pending")


@pytest.mark.parametrize("value", NO_TIME, ids=repr)
def test_a_row_without_a_success_has_none(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    upstream.lists(row(LINK, token=session.pending_token, attempt={"success_at": value}, updated_at=value))
    reconcile(timezone.now() + timedelta(minutes=11))
    assert stands(session)[:2] == ("open", "pending")


def test_a_consent_that_ends_on_a_date_ends_at_the_end_of_that_day(upstream: Upstream, user: User) -> None:
    session = start(user)
    connected(session)
    body = callbacks.success(session.pending_token, LINK, time=iso(timezone.now()))
    body["data"]["consent_expires_at"] = "2027-03-01"
    assert post(body) == 200
    connection = BankingConnection.objects.get()
    assert connection.consent_expires_at == datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC)
    assert not connection.consent_is_estimated


@pytest.mark.parametrize("value", ["9999-12-31", "9999-12-31T23:59:59Z", "01.03.2027", None, 0, "never"])
def test_an_end_that_is_none_leaves_the_estimate(upstream: Upstream, user: User, value: Any) -> None:
    session = start(user)
    body = callbacks.success(session.pending_token, LINK, time=iso(timezone.now()))
    body["data"]["consent_expires_at"] = value
    assert post(body) == 200
    assert BankingConnection.objects.get().consent_is_estimated


def test_a_bank_that_changed_at_an_unreadable_time_has_its_links_read(upstream: Upstream, user: User) -> None:
    connection = connected(start(user))
    BankingConnection.objects.update(provider_code="demobank_xf", provider_name="Demobank", read_due_at=None)
    body = {"data": {"provider_code": "demobank_xf", "provider_status": "inactive"}, "meta": {"version": "6"}}
    for time, is_read in ((iso(timezone.now()), False), ("29.11.2026", True)):
        assert post({**body, "meta": {"version": "6", "time": time}}) == 200
        connection.refresh_from_db()
        assert (connection.read_due_at is not None) is is_read


def test_two_unreadable_successes_are_two_facts(upstream: Upstream, user: User) -> None:
    """Else the one that mends the link would be taken for the one before it."""
    session = start(user)
    one = row(LINK, token=session.pending_token, attempt={"success_at": "28.11.2026"}, updated_at=None)
    upstream.lists(one)
    reconcile(timezone.now() + timedelta(minutes=11))
    events = BankingConnection.objects.get().events.filter(kind="succeeded")
    assert events.count() == 1
    upstream.lists({**one, "last_attempt": {**one["last_attempt"], "success_at": "29.11.2026"}})
    reconcile(timezone.now() + timedelta(days=2))
    assert events.count() == 2
