"""Mistakes in the settings, found by ``manage.py check`` before anybody meets them.

Ids are stable: a site may silence one with ``SILENCED_SYSTEM_CHECKS``. What each key may hold is the table in
:mod:`business_os_banking.checks.rules`; here the table is walked, and what is more than one key is looked at.
No check queries the database, raises, or repeats the value of a secret.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, register
from django.db import DEFAULT_DB_ALIAS, router
from django.urls import NoReverseMatch, reverse

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.checks.rules import (
    ACCOUNT_KEYS,
    SITE_KEYS,
    Key,
    Rule,
    error,
    imported,
    is_texts,
    plain_http_key,
    salt_edge,
    warning,
)
from business_os_banking.models import BankingConnection

TAG: Final = "business_os_banking"
# As in webhook/<slug:account>/, and no longer than the column.
_SLUG: Final = re.compile(r"[-a-zA-Z0-9_]{1,64}")
# What Django REST framework calls of each; permissions may also be composed, with & and |.
API_CLASSES: Final = {
    "AUTHENTICATION": "authenticate",
    "PERMISSION": "has_permission",
    "THROTTLE": "allow_request",
}
API_EXAMPLES: Final = {
    "AUTHENTICATION": '["rest_framework.authentication.SessionAuthentication"]',
    "PERMISSION": '["rest_framework.permissions.IsAuthenticated"]',
    "THROTTLE": '{"create": ["dotted.path.of.your.Throttle"]}',
}
_SQLITE: Final = {"sqlite3", "spatialite"}


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check the dict, key by key, account by account."""
    return list(_site(getattr(django_settings, conf.SETTING, None)))


@register(TAG)
def check_environment(**_: Any) -> list[CheckMessage]:
    """Check what the app needs of the site as a whole."""
    problems = []
    if not django_settings.USE_TZ:
        problems.append(
            error("E033", "USE_TZ is False; the app keeps and compares aware times.", "Write USE_TZ = True.")
        )
    if router.db_for_write(BankingConnection) != DEFAULT_DB_ALIAS:
        problems.append(
            error(
                "E034",
                "A database router sends the tables of business_os_banking to another database than the default. "
                "Their transactions and locks are taken on the default one.",
                'Let your router answer "default" (or None) for the app business_os_banking.',
            )
        )
    return problems


@register(TAG)
def check_mails(**_: Any) -> list[CheckMessage]:
    """Check that the links in mails will lead somewhere: a job that sends mail has no request to ask for its host."""
    setting = getattr(django_settings, conf.SETTING, None)
    if not isinstance(setting, Mapping) or not setting.get("CONSENT_MAILS") or setting.get("SITE_URL"):
        return []
    return [
        warning(
            "W006",
            f"{Key('CONSENT_MAILS')} is on, but there is no SITE_URL, so the links in the mails lead nowhere.",
            'Write "SITE_URL": "https://www.example.com" (in the environment: BUSINESS_OS_SITE_URL).',
        )
    ]


@register(TAG)
def check_urls(**_: Any) -> list[CheckMessage]:
    """Check that the app's URLs are included."""
    try:
        reverse("business_os_banking:webhook")
    except NoReverseMatch:
        return [
            warning(
                "W003",
                "The URLs of business_os_banking are not included, so nobody can connect a bank and no "
                "webhook can arrive.",
                'Add path("banking/", include("business_os_banking.urls")) to urlpatterns in '
                f"{getattr(django_settings, 'ROOT_URLCONF', None) or 'your ROOT_URLCONF'}.",
            )
        ]
    except Exception:  # noqa: BLE001 - a URLconf that cannot be imported is reported by Django itself
        return []
    return []


@register(TAG)
def check_api(**_: Any) -> list[CheckMessage]:
    """Check that the classes which the REST API is told to use can be had."""
    site = getattr(django_settings, conf.SETTING, None)
    return list(_api_classes(site)) if isinstance(site, Mapping) else []


@register(TAG)
def check_databases(**_: Any) -> list[CheckMessage]:
    """Check that SQLite takes its write lock at the start of a transaction."""
    databases = getattr(django_settings, "DATABASES", None)
    if django_settings.DEBUG or not isinstance(databases, Mapping):
        return []
    return [
        warning(
            "W004",
            f'The SQLite database "{alias}" does not lock when a transaction begins: a webhook and a '
            'customer who write at once get "database is locked".',
            f'Set DATABASES["{alias}"]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE"}}, or use PostgreSQL.',
        )
        for alias, database in databases.items()
        if isinstance(database, Mapping) and _is_lazy_sqlite(database)
    ]


def _is_lazy_sqlite(database: Mapping[str, Any]) -> bool:
    options = database.get("OPTIONS")
    mode = options.get("transaction_mode") if isinstance(options, Mapping) else None
    is_sqlite = str(database.get("ENGINE")).rpartition(".")[2] in _SQLITE
    return is_sqlite and str(mode).upper() not in {"IMMEDIATE", "EXCLUSIVE"}


def _site(site: Any) -> Iterator[CheckMessage]:
    if site is None:
        yield error(
            "E001",
            f"The setting {conf.SETTING} is missing.",
            "Add to your settings: from business_os_banking.env import banking_settings; "
            f"{conf.SETTING} = banking_settings().",
        )
        return
    if not isinstance(site, Mapping):
        yield error(
            "E002",
            f"{conf.SETTING} must be a dict, not {type(site).__name__}.",
            f'Write {conf.SETTING} = {{"ACCOUNTS": {{"default": {{"API_KEY": "…"}}}}}}.',
        )
        return
    for name in site:
        if name not in SITE_KEYS:
            yield error("E003", f"{conf.SETTING} has an unknown key {name!r}.", _meant(name, SITE_KEYS))
    for name, rule in SITE_KEYS.items():
        if name in site:
            yield from _value("E004", Key(name), rule, site[name])
    yield from _all_accounts(site.get("ACCOUNTS", {}), _adapter(site))


def _api_classes(site: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for kind, method in API_CLASSES.items():
        key = Key(f"API_{kind}_CLASSES")
        value = site.get(key.name)
        if value is None or not conf.is_api_classes(value):
            continue  # E004 has said so
        lists = value.values() if isinstance(value, Mapping) else [value]
        for path in {path for item in lists for path in item}:
            found, problem = imported(path)
            if not problem and not (callable(found) and (hasattr(found, method) or kind == "PERMISSION")):
                problem = f"it is no {kind.lower()} class of Django REST framework"
            if problem:
                yield error(
                    "E037",
                    f'{key} has "{path}", which cannot be used: {problem}.',
                    f'Leave it out to follow REST_FRAMEWORK, or write "{key.name}": {API_EXAMPLES[kind]}.',
                )


def _all_accounts(accounts: Any, adapter: type[BankingAdapter]) -> Iterator[CheckMessage]:
    if not isinstance(accounts, Mapping):
        return  # E004 has said so
    has_own_credentials = adapter.get_credentials is not BankingAdapter.get_credentials
    if not accounts and not has_own_credentials:
        yield error(
            "E010",
            f'{conf.SETTING}["ACCOUNTS"] is empty.',
            f"Set the environment variable BUSINESS_OS_API_KEY and {conf.SETTING} = banking_settings(), or "
            'write "ACCOUNTS": {"default": {"API_KEY": "…"}}.',
        )
    elif accounts and "default" not in accounts and adapter.get_account is BankingAdapter.get_account:
        yield warning(
            "W005",
            f'{conf.SETTING}["ACCOUNTS"] has no account "default", which is the one that is used unless the '
            "adapter chooses another.",
            'Rename an account to "default", or write get_account(self, request) in your adapter.',
        )
    yield from _look_alikes(alias for alias in accounts if isinstance(alias, str))
    for alias, values in accounts.items():
        yield from _account(alias, values, has_own_credentials)


def _look_alikes(aliases: Iterable[str]) -> Iterator[CheckMessage]:
    """Check that no two accounts would read the same environment variables, and so have the same secrets."""
    first: dict[str, str] = {}
    for alias in aliases:
        other = first.setdefault(conf.variable_name(alias.lower(), "API_KEY"), alias)
        if other != alias:
            yield error(
                "E035",
                f'{conf.SETTING}["ACCOUNTS"] has "{other}" and "{alias}", which differ in case and hyphens alone: '
                "they share their environment variables, and people will take one for the other.",
                "Rename the one that has no connections yet, in the settings and in the address of its webhook.",
            )


def _account(alias: Any, values: Any, has_own_credentials: bool) -> Iterator[CheckMessage]:
    if not isinstance(alias, str) or not _SLUG.fullmatch(alias):
        yield error(
            "E011",
            f'{conf.SETTING}["ACCOUNTS"] has an alias {alias!r}, which cannot stand in the URL of a webhook.',
            "Use at most 64 letters, digits, hyphens and underscores, for instance "
            f'"{re.sub("[^-a-zA-Z0-9_]+", "-", str(alias)).strip("-")[:64] or "berlin"}".',
        )
        return
    if not isinstance(values, Mapping):
        yield error(
            "E012",
            f'{conf.SETTING}["ACCOUNTS"]["{alias}"] must be a dict, not {type(values).__name__}.',
            f'Write "ACCOUNTS": {{"{alias}": {{"API_KEY": "…"}}}}.',
        )
        return
    for name in values:
        if name not in ACCOUNT_KEYS:
            where = f'{conf.SETTING}["ACCOUNTS"]["{alias}"]'
            yield error("E013", f"{where} has an unknown key {name!r}.", _meant(name, ACCOUNT_KEYS))
    if not values.get("API_KEY") and not has_own_credentials:
        key = Key("API_KEY", alias)
        yield error(
            "E015",
            f"{key} is empty.",
            "Create a key at app.business-os.de under API Keys and set the environment variable "
            f"{key.variable}.",
        )
    secrets = values.get("WEBHOOK_SECRETS")
    signed_by_salt_edge = bool(values.get("SALTEDGE_CALLBACK_URLS"))
    if not signed_by_salt_edge and (not secrets or (is_texts(secrets) and not any(secrets))):
        key = Key("WEBHOOK_SECRETS", alias)
        yield warning(
            "W001",
            f"{key} is empty, so every webhook is refused.",
            f"Set the environment variable {key.variable}, for instance to the output of: "
            'python -c "import secrets; print(secrets.token_urlsafe(32))".',
        )
    yield from plain_http_key(Key("BASE_URL", alias), values)
    if signed_by_salt_edge:
        yield from salt_edge(alias, values)
    for name, rule in ACCOUNT_KEYS.items():
        # None is what a missing environment variable leaves behind; the two that matter are reported above.
        if name in values and not (values[name] is None and name in {"API_KEY", "WEBHOOK_SECRETS"}):
            yield from _value("E014", Key(name, alias), rule, values[name])


def _value(wrong_type: str, key: Key, rule: Rule, value: Any) -> Iterator[CheckMessage]:
    if rule.fits(value):
        yield from rule.check(key, value) if rule.check else ()
    else:
        hint = f"Write {rule.example}{key.or_variable}."
        yield error(wrong_type, f"{key} must be {rule.kind}, not {type(value).__name__}.", hint)


def _meant(name: Any, known: Iterable[str]) -> str:
    """Return the hint for an unknown key: the likeliest known one, or its right place, or all of them."""
    upper = str(name).upper()
    elsewhere = SITE_KEYS if known is ACCOUNT_KEYS else ACCOUNT_KEYS
    if upper in elsewhere:
        place = conf.SETTING if elsewhere is SITE_KEYS else f'{conf.SETTING}["ACCOUNTS"]["default"]'
        return f'"{upper}" belongs in {place}: move it there.'
    if close := difflib.get_close_matches(upper, known, n=1):
        return f'Did you mean "{close[0]}"?'
    return f"Remove it. The keys are {', '.join(sorted(known))}."


def _adapter(site: Mapping[str, Any]) -> type[BankingAdapter]:
    """Return the site's adapter class; the default one if it cannot be had, which E007 and E008 report."""
    found, _ = imported(site.get("ADAPTER", conf.DEFAULTS["ADAPTER"]))
    return found if isinstance(found, type) and issubclass(found, BankingAdapter) else BankingAdapter
