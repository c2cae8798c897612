"""What the customer's pages share: rendering, the error page, and reading small things from the address."""

from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.sites.shortcuts import get_current_site
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.encoding import iri_to_uri

from business_os_banking import wording
from business_os_banking.models import BankingConnection

R = TypeVar("R", bound=HttpResponse)

DIGITS: Final = 4


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
    reference: UUID | None = None,
) -> HttpResponse:
    # All that the template asks for is given: of what is missing, Django logs the whole context, at level DEBUG.
    return page(
        request,
        "error.html",
        status=status,
        wording=found,
        list_url=reverse("business_os_banking:connection-list"),
        retry_url=retry_url,
        reference=reference,
    )


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


def public(response: R) -> R:
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
