"""What a session can come to. The widget and ``simulate`` both end sessions here."""

from urllib.parse import urlencode, urlsplit, urlunsplit

from django.db import transaction
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from . import callbacks, conf
from .deliveries import schedule
from .models import SandboxConnection, SandboxSession
from .scenarios import Scenario

REFUSED = "ProviderAccessNotGranted"


class SessionOverError(Exception):
    """The session has been used already, or its time is up."""


def webhook_url(request: HttpRequest) -> str:
    """Where callbacks of a session go that this request belongs to; empty for nowhere."""
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
    schedule(callbacks.plan_fail(session, "InvalidCredentials", "Invalid credentials."))
    return False


@transaction.atomic
def fail(
    session: SandboxSession, error_class: str = REFUSED, error_message: str = "Access not granted."
) -> str:
    """End the session without a connection.

    Returns the URL for the browser, empty if there is none. Raises ``SessionOverError``.
    """
    url = return_url(session.return_to, "error_class", error_class)
    _end(session, url, error_class)
    schedule(callbacks.plan_fail(session, error_class, error_message))
    return url


@transaction.atomic
def succeed(session: SandboxSession, scenario: Scenario) -> str:
    """End the session with a new connection.

    Returns the URL for the browser, empty if there is none. Raises ``SessionOverError``.
    """
    connection = SandboxConnection(
        session=session,
        api_key=session.api_key,
        provider_code=scenario.provider_code,
        provider_name=scenario.bank,
        country_code=scenario.country_code,
    )
    url = ""
    if scenario.returns:
        url = return_url(session.return_to, "connection_id", connection.connection_id)
    _end(session, url)
    connection.save()
    schedule(callbacks.plan_success(session, connection, scenario))
    return url


@transaction.atomic
def remove(connection: SandboxConnection) -> None:
    """Remove a connection and send the destroy callback."""
    connection.removed_at = timezone.now()
    connection.save()
    schedule(callbacks.plan_destroy(connection))


def return_url(return_to: str, name: str, value: str) -> str:
    """``return_to`` with one parameter more, and the query it had kept as it was written."""
    if not return_to:
        return ""
    parts = urlsplit(return_to)
    query = "&".join(filter(None, [parts.query, urlencode({name: value})]))
    return urlunsplit(parts._replace(query=query))


def _end(session: SandboxSession, url: str, error_class: str = "") -> None:
    """Mark the session as used. Of two requests at once, only one gets past here."""
    now = timezone.now()
    claimed = SandboxSession.objects.filter(pk=session.pk, ended_at=None, expires_at__gt=now).update(
        ended_at=now, ended_url=url, error_class=error_class, scenario=session.scenario
    )
    if not claimed:
        raise SessionOverError
    session.refresh_from_db()
