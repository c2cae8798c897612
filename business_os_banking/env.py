"""The settings from environment variables, with django-environ. ``docs/settings.md`` lists them."""

from contextlib import suppress
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf import kinds
from business_os_banking.conf.table import ACCOUNT, SITE, Table

__all__ = ["banking_settings"]


def banking_settings(env: environ.Env | None = None, **overrides: Any) -> dict[str, Any]:
    """Return the dict for ``BUSINESS_OS_BANKING`` from the environment.

    The account ``default`` has variables such as ``BUSINESS_OS_API_KEY``. Further ones are named in
    ``BUSINESS_OS_ACCOUNTS`` (``default,berlin``), and have their alias in theirs: ``BUSINESS_OS_BERLIN_API_KEY``. Lists
    have commas. An empty variable counts as not set; one that cannot be read raises `ImproperlyConfigured`.

    *env* is the site's own `environ.Env`, if it has read a ``.env`` file; *overrides* win over the environment.
    """
    env = env or environ.Env()
    values = _read(env, SITE)
    accounts = {alias: _read(env, ACCOUNT, alias) for alias in values.get("ACCOUNTS", ["default"])}
    return {**values, "ACCOUNTS": accounts, **overrides}


def _read(env: environ.Env, table: Table, alias: str | None = None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, setting in table.items():
        kind, variable = setting.kind, kinds.variable_name(alias, name)
        if kind.parse and kinds.split(text := env.str(variable, default="").strip()):
            with suppress(ValueError):
                values[name] = kind.parse(text)
            if not kind.fits(values.get(name)):
                raise ImproperlyConfigured(f"{variable} must be {kind.words}.")
    return values
