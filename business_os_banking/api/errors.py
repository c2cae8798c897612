"""One body for all errors, with the texts of the pages in the active language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.settings import api_settings

from business_os_banking import exceptions, wording
from business_os_banking.exceptions import BusinessOSError, FailedSession
from business_os_banking.flows.answer import NothingHeld, NotYoursToAccept
from business_os_banking.flows.begin import HOUR, NOT_YOUR_EMAIL
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.guards import throttle
from business_os_banking.vocabulary import Group, group_of
from business_os_banking.wording import Wording, texts


class UnknownConnection(drf.NotFound):
    pass


class UnknownSession(drf.NotFound):
    pass


SIGN_IN: Final = Wording(
    _("Please sign in"),
    _("Only people who are signed in can see and change their bank connections."),
    _("Sign in and try again."),
)
REFUSED: Final = Wording(
    _("This is not allowed"),
    _("Your user account on this site may not do this."),
    _("Reload the page and try again, or contact us."),
)
NOT_FOUND: Final = Wording(
    _("There is nothing here"),
    _("The address may be incomplete, or very old."),
    _("Look at your connections, or start again from there."),
)
NOT_UNDERSTOOD: Final = Wording(
    _("We could not work with that"),
    _("Something in what was sent is not as it should be."),
    _("Correct it and try again."),
)
ENDED: Final = Wording(
    _("This connection has ended"),
    _("A connection that was disconnected cannot be renewed."),
    _("Connect the bank again instead."),
)
NOTHING_HELD: Final = Wording(
    _("This has been answered already"),
    _("There is no question open about this connection any more."),
    _("Look at the connection to see how it stands."),
)
KEY_REUSED: Final = Wording(
    _("This was sent before, with something else"),
    _("The same key came with another request before, so nothing was done."),
    _("Start again, with a new key."),
)

# Status and wording by exception class; those of the closest ancestor count.
WORDS: Final[dict[type[Exception], tuple[int, Wording]]] = {
    exceptions.ConnectionEnded: (409, ENDED),
    NothingHeld: (409, NOTHING_HELD),
    NotYoursToAccept: (403, texts.NOT_YOURS_TO_ACCEPT),
    exceptions.NotAllowed: (403, texts.NOT_ALLOWED),
    exceptions.NotOffered: (400, NOT_UNDERSTOOD),
    exceptions.NotYourEmail: (400, NOT_UNDERSTOOD),
    exceptions.TooManyAttempts: (429, texts.TOO_MANY),
    exceptions.KeyReused: (422, KEY_REUSED),
    UnknownConnection: (404, texts.UNKNOWN_CONNECTION),
    UnknownSession: (404, texts.UNKNOWN_ATTEMPT),
    drf.NotFound: (404, NOT_FOUND),
    drf.NotAuthenticated: (401, SIGN_IN),
    drf.AuthenticationFailed: (401, SIGN_IN),
    drf.PermissionDenied: (403, REFUSED),
    drf.Throttled: (429, texts.TOO_FAST),
    drf.APIException: (400, NOT_UNDERSTOOD),
}
# Of these a site's own classes, or the check for CSRF, may have a detail that says more than our text.
_WITH_DETAIL: Final = (drf.PermissionDenied, drf.AuthenticationFailed)


def handle(error: Exception) -> Response | None:
    """Return the response for *error*; ``None`` for a fault of ours, which is Django's to report."""
    if isinstance(error, Http404):
        error = drf.NotFound()
    elif isinstance(error, PermissionDenied):
        error = drf.PermissionDenied()
    if isinstance(error, BusinessOSError):
        return _unavailable(error)
    cls = next((cls for cls in type(error).__mro__ if cls in WORDS), None)
    if cls is None:
        return None
    status, words = WORDS[cls]
    headers = {}
    if isinstance(error, drf.APIException):
        status = error.status_code
        words = _with_detail(error, words)
        headers = _headers(error)
    elif isinstance(error, exceptions.TooManyAttempts):
        headers = {"Retry-After": str(throttle.seconds_left(HOUR))}
    group = Group.TRY_AGAIN if status == 429 else None
    body = error_body(type(error).__name__, words, group=group, fields=_fields(error))
    return Response(body, status=status, headers=headers)


def error_body(
    error_class: str,
    words: Wording,
    *,
    group: Group | None = None,
    fields: Mapping[str, Any] | None = None,
    session: FailedSession | None = None,
) -> dict[str, Any]:
    """Return the JSON body of an error. All keys are always there."""
    existing = known_connection(session) if session else None
    return {
        "error": {
            "class": error_class,
            "group": group.value if group else None,
            "title": str(words.title),
            "message": str(words.text),
            "next_step": str(words.next_step),
            "fields": fields or {},
            "session": str(session.reference) if session else None,
            "connection": str((existing or session.connection).reference) if session else None,
        }
    }


def _unavailable(error: BusinessOSError) -> Response:
    words = wording.for_exception(error)
    body = error_body(error.error_class, words, group=group_of(error.error_class), session=error.session)
    response = Response(body, status=503)
    if isinstance(error, exceptions.BusinessOSError) and error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _with_detail(error: drf.APIException, words: Wording) -> Wording:
    """Return *words*, with the detail of *error* as text where that says more: of a site's class, or for developers."""
    detail = str(error.detail) if isinstance(error.detail, str) else ""
    may_have_more = isinstance(error, _WITH_DETAIL)
    has_more = detail != str(error.default_detail) if may_have_more else type(error) not in WORDS
    return replace(words, text=detail) if detail and has_more else words


def _headers(error: drf.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _fields(error: Exception) -> dict[str, list[str]]:
    if isinstance(error, exceptions.NotYourEmail):
        return {"email": [str(NOT_YOUR_EMAIL)]}
    if isinstance(error, exceptions.NotOffered):
        return {"scopes": [str(_("This is not offered here."))]}
    if not isinstance(error, drf.ValidationError) or not isinstance(error.detail, dict):
        return {}
    non_field = api_settings.NON_FIELD_ERRORS_KEY
    return {"body" if name == non_field else name: _texts(detail) for name, detail in error.detail.items()}


def _texts(detail: Any) -> list[str]:
    """Return all the messages in *detail*, however deep: a list has them by place, an object by name."""
    if isinstance(detail, Mapping):
        detail = list(detail.values())
    if isinstance(detail, list):
        return [text for item in detail for text in _texts(item)]
    return [str(detail)]
