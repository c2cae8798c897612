"""Reading back as it is planned: by id, the tail and the sweep, on lists of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from business_os_banking.doctor.records import figures_of
from business_os_banking.flows import reconcile as steps
from business_os_banking.flows.read import read_account
from business_os_banking.flows.reconcile import Result, reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.deeds import deliver, start
from tests.flows.paged import Paged, paged_upstream, row, strangers

pytestmark = pytest.mark.django_db(transaction=True)
BANK = {"provider_code": "demobank_xf", "provider_name": "Demobank"}


@pytest.fixture
def paged() -> Iterator[Paged]:
    with paged_upstream() as paged:
        yield paged


def connected(user: User, link: str, **more: Any) -> BankingConnection:
    """Have a bank connected, as a webhook tells; of which bank, it tells only if that is named."""
    session = start(user, next_url=f"/{link}/")
    deliver(callbacks.success(session.pending_token, link, time=timezone.now().isoformat(), **more))
    return BankingConnection.objects.get(pk=session.connection_id)


def run(minutes: float = 11) -> Result:
    return reconcile(timezone.now() + timedelta(minutes=minutes))


def state() -> AccountState:
    return AccountState.objects.get()


def learnt(name: str) -> Any:
    return state().learnt.get(name, {}).get("value")


def budget(settings: Any, reads: int) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READS_PER_DAY": reads}


def swept(settings: Any) -> None:
    """Let the list be read to its end, whatever it takes."""
    most = settings.BUSINESS_OS_BANKING.get("READS_PER_DAY", 200)
    budget(settings, 100_000)
    AccountState.objects.get_or_create(alias="default")
    AccountState.objects.update(list_wanted_at=timezone.now())
    while state().list_wanted_at or state().sweep_started_at:
        run(0)
    budget(settings, most)
    AccountState.objects.update(buckets={}, reads=0)


# --- by id ---


def test_a_bank_has_its_name_after_the_next_run_though_webhooks_come(paged: Paged, user: User) -> None:
    connection = connected(user, "777")
    assert connection.display_name == "Bank"
    AccountState.objects.create(alias="default", read_at=timezone.now())
    paged.rows = [*strangers(1, 40), row("777")]
    run(2)
    connection.refresh_from_db()
    assert (connection.display_name, connection.read_due_at) == ("Demobank", None)
    assert (paged.shown, paged.asked) == (["777"], [])
    assert learnt("by_id") == "works"


def test_a_routine_webhook_of_a_bank_that_is_known_has_nothing_read(paged: Paged, user: User) -> None:
    connection = connected(user, "777", **BANK)
    assert connection.read_due_at is None
    deliver(callbacks.notify(None, connection_id="777"))
    connection.refresh_from_db()
    assert connection.read_due_at is None


def test_where_there_is_no_reading_by_id_the_page_is_read_and_that_remembered(
    paged: Paged, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    paged.shows = False
    first = connected(user, "777")
    AccountState.objects.create(alias="default", read_at=timezone.now())
    paged.rows = [*strangers(1, 40), row("777"), row("888")]
    run(2)
    first.refresh_from_db()
    assert (first.display_name, paged.shown, paged.asked) == ("Demobank", ["777"], ["777"])
    assert caplog.text.count("by_id is none") == 1
    second = connected(user, "888")
    run(4)
    second.refresh_from_db()
    assert (second.display_name, paged.shown, paged.asked) == ("Demobank", ["777"], ["777", "888"])
    BankingConnection.objects.update(read_due_at=timezone.now())
    run(26 * 60)
    assert len(paged.shown) == 2  # tried again after a day


@pytest.mark.long
def test_a_bank_that_nobody_tells_is_asked_for_ever_less_often(paged: Paged, user: User) -> None:
    connected(user, "777")
    paged.rows = [row("777", provider_code=None, provider_name=None)]
    AccountState.objects.create(alias="default", read_at=timezone.now() + timedelta(days=30))
    now, asked = timezone.now(), []
    for hours in [number / 12 for number in range(3 * 12)] + list(range(3, 24 * 21)):
        AccountState.objects.update(read_at=now + timedelta(hours=hours))
        before = len(paged.shown)
        reconcile(now + timedelta(hours=hours))
        asked += [hours] * (len(paged.shown) - before)
    assert 4 <= len(asked) <= 8
    assert [hours for hours in asked if hours < 1]


def test_reading_for_a_name_undoes_nothing_that_was_said_at_a_time(paged: Paged, user: User) -> None:
    connection = connected(user, "777")
    deliver(callbacks.fail(None, "ConsentRevoked", connection_id="777", time=timezone.now().isoformat()))
    paged.rows = [row("777")]
    run(2)
    connection.refresh_from_db()
    assert (connection.status, connection.display_name) == ("inactive", "Demobank")


# --- the tail ---


@pytest.mark.parametrize("from_id", ["inclusive", pytest.param("exclusive", marks=pytest.mark.long)])
def test_a_link_at_the_end_of_a_long_list_is_found_within_two_runs(
    paged: Paged, user: User, settings: Any, from_id: str
) -> None:
    budget(settings, 50)
    paged.from_id = from_id
    connected(user, "90000", **BANK)
    paged.rows = [*strangers(1, 2_000), row("90000"), *strangers(90_001, 6)]
    swept(settings)
    session = start(user)
    paged.rows = [*paged.rows, *strangers(95_000, 7), row("99999", token=session.pending_token)]
    before = len(paged.asked)
    run(11), run(16)
    session.refresh_from_db()
    assert session.status == "succeeded"
    assert len(paged.asked) - before <= 12


def test_even_before_the_list_was_ever_read_to_its_end(paged: Paged, user: User, settings: Any) -> None:
    budget(settings, 50)
    connected(user, "90000", **BANK)
    session = start(user)
    paged.rows = [
        *strangers(1, 2_000),
        row("90000"),
        *strangers(90_001, 6),
        row("99999", token=session.pending_token),
    ]
    run(11), run(16)
    session.refresh_from_db()
    assert session.status == "succeeded"


@pytest.mark.parametrize("order", ["ascending", "descending", "mixed"])
@pytest.mark.parametrize("from_id", ["inclusive", "exclusive"])
def test_it_is_found_in_whatever_order_the_list_is(
    paged: Paged, user: User, settings: Any, order: str, from_id: str
) -> None:
    paged.from_id = from_id
    rows = strangers(1, 60)
    if order == "mixed":
        rows = rows[::2] + rows[1::2][::-1]
    paged.rows = rows if order != "descending" else rows[::-1]
    swept(settings)
    assert learnt("order") == order
    session = start(user)
    found = row("9999", token=session.pending_token)
    paged.rows = [found, *paged.rows] if order == "descending" else [*paged.rows, found]
    before = len(paged.asked)
    run(11)
    session.refresh_from_db()
    assert session.status == "succeeded"
    assert len(paged.asked) - before <= 3


def test_the_order_is_told_by_when_they_were_made_where_that_is_said(
    paged: Paged, user: User, settings: Any
) -> None:
    ids = [str(number * 7919 % 997) for number in range(1, 61)]
    paged.rows = [row(text, created_at=f"2026-10-01T10:{place:02}:00Z") for place, text in enumerate(ids)]
    swept(settings)
    assert learnt("order") == "ascending"


@pytest.mark.long
@pytest.mark.parametrize(
    ("from_id", "order", "rows"),
    [
        ("inclusive", 1, 40),
        ("inclusive", 1, 3),
        ("exclusive", 1, 40),
        ("inclusive", -1, 40),
        ("inclusive", 7, 45),  # mixed: both ends are read
        ("exclusive", 7, 45),
    ],
)
def test_one_session_that_never_ends_costs_few_reads(
    paged: Paged, user: User, settings: Any, from_id: str, order: int, rows: int
) -> None:
    paged.from_id = from_id
    paged.rows = sorted(
        strangers(1, rows), key=lambda item: int(item["id"]) * order % 331 if order == 7 else 0
    )
    paged.rows = paged.rows[::-1] if order == -1 else paged.rows
    swept(settings)
    session = start(user)
    begin, before = timezone.now(), paged.reads
    for minutes in range(0, 24 * 60, 5):
        now = begin + timedelta(minutes=minutes)
        ConnectSession.objects.update(expires_at=now + timedelta(hours=2))
        reconcile(now)
    session.refresh_from_db()
    places = 2 if learnt("order") == "mixed" else 1
    assert (session.status, session.looks * places) == ("open", paged.reads - before)
    assert 12 <= paged.reads - before <= 24


def test_a_browser_that_came_back_is_looked_for_a_minute_later(paged: Paged, user: User) -> None:
    session = start(user)
    assert run(4).read_pages == 1  # a list that was never read is read once, to know where its tail is
    assert run(5).read_pages == 0
    ConnectSession.objects.update(returned_at=timezone.now() + timedelta(minutes=6))
    assert run(6.5).read_pages == 0
    paged.rows = [row("777", token=session.pending_token)]
    assert run(7.1).read_pages == 1
    session.refresh_from_db()
    assert session.status == "succeeded"


def test_an_anchor_that_is_gone_is_no_missing_list(paged: Paged, user: User, settings: Any) -> None:
    paged.rows = strangers(1, 60)
    swept(settings)
    session = start(user)
    # The last pages began with rows that are gone.
    paged.rows = [*paged.rows[:-9], row("9999", token=session.pending_token)]
    run(11)
    session.refresh_from_db()
    assert (session.status, state().list_missing_at) == ("succeeded", None)


def test_where_from_id_is_ignored_nothing_is_concluded_and_a_person_is_told(
    paged: Paged, user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    paged.from_id = "ignored"
    connection = connected(user, "777", **BANK)
    session = start(user)
    paged.rows = [*strangers(1, 20), row("777")]
    result = run(11)
    assert result.needs_a_person
    assert "from_id is ignored" in result.problems[0]
    assert learnt("from_id") == "ignored"
    assert caplog.text.count("from_id is ignored") >= 1
    # It may be on a page that cannot be read.
    assert run(80).expired == 0
    assert not run(85).needs_a_person
    assert run(25 * 60 + 30).expired == 1
    run(50 * 60)
    connection.refresh_from_db()
    session.refresh_from_db()
    assert (connection.status, connection.missing_since, session.status) == ("active", None, "expired")
    assert len(paged.asked) < 40


# --- the sweep ---


class Killed(BaseException):
    """The process is gone, at this very moment."""


@pytest.mark.parametrize("number", range(1, 7))
def test_whoever_is_killed_at_a_page_resumes_there(paged: Paged, user: User, number: int) -> None:
    session = start(user)
    paged.rows = [*strangers(1, 20), row("9999", token=session.pending_token)]
    pages = ["", *(item["id"] for item in paged.rows[4::4])]

    def die(page: int) -> None:
        if page == number:
            raise Killed

    paged.before_page = die
    with pytest.raises(Killed):
        run(11)
    paged.before_page = lambda _page: None
    run(12)
    assert paged.asked == pages[:number] + pages[number - 1 :]
    session.refresh_from_db()
    assert session.status == "succeeded"


@pytest.mark.long
def test_a_sweep_goes_on_over_days_at_its_pace(paged: Paged, user: User, settings: Any) -> None:
    budget(settings, 20)
    connected(user, "1", **BANK)
    paged.rows = [row("1"), *strangers(11, 119)]  # thirty pages
    begin = datetime.now(UTC).replace(hour=0, minute=30) + timedelta(days=1)
    a_day = []
    for day in range(20):
        before = paged.reads
        for hour in range(23):
            reconcile(begin + timedelta(days=day, hours=hour))
        a_day.append(paged.reads - before)
        if learnt("pages") and a_day[-1] == 0:
            break
    assert learnt("pages") == 30
    assert a_day[0] >= 16  # four fifths until it was read once, and what comes in of its share
    assert (
        30 <= sum(a_day[:2]) <= 32
    )  # the next one may begin within the second day, a little earlier at random
    assert max(a_day[2:]) <= 5
    assert figures_of("default", timezone.now())["whole_reading_days"] == 7.5


def test_what_a_wrong_start_cannot_be_gone_on_from_is_read_anew(
    paged: Paged, user: User, settings: Any
) -> None:
    connected(user, "1", **BANK)
    paged.rows = [row("1"), *strangers(11, 59)]
    budget(settings, 10)
    run(11)
    assert state().sweep_cursor
    paged.rows = [item for item in paged.rows if item["id"] != state().sweep_cursor]
    budget(settings, 200)
    assert not run(12).needs_a_person
    run(13)
    assert learnt("pages") == 15
    assert state().list_missing_at is None


@pytest.mark.parametrize(
    ("from_id", "entry", "end"),
    [
        ("inclusive", 0, 4),
        ("exclusive", 3, 3),
        *[
            pytest.param(from_id, *circle, marks=pytest.mark.long)
            for from_id in ("inclusive", "exclusive")
            for circle in [(1, 9), (5, 9), (7, 14)]
        ],
        pytest.param("inclusive", 3, 3, marks=pytest.mark.long),
    ],
)
def test_pages_that_lead_in_a_circle_are_named(
    paged: Paged, user: User, from_id: str, entry: int, end: int
) -> None:
    paged.from_id = from_id
    connection = connected(user, "777", **BANK)
    paged.rows = strangers(1, 4 * 20)
    shift = 1 if from_id == "exclusive" else 0
    starts = {page: paged.rows[4 * page - shift]["id"] for page in range(shift, 20)}
    paged.leads_to = {starts[end + 1]: starts[entry]}
    result = run(11)
    assert result.needs_a_person
    assert "in a circle" in result.problems[0]
    assert len(paged.asked) <= 4 * (end + 1)
    before = len(paged.asked)
    assert run(60).problems == []
    assert len(paged.asked) == before
    assert "in a circle" in run(25 * 60).problems[0]
    connection.refresh_from_db()
    assert (connection.status, connection.missing_since) == ("active", None)


def test_a_clock_that_was_a_year_ahead_stops_no_reading(paged: Paged, user: User) -> None:
    connections = [connected(user, f"77{number}", **BANK) for number in range(6)]
    paged.rows = [row(f"77{number}") for number in range(6)]
    ahead = timezone.now() + timedelta(days=365)
    run(365 * 24 * 60)
    AccountState.objects.update(sweep_started_at=ahead, sweep_cursor="773", sweep_pages=1)
    ConnectSession.objects.update(look_at=ahead)
    paged.rows = paged.rows[1:]
    for hours in (1, 26, 52):
        run(hours * 60)
    connections[0].refresh_from_db()
    connections[1].refresh_from_db()
    assert (connections[0].status, connections[1].status) == ("disconnected", "active")
    assert not ConnectionEvent.objects.filter(occurred_at__gt=timezone.now() + timedelta(days=4)).exists()


@pytest.mark.long
def test_with_one_read_at_a_time_the_tail_comes_further_all_the_same(
    paged: Paged, user: User, settings: Any
) -> None:
    paged.rows = strangers(1, 60)
    swept(settings)
    session = start(user)
    paged.rows = [*paged.rows, *strangers(1_001, 16), row("9999", token=session.pending_token)]
    ConnectSession.objects.update(expires_at=timezone.now() + timedelta(hours=20))
    budget(settings, 10)
    pages = []
    for hours in range(1, 100):
        AccountState.objects.update(reads=0)
        ConnectSession.objects.update(expires_at=timezone.now() + timedelta(hours=hours + 3))
        pages.append(run(hours * 60).read_pages)
        session.refresh_from_db()
        if session.status == "succeeded":
            break
    assert session.status == "succeeded"
    assert max(pages[:-1]) == 1


@pytest.mark.long
def test_the_shares_do_not_take_from_each_other(paged: Paged, user: User, settings: Any) -> None:
    budget(settings, 20)
    paged.rows = strangers(1, 400)
    connected(user, "777")
    swept(settings)
    AccountState.objects.update(buckets={"tail": {"left": 0, "at": timezone.now().isoformat()}})
    paged.rows = [*paged.rows, row("777")]
    start(user)
    before = len(paged.shown)
    result = run(11)
    assert len(paged.shown) - before == 1
    assert BankingConnection.objects.get(upstream_id="777").display_name == "Demobank"
    assert "READS_PER_DAY" in result.problems[0]


# --- what is missing ---


def test_what_is_linked_while_the_list_is_read_is_not_missing(
    paged: Paged, user: User, settings: Any
) -> None:
    old = connected(user, "900", **BANK)
    paged.rows = [*strangers(101, 20), row("900")]
    new: list[BankingConnection] = []

    def link(page: int) -> None:
        if page == 4:
            # Where the reading has been already.
            new.append(connected(user, "1", **BANK))
            paged.rows = [row("1"), *paged.rows]

    paged.before_page = link
    swept(settings)
    [connection] = new
    connection.refresh_from_db()
    old.refresh_from_db()
    assert (connection.missing_since, old.missing_since) == (None, None)
    assert (connection.status, old.status) == ("active", "active")


def test_what_was_renewed_while_the_list_is_read_is_not_missing_either(
    paged: Paged, user: User, settings: Any
) -> None:
    connections = [connected(user, link, **BANK) for link in ("900", "910", "920")]
    paged.rows = [*strangers(101, 20), row("900"), row("910"), row("920")]
    swept(settings)

    def renew(page: int) -> None:
        if page == before + 4:
            session = start(user, connection=connections[0])
            told = callbacks.success(session.pending_token, "1", time=timezone.now().isoformat(), **BANK)
            deliver(told)
            paged.rows = [row("1"), *(item for item in paged.rows if item["id"] != "900")]

    before = len(paged.asked)
    paged.before_page = renew
    swept(settings)
    connections[0].refresh_from_db()
    assert (connections[0].upstream_id, connections[0].missing_since) == ("1", None)


@pytest.mark.parametrize("count", [1, 2])
def test_a_site_with_one_or_two_is_protected_from_a_wrong_list(
    paged: Paged, user: User, settings: Any, count: int
) -> None:
    connections = [connected(user, f"77{number}", **BANK) for number in range(count)]
    right = [row(f"77{number}") for number in range(count)]
    paged.rows = right
    run(11)
    paged.rows = [row("1")]
    options = settings.BUSINESS_OS_BANKING
    account = {**options["ACCOUNTS"]["default"], "API_KEY": "the-key-of-another-organisation"}
    settings.BUSINESS_OS_BANKING = {**options, "ACCOUNTS": {"default": account}}
    assert run(25 * 60).needs_a_person
    for hours in (26, 27, 28, 50, 51, 52, 76):
        run(hours * 60)
    for connection in connections:
        connection.refresh_from_db()
        assert connection.status == "active"
    settings.BUSINESS_OS_BANKING = options
    paged.rows = right
    run(110 * 60)
    assert not BankingConnection.objects.exclude(missing_since=None).exists()


def test_the_only_one_is_gone_when_the_api_says_so_twice_and_heals_when_it_is_back(
    paged: Paged, user: User
) -> None:
    connection = connected(user, "777", **BANK)
    paged.rows = [row("777")]
    run(11)
    paged.rows = []
    assert run(25 * 60).needs_a_person
    run(25 * 60 + 5)
    assert len(paged.shown) == 1
    run(25 * 60 + 30)
    connection.refresh_from_db()
    assert (connection.status, len(paged.shown)) == ("active", 1)
    run(26 * 60 + 10)
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by, len(paged.shown)) == ("disconnected", "provider", 2)
    # Nothing of it waits any more, and the list is asked all the same.
    run(100 * 60)
    paged.rows = [row("777")]
    run(150 * 60)
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by, connection.missing_since) == ("active", "", None)


def test_a_page_that_is_no_answer_by_id_is_no_word_of_the_api(paged: Paged, user: User) -> None:
    connection = connected(user, "777", **BANK)
    paged.rows, paged.shows = [], False
    for hours in (1, 2, 3, 26, 28, 52, 54, 80, 120):
        run(hours * 60)
    connection.refresh_from_db()
    assert connection.status == "active"


def test_another_key_than_the_one_that_saw_them_is_not_believed_at_once(
    paged: Paged, user: User, settings: Any
) -> None:
    connections = [connected(user, f"77{number}", **BANK) for number in range(10)]
    paged.rows = [row(f"77{number}") for number in range(10)]
    run(11)
    paged.rows = paged.rows[1:]
    run(25 * 60)
    options = settings.BUSINESS_OS_BANKING
    account = {**options["ACCOUNTS"]["default"], "API_KEY": "a-key-that-sees-fewer-of-them"}
    settings.BUSINESS_OS_BANKING = {**options, "ACCOUNTS": {"default": account}}
    assert run(50 * 60).needs_a_person
    connections[0].refresh_from_db()
    assert connections[0].status == "active"
    # It has seen most of them: the next time it is that key which saw them last.
    assert not run(75 * 60).needs_a_person
    connections[0].refresh_from_db()
    assert connections[0].status == "disconnected"


def test_a_list_in_no_order_is_not_believed(paged: Paged, user: User, settings: Any) -> None:
    connections = [connected(user, str(1000 + number), **BANK) for number in range(5)]
    rows = [*strangers(1, 60), *(row(str(1000 + number)) for number in range(1, 5))]
    paged.rows = rows[::2] + rows[1::2][::-1]
    for _time in range(3):
        swept(settings)
        BankingConnection.objects.exclude(missing_since=None).update(missing_since=timezone.now())
    connections[0].refresh_from_db()
    assert (connections[0].status, connections[0].missing_since) == ("active", None)


# --- the run ---


def test_a_step_that_breaks_keeps_no_other_back(
    paged: Paged, user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = start(user)
    paged.rows = [row("777", token=session.pending_token)]

    def broken(*_: Any) -> None:
        raise RuntimeError("of the database, say")

    for name in ("_apply_waiting", "_announce_untold", "watch", "_expire_overdue", "_remove_ended"):
        monkeypatch.setattr(steps, name, broken)
    result = run(11)
    session.refresh_from_db()
    assert session.status == "succeeded"
    assert (result.needs_a_person, result.read_facts) == (True, 1)
    assert [problem.partition(" broke")[0] for problem in result.problems] == [
        "applying events",
        "telling receivers",
        "watching default",
        "expiring sessions",
        "removing connections",
    ]
    assert state().reconciled_at is not None
    assert caplog.text.count("the other steps go on") == 5


def test_a_dry_run_tells_what_would_be_read(paged: Paged, user: User) -> None:
    connected(user, "777")
    start(user, next_url="/b/")
    ConnectSession.objects.update(returned_at=timezone.now() - timedelta(minutes=2))
    BankingConnection.objects.exclude(read_due_at=None).update(read_due_at=timezone.now())
    paged.rows = [row("777")]
    out = StringIO()
    call_command("banking_reconcile", "--dry-run", stdout=out)
    assert "default: to be read by id 1, sessions for the tail 1, the whole list yes" in out.getvalue()
    assert (paged.reads, AccountState.objects.count()) == (0, 0)
    call_command("banking_reconcile", stdout=StringIO())
    assert (paged.shown, len(paged.asked)) == (["777"], 2)
    out = StringIO()
    call_command("banking_reconcile", "--dry-run", stdout=out)
    assert "default: " not in out.getvalue()


def test_the_admin_shows_what_is_learnt(paged: Paged, user: User, settings: Any) -> None:
    paged.rows = strangers(1, 60)
    swept(settings)
    operator = Client()
    operator.force_login(User.objects.create_superuser("root", "root@site.example", "secret"))
    page = operator.get(f"/admin/business_os_banking/accountstate/{state().pk}/change/").content.decode()
    assert f"from_id: works ({timezone.now():%Y-%m-%d})" in page
    assert "order: ascending" in page
    assert "0.38 days, at the pace of its share" in page
    assert state().learnt["pairs"]["value"] not in [None, [0, 0]]
    assert "pairs" not in page


@pytest.mark.parametrize("by_hand", [9, 30])
def test_by_hand_there_is_a_share_of_its_own(paged: Paged, user: User, settings: Any, by_hand: int) -> None:
    budget(settings, by_hand * 40)
    paged.rows = strangers(1, 200)
    session = start(user)
    AccountState.objects.create(alias="default")
    reading = read_account("default", timezone.now(), by_hand=True)
    assert (reading.pages, reading.complete) == (min(by_hand, 10), False)
    assert ("first 10 pages" if by_hand == 30 else "the share for this") in reading.problem
    assert set(state().buckets) == {"asked"}
    session.refresh_from_db()
    assert session.status == "open"


def test_a_session_expires_only_after_a_look_that_began_after_its_end(paged: Paged, user: User) -> None:
    session = start(user)
    paged.status = 502
    for minutes in (11, 76, 90, 120, 700):
        assert run(minutes).expired == 0
    paged.status, paged.rows = 200, strangers(1, 3)
    assert run(1400).expired == 1
    event = ConnectionEvent.objects.get(kind="expired")
    assert event.session_id == session.pk
