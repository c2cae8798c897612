"""What can go wrong on the way, and the way on from there."""

import socket
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from business_os_banking.facts.fact import Fact
from business_os_banking.facts.record import record
from business_os_banking.facts.report import digest_of, expired, returned
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import Kind, Source

from . import journey
from .conftest import NewContext, Site

CANCELLED = "You stopped before the end"


def try_again(page: Page) -> None:
    """The next attempt works, on the same connection."""
    journey.button(page, "Try again")
    journey.sees(page, "Finish connecting your bank")
    journey.leave_for_the_bank(page)
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CONNECTED)
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")
    assert BankingConnection.objects.count() == 1
    assert ConnectSession.objects.count() == 2


@pytest.mark.parametrize("action", ["cancel", "refuse"])
def test_cancelled_by_the_person(page: Page, action: str) -> None:
    journey.start(page)
    if action == "refuse":
        journey.choose(page, "succeed")
        journey.log_in_at_bank(page)
        journey.sees(page, "Allow access?")
    journey.answer(page, action)
    journey.sees(page, CANCELLED)
    journey.has_action(page, "Try again", "Not now")
    session = journey.latest_session()
    assert journey.stands(session) == ("cancelled", "pending")
    session.refresh_from_db()
    assert (session.error_class, session.error_group) == ("ProviderAccessNotGranted", "you_cancelled")
    try_again(page)


def test_cancelled_and_left(page: Page, site: Site) -> None:
    journey.start(page, "?next=/books/")
    journey.choose(page, "cancel")
    journey.log_in_at_bank(page)
    journey.sees(page, CANCELLED)
    journey.button(page, "Not now")
    expect(page).to_have_url(f"{site.url}/books/")
    assert journey.stands(journey.latest_session()) == ("cancelled", "pending")


def test_a_cancel_is_only_supposed_until_it_is_known(page: Page, site: Site) -> None:
    site.hold_webhooks()
    journey.start(page)
    journey.answer(page, "cancel")
    journey.sees(page, "It looks as if you stopped")
    journey.has_action(page, "Try again", "Not now")
    assert journey.stands(journey.latest_session()) == ("open", "pending")
    journey.mark(page)
    site.let_webhooks_pass()
    journey.sees(page, CANCELLED)
    assert journey.stayed(page)


def test_wrong_login_and_then_right(page: Page, new_context: NewContext, site: Site) -> None:
    journey.start(page)
    session = journey.latest_session()
    journey.choose(page, "wrong_login")
    journey.log_in_at_bank(page)
    expect(page.get_by_role("alert")).to_contain_text("The bank did not accept this login.")
    # The bank reports that, while the person is still there: whoever looks at the page reads it.
    other_tab = new_context().new_page()
    other_tab.goto(journey.landing_of(session))
    journey.sees(other_tab, "Your bank did not recognise the login")
    assert journey.stands(session) == ("failed", "pending")
    journey.mark(other_tab)

    journey.log_in_at_bank(page)
    journey.sees(page, "Allow access?")
    journey.answer(page, "allow")
    journey.sees(page, journey.CONNECTED)
    journey.sees(other_tab, journey.CONNECTED)
    assert journey.stayed(other_tab)
    assert journey.stands(session) == ("succeeded", "active")
    session.refresh_from_db()
    assert (session.error_class, session.error_group) == ("", "")
    assert ConnectSession.objects.count() == 1


def test_the_bank_is_in_trouble(page: Page) -> None:
    journey.start(page)
    journey.choose(page, "bank_trouble")
    journey.log_in_at_bank(page)
    journey.sees(page, "Your bank is not available at the moment")
    session = journey.latest_session()
    assert journey.stands(session) == ("failed", "pending")
    session.refresh_from_db()
    assert (session.error_class, session.error_group) == ("ProviderUnavailable", "bank_not_available")
    try_again(page)


def test_the_session_ran_out(page: Page) -> None:
    journey.start(page)
    session = journey.latest_session()
    ConnectSession.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    record(expired(session, timezone.now()))
    assert journey.stands(session) == ("expired", "pending")
    page.goto(journey.landing_of(session))
    journey.sees(page, "This attempt ran out of time")
    try_again(page)


@pytest.fixture
def nobody_there() -> str:
    """An address at which nothing answers."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{place.getsockname()[1]}"


def test_the_upstream_is_down(new_context: NewContext, ada: User, site: Site, nobody_there: str) -> None:
    page = new_context(ada, expects=[503]).new_page()
    site.configure_upstream(BASE_URL=nobody_there)
    page.goto(f"{site.url}/banking/connect/?next=/books/")
    journey.button(page, "Choose your bank")
    journey.sees(page, "We cannot reach the bank service")
    session = journey.latest_session()
    expect(page.get_by_text("please quote this reference")).to_contain_text(str(session.reference))
    assert journey.stands(session) == ("failed", "pending")
    session.refresh_from_db()
    assert session.error_class == "NotReachable"

    site.configure_upstream(BASE_URL=site.sandbox_url)
    try_again(page)
    journey.button(page, "Continue")
    expect(page).to_have_url(f"{site.url}/books/")


def failed(session: ConnectSession, error_class: str) -> None:
    """Record a failure as the webhook would."""
    now = timezone.now()
    fact = Fact(kind=Kind.FAILED, at=now, error_class=error_class)
    report = replace(returned(session, {}, now), fact=fact, source=Source.WEBHOOK)
    record(replace(report, digest=digest_of(error_class), pending_token=session.pending_token))


def test_one_failure_after_another_while_the_person_looks_on(page: Page) -> None:
    journey.start(page)
    session = journey.latest_session()
    page.goto(journey.landing_of(session))
    journey.sees(page, journey.CHECKING)
    journey.mark(page)
    reference = page.get_by_text("please quote this reference")
    for error_class, title in (
        ("InvalidCredentials", "Your bank did not recognise the login"),
        ("ProviderUnavailable", "Your bank is not available at the moment"),
    ):
        failed(session, error_class)
        journey.sees(page, title)
        journey.has_action(page, "Try again", "Not now")
        expect(reference).not_to_be_visible()
    failed(session, "ClientDisabled")
    journey.sees(page, "We cannot connect banks at the moment")
    expect(reference).to_be_visible()
    assert journey.stayed(page)


def test_the_bank_that_is_connected_already_is_offered_while_the_person_looks_on(page: Page) -> None:
    journey.connect(page)
    journey.start(page)
    session = journey.latest_session()
    page.goto(journey.landing_of(session))
    journey.sees(page, journey.CHECKING)
    journey.mark(page)
    failed(session, "ConnectionDuplicated")
    journey.sees(page, "This bank is already connected")
    journey.has_action(page, "Renew that connection", "See your connections")
    assert journey.stayed(page)
    journey.button(page, "Renew that connection")
    journey.sees(page, "Renew Bank")


@pytest.mark.once
def test_a_question_that_nobody_answers_is_asked_again(page: Page) -> None:
    journey.start(page)
    session = journey.latest_session()
    asked: list[str] = []

    def hang(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()

    page.route("**/status/", hang)
    page.goto(journey.landing_of(session))
    failed(session, "InvalidCredentials")
    journey.sees(page, "Your bank did not recognise the login")
    assert len(asked) > 1
