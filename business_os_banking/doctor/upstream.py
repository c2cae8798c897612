"""The way to Business OS: name, TLS, whether the key is accepted, and whose clock is right."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import requests
from django.utils import timezone
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from business_os_banking import conf
from business_os_banking.conf import Account
from business_os_banking.doctor.findings import Finding, found
from business_os_banking.exceptions import BusinessOSError, NotReachable, OutOfCredits, Refused, TimedOut
from business_os_banking.models import AccountState, ConnectSession
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.upstream.http import Answer

Ask = Callable[[str], bool]

CLOCK_TOLERANCE: Final = timedelta(minutes=2)  # a verifier refuses what is five minutes off
_PROVES_A_KEY_FOR: Final = timedelta(hours=24)
_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_NO_KEY: Final = "banking-doctor-asks-with-a-key-that-cannot-be-right"


def examine_upstream(account: Account, may_spend: Ask) -> Iterator[Finding]:
    """Make one call that costs nothing, and say what its answer tells.

    *may_spend* is asked, with a question, before a call that may cost a credit; it is made only after a yes.
    """
    names = {
        "url": account.base_url,
        "host": urlsplit(account.base_url).hostname,
        "variable": conf.variable_name(account.alias, "BASE_URL"),
    }
    try:
        answer = BusinessOSClient(account).probe()
    except NotReachable:
        code, what = _why_unreachable(account)
        yield found(code, what, account=account.alias, **names)
    except TimedOut:
        yield found(
            "upstream-silent", f"{account.base_url} does not answer in time.", account=account.alias, **names
        )
    except BusinessOSError as error:
        yield found("upstream-strange", f"{account.base_url}: {error}", account=account.alias, **names)
    else:
        yield from _clock(account, answer)
        yield from _answer(account, answer, may_spend, names)


def _clock(account: Account, answer: Answer) -> Iterator[Finding]:
    theirs = _date_of(answer.headers)
    off = abs(timezone.now() - theirs) if theirs else timedelta()
    if off > CLOCK_TOLERANCE:
        yield found(
            "clock-off",
            f"The clock of this machine and that of Business OS are {off.total_seconds():.0f} seconds apart.",
            account=account.alias,
        )


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return when the answer was made, as its ``Date`` says (RFC 9110 6.6.1), or ``None``."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else None


def _answer(
    account: Account, answer: Answer, may_spend: Ask, names: Mapping[str, str | None]
) -> Iterator[Finding]:
    status = answer.status
    if status in _REFUSED:
        yield _refused(account, status)
    elif status == HTTPStatus.PAYMENT_REQUIRED:
        yield found(
            "credits-used-up", "Business OS says that there are no credits left.", account=account.alias
        )
    elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        yield found("upstream-trouble", f"Business OS answers {status}.", account=account.alias)
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        what = f"{account.base_url} answers with a redirect ({status})."
        yield found("upstream-strange", what, account=account.alias, **names)
    elif not _keys_are_told_apart(account) and not _was_accepted_of_late(account):
        yield from _spend(account, may_spend)


def _refused(account: Account, status: int) -> Finding:
    return found(
        "key-refused",
        f"Business OS does not accept the key of the account {account.alias} ({status}).",
        account=account.alias,
        variable=conf.variable_name(account.alias, "API_KEY"),
    )


def _keys_are_told_apart(account: Account) -> bool:
    """Return whether a wrong key gets another answer: a gateway that says 404 to everybody proves no key."""
    try:
        answer = BusinessOSClient(replace(account, api_key=_NO_KEY)).probe()
    except BusinessOSError:
        return False
    return answer.status in _REFUSED


def _was_accepted_of_late(account: Account) -> bool:
    since = timezone.now() - _PROVES_A_KEY_FOR
    read = AccountState.objects.filter(alias=account.alias, read_at__gte=since)
    opened = ConnectSession.objects.filter(
        connection__account=account.alias, created_at__gte=since, pending_token__isnull=False
    )
    return read.exists() or opened.exists()


def _spend(account: Account, may_spend: Ask) -> Iterator[Finding]:
    question = f"Read the connection list of the account {account.alias} once? That may cost one credit."
    unproved = found(
        "key-unproved",
        f"Whether Business OS accepts the key of the account {account.alias} is not known.",
        account=account.alias,
    )
    if not may_spend(question):
        yield unproved
        return
    try:
        BusinessOSClient(account).list_connections_page()
    except Refused as error:
        yield _refused(account, error.status or HTTPStatus.UNAUTHORIZED)
    except OutOfCredits:
        yield found(
            "credits-used-up", "Business OS says that there are no credits left.", account=account.alias
        )
    except BusinessOSError:
        yield unproved


def _why_unreachable(account: Account) -> tuple[str, str]:
    """Return the code and the words for what keeps the connection from being made."""
    if proxy := requests.utils.get_environ_proxies(account.base_url):
        return (
            "upstream-unreachable",
            f"{account.base_url} is not reached through the proxy for {', '.join(proxy)}.",
        )
    parts = urlsplit(account.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    timeout, _read = account.timeout
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        return "upstream-name", f"The name {host} cannot be found (DNS)."
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if parts.scheme == "https":
                with _trusted().wrap_socket(plain, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return "upstream-tls", f"The certificate of {host} is not accepted: {error.verify_message}."
    except ssl.SSLError as error:
        return (
            "upstream-tls",
            f"{host} does not speak TLS as it should ({error.reason or 'no reason given'}).",
        )
    except OSError as error:
        return "upstream-unreachable", f"No connection to {host}:{port} can be made ({type(error).__name__})."
    return "upstream-unreachable", f"The connection to {host}:{port} failed, and now it works: try again."


def _trusted() -> ssl.SSLContext:
    """Return what `requests` trusts: the operator's own bundle if one is named, else that of certifi."""
    settings = requests.Session().merge_environment_settings("https://-/", {}, None, None, None)
    bundle = settings["verify"]
    return ssl.create_default_context(cafile=bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH)
