"""What each knob of the sandbox does to the real app: webhooks through its door, the list over a real socket."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from pytest_django.live_server_helper import LiveServer

from business_os_banking.exceptions import BusinessOSError, TimedOut, UpstreamTrouble
from business_os_banking.flows import connect
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import Result, reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.sandbox import simulate
from business_os_banking.sandbox.models import SandboxDelivery, SandboxSession
from tests.browser.database import file_instead_of_memory

from .conftest import Configure

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

SECRET = "only-for-tests"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def live_server(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("database")
    with django_db_blocker.unblock(), file_instead_of_memory(folder):
        server = LiveServer("127.0.0.1")
        yield server
        server.stop()


@pytest.fixture(autouse=True)
def _app(live_server: LiveServer, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.urls"
    account = {
        "API_KEY": "key-a",
        "WEBHOOK_SECRETS": [SECRET],
        "BASE_URL": f"{live_server.url}/sandbox",
        "CONNECT_URL_HOSTS": ["127.0.0.1", "localhost"],
        "TIMEOUT": (3, 3),
    }
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    url = f"{live_server.url}/banking/webhook/"
    settings.BUSINESS_OS_SANDBOX = {
        **settings.BUSINESS_OS_SANDBOX,
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_URL": url,
    }


def start(user: User, tenant: str = "", **more: Any) -> ConnectSession:
    return connect.start(owner=(user, tenant), return_to=lambda session: "https://site.example/", **more)


def journey(user: User, scenario: str = "succeed", tenant: str = "") -> ConnectSession:
    """A trip to the widget, up to its end. No callback has been sent yet.

    Two trips for the same person and tenant at the same time would be one: a double click.
    """
    session = start(user, tenant)
    simulate.finish(session.connect_url, scenario)
    return session


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    answer = Client().post(urlsplit(url).path, body, headers.pop("Content-Type"), headers=headers)
    return int(answer.status_code)


def deliver(later: timedelta = timedelta()) -> int:
    """Deliver what is due then; all of it gets through."""
    count = simulate.deliver_due(now=timezone.now() + later, send=post)
    assert not SandboxDelivery.objects.filter(attempts__gt=0, sent_at=None).exists()
    return count


def read(later: timedelta = timedelta()) -> Result:
    """Reconcile, reading the list whatever was read before."""
    now = timezone.now() + later
    AccountState.objects.update(read_at=None, sweep_next_at=now)
    ConnectSession.objects.waiting().update(look_at=now)
    return reconcile(now)


def stands(session: ConnectSession) -> tuple[str, str, str]:
    """The stored statuses of the session and its connection, and the reason."""
    session = ConnectSession.objects.select_related("connection").get(pk=session.pk)
    return session.status, session.connection.status, session.connection.status_reason or ""


ACTIVE = ("succeeded", "active", "")
WAITING = ("open", "pending", "")


# --- on the way back ---


@pytest.mark.parametrize("scenario", ["succeed", "webhook_twice", "webhook_thrice", "out_of_order"])
def test_however_the_success_is_told(user: User, scenario: str) -> None:
    session = journey(user, scenario)
    assert stands(session) == WAITING
    deliver()
    assert stands(session) == ACTIVE
    read()
    assert stands(session) == ACTIVE


@pytest.mark.parametrize("scenario", ["webhook_never", "webhook_day_late"])
def test_found_without_a_webhook(user: User, scenario: str) -> None:
    session = journey(user, scenario)
    assert deliver() == 0
    assert stands(session) == WAITING
    assert read().read_facts == 1
    assert stands(session) == ACTIVE


def test_a_day_late(user: User) -> None:
    session = journey(user, "webhook_day_late")
    assert deliver(DAY - timedelta(minutes=1)) == 0
    assert stands(session) == WAITING
    assert deliver(DAY + timedelta(minutes=1)) == 6
    assert stands(session) == ACTIVE


def test_a_day_late_and_long_since_found(user: User) -> None:
    session = journey(user, "webhook_day_late")
    read()
    before = stands(session)
    deliver(2 * DAY)
    assert stands(session) == before == ACTIVE


@pytest.mark.parametrize("atomic", [False, True])
def test_before_the_answer(
    user: User, configure: Configure, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic)
    configure(EARLY_WEBHOOK=True)
    session = start(user)
    assert SandboxDelivery.objects.filter(sent_at=None).count() == 0
    assert ConnectionEvent.objects.filter(source="webhook", session=session).count() == 6
    assert stands(session) == ACTIVE
    assert deliver() == 0
    read()
    assert stands(session) == ACTIVE
    # The person is on the way to the bank nevertheless, and finds the way back there.
    page = Client().get(session.connect_url)
    assert page.status_code == 410
    ended_url = SandboxSession.objects.get().ended_url
    assert ended_url.startswith("https://site.example/?connection_id=")
    assert ended_url in page.content.decode()


# --- at the bank ---


def test_slow(user: User, configure: Configure) -> None:
    configure(SLOW_SECONDS=60)
    session = journey(user, "slow")
    assert deliver() == 0
    assert deliver(timedelta(seconds=35)) == 3
    assert stands(session) == WAITING
    session.refresh_from_db()
    assert session.stage == "fetch_accounts"
    assert deliver(timedelta(seconds=61)) == 3
    assert stands(session) == ACTIVE
    read()
    assert stands(session) == ACTIVE


def test_cancelled_and_failed(user: User) -> None:
    for scenario, status in (("cancel", "cancelled"), ("bank_trouble", "failed")):
        session = journey(user, scenario)
        deliver()
        assert stands(session) == (status, "pending", "")


# --- later ---


@pytest.mark.parametrize("by", ["webhook", "list"])
def test_the_consent_ends(user: User, configure: Configure, by: str) -> None:
    configure(AFTERMATH_SECONDS=60)
    session = journey(user, "consent_ends")
    deliver()
    assert stands(session) == ACTIVE
    assert deliver(timedelta(seconds=59)) == 0
    if by == "webhook":
        assert deliver(timedelta(seconds=61)) == 1
    else:
        simulate.deliver_due(now=timezone.now() + timedelta(seconds=61), send=lambda url, body, headers: None)
        read(timedelta(seconds=61))
    assert stands(session) == ("succeeded", "inactive", "consent_expired")
    read(timedelta(seconds=62))
    assert stands(session) == ("succeeded", "inactive", "consent_expired")


@pytest.mark.parametrize("how", ["expired", "revoked"])
@pytest.mark.parametrize("by", ["webhook", "list"])
def test_a_consent_that_is_ended(user: User, how: str, by: str) -> None:
    session = journey(user)
    deliver()
    read()
    session.refresh_from_db()
    simulate.end_consent(session.upstream_id, how)
    deliver() if by == "webhook" else read()
    assert stands(session) == ("succeeded", "inactive", f"consent_{how}")
    # Connecting anew mends it. The list shows whole seconds: in one and the same, no success is the later one.
    time.sleep(1.1)
    again = start(user, connection=BankingConnection.objects.get())
    simulate.finish(again.connect_url)
    deliver()
    assert stands(again) == ACTIVE
    read()
    assert stands(again) == ACTIVE


@pytest.mark.parametrize("by", ["webhook", "list"])
def test_a_bank_that_is_switched_off_and_on(user: User, by: str) -> None:
    session = journey(user)
    other = journey(user, "webhook_twice", "other")
    deliver()
    read()
    hear = deliver if by == "webhook" else read
    for _ in range(2):
        simulate.switch_bank("demobank_xf", active=False)
        hear()
        assert stands(session) == ("succeeded", "inactive", "bank_disabled")
        assert stands(other) == ACTIVE
        simulate.switch_bank("demobank_xf", active=True)
        hear()
        assert stands(session) == ACTIVE
    deliver()
    read()
    assert stands(session) == ACTIVE


def test_switched_off_by_itself(user: User, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=60)
    session = journey(user, "switched_off")
    deliver()
    # Which bank it is at only the list says; callbacks do not.
    read()
    assert deliver(timedelta(seconds=61)) == 1
    assert stands(session) == ("succeeded", "inactive", "bank_disabled")
    while_off = journey(user, "switched_off")
    deliver(timedelta(seconds=62))
    assert stands(while_off)[0] == "failed"
    assert deliver(timedelta(seconds=121)) == 2
    assert stands(session) == ACTIVE


def test_removed_by_itself(user: User, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=60)
    session = journey(user, "removed")
    deliver()
    read()
    assert stands(session) == ACTIVE
    assert deliver(timedelta(seconds=61)) == 1
    assert stands(session) == ACTIVE, "what only looks like a removal is looked into"
    assert read(timedelta(minutes=2)).read_facts == 1
    assert stands(session) == ("succeeded", "disconnected", "")
    assert BankingConnection.objects.get().ended_by == "provider"
    assert read().read_facts == 0


def test_removed_as_a_relay_tells_it(user: User, configure: Configure) -> None:
    configure(SPEAKS_LIKE="relay")
    session = journey(user)
    deliver()
    assert stands(session) == ACTIVE
    session.refresh_from_db()
    simulate.remove(session.upstream_id)
    deliver()
    assert stands(session) == ("succeeded", "disconnected", "")


@pytest.mark.parametrize("scenario", ["succeed", "webhook_thrice", "out_of_order", "wrong_login", "slow"])
def test_a_relay_tells_the_same(user: User, configure: Configure, scenario: str) -> None:
    """Names, nulls, whole objects and times in another form: nothing of it makes a difference."""
    configure(SPEAKS_LIKE="relay", SLOW_SECONDS=1)
    session = journey(user, scenario)
    deliver(timedelta(seconds=5))
    assert stands(session) == ACTIVE
    session.refresh_from_db()
    assert session.connection.provider_name
    simulate.end_consent(session.upstream_id, "revoked")
    deliver()
    assert stands(session) == ("succeeded", "inactive", "consent_revoked")
    assert not ConnectionEvent.objects.exclude(note="").exists()
    assert not ConnectionEvent.objects.filter(kind="unknown").exists()


def test_a_failure_as_a_relay_tells_it(user: User, configure: Configure) -> None:
    configure(SPEAKS_LIKE="relay")
    session = journey(user, "bank_trouble")
    deliver()
    session.refresh_from_db()
    assert (session.status, session.error_class) == ("failed", "ProviderUnavailable")


def test_a_bank_as_a_relay_tells_it(user: User, configure: Configure) -> None:
    session = journey(user)
    deliver()
    read()
    configure(SPEAKS_LIKE="relay")
    simulate.switch_bank("demobank_xf", active=False)
    deliver()
    assert stands(session) == ("succeeded", "inactive", "bank_disabled")


def test_removed_as_the_list_shows(user: User) -> None:
    session, other = journey(user), journey(user, tenant="other")
    deliver()
    session.refresh_from_db()
    simulate.remove(session.upstream_id)
    read()
    assert stands(session) == ACTIVE, "once may be a slip"
    read(timedelta(hours=2))
    assert stands(session) == ("succeeded", "disconnected", "")
    assert stands(other) == ACTIVE


def test_disconnected_before_something_was_to_happen(user: User, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=60)
    session = journey(user, "consent_ends")
    deliver()
    disconnect(BankingConnection.objects.get())
    assert deliver() == 1
    assert deliver(timedelta(seconds=61)) == 0
    assert stands(session) == ("succeeded", "disconnected", "")


# --- the API ---


@pytest.mark.parametrize("status", [404, 405])
def test_no_list(user: User, configure: Configure, caplog: pytest.LogCaptureFixture, status: int) -> None:
    configure(LIST_MISSING=status)
    session = journey(user, "webhook_late")
    with caplog.at_level(logging.WARNING, "business_os_banking.flows.read"):
        results = [read(), read(timedelta(minutes=5))]
        deliver(timedelta(minutes=5))
        results.append(read(timedelta(hours=25)))
    lines = [line for line in caplog.messages if "no list of connections" in line]
    assert len(lines) == 1
    assert all("no such list" in result.problems[0] for result in results)
    assert stands(session) == ACTIVE
    configure(LIST_MISSING=0)
    result = read(timedelta(hours=50))
    assert (result.read_pages, result.problems) == (1, [])
    assert stands(session) == ACTIVE


def test_a_gateway_in_trouble_pauses_the_reading(user: User, configure: Configure) -> None:
    session = journey(user, "webhook_never")
    configure(TROUBLE="html_502", TROUBLE_CALLS=1)
    result = read()
    assert "502" in result.problems[0]
    assert not result.needs_a_person
    assert stands(session) == WAITING
    assert "paused" in read().problems[0]
    read(timedelta(minutes=5))
    assert stands(session) == ACTIVE


@pytest.mark.parametrize(
    ("trouble", "error"), [("html_502", UpstreamTrouble), ("hang", TimedOut), ("drip", TimedOut)]
)
def test_a_gateway_in_trouble_at_connect(
    user: User, configure: Configure, settings: Any, trouble: str, error: type[BusinessOSError]
) -> None:
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "TIMEOUT": (3, 0.5)}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    configure(TROUBLE=trouble, TROUBLE_CALLS=1, TROUBLE_SECONDS=1.5)
    with pytest.raises(error) as caught:
        start(user)
    failed = caught.value.session
    assert isinstance(failed, ConnectSession)
    assert stands(failed)[0] == "failed"
    assert stands(start(user)) == WAITING


# --- the list ---


@pytest.mark.parametrize("start", ["inclusive", "exclusive"])
@pytest.mark.parametrize("order", ["ascending", "descending", "mixed"])
def test_found_wherever_it_stands_in_the_list(
    user: User, configure: Configure, order: str, start: str
) -> None:
    configure(LIST_ORDER=order, FROM_ID=start, PAGE_SIZE=2)
    sessions = [journey(user, "webhook_never", tenant) for tenant in "abcde"]
    read()
    assert [stands(session) for session in sessions] == [ACTIVE] * 5
    assert set(BankingConnection.objects.values_list("provider_name", flat=True)) == {"Stille Bank"}


def test_a_list_that_leads_in_a_circle_is_not_read_for_ever(user: User, configure: Configure) -> None:
    configure(LIST_CIRCLES=True, PAGE_SIZE=2)
    sessions = [journey(user, "webhook_never", tenant) for tenant in "abc"]
    result = read()
    assert result.read_pages <= 6
    assert "circle" in result.problems[0]
    assert [stands(session) for session in sessions] == [ACTIVE] * 3


def test_a_start_that_is_ignored_costs_no_more_than_a_page_or_two(user: User, configure: Configure) -> None:
    configure(FROM_ID="ignored", PAGE_SIZE=2)
    session = journey(user, "webhook_never")
    for tenant in "bc":
        journey(user, "webhook_never", tenant)
    assert read().read_pages <= 2
    assert stands(session) == ACTIVE


@pytest.mark.parametrize("order", ["ascending", "descending", "mixed"])
def test_a_list_that_grows_while_it_is_read(user: User, configure: Configure, order: str) -> None:
    configure(LIST_ORDER=order, LIST_GROWS=1, PAGE_SIZE=2)
    sessions = [journey(user, "webhook_never", tenant) for tenant in "abc"]
    read()
    assert [stands(session) for session in sessions] == [ACTIVE] * 3
    assert BankingConnection.objects.count() == 3, "strangers stay strangers"


@pytest.mark.parametrize("whose", ["another", "nobody"])
def test_a_list_without_a_row_of_ours_says_nothing_of_ours(
    user: User, configure: Configure, whose: str
) -> None:
    sessions = [journey(user, tenant=tenant) for tenant in "abc"]
    deliver()
    read()
    configure(LIST_OF=whose)
    for hours in (1, 3, 5):
        read(timedelta(hours=hours))
    assert [stands(session) for session in sessions] == [ACTIVE] * 3
    configure(LIST_OF="own")
    read(timedelta(hours=7))
    assert [stands(session) for session in sessions] == [ACTIVE] * 3


@pytest.mark.parametrize("status", [404, 405])
def test_what_cannot_be_read_by_id_is_not_gone(user: User, configure: Configure, status: int) -> None:
    configure(BY_ID_MISSING=status)
    session = journey(user)
    deliver()
    read()
    # Undated news has the link read by its id.
    BankingConnection.objects.update(read_due_at=timezone.now())
    read(timedelta(minutes=2))
    read(timedelta(hours=3))
    assert stands(session) == ACTIVE
