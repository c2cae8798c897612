"""Every page in every state that is worth a look, for pictures and for checks of accessibility.

A scene is a function that brings a page into its state. Nothing is written into the tables by hand: attempts
are opened, and callbacks sent, as the widget would do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from business_os_banking.adapter import BankingAdapter
from business_os_banking.facts.record import record
from business_os_banking.facts.report import expired, seen
from business_os_banking.flows import connect as connect_flow
from business_os_banking.flows import invite
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.sandbox import simulate
from business_os_banking.vocabulary import Kind

from . import journey
from .journey import SITE

if TYPE_CHECKING:
    from .conftest import Site

ADMIN: Final = f"{SITE}/admin/business_os_banking"
# Statuses that some scenes have, so that the browser's complaint about them is none.
ANSWERS: Final = (400, 403, 404, 410, 429, 503)


class Closed(BankingAdapter):
    def can_connect(self, request: Any, connection: BankingConnection | None = None) -> bool:
        return False


@dataclass
class Scene:
    """What a scene works with: a page of `user`, who owns the connections and is an operator besides."""

    page: Page
    site: Site
    user: User

    def go(self, path: str, heading: str = "") -> None:
        self.page.goto(f"{SITE}{path}")
        if heading:
            journey.sees(self.page, heading)

    def attempt(self, connection: BankingConnection | None = None) -> ConnectSession:
        """Open an attempt, at which nobody has been to the bank yet."""
        return connect_flow.start(
            owner=(self.user, ""), return_to=journey.landing_of, connection=connection, email=self.user.email
        )

    def callback(self, session: ConnectSession, kind: str, **data: Any) -> None:
        """Let the bank's side send one callback about *session*."""
        body = simulate.callback_body(simulate.find_session(str(session.pending_token)), kind, **data)
        url = self.site.webhook_url
        answer = requests.post(url, data=body, headers=simulate.sign(body, url), timeout=journey.PATIENCE)
        assert answer.status_code == 200

    def connection(self, bank: str = "Demobank", *, consent_days: int = 170) -> BankingConnection:
        """Make a connection that works; the callback tells as much of it as a real one may."""
        session = self.attempt()
        until = timezone.now() + timedelta(days=consent_days)
        self.callback(
            session,
            "success",
            connection_id=str(7_000_000_000 + session.pk),
            provider_name=bank,
            provider_code=bank.lower().replace(" ", "_") + "_de",
            country_code="DE",
            consent_expires_at=until.isoformat(timespec="seconds"),
        )
        connection = BankingConnection.objects.get(pk=session.connection_id)
        assert (connection.status, connection.provider_name) == ("active", bank)
        return connection

    def ends_consent(self, connection: BankingConnection) -> BankingConnection:
        session = ConnectSession.objects.filter(connection=connection).latest("pk")
        self.callback(
            session,
            "consent",
            connection_id=connection.upstream_id,
            consent_status="expired",
            reason="EXPIRED",
        )
        connection.refresh_from_db()
        assert connection.status == "inactive"
        return connection

    def some_connections(self) -> None:
        """One of each kind."""
        disconnect(self.connection("Nordhafen Bank"))
        self.ends_consent(self.connection("Sternberg Savings Bank"))
        self.connection("Altstadt Cooperative", consent_days=9)
        self.connection("Demobank")
        # The last: while an attempt is under way, the next one for the same person goes on with it.
        self.attempt()


def look(page: Page, theme: str) -> None:
    """Change to the ``light`` or the ``dark`` theme."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    # Colours would fade into those of the other theme.
    page.evaluate("""document.getAnimations().filter((one) => one instanceof CSSTransition)
        .forEach((one) => one.finish())""")


def speak(scene: Scene, language: str) -> None:
    """Show the page once more, in this language; what was sent by a form is sent again."""
    for url in (scene.site.url, scene.site.sandbox_url):
        cookie = {"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": url}
        scene.page.context.add_cookies([cookie])  # type: ignore[list-item]
    scene.page.reload()
    expect(scene.page.locator("html")).to_have_attribute("lang", language)


# The customer's pages


def connect(scene: Scene) -> None:
    scene.go("/banking/connect/", "Connect your bank")


def connect_mistake(scene: Scene) -> None:
    connect(scene)
    scene.page.evaluate(
        """const form = document.querySelector("#bank-connect");
        form.insertAdjacentHTML("beforeend", '<input type="hidden" name="email" value="nobody">');"""
    )
    journey.button(scene.page, "Choose your bank")
    expect(scene.page.get_by_role("alert")).to_be_visible()


def renew(scene: Scene) -> None:
    scene.go(f"/banking/connections/{scene.connection().reference}/renew/", "Renew Demobank")


def checking(scene: Scene) -> None:
    scene.page.goto(journey.landing_of(scene.attempt()))
    journey.sees(scene.page, journey.CHECKING)


def slow(scene: Scene) -> None:
    scene.page.goto(f"{journey.landing_of(scene.attempt())}?n=9")
    journey.sees(scene.page, "This is taking longer than usual")


def hint_cancelled(scene: Scene) -> None:
    scene.page.goto(f"{journey.landing_of(scene.attempt())}?error_class=ProviderAccessNotGranted")
    journey.sees(scene.page, "It looks as if you stopped")


def hint_other(scene: Scene) -> None:
    scene.page.goto(f"{journey.landing_of(scene.attempt())}?error_class=ProviderError")
    journey.sees(scene.page, "Your bank reported a difficulty")


def connected(scene: Scene) -> None:
    session = scene.connection().sessions.get()
    scene.page.goto(journey.landing_of(session))
    journey.sees(scene.page, journey.CONNECTED)


def _failed(error_class: str, title: str) -> Callable[[Scene], None]:
    def show(scene: Scene) -> None:
        session = scene.attempt()
        scene.callback(session, "fail", error_class=error_class, error_message="As the bank puts it.")
        scene.page.goto(journey.landing_of(session))
        journey.sees(scene.page, title)

    return show


def ran_out(scene: Scene) -> None:
    session = scene.attempt()
    record(expired(session, timezone.now()))
    scene.page.goto(journey.landing_of(session))
    journey.sees(scene.page, "This attempt ran out of time")


def renewal_failed(scene: Scene) -> None:
    session = scene.attempt(scene.connection())
    scene.callback(session, "fail", error_class="InvalidCredentials", error_message="As the bank puts it.")
    scene.page.goto(journey.landing_of(session))
    expect(scene.page.get_by_text("Your connection with this bank keeps working.")).to_be_visible()


def ended_meanwhile(scene: Scene) -> None:
    session = scene.attempt()
    disconnect(session.connection)
    scene.page.goto(journey.landing_of(session))
    journey.sees(scene.page, "You disconnected this bank")


def connected_by_link(scene: Scene) -> None:
    connection = scene.connection()
    session = invite.start(connection, return_to=journey.landing_of, custom_fields={})
    scene.callback(session, "success", connection_id=connection.upstream_id)
    scene.page.goto(journey.landing_of(session))
    expect(scene.page.get_by_text("You can close this page now.")).to_be_visible()


def no_connections(scene: Scene) -> None:
    scene.go("/banking/", journey.LIST)


def connections(scene: Scene) -> None:
    scene.some_connections()
    scene.go("/banking/", journey.LIST)
    expect(scene.page.locator(".bank-item")).to_have_count(5)


def after_disconnecting(scene: Scene) -> None:
    connection = scene.connection()
    scene.go(f"/banking/connections/{connection.reference}/disconnect/", "Disconnect Demobank?")
    journey.button(scene.page, "Disconnect")
    expect(scene.page.locator(".bank-message")).to_be_visible()


def detail(scene: Scene) -> None:
    connection = scene.connection()
    session = scene.attempt(connection)
    scene.callback(session, "fail", error_class="ProviderAccessNotGranted", error_message="No.")
    scene.go(f"/banking/connections/{connection.reference}/", "Demobank")


def detail_checking(scene: Scene) -> None:
    checking(scene)
    connection = BankingConnection.objects.get()
    scene.go(f"/banking/connections/{connection.reference}/", "Bank")


def detail_needs_you(scene: Scene) -> None:
    connection = scene.ends_consent(scene.connection("Sternberg Savings Bank"))
    scene.go(f"/banking/connections/{connection.reference}/", "Sternberg Savings Bank")


def detail_long_name(scene: Scene) -> None:
    name = "Vereinigte Raiffeisen-Volksbank Niederrhein-Donaudampfschifffahrtsgesellschaft eG"
    scene.go(f"/banking/connections/{scene.connection(name).reference}/", name)


def disconnecting(scene: Scene) -> None:
    scene.go(f"/banking/connections/{scene.connection().reference}/disconnect/", "Disconnect Demobank?")


def removing(scene: Scene) -> None:
    connection = scene.attempt().connection
    scene.go(f"/banking/connections/{connection.reference}/disconnect/", "Remove this connection?")


def error_upstream(scene: Scene) -> None:
    scene.site.configure_upstream(BASE_URL="http://127.0.0.1:9")
    connect(scene)
    journey.button(scene.page, "Choose your bank")
    journey.sees(scene.page, "We cannot reach the bank service")


def error_setup(scene: Scene) -> None:
    scene.site.configure_upstream(API_KEY="not-the-right-one")
    connect(scene)
    journey.button(scene.page, "Choose your bank")
    journey.sees(scene.page, "We cannot connect banks at the moment")


def error_too_many(scene: Scene) -> None:
    scene.site.configure(CONNECTS_PER_HOUR=1)
    title = "That was a lot of tries"
    heading = scene.page.locator("h1")
    for _ in range(3):  # the first one may be the last of its hour
        connect(scene)
        journey.button(scene.page, "Choose your bank")
        expect(heading).to_have_text(re.compile(f"Choose your bank|{title}"))
        if heading.inner_text() == title:
            return
    raise AssertionError("nobody stops this")


def error_not_allowed(scene: Scene) -> None:
    scene.site.configure(ADAPTER=f"{__name__}.Closed")
    scene.go("/banking/connect/", "Connecting a bank is not switched on for you")


def error_unknown(scene: Scene) -> None:
    scene.go("/banking/connections/00000000-0000-4000-8000-000000000000/", "We cannot find this connection")


def error_cut_off(scene: Scene) -> None:
    scene.go("/banking/return/00000000-0000-4000/", "We cannot find this attempt")


def error_unknown_attempt(scene: Scene) -> None:
    scene.go("/banking/return/00000000-0000-4000-8000-000000000000/", "We cannot find this attempt")


# The bank's pages


def bank_choose(scene: Scene) -> None:
    journey.start(scene.page)


def bank_log_in(scene: Scene) -> None:
    bank_choose(scene)
    journey.choose(scene.page, "succeed")
    journey.sees(scene.page, "Log in to Demobank")


def bank_wrong_login(scene: Scene) -> None:
    bank_log_in(scene)
    journey.log_in_at_bank(scene.page, password="wrong")
    expect(scene.page.get_by_role("alert")).to_be_visible()


def bank_consent(scene: Scene) -> None:
    bank_choose(scene)
    journey.choose(scene.page, "succeed")
    journey.log_in_at_bank(scene.page)
    journey.sees(scene.page, "Allow access?")


def bank_finished(scene: Scene) -> None:
    bank_choose(scene)
    journey.consent_at(scene.page, "vanish")
    journey.sees(scene.page, "You may close this window")


def bank_gone(scene: Scene) -> None:
    bank_choose(scene)
    address = scene.page.url
    journey.consent_at(scene.page, "succeed")
    journey.sees(scene.page, journey.CONNECTED)
    scene.page.goto(address)
    journey.sees(scene.page, "This link has been used")


# The operator's pages


def _list(model: str) -> Callable[[Scene], None]:
    def show(scene: Scene) -> None:
        scene.some_connections()
        scene.page.goto(f"{ADMIN}/{model}/")
        expect(scene.page.locator("#result_list tbody tr").first).to_be_visible()

    return show


def admin_accounts(scene: Scene) -> None:
    AccountState.objects.get_or_create(alias="default")
    scene.page.goto(f"{ADMIN}/accountstate/")
    expect(scene.page.locator("#result_list tbody tr").first).to_be_visible()


def admin_account(scene: Scene) -> None:
    admin_accounts(scene)
    scene.page.locator("#result_list tbody th a").first.click()
    expect(scene.page.locator(".field-alias")).to_contain_text("default")


def admin_connection(scene: Scene) -> None:
    connection = scene.connection()
    session = connection.sessions.get()
    for stage in ("connect", "fetch_accounts"):
        scene.callback(session, "notify", stage=stage, connection_id=connection.upstream_id)
    scene.page.goto(journey.landing_of(session))
    journey.sees(scene.page, journey.CONNECTED)
    scene.page.goto(f"{ADMIN}/bankingconnection/{connection.pk}/change/")
    expect(scene.page.get_by_text("This bank is connected")).to_be_visible()


def admin_session(scene: Scene) -> None:
    session = scene.connection().sessions.get()
    scene.page.goto(f"{ADMIN}/connectsession/{session.pk}/change/")


def admin_event(scene: Scene) -> None:
    scene.connection()
    event = ConnectionEvent.objects.filter(kind="succeeded").latest("pk")
    scene.page.goto(f"{ADMIN}/connectionevent/{event.pk}/change/")


def _asked(tool: str, button: str) -> Callable[[Scene], None]:
    def show(scene: Scene) -> None:
        connection = scene.connection()
        scene.page.goto(f"{ADMIN}/bankingconnection/{connection.pk}/change/")
        scene.page.get_by_role("link", name=tool, exact=True).click()
        expect(scene.page.get_by_role("button", name=button)).to_be_visible()

    return show


def admin_links(scene: Scene) -> None:
    _asked("Renewal link", "Yes, make a link")(scene)
    journey.button(scene.page, "Yes, make a link")
    expect(scene.page.locator(".banking-qr svg")).to_be_visible()


def _stray(scene: Scene) -> ConnectionEvent:
    """Let an event arrive that matches nothing."""
    connection = scene.connection()
    report = seen(connection, timezone.now())
    fact = replace(report.fact, kind=Kind.SUCCEEDED, link="999")
    return record(replace(report, fact=fact, connection_id=None, digest="of nobody"))


def admin_match(scene: Scene) -> None:
    session, event = scene.attempt(), _stray(scene)
    scene.page.goto(f"{ADMIN}/connectionevent/{event.pk}/change/")
    scene.page.get_by_role("link", name="Match to a connection").click()
    scene.page.get_by_label("Reference").fill(str(session.reference))
    journey.button(scene.page, "Show what would change")
    expect(scene.page.get_by_role("button", name="Yes, match")).to_be_visible()


def admin_ignore(scene: Scene) -> None:
    scene.page.goto(f"{ADMIN}/connectionevent/{_stray(scene).pk}/ignore/")
    expect(scene.page.get_by_role("button", name="Yes, ignore")).to_be_visible()


def admin_replay(scene: Scene) -> None:
    """With something to change: the state of the connection is that of before its success."""
    connection = scene.connection()
    event = ConnectionEvent.objects.filter(kind="succeeded").latest("pk")
    BankingConnection.objects.filter(pk=connection.pk).update(state={}, status="pending")
    scene.page.goto(f"{ADMIN}/connectionevent/{event.pk}/replay/")
    expect(scene.page.get_by_role("button", name="Yes, replay")).to_be_visible()


def admin_overview(scene: Scene) -> None:
    scene.some_connections()
    session = scene.attempt(BankingConnection.objects.filter(status="active").latest("pk"))
    scene.page.goto(journey.landing_of(session))
    scene.callback(session, "fail", error_class="InvalidCredentials", error_message="No.")
    AccountState.objects.create(alias="default", silence="no_webhooks", silent_since=timezone.now())
    scene.page.goto(f"{ADMIN}/bankingconnection/overview/")
    expect(scene.page.locator(".banking-bar").first).to_be_visible()


def admin_index(scene: Scene) -> None:
    scene.page.goto(f"{ADMIN}/")
    expect(scene.page.get_by_role("link", name="Overview")).to_be_visible()


# The page behind a renewal link


def invitation(scene: Scene) -> None:
    token = invite.create(scene.connection())
    scene.go(f"/banking/invitations/{token}/", "Renew your bank connection")


def invitation_withdrawn(scene: Scene) -> None:
    connection = scene.connection()
    token = invite.create(connection)
    invite.withdraw(connection)
    scene.go(f"/banking/invitations/{token}/", "This link is no longer valid")


SCENES: Final[dict[str, Callable[[Scene], None]]] = {
    "connect": connect,
    "connect-mistake": connect_mistake,
    "renew": renew,
    "landing-checking": checking,
    "landing-slow": slow,
    "landing-hint-cancelled": hint_cancelled,
    "landing-hint-other": hint_other,
    "landing-connected": connected,
    "landing-you-cancelled": _failed("ProviderAccessNotGranted", "You stopped before the end"),
    "landing-wrong-login": _failed("InvalidCredentials", "Your bank did not recognise the login"),
    "landing-took-too-long": _failed("InteractiveTimeout", "It took too long"),
    "landing-try-again": _failed("SomethingNewError", "That did not work this time"),
    "landing-bank-not-available": _failed("ProviderUnavailable", "Your bank is not available at the moment"),
    "landing-already-connected": _failed("ConnectionDuplicated", "This bank is already connected"),
    "landing-setup": _failed("ClientDisabled", "We cannot connect banks at the moment"),
    "landing-ran-out": ran_out,
    "landing-renewal-failed": renewal_failed,
    "landing-ended-meanwhile": ended_meanwhile,
    "landing-connected-by-link": connected_by_link,
    "list-empty": no_connections,
    "list": connections,
    "list-after-disconnecting": after_disconnecting,
    "detail": detail,
    "detail-checking": detail_checking,
    "detail-needs-you": detail_needs_you,
    "detail-long-name": detail_long_name,
    "disconnect": disconnecting,
    "disconnect-pending": removing,
    "error-upstream": error_upstream,
    "error-setup": error_setup,
    "error-too-many": error_too_many,
    "error-not-allowed": error_not_allowed,
    "error-unknown-connection": error_unknown,
    "error-unknown-attempt": error_unknown_attempt,
    "error-cut-off": error_cut_off,
    "bank-choose": bank_choose,
    "bank-log-in": bank_log_in,
    "bank-wrong-login": bank_wrong_login,
    "bank-consent": bank_consent,
    "bank-finished": bank_finished,
    "bank-gone": bank_gone,
    "admin-connections": _list("bankingconnection"),
    "admin-sessions": _list("connectsession"),
    "admin-events": _list("connectionevent"),
    "admin-accounts": admin_accounts,
    "admin-account": admin_account,
    "admin-connection": admin_connection,
    "admin-session": admin_session,
    "admin-event": admin_event,
    "admin-disconnect": _asked("Disconnect", "Yes, disconnect"),
    "admin-check": _asked("Check now", "Yes, check now"),
    "admin-renew": _asked("Renewal link", "Yes, make a link"),
    "admin-links": admin_links,
    "admin-replay": admin_replay,
    "admin-match": admin_match,
    "admin-ignore": admin_ignore,
    "admin-overview": admin_overview,
    "admin-index": admin_index,
    "invitation": invitation,
    "invitation-withdrawn": invitation_withdrawn,
}
