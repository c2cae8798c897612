"""The whole examination, from the inside out: a fault further in explains those that are seen further out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import credentials_of
from business_os_banking.conf import addresses
from business_os_banking.doctor import host
from business_os_banking.doctor.findings import Finding, finding
from business_os_banking.doctor.records import examine_records
from business_os_banking.doctor.upstream import MaySpend, examine_upstream
from business_os_banking.doctor.webhook import examine_webhook
from business_os_banking.exceptions import describe
from business_os_banking.webhooks.verifiers import configured


def examine(
    aliases: list[str], *, url: str, may_spend: MaySpend, now: datetime | None = None
) -> Iterator[Finding]:
    """Yield everything that is wrong with the site and with these accounts.

    *url* is the public address of the site, ``""`` where it is not known; *may_spend* is called before a request that
    may cost a credit. Writes nothing but the self-test, an event that asserts nothing.
    """
    yield from host.examine_settings()
    yield from host.examine_database()
    try:
        yield from _examine_accounts(
            aliases, url or conf.settings.site_url or "", may_spend, now or timezone.now()
        )
    except ImproperlyConfigured:
        return  # the checks have reported it, and what lies further out cannot be seen before it is mended


def _examine_accounts(
    aliases: list[str], origin: str, may_spend: MaySpend, now: datetime
) -> Iterator[Finding]:
    problem = _examine_address(origin)
    if problem is not None:
        yield problem
    if not host.is_usable():
        return
    for alias in aliases:
        yield from _examine_account(alias, "" if problem else origin, may_spend)
        yield from examine_records(alias, now)


def _examine_account(alias: str, origin: str, may_spend: MaySpend) -> Iterator[Finding]:
    try:
        account = credentials_of(alias)
        if account.api_key or alias not in conf.settings.accounts:  # else a check has reported it
            conf.require_usable(account)
        configured(account)
    except Exception as error:  # noqa: BLE001 - the site's own adapter, or its verifiers
        yield finding(
            "account-unusable", f"The account {alias} cannot be used: {describe(error)}", account=alias
        )
        return
    if account.api_key:
        yield from examine_upstream(account, may_spend)
    if origin:
        yield from examine_webhook(account, origin)


def _examine_address(origin: str) -> Finding | None:
    if addresses.parse(origin) is None:
        return finding("public-url-unknown", "Nobody has said what the public address of the site is.")
    return host.examine_origin(origin)
