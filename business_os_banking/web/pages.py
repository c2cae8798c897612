"""What the views share: headers, rendering, the error page, and reading small things from the address."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.sites.shortcuts import get_current_site
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from business_os_banking import conf, wording
from business_os_banking.adapter import may_renew
from business_os_banking.exceptions import BusinessOSError
from business_os_banking.models import BankingConnection

DIGITS: Final = 4


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    context["site_name"] = _site_name(request)
    return render(request, f"business_os_banking/{template}", context, status=status)


def _site_name(request: HttpRequest) -> str:
    if conf.settings.site_name:
        return conf.settings.site_name
    try:
        return str(get_current_site(request).name)
    except (ObjectDoesNotExist, ImproperlyConfigured):
        # A site that uses django.contrib.sites and has no row for this host: not worth a page that fails.
        return request.get_host()


def error_page(
    request: HttpRequest,
    words: wording.Wording,
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
        wording=words,
        list_url=reverse("business_os_banking:connection-list") if list_url is None else list_url,
        retry_url=retry_url,
        reference=reference,
        public=public,
    )


def retry_after(response: HttpResponse, error: BusinessOSError) -> HttpResponse:
    """Say on *response* when to try again, if the upstream did."""
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def retry_url(connection: BankingConnection | None, next_url: str) -> str:
    if connection is not None and may_renew(connection):
        url = reverse("business_os_banking:connection-renew", args=[connection.reference])
    else:
        url = reverse("business_os_banking:connect")
    return f"{url}?{urlencode({'next': next_url})}" if next_url else url


def number(request: HttpRequest, name: str) -> int:
    """Return a small number from the address; anything else is 0."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else 0
