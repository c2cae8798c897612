"""Mistakes in the settings: the table of them is walked, and what is about more than one key is looked at."""

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Final

from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.adapter import BankingAdapter
from business_os_banking.checks.rules import IMPORTS, class_at
from business_os_banking.conf import Account, make_account, settings
from business_os_banking.conf.accessor import misfits
from business_os_banking.conf.kinds import SETTING, problem, site, site_problems, variable_name
from business_os_banking.conf.table import ACCOUNT, SITE, Table
from business_os_banking.webhooks.verifiers import SaltEdgeSignature

TAG: Final = "business_os_banking"
# As in webhook/<slug:account>/, and no longer than the column.
_SLUG: Final = re.compile(r"[-a-zA-Z0-9_]{1,64}")
_ACCOUNTS: Final = f'{SETTING}["ACCOUNTS"]'


@register(TAG)
def check_settings(**_: Any) -> Iterator[CheckMessage]:
    """Check the dict, key by key, account by account."""
    yield from site_problems()
    with suppress(ImproperlyConfigured):  # has been reported
        yield from _keys(site(), SITE)
        yield from _accounts(settings.accounts)


def _accounts(accounts: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    adapter = class_at(site().get("ADAPTER"), BankingAdapter) or BankingAdapter
    brings_keys = adapter.get_credentials is not BankingAdapter.get_credentials
    if not accounts and not brings_keys:
        yield SITE["ACCOUNTS"].problem("E010", " is empty")
    elif accounts and "default" not in accounts and adapter.get_account is BankingAdapter.get_account:
        text = f'{_ACCOUNTS} has no account "default", which is used unless the adapter chooses another.'
        yield problem("W005", text, 'Call one "default", or write get_account in your adapter.')
    variables: dict[str, Any] = {}
    for alias, values in accounts.items():
        other = variables.setdefault(variable_name(str(alias).lower(), "API_KEY"), alias)
        if other != alias:
            text = f'{_ACCOUNTS} has "{other}" and "{alias}", which share their environment variables.'
            hint = "Rename the one that has no connections yet, in the settings and in the address of its webhook."
            yield problem("E035", text, hint)
        for found in _account(alias, values):
            if not (brings_keys and str(found.id).endswith("E015")):
                yield found


def _account(alias: Any, values: Any) -> Iterator[CheckMessage]:
    if not isinstance(alias, str) or not _SLUG.fullmatch(alias):
        text = f"{_ACCOUNTS} has an alias {alias!r}, which cannot stand in the URL of a webhook."
        better = re.sub("[^-a-zA-Z0-9_]+", "-", str(alias)).strip("-")[:64] or "berlin"
        hint = f'Use at most 64 letters, digits, hyphens and underscores, for instance "{better}".'
        yield problem("E011", text, hint)
    elif not isinstance(values, Mapping):
        yield from misfits(alias, values)
    else:
        yield from _keys(values, ACCOUNT, alias)
        with suppress(ImproperlyConfigured):
            yield from _webhooks(make_account(alias, values))


def _keys(values: Mapping[Any, Any], table: Table, alias: str | None = None) -> Iterator[CheckMessage]:
    """Yield what is wrong with the names of keys, and with their values."""
    number, place = ("E003", SETTING) if alias is None else ("E013", f'{_ACCOUNTS}["{alias}"]')
    for name in values:
        if name not in table:
            yield problem(number, f"{place} has an unknown key {name!r}.", _meant(name, table))
    for name, setting in table.items():
        yield from setting.problems(values.get(name, setting.default), alias, *IMPORTS.get(name, ()))


def _meant(name: Any, table: Table) -> str:
    """Return the hint for an unknown key: its right place, or the likeliest known one, or all of them."""
    upper = str(name).upper()
    others, place = (SITE, SETTING) if table is ACCOUNT else (ACCOUNT, f'{_ACCOUNTS}["default"]')
    if upper in others:
        return f'"{upper}" belongs in {place}: move it there.'
    if close := difflib.get_close_matches(upper, table, n=1):
        return f'Did you mean "{close[0]}"?'
    return f"Remove it. The keys are {', '.join(sorted(table))}."


def _webhooks(account: Account) -> Iterator[CheckMessage]:
    """Yield why nobody could prove to an account that he is who sends its webhooks."""
    if not account.saltedge_callback_urls:
        if not account.webhook_secrets:
            text = " is empty, so every webhook is refused"
            yield ACCOUNT["WEBHOOK_SECRETS"].problem("W001", text, account.alias)
    elif not any(class_at(path, SaltEdgeSignature) for path in account.webhook_verifiers):
        text = f" needs {SaltEdgeSignature.__module__}.SaltEdgeSignature, as there are SALTEDGE_CALLBACK_URLS"
        yield ACCOUNT["WEBHOOK_VERIFIERS"].problem("W012", text, account.alias)
    elif find_spec("cryptography") is None:
        text = "SaltEdgeSignature needs the package cryptography, which is not installed."
        yield problem("E036", text, "pip install django-business-os-banking[saltedge]")
