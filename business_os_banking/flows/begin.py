"""Begin: what is asked and checked before a session is opened, the same for pages and API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import EmailValidator
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter, get_adapter
from business_os_banking.conf import Account
from business_os_banking.exceptions import NotAllowed, NotOffered, NotYourEmail, TooManyAttempts
from business_os_banking.facts.report import digest_of
from business_os_banking.flows import connect
from business_os_banking.flows.claim import Idempotency, Owner, made_with
from business_os_banking.guards import throttle
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream.client import sendable_email

__all__ = ["begin"]

TENANT_MAX_LENGTH: Final = 255
HOUR: Final = 3600  # seconds
NEXT_LENGTH: Final = 2048
# Beside the field for the address, on the page and in the API.
NOT_YOUR_EMAIL: Final = _("Your user account has another address, and that one is used. Leave this empty.")


def begin(
    request: HttpRequest,
    connection: BankingConnection | None = None,
    *,
    adapter: BankingAdapter | None = None,
    account: Account | None = None,
    api: str = "",
    email: str = "",
    scopes: Sequence[str] = (),
    next_url: str = "",
    idempotency_key: str = "",
    has_cookie: bool = False,
) -> ConnectSession:
    """Open a session for whoever sent *request*: a new connection, or with *connection* a retry or renewal of it.

    *connection* must come from the adapter's `visible_connections`. A page that has asked the *adapter* and
    `account_for` already hands both on. *scopes* can only narrow what the account's settings offer (`NotOffered`).
    An *email* is for owners who have none: another one than theirs is `NotYourEmail`, unless ``EMAIL_FROM_FORM`` is on.
    A *next_url* that leads away from this site is dropped. The same person's second request with the same
    *idempotency_key* returns the session of the first, until `banking_prune` forgets the key, and is not counted.
    *has_cookie* is for the app's own pages, which give the browser a cookie by which it is known when it comes back.

    Raises `NotAllowed` where the adapter or the connection's state says no, `TooManyAttempts`, `KeyReused`, and
    `BusinessOSError` for whatever goes wrong upstream. As `connect.start`, not to be called inside a transaction.
    """
    adapter = adapter or get_adapter()
    with connect.refused_if_not_set_up():
        owner = _owner(adapter, request)
        custom_fields = _custom_fields(adapter, request, connection)
        own_address = _own_address(adapter, request)
    values = (str(connection.reference) if connection else "", api, email, " ".join(sorted(scopes)), next_url)
    idempotency = _idempotency(owner, idempotency_key, values)
    if idempotency and (session := made_with(idempotency)):
        _count("replay", request, owner)
        return connect.replay(session)  # it was allowed, and whoever missed its address gets it again
    account = account or account_for(request, connection, adapter)
    address = _address(own_address, email)
    if not set(scopes) <= set(account.scopes):
        raise NotOffered("The account's settings do not offer these scopes.")
    _count("connect", request, owner)
    return connect.start(
        owner=owner,
        return_to=partial(adapter.get_return_to, request),
        connection=connection,
        account=account,
        api=api,
        email=address,
        scopes=scopes,
        custom_fields=custom_fields,
        next_url=safe_next(request, next_url),
        idempotency=idempotency,
        has_cookie=has_cookie,
    )


def _count(what: str, request: HttpRequest, owner: Owner) -> None:
    """Count one more; raise `TooManyAttempts` from the limit on. What is only asked again is counted for itself."""
    if not throttle.within(what, _who(request, owner), conf.settings.connects_per_hour, HOUR):
        raise TooManyAttempts("Too many sessions were begun within an hour.")


def _owner(adapter: BankingAdapter, request: HttpRequest) -> Owner:
    """Return the owner that the site's adapter names; `ImproperlyConfigured` if that is none."""
    user, tenant = adapter.get_owner(request)
    if not isinstance(tenant, str) or len(tenant) > TENANT_MAX_LENGTH or "\0" in tenant:
        raise ImproperlyConfigured(
            f"get_owner() must return a user or None, and a tenant: a text of {TENANT_MAX_LENGTH} characters at most."
        )
    return user, tenant


def _custom_fields(
    adapter: BankingAdapter, request: HttpRequest, connection: BankingConnection | None
) -> Mapping[str, Any]:
    custom_fields = adapter.get_custom_fields(request, connection)
    if not isinstance(custom_fields, Mapping):
        raise ImproperlyConfigured("get_custom_fields() must return a mapping.")
    return custom_fields


def _own_address(adapter: BankingAdapter, request: HttpRequest) -> str:
    address = adapter.get_email(request) or ""
    if not isinstance(address, str):
        raise ImproperlyConfigured("get_email() must return a text.")
    return address


def account_for(
    request: HttpRequest, connection: BankingConnection | None, adapter: BankingAdapter
) -> Account:
    """Return the account that a session would be opened with.

    Raises `NotAllowed` if this request may not open one, and `Refused` if the account is not set up.
    """
    if not adapter.can_connect(request, connection):
        raise NotAllowed("The site's adapter does not allow it.")
    return connect.account_of(
        connection.account if connection else adapter.get_account(request), connection, adapter
    )


def safe_next(request: HttpRequest, url: str) -> str:
    """Return *url* as far as it leads to this site, else an empty text.

    Of an address at the request's host, the path is returned: the host may be anybody's word (`ALLOWED_HOSTS` may
    allow every one), and the address is shown later, in an answer to somebody else.
    """
    url = url.strip()
    site = urlsplit(conf.settings.site_url or "")
    hosts = {request.get_host(), site.netloc}
    require_https = request.is_secure() or site.scheme == "https"
    # What cannot be printed has no business in an address, and not every database would take it.
    if len(url) > NEXT_LENGTH or not url.isprintable():
        return ""
    if not url_has_allowed_host_and_scheme(url, hosts, require_https):
        return ""
    parts = urlsplit(url)
    if parts.netloc not in {"", request.get_host()}:
        return url
    path = parts._replace(scheme="", netloc="", path=parts.path or "/").geturl() if parts.netloc else url
    # What is left may name another host: of https://this.site//evil.example/, all that follows this.site.
    is_path = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if is_path else ""


def check_email(address: str) -> None:
    """Raise Django's `ValidationError` for an address that Django takes, and that could not be sent (`a@localhost`)."""
    if not sendable_email(address):
        raise ValidationError(EmailValidator.message, code="invalid")


def _address(own: str, given: str) -> str:
    """Return the address to send: the owner's *own*, or the one *given* where there is none that can be sent.

    With ``EMAIL_FROM_FORM`` the one that is given comes first. Raises `NotYourEmail`.
    """
    if not given or conf.settings.email_from_form or not sendable_email(own):
        return given or own
    if given.strip().lower() != own.strip().lower():
        raise NotYourEmail("The owner has another e-mail address.")
    return own


def _who(request: HttpRequest, owner: Owner) -> str:
    """Return whom a session is counted for: the person, else the tenant, else where the request came from."""
    user, tenant = owner
    if user:
        return f"user:{user.pk}"
    return (
        f"tenant:{tenant}"
        if tenant
        else f"address:{throttle.neighbourhood(request.META.get('REMOTE_ADDR', ''))}"
    )


def _idempotency(owner: Owner, key: str, values: Sequence[str]) -> Idempotency | None:
    user, tenant = owner
    if not key or not (user or tenant):
        return None  # nobody is not one person, whose requests could be told from another's
    who = str(user.pk) if user else ""
    return Idempotency(digest_of("idempotency", who, tenant, key), digest_of(*values))
