"""Settings for a test, and an account where the site's settings have none that is complete."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.test.utils import override_settings

from business_os_banking import conf
from business_os_banking.conf import table
from business_os_banking.testing.endings import endings

# What an account needs to make calls and to receive webhooks.
ACCOUNT: Final[Mapping[str, Any]] = {"API_KEY": "test-key", "WEBHOOK_SECRETS": ["secret-of-the-tests"]}


class OverrideBanking(override_settings):
    """Overrides keys of ``BUSINESS_OS_BANKING``; the others stay as they are when it is enabled.

    Unless ``ACCOUNTS`` is among the *changes*, the accounts are completed.
    """

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        for name in changes:
            if name not in table.SITE:
                close = difflib.get_close_matches(name, table.SITE, n=1)
                hint = f": did you mean {close[0]}?" if close else ""
                raise TypeError(f"{conf.SETTING} has no key {name}{hint}")
        self.changes = changes

    def enable(self) -> None:
        self.options = {conf.SETTING: self._changed(_site())}
        super().enable()
        self._enabled = _present_settings()

    def save_options(self, test_func: Any) -> None:
        # What another decorator, or a base class, has overridden stays so.
        overridden = (test_func._overridden_settings or {}).get(conf.SETTING)  # noqa: SLF001 - Django's own protocol
        self.options = {conf.SETTING: self._changed(_site() if overridden is None else overridden)}
        super().save_options(test_func)

    def withdraw(self) -> None:
        """Disable it, unless somebody else has replaced the settings since, or has put back older ones."""
        if _present_settings() is self._enabled:
            self.disable()

    def _changed(self, site: Any) -> Any:
        if not isinstance(site, Mapping):
            return site  # the app itself says what is wrong with it
        changed = {**site, **self.changes}
        return changed if "ACCOUNTS" in self.changes else _completed(changed)


@contextmanager
def account_at_hand() -> Iterator[None]:
    """Bring an account where the site's settings lack one, until the test ends; else until the block does."""
    site = _site()
    if not isinstance(site, Mapping) or _completed(site) == site:
        yield
        return
    override = OverrideBanking()
    override.enable()
    if endings.are_told:
        # Pages that the test asks for afterwards need it just as well.
        endings.add(override.withdraw)
        yield
        return
    try:
        yield
    finally:
        override.disable()


def default_alias() -> str:
    """Return the account that connections are made with: ``default``, else the first one of the settings."""
    accounts = conf.settings.accounts
    return "default" if "default" in accounts else next(iter(accounts), "default")


def _present_settings() -> Any:
    """Return the object that holds the settings just now: `override_settings` puts another one in its place."""
    return settings.__dict__["_wrapped"]


def _site() -> Any:
    """Return the site's setting; an empty one if it is not there."""
    site = getattr(settings, conf.SETTING, None)
    return {} if site is None else site


def _completed(site: Mapping[str, Any]) -> dict[str, Any]:
    accounts = site.get("ACCOUNTS") or {"default": {}}
    if not isinstance(accounts, Mapping) or not all(isinstance(item, Mapping) for item in accounts.values()):
        return dict(site)
    return {**site, "ACCOUNTS": {alias: _complete(values) for alias, values in accounts.items()}}


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    missing = {key: value for key, value in ACCOUNT.items() if not values.get(key)}
    return {**values, **missing}
