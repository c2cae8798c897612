"""Responses that no cache keeps, no other site frames and no log tells of; and a redirect after a POST."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final
from urllib.parse import quote, urlsplit

from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required, login_required
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import iri_to_uri

from business_os_banking import conf
from business_os_banking.conf.secret import Secret

View = Callable[..., HttpResponse]

HEADERS: Final = {
    # "private" besides, for caches that look for that word alone.
    "Cache-Control": "no-store, private",
    # Nothing stricter where there are forms: a browser that may not say where it comes from fails Django's CSRF check.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
PUBLIC_HEADERS: Final = {**HEADERS, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


def guarded(view: View, headers: Mapping[str, str] = HEADERS) -> View:
    """Send *headers* with whatever *view* answers, unless it sets them itself, and let no other site frame it.

    None of this is left to the site's middleware, which may not be there.
    """

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        # A site that shows these pages in frames of its own says so there. No Content-Security-Policy is sent:
        # middleware that sends the site's leaves an answer alone that has one.
        response["X-Frame-Options"] = django_settings.X_FRAME_OPTIONS.upper()
        return response

    return guard


def private(view: View) -> View:
    """Guard a page of the customer's own, which needs a login."""
    return guarded(login_required(view))


def public(view: View) -> View:
    """Guard a page for anybody who has its address, which nobody else may learn."""
    return login_not_required(guarded(view, PUBLIC_HEADERS))


def keep_opener(response: HttpResponse) -> HttpResponse:
    """Let *response* keep the page that opened it as a pop-up, on the way to the bank's site and back.

    With Django's default, ``same-origin``, any response on that way would cut it off, redirects included.
    """
    response["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def is_from_here(request: HttpRequest) -> bool:
    """Return whether a form of this site was sent, as far as the browser tells: all that are in use do, for a POST.

    A page whose referrer policy is ``no-referrer`` sends ``Origin: null``, which nobody can be told by.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        hosts = {request.get_host(), urlsplit(conf.settings.site_url or "").netloc} - {""}
        return urlsplit(origin).netloc in hosts or origin in django_settings.CSRF_TRUSTED_ORIGINS
    return request.headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}


def without_secret(request: HttpRequest, secret: Secret) -> HttpRequest:
    """Return *request* with ``***`` for *secret* in its path, wherever that is: logs and reports of errors show it."""
    if secret:
        shown = {quote(secret.open(), safe=""), secret.open()}
        for text in shown:
            request.path, request.path_info = (
                path.replace(text, "***") for path in (request.path, request.path_info)
            )
            for name in {"PATH_INFO", "REQUEST_URI", "RAW_URI"} & request.META.keys():
                request.META[name] = str(request.META[name]).replace(text, "***")
    return request


def unlogged(response: HttpResponse) -> HttpResponse:
    """Keep Django from logging *response*, or mailing it to the admins, with the path: for paths that hold a secret."""
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way
    return response


class SeeOther(HttpResponse):
    """A redirect that the browser follows with GET, whatever it sent.

    Not Django's own class: that refuses addresses over 2048 characters, and a connect_url holds a token of a
    length that the provider chooses.
    """

    status_code = 303

    def __init__(self, url: str) -> None:
        super().__init__(headers={"Location": iri_to_uri(url)})

    @property
    def url(self) -> str:
        return self["Location"]
