"""The ends of a session. The widget and ``simulate`` both end sessions here."""

from urllib.parse import urlencode, urlsplit, urlunsplit

from django.db import transaction
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from . import background, callbacks, changes, conf, plans
from .behaviour import Change, Scenario
from .models import SandboxBank, SandboxConnection, SandboxSession

REFUSED = "ProviderAccessNotGranted"


class SessionOverError(Exception):
    """The session has been used already, or its time is up."""


def webhook_url(request: HttpRequest) -> str:
    """Return the URL for the callbacks of a session that this request belongs to; empty if there is none."""
    if conf.settings.webhook_url:
        return conf.settings.webhook_url
    try:
        # By name only: the sandbox stays an outsider to the app that it is a partner for.
        return request.build_absolute_uri(reverse("business_os_banking:webhook"))
    except NoReverseMatch:
        return ""


@transaction.atomic
def log_in(session: SandboxSession, scenario: Scenario, *, correct: bool) -> bool:
    """Note a login, and send the fail callback if the bank does not take it.

    Returns whether the bank took it. The session stays open either way.
    """
    session.logins += 1
    session.save(update_fields=["logins"])
    if correct and not (scenario.refuses_first_login and session.logins == 1):
        return True
    background.schedule(plans.failure(session, "InvalidCredentials", "Invalid credentials."))
    return False


def error_of(scenario: Scenario) -> tuple[str, str]:
    """Return class and message of the error with which the bank ends a session after the login; empty: it goes on."""
    off = SandboxBank.objects.filter(provider_code=scenario.provider_code, is_switched_off=True)
    if off.exists():
        return "ProviderInactive", "The provider is inactive."
    return scenario.error_class, scenario.error_message


@transaction.atomic
def fail(
    session: SandboxSession, error_class: str = REFUSED, error_message: str = "Access not granted."
) -> str:
    """End the session without a connection.

    Returns the URL for the browser, empty if there is none. Raises ``SessionOverError``.
    """
    url = return_url(session.return_to, "error_class", error_class)
    _end(session, url, error_class)
    background.schedule(plans.failure(session, error_class, error_message))
    return url


@transaction.atomic
def succeed(session: SandboxSession, scenario: Scenario) -> str:
    """End the session with a new connection.

    Returns the URL for the browser, empty if there is none. Raises ``SessionOverError``.
    """
    connection = _connect(session, scenario)
    background.schedule(*plans.success(connection, scenario))
    return session.ended_url


@transaction.atomic
def succeed_early(session: SandboxSession, scenario: Scenario) -> None:
    """End the session with a new connection, and send the callbacks before this request is answered.

    So it is with ``DELIVERY = "manual"``, too: sent later, they would not be early.
    """
    session.scenario = scenario.slug
    connection = _connect(session, scenario)
    rows, _changes = plans.success(connection, scenario)
    background.send_at_once(rows)


@transaction.atomic
def change(connection: SandboxConnection, step: Change) -> None:
    """Make a change of a connection now, and send the callbacks. A removed connection does not change."""
    background.schedule(changes.apply(connection, step, timezone.now()))


@transaction.atomic
def switch_bank(provider_code: str, *, active: bool) -> None:
    """Switch a bank off or on now, for all connections at it, and send the callbacks."""
    background.schedule(changes.switch_bank(provider_code, active=active, at=timezone.now()))


def return_url(return_to: str, name: str, value: str) -> str:
    """Return ``return_to`` with one more parameter, and the rest of its query kept as it was written."""
    if not return_to:
        return ""
    parts = urlsplit(return_to)
    query = "&".join(filter(None, [parts.query, urlencode({name: value})]))
    return urlunsplit(parts._replace(query=query))


def _connect(session: SandboxSession, scenario: Scenario) -> SandboxConnection:
    connection = SandboxConnection(
        session=session,
        api_key=session.api_key,
        provider_code=scenario.provider_code,
        provider_name=scenario.bank,
        country_code=scenario.country_code,
        stage=callbacks.STAGES[0],
    )
    url = ""
    if scenario.returns:
        url = return_url(session.return_to, "connection_id", connection.connection_id)
    _end(session, url)
    connection.save()
    return connection


def _end(session: SandboxSession, url: str, error_class: str = "") -> None:
    """Mark the session as used. Of two requests at once, only one gets past here."""
    now = timezone.now()
    claimed = SandboxSession.objects.filter(pk=session.pk, ended_at=None, expires_at__gt=now).update(
        ended_at=now, ended_url=url, error_class=error_class, scenario=session.scenario
    )
    if not claimed:
        raise SessionOverError
    session.refresh_from_db()
