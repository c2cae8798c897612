"""What the views share: headers, rendering, the error page, and reading small things from the address."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required, login_required
from django.contrib.sites.shortcuts import get_current_site
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.encoding import iri_to_uri

from business_os_banking import wording
from business_os_banking.exceptions import BusinessOSError, RateLimited
from business_os_banking.models import BankingConnection

View = Callable[..., HttpResponse]

DIGITS: Final = 4
HEADERS: Final = {
    # "private" besides, for caches that look for that word alone.
    "Cache-Control": "no-store, private",
    # Nothing stricter where there are forms: a browser that may not say where it comes from fails Django's CSRF check.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
PUBLIC_HEADERS: Final = {**HEADERS, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


def guarded(view: View, headers: Mapping[str, str] = HEADERS) -> View:
    """Send *headers* with whatever *view* answers, and let no other site frame it.

    None of this is left to the site's middleware, which may not be there.
    """

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        for name, value in headers.items():
            response[name] = value
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


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    context["site_name"] = _site_name(request)
    return render(request, f"business_os_banking/{template}", context, status=status)


def _site_name(request: HttpRequest) -> str:
    try:
        return str(get_current_site(request).name)
    except (ObjectDoesNotExist, ImproperlyConfigured):
        # A site that uses django.contrib.sites and has no row for this host: not worth a page that fails.
        return request.get_host()


def error_page(
    request: HttpRequest,
    found: wording.Wording,
    *,
    status: int,
    retry_url: str = "",
    list_url: str | None = None,
    reference: UUID | None = None,
    public: bool = False,
) -> HttpResponse:
    # All that the template asks for is given: of what is missing, Django logs the whole context, at level DEBUG.
    return page(
        request,
        "error.html",
        status=status,
        wording=found,
        list_url=reverse("business_os_banking:connection-list") if list_url is None else list_url,
        retry_url=retry_url,
        reference=reference,
        public=public,
    )


def retry_after(response: HttpResponse, error: BusinessOSError) -> HttpResponse:
    """Say on *response* when to try again, if the upstream did."""
    if isinstance(error, RateLimited) and error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def retry_url(connection: BankingConnection | None, next_url: str) -> str:
    if connection is not None and connection.can_renew:
        url = reverse("business_os_banking:connection-renew", args=[connection.reference])
    else:
        url = reverse("business_os_banking:connect")
    return f"{url}?{urlencode({'next': next_url})}" if next_url else url


def number(request: HttpRequest, name: str) -> int:
    """Return a small number from the address; anything else is 0."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else 0
