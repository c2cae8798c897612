"""The settings from environment variables, with django-environ.

``BUSINESS_OS_BANKING = banking_settings()`` reads, for the account ``default``::

    BUSINESS_OS_API_KEY               the key, from app.business-os.de under API Keys
    BUSINESS_OS_WEBHOOK_SECRETS       one or more secrets, separated by commas
    BUSINESS_OS_BASE_URL              https://api.business-os.de
    BUSINESS_OS_API                   partner (the default) or openbanking
    BUSINESS_OS_SCOPES                accounts,holder_info,transactions
    BUSINESS_OS_CONNECT_URL_HOSTS     saltedge.com,.saltedge.com
    BUSINESS_OS_WEBHOOK_VERIFIERS     dotted paths
    BUSINESS_OS_WEBHOOK_SIGNATURE_HEADER  X-Signature
    BUSINESS_OS_SALTEDGE_CALLBACK_URLS  addresses as registered with Salt Edge, separated by commas
    BUSINESS_OS_TIMEOUT               connect,read in seconds, or one number for both
    BUSINESS_OS_CONNECT_PATH          and CONNECTIONS_PATH, CONNECTION_PATH, ACCOUNT_PATH: should the API move
    BUSINESS_OS_SITE_URL              the public origin of this site
    BUSINESS_OS_ADAPTER               the dotted path of the site's adapter

More accounts are named in BUSINESS_OS_ACCOUNTS (``default,berlin``); their variables carry the alias:
``BUSINESS_OS_BERLIN_API_KEY``.
"""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf import variable_name

_TEXTS = (
    "API_KEY",
    "BASE_URL",
    "API",
    "WEBHOOK_SIGNATURE_HEADER",
    "CONNECT_PATH",
    "CONNECTIONS_PATH",
    "CONNECTION_PATH",
    "ACCOUNT_PATH",
)
_LISTS = ("WEBHOOK_SECRETS", "SCOPES", "CONNECT_URL_HOSTS", "WEBHOOK_VERIFIERS", "SALTEDGE_CALLBACK_URLS")


def banking_settings(env: environ.Env | None = None, **overrides: Any) -> dict[str, Any]:
    """Return the dict for ``BUSINESS_OS_BANKING`` from the environment.

    *env* is the site's own `environ.Env`, if it has read a ``.env`` file; *overrides* are top-level keys that
    win over the environment. An empty variable counts as not set. A timeout that is not a number raises
    `ImproperlyConfigured` with the name of the variable.
    """
    env = env or environ.Env()
    aliases = _list(env, "BUSINESS_OS_ACCOUNTS") or ["default"]
    result: dict[str, Any] = {"ACCOUNTS": {alias: _account(env, alias) for alias in aliases}}
    for key in ("SITE_URL", "ADAPTER"):
        if value := env.str(f"BUSINESS_OS_{key}", default="").strip():
            result[key] = value
    return {**result, **overrides}


def _account(env: environ.Env, alias: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in _TEXTS:
        if text := env.str(variable_name(alias, key), default="").strip():
            values[key] = text
    for key in _LISTS:
        if items := _list(env, variable_name(alias, key)):
            values[key] = items
    if seconds := _list(env, variable_name(alias, "TIMEOUT")):
        values["TIMEOUT"] = _timeout(variable_name(alias, "TIMEOUT"), seconds)
    return values


def _list(env: environ.Env, name: str) -> list[str]:
    # Not env.list: blanks around the commas are a common slip, and would become part of a secret.
    return [item.strip() for item in env.str(name, default="").split(",") if item.strip()]


def _timeout(name: str, items: list[str]) -> tuple[float, float]:
    try:
        numbers = [float(item) for item in items]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2}:
        raise ImproperlyConfigured(f"{name} must be one or two numbers (seconds), such as 3.05,20.")
    return numbers[0], numbers[-1]
