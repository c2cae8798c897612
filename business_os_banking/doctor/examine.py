"""The whole examination, from the inside out: what is wrong further in explains what is seen further out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import credentials_of
from business_os_banking.conf import Account
from business_os_banking.doctor import host
from business_os_banking.doctor.findings import Finding, found
from business_os_banking.doctor.records import examine_records
from business_os_banking.doctor.upstream import Ask, examine_upstream
from business_os_banking.doctor.webhook import examine_webhook


def examine(
    aliases: list[str], *, url: str, may_spend: Ask, now: datetime | None = None
) -> Iterator[Finding]:
    """Yield everything that is wrong with the site and with these accounts.

    *url* is the public address of the site, ``""`` where nobody has said it; *may_spend* is asked before a call that
    may cost a credit. Writes nothing but the self-test, an event that asserts nothing.
    """
    yield from host.examine_settings()
    yield from host.examine_database()
    try:
        yield from _examine_accounts(
            aliases, url or conf.settings.site_url or "", may_spend, now or timezone.now()
        )
    except ImproperlyConfigured:
        return  # the checks have said so, and what lies further out cannot be seen before it is mended


def _examine_accounts(aliases: list[str], origin: str, may_spend: Ask, now: datetime) -> Iterator[Finding]:
    problem = _problem_of(origin)
    if problem is not None:
        yield problem
    if not host.is_usable():
        return
    for alias in aliases:
        account = _account(alias)
        if account is not None:
            if account.api_key:
                yield from examine_upstream(account, may_spend)
            if problem is None:
                yield from _webhook(account, origin)
        yield from examine_records(alias, now)


def _problem_of(origin: str) -> Finding | None:
    if not origin:
        return found("public-url-unknown", "Nobody has said what the public address of the site is.")
    return host.examine_origin(origin)


def _account(alias: str) -> Account | None:
    """Return the account, or ``None`` if its settings are not right: the checks have said so."""
    try:
        return credentials_of(alias)
    except ImproperlyConfigured:
        return None


def _webhook(account: Account, origin: str) -> Iterator[Finding]:
    try:
        yield from examine_webhook(account, origin)
    except (ImportError, NoReverseMatch):
        return  # a verifier, or the URLs, cannot be found: the checks have said so
