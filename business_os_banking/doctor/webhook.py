"""From outside: a signed self-test is sent through the site's own public address, and has to arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import requests
from django.conf import settings as django_settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from urllib3.exceptions import HTTPError

from business_os_banking import conf
from business_os_banking.conf import Account, addresses
from business_os_banking.doctor.findings import Finding, finding
from business_os_banking.models import ConnectionEvent
from business_os_banking.upstream.http import USER_AGENT
from business_os_banking.webhooks import payloads, verifiers
from business_os_banking.webhooks.verifiers import Delivery, Verifier

_TIMEOUT: Final = (5, 20)  # seconds to connect, and to answer
_ANSWER_MAX_BYTES: Final = 16_384
_LOGIN_WORDS: Final = ("login", "signin", "sign-in", "sso", "oauth")
# The statuses that the webhook itself answers with, always without a body.
_OWN_STATUSES: Final[dict[int, str]] = {
    HTTPStatus.FORBIDDEN: "webhook-refused",
    HTTPStatus.NOT_FOUND: "webhook-unknown-account",
    HTTPStatus.TOO_MANY_REQUESTS: "webhook-throttled",
    HTTPStatus.SERVICE_UNAVAILABLE: "webhook-unready",
}


@dataclass(frozen=True, slots=True)
class _Response:
    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def target(self) -> str:
        """The target of a redirect, without its query, which may hold anything."""
        try:
            return urljoin(self.url, self.headers.get("Location", "")).partition("?")[0]
        except ValueError:
            return "nowhere"

    @property
    def redirect_clause(self) -> str:
        """The end of a sentence about this response: where it redirects to, "" if nowhere."""
        return f", and leads to {self.target}" if self.headers.get("Location") else ""


def examine_webhook(account: Account, origin: str) -> Iterator[Finding]:
    """Post a self-test signed for each verifier that is set up, and look whether it arrives.

    *origin* is the public address of the site, with no slash at its end.
    """
    parts = urlsplit(origin)
    if parts.scheme == "http" and not addresses.is_loopback(parts.hostname or ""):
        yield finding("webhook-plain-http", f"{origin} is plain http.", account=account.alias)
    event = None
    for verifier in verifiers.configured(account):
        body = json.dumps({"event": payloads.SELF_TEST, "nonce": uuid4().hex}).encode()
        signature = verifier.sign(body, timezone.now())
        if signature is None:
            continue
        problem = _deliver(account, origin, verifier, body, signature)
        if problem is not None:
            yield problem
            return
        event = _stored_event(account, body, signature)
        if event is None:
            what = f"The webhook at {origin} answers 200, but the self-test did not arrive here."
            yield finding("webhook-lost", what, account=account.alias)
            return
    if event is not None:
        yield from _examine_return(account, origin, str(event.payload.get("return_to", "")))


def _deliver(
    account: Account, origin: str, verifier: Verifier, body: bytes, signature: Mapping[str, str]
) -> Finding | None:
    """Post *body* with the headers *signature*; return what is wrong with the response, ``None`` for the right one."""
    path = reverse("business_os_banking:webhook", args=[account.alias])
    headers = {"Content-Type": "application/json", **signature}
    response = _request("POST", f"{origin}{path}", account, body, headers)
    if isinstance(response, Finding) or response.status == HTTPStatus.OK:
        return response if isinstance(response, Finding) else None
    code = _code_of(response)
    by = f" to {type(verifier).__name__}'s self-test" if code == "webhook-refused" else ""
    what = f"POST {response.url} answers {response.status}{by}{response.redirect_clause}."
    return finding(code, what, account=account.alias, path=path, header=", ".join(signature))


def _code_of(response: _Response) -> str:
    """Return the code of the finding for a response that is not the right one."""
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        return "webhook-behind-login" if _is_login(response.target) else "webhook-redirected"
    if not response.content.strip():
        return _OWN_STATUSES.get(response.status, "webhook-broken")
    if response.status == HTTPStatus.FORBIDDEN and b"csrf" in response.content.lower():
        return "webhook-csrf"
    if response.status == HTTPStatus.UNAUTHORIZED:
        return "webhook-behind-login"
    if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return "webhook-not-found"
    return "webhook-broken" if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "webhook-blocked"


def _is_login(url: str) -> bool:
    path = urlsplit(url).path
    try:
        login = urlsplit(resolve_url(django_settings.LOGIN_URL)).path
    except NoReverseMatch:
        login = ""
    return path == login or any(word in path.lower() for word in _LOGIN_WORDS)


def _stored_event(account: Account, body: bytes, signature: Mapping[str, str]) -> ConnectionEvent | None:
    delivery = Delivery(body=body, headers=signature, received_at=timezone.now())
    return ConnectionEvent.objects.filter(digest=payloads.read(delivery, account.alias).digest).first()


def _examine_return(account: Account, origin: str, return_to: str) -> Iterator[Finding]:
    """Look whether *return_to*, as the running site made it, leads back to the site from outside."""
    actual, public = urlsplit(return_to), urlsplit(origin)
    if (actual.scheme, actual.netloc) != (public.scheme, public.netloc):
        address = f"{actual.scheme}://{actual.netloc}" if return_to else "an address that cannot be made"
        what = f"Customers would be sent back to {address}, and the site is at {origin}."
        yield finding(
            "return-wrong", what, account=account.alias, origin=f"{public.scheme}://{public.netloc}"
        )
        return
    response = _request("GET", return_to, account)
    if isinstance(response, Finding):
        yield response
    # The page of a session that does not exist, as `web.landing` answers it.
    elif response.status != HTTPStatus.NOT_FOUND or response.headers.get("Referrer-Policy") != "no-referrer":
        page = actual.path.rsplit("/", 2)[0]
        what = (
            f"The page that customers come back to, {origin}{page}/…, answers "
            f"{response.status}{response.redirect_clause}."
        )
        yield finding("return-unreachable", what, account=account.alias, path=f"{page}/")


def _request(
    method: str,
    url: str,
    account: Account,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> _Response | Finding:
    """Return the response to a request through the public address, or the finding for one that cannot be had."""
    try:
        with requests.request(
            method,
            url,
            data=body,
            headers={"User-Agent": USER_AGENT, **(headers or {})},
            timeout=_TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as response:
            content = response.raw.read(_ANSWER_MAX_BYTES, decode_content=True)
            return _Response(url, response.status_code, response.headers, content)
    except requests.exceptions.SSLError:
        return finding(
            "site-tls", f"The certificate of {url} is not accepted.", account=account.alias, url=url
        )
    except (requests.exceptions.InvalidHeader, UnicodeError):
        what = f"The newest webhook secret of the account {account.alias} holds what no header can."
        variable = conf.variable_name(account.alias, "WEBHOOK_SECRETS")
        return finding("secret-unsendable", what, account=account.alias, variable=variable)
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        what = f"{url} cannot be reached from here ({type(error).__name__})."
        return finding("site-unreachable", what, account=account.alias, url=url)
