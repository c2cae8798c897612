"""Is the browser that finished at the bank that of who began? Its cookie says so, a login does, or the renewal link.

Only Business OS is told the key in the address that leads back here, so whoever opens that has finished at the bank. If
nothing proves that it is who began, the browser gets a *doubt*, a nonce of its own, until it proves it.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import Final, NamedTuple

from django.conf import settings as django_settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import get_adapter
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.held import open_doubts
from business_os_banking.facts.lifecycle import Attempt
from business_os_banking.facts.report import digest_of
from business_os_banking.flows.answer import TOO_MANY
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import SESSION_MAX_LIFE, SessionStatus

logger = logging.getLogger(__name__)

STARTER: Final = "banking_starter"  # this browser began the session
VISITOR: Final = "banking_visitor"  # this browser finished it at the bank, and did not prove that it began it
LINK: Final = "banking_link"  # this browser has opened a renewal link of the connection
_SALT: Final = "business_os_banking.web.proof"
# A session lives for a day at most, and some banks send people back late. Before a link that a renewal has replaced is
# removed, nobody comes back from that any more.
_LATE: Final = timedelta(hours=1)
_KEPT: Final = SESSION_MAX_LIFE + _LATE
_MOST_DOUBTS: Final = 10


class Return(NamedTuple):
    """What a browser that came with the key says of who it belongs to: one of the two, or nothing."""

    doubt: str = ""
    proof: str = ""


def remember_starter(response: HttpResponse, session: ConnectSession) -> HttpResponse:
    """Give the browser that began *session* the cookie by which it is known when it comes back."""
    if session.has_cookie:
        _set(response, STARTER, str(session.reference), _page(session))
    return response


def remember_visitor(response: HttpResponse, session: ConnectSession, doubt: str) -> None:
    """Give the browser that raised this *doubt* the cookie with which it can lift it."""
    _set(response, VISITOR, f"{session.reference}:{doubt}", _page(session))


def remember_link(response: HttpResponse, connection: BankingConnection) -> HttpResponse:
    """Note in the browser that it has opened a renewal link of *connection*."""
    path = reverse("business_os_banking:return", args=[connection.reference])
    _set(response, LINK, _of_link(connection), path.removesuffix(f"{connection.reference}/"))
    return response


def of_return(request: HttpRequest, session: ConnectSession) -> Return:
    """Return what the browser that came with the key says. The cookie counts first, then the login."""
    is_asked = conf.settings.return_proof != "off" or bool(_attempt(session).required_at)
    if not is_asked or _is_late(session):
        return Return()
    # One for each way to prove it, so that a reload says nothing new.
    if _is(request, STARTER, str(session.reference)):
        return Return(proof="cookie")
    if is_who_began(request, session):
        return Return(proof="login")
    if _may_look_after_it(request):
        return Return()
    # What was begun through the API has no cookie: there, who is not signed in may well be who began.
    if not session.has_cookie and not request.user.is_authenticated:
        return Return()
    attempt = _attempt(session)
    if (doubt := visitor_of(request, session)) in attempt.doubts:
        return Return(doubt=doubt)
    if attempt.proofs and session.connection.removals.exists():
        return (
            Return()
        )  # who began has finished, and the link that it has replaced is going: nothing to go back to
    return Return(doubt=TOO_MANY if len(attempt.doubts) >= _MOST_DOUBTS else secrets.token_hex(8))


def doubt_of(request: HttpRequest, session: ConnectSession) -> str:
    """Return the doubt that this browser has raised and not lifted, while that still matters; else ``""``."""
    doubt = visitor_of(request, session)
    if not doubt or session.refused_at or session.connection.is_ended_for_good:
        return ""
    is_open = session.status in {SessionStatus.CREATED, SessionStatus.OPEN, SessionStatus.SUCCEEDED}
    return doubt if is_open and doubt in open_doubts(_attempt(session)) else ""


def doubted_session(connection: BankingConnection) -> ConnectSession | None:
    """Return the latest session that was begun with a renewal link and finished in a browser which nobody knows yet."""
    attempts = from_json(connection.state).attempts
    doubted = [reference for reference, attempt in attempts.items() if open_doubts(attempt)]
    sessions = connection.sessions.filter(reference__in=doubted, by_link=True, refused_at=None)
    return sessions.order_by("-pk").first() if doubted else None


def may_see(request: HttpRequest, connection: BankingConnection) -> bool:
    """Return whether who is signed in, if anybody, may see *connection*."""
    if not request.user.is_authenticated:
        return False
    return get_adapter().visible_connections(request).filter(pk=connection.pk).exists()


def is_who_began(request: HttpRequest, session: ConnectSession) -> bool:
    """Return whether this browser is of somebody who may see the connection, or who has opened its renewal link."""
    if session.by_link and _is(request, LINK, _of_link(session.connection)):
        return True
    try:
        return may_see(request, session.connection)
    except Exception:
        # The site's own code. Without its answer nobody is believed, and nothing is lost.
        logger.exception("The adapter could not say whose connect session %s is", session.reference)
        return False


def _may_look_after_it(request: HttpRequest) -> bool:
    """Whether this is one of the staff, who open the addresses that customers send them."""
    user = request.user
    return bool(
        user.is_authenticated
        and user.is_staff
        and user.has_perm("business_os_banking.view_bankingconnection")
    )


def _is_late(session: ConnectSession) -> bool:
    """Whether nobody comes back from the bank any more: an old address in a browser's history proves nothing."""
    return timezone.now() > (session.expires_at or session.created_at + SESSION_MAX_LIFE) + _LATE


def _attempt(session: ConnectSession) -> Attempt:
    return from_json(session.connection.state).attempts.get(str(session.reference), Attempt())


def visitor_of(request: HttpRequest, session: ConnectSession) -> str:
    """Return the doubt that this browser has once raised; ``""`` if none."""
    reference, _, doubt = _read(request, VISITOR).partition(":")
    return doubt if reference == str(session.reference) else ""


def _of_link(connection: BankingConnection) -> str:
    return digest_of("renewal link", str(connection.reference), str(connection.invitation))[:32]


def _page(session: ConnectSession) -> str:
    return reverse("business_os_banking:return", args=[session.reference])


def _is(request: HttpRequest, name: str, value: str) -> bool:
    return _read(request, name) == value


def _read(request: HttpRequest, name: str) -> str:
    try:
        return Signer(salt=f"{_SALT}.{name}").unsign(request.COOKIES.get(name, ""))
    except BadSignature:
        return ""


def _set(response: HttpResponse, name: str, value: str, path: str) -> None:
    response.set_cookie(
        name,
        Signer(salt=f"{_SALT}.{name}").sign(value),
        max_age=_KEPT,
        path=path,
        domain=django_settings.SESSION_COOKIE_DOMAIN,
        secure=django_settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",  # the bank's page leads back with a link, and that must bring it along
    )
