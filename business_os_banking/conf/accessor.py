"""The settings as they are now, so that ``override_settings`` works, and accounts made of them or by an adapter."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf.kinds import SETTING, problem, raise_first, variable_name
from business_os_banking.conf.table import ACCOUNT, Account, Settings

settings: Final = Settings()


def account(alias: str = "default") -> Account:
    """Return the account *alias* of the settings; `ImproperlyConfigured` names the key and the variable otherwise.

    An account without an API key is complete enough to receive webhooks; `require_usable` is for calls.
    """
    # Kept in no variable: reports of errors show those, and these hold all accounts' secrets.
    if alias not in settings.accounts:
        known = ", ".join(sorted(map(str, settings.accounts))) or "none"
        text = f'{SETTING}["ACCOUNTS"] has no account "{alias}" (there are: {known}).'
        raise ImproperlyConfigured(f"{text} Set {variable_name(alias, 'API_KEY')} for banking_settings().")
    return make_account(alias, settings.accounts[alias])


def make_account(alias: str, values: Mapping[str, Any]) -> Account:
    """Return an account from a dict of settings, with the defaults filled in.

    A value that is not of its kind raises `ImproperlyConfigured` with the name of the key and of the variable.
    """
    if problems := list(misfits(alias, values)):
        del values  # Reports of errors show local variables, and these are the account's secrets.
        raise_first(problems)
    used = {name: setting.kind.used(values.get(name, setting.default)) for name, setting in ACCOUNT.items()}
    return Account(alias=alias, **{name.lower(): value for name, value in used.items()})


def misfits(alias: str, values: Any) -> Iterator[CheckMessage]:
    """Yield what keeps an account from being made: that *values* is no dict, or what in it is not of its kind."""
    if not isinstance(values, Mapping):
        text = f'{SETTING}["ACCOUNTS"]["{alias}"] must be a dict, not {type(values).__name__}.'
        yield problem("E012", text, f'Write "ACCOUNTS": {{"{alias}": {{"API_KEY": "…"}}}}.')
        return
    for name, setting in ACCOUNT.items():
        if name in values and not setting.kind.fits(values[name]):
            yield from setting.problems(values[name], alias)


def require_usable(account: Account) -> None:
    """Raise an `ImproperlyConfigured` that says what is wrong, unless calls may be made with *account*.

    An adapter's accounts keep to the same rules as those of the settings. By these, the key goes to ``BASE_URL`` and
    nowhere else, whatever is put after it, and does not leave this machine unencrypted.
    """
    for name, setting in ACCOUNT.items():
        raise_first(setting.problems(getattr(account, name.lower()), account.alias))
