"""The page behind a renewal link. Public: the link is the right to renew one connection, and nothing else."""

import logging
from functools import partial
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt

from business_os_banking import conf, wording
from business_os_banking.adapter import credentials_of, get_adapter
from business_os_banking.conf.secret import Secret
from business_os_banking.exceptions import BusinessOSError, NotAllowed
from business_os_banking.flows import invite
from business_os_banking.flows.begin import HOUR
from business_os_banking.flows.connect import agreed_scopes
from business_os_banking.flows.invite import LinkNotValid, Why
from business_os_banking.guards import throttle
from business_os_banking.guards.responses import (
    SeeOther,
    is_from_here,
    keep_opener,
    public,
    unlogged,
    without_secret,
)
from business_os_banking.models import BankingConnection
from business_os_banking.web import proof
from business_os_banking.web.forms import scopes_in_words
from business_os_banking.web.pages import error_page, page, retry_after
from business_os_banking.wording import Wording, texts

logger = logging.getLogger(__name__)

LINK_UNKNOWN = Wording(
    _("This link does not work"),
    _("It may have been cut off on its way, as happens in mails. Your bank connections are not affected."),
    _("Open the whole link once more, or ask the person who sent it for a new one."),
    "warning",
)
LINK_EXPIRED = Wording(
    _("This link is too old"),
    _("To keep your bank safe, such links are good for a few days only. Nothing was changed."),
    _("Ask the person who sent it for a new one, or sign in and renew the connection there."),
    "warning",
)
LINK_WITHDRAWN = Wording(
    _("This link is no longer valid"),
    _("It was withdrawn, or the connection has ended. Nothing was changed."),
    _("If you still want to renew the connection, ask the person who sent the link for a new one."),
    "warning",
)
LINK_USED = Wording(
    _("This link has been used"),
    _("The connection was renewed with it, or in another way since. Everything works."),
    _("There is nothing to do."),
    "good",
)

LINK_ELSEWHERE = Wording(
    _("Please open the link itself"),
    _("This came from another page than the one that the link opens. Nothing was changed."),
    _("Open the link that you were sent, and continue from there."),
    "warning",
)

_METHODS: Final = ("GET", "HEAD", "POST")
_REFUSALS: Final = {
    Why.UNKNOWN: (LINK_UNKNOWN, 404),
    Why.EXPIRED: (LINK_EXPIRED, 410),
    Why.WITHDRAWN: (LINK_WITHDRAWN, 410),
    Why.USED: (LINK_USED, 410),
}


# The API is called: in a transaction of the request, a crash would undo the row that was written before.
@transaction.non_atomic_requests
# Not Django's CSRF check: it would log the path of what it refuses. `is_from_here` keeps other sites from posting.
@csrf_exempt
@public
def invitation(request: HttpRequest, token: Secret) -> HttpResponse:
    """Say what will happen (GET), or go to the bank (POST). A GET starts nothing: mail scanners open links."""
    try:
        return unlogged(_answer(request, token))
    except Exception:
        # A fault of the site's own code, such as its adapter. Only now: a site's frame may link to the page itself.
        without_secret(request, token)
        raise


def _answer(request: HttpRequest, token: Secret) -> HttpResponse:
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    try:
        connection = invite.find(token.open())
    except LinkNotValid as error:
        words, status = _REFUSALS[error.why]
        return _error_page(request, words, status)
    if request.method != "POST":
        return proof.remember_link(_page(request, connection), connection)
    # Another site could have somebody renew a stranger's connection without seeing whose it is.
    if not is_from_here(request):
        return _error_page(request, LINK_ELSEWHERE, 403)
    limit = conf.settings.connects_per_hour
    if not throttle.within("invitation", str(connection.reference), limit, HOUR):
        response = _error_page(request, texts.TOO_MANY, 429)
        response["Retry-After"] = str(throttle.seconds_left(HOUR))
        return response
    return _start(request, connection)


def _page(request: HttpRequest, connection: BankingConnection) -> HttpResponse:
    """Return the page that says what will happen; or that it is done, if only this browser was not known before."""
    doubted = proof.doubted_session(connection)
    response = page(
        request,
        "invitation.html",
        connection=connection,
        scopes=_scopes(connection),
        finish_url=doubted.get_absolute_url() if doubted else "",
        public=True,
    )
    # A browser that may not say where it comes from could not post from here.
    response["Referrer-Policy"] = "same-origin"
    return response


def _start(request: HttpRequest, connection: BankingConnection) -> HttpResponse:
    adapter = get_adapter()
    try:
        session = invite.start(
            connection,
            return_to=partial(adapter.get_return_to, request),
            custom_fields=adapter.get_custom_fields(request, connection),
            has_cookie=True,
        )
    except NotAllowed:
        return _error_page(request, LINK_WITHDRAWN, 410)
    except BusinessOSError as error:
        reference = error.session.reference if error.session else None
        words = wording.for_exception(error)
        return retry_after(
            _error_page(request, words, 503, retry_url=request.path, reference=reference), error
        )
    return proof.remember_starter(keep_opener(SeeOther(session.connect_url)), session)


def _error_page(request: HttpRequest, words: Wording, status: int, **context: Any) -> HttpResponse:
    # Without the way to the list: whoever was sent a link may have no login.
    return error_page(request, words, status=status, public=True, list_url="", **context)


def _scopes(connection: BankingConnection) -> list[tuple[str, texts.Text, texts.Text]]:
    try:
        credentials = credentials_of(connection.account, connection)
        return scopes_in_words(agreed_scopes(connection, credentials))
    except ImproperlyConfigured as error:
        logger.error("Bank connections are not set up: %s", error)
        return []
