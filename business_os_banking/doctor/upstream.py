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
from business_os_banking.conf.secret import Secret
from business_os_banking.doctor.findings import Finding, finding
from business_os_banking.exceptions import BusinessOSError, NotReachable, OutOfCredits, Refused, TimedOut
from business_os_banking.models import AccountState, ConnectSession
from business_os_banking.upstream import answers
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.upstream.http import Answer

MaySpend = Callable[[str], bool]  # takes a question, returns whether the answer is yes

CLOCK_TOLERANCE: Final = timedelta(minutes=2)  # a verifier refuses what is five minutes off
_KEY_PROVED_FOR: Final = timedelta(hours=24)  # by a call that was accepted
_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_WRONG_KEY: Final = "banking-doctor-asks-with-a-key-that-cannot-be-right"


def examine_upstream(account: Account, may_spend: MaySpend) -> Iterator[Finding]:
    """Make one request that costs nothing, and yield what is wrong with its response.

    *may_spend* is called, with a question, before a request that may cost a credit, which is made only after a yes.
    """
    values = {
        "url": account.base_url,
        "host": urlsplit(account.base_url).hostname,
        "variable": conf.variable_name(account.alias, "BASE_URL"),
    }
    try:
        answer = BusinessOSClient(account).probe()
    except NotReachable:
        code, what = _unreachable_cause(account)
        yield finding(code, what, account=account.alias, **values)
    except TimedOut:
        yield finding(
            "upstream-silent", f"{account.base_url} does not answer in time.", account=account.alias, **values
        )
    except BusinessOSError as error:
        yield finding("upstream-strange", f"{account.base_url}: {error}", account=account.alias, **values)
    else:
        yield from _clock(account, answer)
        yield from _response(account, answer, may_spend, values)


def _clock(account: Account, answer: Answer) -> Iterator[Finding]:
    date = _date_of(answer.headers)
    difference = abs(timezone.now() - date) if date else timedelta()
    if difference > CLOCK_TOLERANCE:
        yield finding(
            "clock-off",
            f"The clock of this machine and that of Business OS are {difference.total_seconds():.0f} seconds apart.",
            account=account.alias,
        )


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time in the header ``Date`` (RFC 9110 6.6.1), or ``None`` without a usable one."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else None


def _response(
    account: Account, answer: Answer, may_spend: MaySpend, values: Mapping[str, str | None]
) -> Iterator[Finding]:
    status = answer.status
    if status in _REFUSED:
        yield _refused(account, status)
    elif status == HTTPStatus.PAYMENT_REQUIRED:
        yield finding(
            "credits-used-up", "Business OS says that there are no credits left.", account=account.alias
        )
    elif status == HTTPStatus.TOO_MANY_REQUESTS or answers.is_temporary(status):
        yield finding("upstream-trouble", f"Business OS answers {status}.", account=account.alias)
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        what = f"{account.base_url} answers with a redirect ({status})."
        yield finding("upstream-strange", what, account=account.alias, **values)
    elif not _distinguishes_keys(account) and not _was_accepted_recently(account):
        yield from _spend(account, may_spend)


def _refused(account: Account, status: int) -> Finding:
    return finding(
        "key-refused",
        f"Business OS does not accept the key of the account {account.alias} ({status}).",
        account=account.alias,
        variable=conf.variable_name(account.alias, "API_KEY"),
    )


def _distinguishes_keys(account: Account) -> bool:
    """Return whether a wrong key is refused: a gateway that answers 404 to everybody proves no key."""
    try:
        answer = BusinessOSClient(replace(account, api_key=Secret(_WRONG_KEY))).probe()
    except BusinessOSError:
        return False
    return answer.status in _REFUSED


def _was_accepted_recently(account: Account) -> bool:
    since = timezone.now() - _KEY_PROVED_FOR
    read = AccountState.objects.filter(alias=account.alias, read_at__gte=since)
    opened = ConnectSession.objects.filter(
        connection__account=account.alias, created_at__gte=since, pending_token__isnull=False
    )
    return read.exists() or opened.exists()


def _spend(account: Account, may_spend: MaySpend) -> Iterator[Finding]:
    question = f"Read the connection list of the account {account.alias} once? That may cost one credit."
    unproved = finding(
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
        yield finding(
            "credits-used-up", "Business OS says that there are no credits left.", account=account.alias
        )
    except BusinessOSError:
        yield unproved


def _unreachable_cause(account: Account) -> tuple[str, str]:
    """Return code and text of the fault that keeps the connection from being made."""
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
                with _ssl_context().wrap_socket(plain, server_hostname=host):
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


def _ssl_context() -> ssl.SSLContext:
    """Return a context with the certificates that `requests` trusts: the operator's bundle, else that of certifi."""
    settings = requests.Session().merge_environment_settings("https://-/", {}, None, None, None)
    bundle = settings["verify"]
    return ssl.create_default_context(cafile=bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH)
