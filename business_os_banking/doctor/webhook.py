"""From outside: a signed self-test through the site's own public address, and what becomes of it."""

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
from business_os_banking.doctor.findings import Finding, found
from business_os_banking.models import ConnectionEvent
from business_os_banking.upstream.http import USER_AGENT
from business_os_banking.webhooks import payloads, verifiers
from business_os_banking.webhooks.verifiers import Delivery, Verifier

_TIMEOUT: Final = (5, 20)  # seconds to connect, and to answer
_ANSWER_MAX_BYTES: Final = 16_384
_LOGIN_WORDS: Final = ("login", "signin", "sign-in", "sso", "oauth")
# What the webhook itself answers, always without a body.
_OURS: Final[dict[int, str]] = {
    HTTPStatus.FORBIDDEN: "webhook-refused",
    HTTPStatus.NOT_FOUND: "webhook-unknown-account",
    HTTPStatus.TOO_MANY_REQUESTS: "webhook-throttled",
    HTTPStatus.SERVICE_UNAVAILABLE: "webhook-unready",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def leads_to(self) -> str:
        """Where a redirect leads, without its query: that may hold anything."""
        try:
            return urljoin(self.url, self.headers.get("Location", "")).partition("?")[0]
        except ValueError:
            return "nowhere"


def examine_webhook(account: Account, origin: str) -> Iterator[Finding]:
    """Post a self-test as each verifier that is set up would have it signed, and see it arrive.

    *origin* is the public address of the site, with no slash at its end.
    """
    parts = urlsplit(origin)
    if parts.scheme == "http" and not addresses.is_loopback(parts.hostname or ""):
        yield found("webhook-plain-http", f"{origin} is plain http.", account=account.alias)
    arrived = None
    for verifier in verifiers.configured(account):
        body = json.dumps({"event": payloads.SELF_TEST, "nonce": uuid4().hex}).encode()
        signed = verifier.sign(body, timezone.now())
        if signed is None:
            continue
        problem = _deliver(account, origin, verifier, body, signed)
        if problem is not None:
            yield problem
            return
        arrived = _arrived(account, body, signed)
        if arrived is None:
            what = f"The webhook at {origin} answers 200, but the self-test did not arrive here."
            yield found("webhook-lost", what, account=account.alias)
            return
    if arrived is not None:
        yield from _examine_return(account, origin, str(arrived.payload.get("return_to", "")))


def _deliver(
    account: Account, origin: str, verifier: Verifier, body: bytes, signed: Mapping[str, str]
) -> Finding | None:
    """Post *body*; return what is wrong with the answer, ``None`` for the right one."""
    path = reverse("business_os_banking:webhook", args=[account.alias])
    headers = {"Content-Type": "application/json", **signed}
    answer = _request("POST", f"{origin}{path}", account, body, headers)
    if isinstance(answer, Finding) or answer.status == HTTPStatus.OK:
        return answer if isinstance(answer, Finding) else None
    code = _code_of(answer)
    by = f" to {type(verifier).__name__}'s self-test" if code == "webhook-refused" else ""
    leads = f", and leads to {answer.leads_to}" if answer.headers.get("Location") else ""
    what = f"POST {answer.url} answers {answer.status}{by}{leads}."
    return found(code, what, account=account.alias, path=path, header=", ".join(signed))


def _code_of(answer: _Answer) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return "webhook-behind-login" if _is_login(answer.leads_to) else "webhook-redirected"
    if not answer.content.strip():
        return _OURS.get(answer.status, "webhook-broken")
    if answer.status == HTTPStatus.FORBIDDEN and b"csrf" in answer.content.lower():
        return "webhook-csrf"
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return "webhook-behind-login"
    if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return "webhook-not-found"
    return "webhook-broken" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "webhook-blocked"


def _is_login(url: str) -> bool:
    path = urlsplit(url).path
    try:
        login = urlsplit(resolve_url(django_settings.LOGIN_URL)).path
    except NoReverseMatch:
        login = ""
    return path == login or any(word in path.lower() for word in _LOGIN_WORDS)


def _arrived(account: Account, body: bytes, signed: Mapping[str, str]) -> ConnectionEvent | None:
    delivery = Delivery(body=body, headers=signed, received_at=timezone.now())
    return ConnectionEvent.objects.filter(digest=payloads.read(delivery, account.alias).digest).first()


def _examine_return(account: Account, origin: str, return_to: str) -> Iterator[Finding]:
    """Look whether *return_to*, as the running site made it, leads back to the site from outside."""
    made, public = urlsplit(return_to), urlsplit(origin)
    if (made.scheme, made.netloc) != (public.scheme, public.netloc):
        here = f"{made.scheme}://{made.netloc}" if return_to else "an address that cannot be made"
        what = f"Customers would be sent back to {here}, and the site is at {origin}."
        yield found("return-wrong", what, account=account.alias, origin=f"{public.scheme}://{public.netloc}")
        return
    answer = _request("GET", return_to, account)
    if isinstance(answer, Finding):
        yield answer
    # The page of an attempt that does not exist, as `landing.returned` answers it.
    elif answer.status != HTTPStatus.NOT_FOUND or answer.headers.get("Referrer-Policy") != "no-referrer":
        leads = f", and leads to {answer.leads_to}" if answer.headers.get("Location") else ""
        page = made.path.rsplit("/", 2)[0]
        what = f"The page that customers come back to, {origin}{page}/…, answers {answer.status}{leads}."
        yield found("return-unreachable", what, account=account.alias, path=f"{page}/")


def _request(
    method: str,
    url: str,
    account: Account,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> _Answer | Finding:
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
            return _Answer(url, response.status_code, response.headers, content)
    except requests.exceptions.SSLError:
        return found("site-tls", f"The certificate of {url} is not accepted.", account=account.alias, url=url)
    except (requests.exceptions.InvalidHeader, UnicodeError):
        what = f"The newest webhook secret of the account {account.alias} holds what no header can."
        variable = conf.variable_name(account.alias, "WEBHOOK_SECRETS")
        return found("secret-unsendable", what, account=account.alias, variable=variable)
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        what = f"{url} cannot be reached from here ({type(error).__name__})."
        return found("site-unreachable", what, account=account.alias, url=url)
