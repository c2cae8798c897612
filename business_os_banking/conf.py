"""The settings, typed and read at call time, so that ``override_settings`` works and nothing is cached.

A site writes one dict, ``BUSINESS_OS_BANKING``. What it leaves out has the default that is given here.
:mod:`business_os_banking.checks` reports mistakes before they are met.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

APIS: Final = ("partner", "openbanking")
SCOPES: Final = ("accounts", "holder_info", "transactions")
SETTING: Final = "BUSINESS_OS_BANKING"

ACCOUNT_DEFAULTS: Final[Mapping[str, Any]] = {
    "API_KEY": "",
    "WEBHOOK_SECRETS": [],
    "BASE_URL": "https://api.business-os.de",
    "API": "partner",
    "SCOPES": list(SCOPES),
    "CONNECT_URL_HOSTS": ["saltedge.com", ".saltedge.com"],
    "WEBHOOK_VERIFIERS": [
        "business_os_banking.webhooks.verifiers.SharedSecret",
        "business_os_banking.webhooks.verifiers.HMACSignature",
        "business_os_banking.webhooks.verifiers.StandardWebhooks",
    ],
    "WEBHOOK_SIGNATURE_HEADER": "X-Signature",
    "TIMEOUT": (3.05, 20),
    # Where the upstream keeps things. Only the first and the last path are documented; see docs/upstream.md.
    "CONNECT_PATH": "/v2/banking/connect",
    "CONNECTIONS_PATH": "/v2/banking/connections",
    "CONNECTION_PATH": "/v2/banking/connections/{id}",
}

DEFAULTS: Final[Mapping[str, Any]] = {
    "ACCOUNTS": {},
    "ADAPTER": "business_os_banking.adapter.BankingAdapter",
    "SITE_URL": None,
    "SESSION_MINUTES": 60,  # how long a session lives if the upstream does not say
    "EXPIRY_GRACE_MINUTES": 15,  # how long after its end a session may still be heard of before it expires
    "EXPIRING_SOON_DAYS": 14,
    "STALE_DAYS": 7,
    "WEBHOOK_MAX_BYTES": 65_536,
    "READ_EVERY_HOURS": 24,  # how often everything is read back when no session waits for news
    "READS_PER_DAY": 200,  # pages of the upstream's list, per account and UTC day; they may cost credits
    "DISCONNECT_SUPERSEDED": False,  # remove the old upstream connection once a renewal has replaced it
    "CONSENT_DAYS": 180,  # a consent's length where the provider does not say its end; None: no estimate
    "CONSENT_REMINDER_DAYS": [14, 7, 1],
    "CONSENT_MAILS": False,  # send the ready-made mail to the owner at each of these steps
    "PAYLOAD_DAYS": 30,  # how long the redacted bodies of events, and e-mail addresses of sessions, are kept
    "EVENT_DAYS": 400,  # how long events are kept
    "DESTROY_BY_SHAPE": True,  # a bare Salt Edge destroy callback carries no event name; see docs/upstream.md
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One set of Business OS credentials. Its secrets stay out of ``repr``, and so out of logs."""

    alias: str
    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    base_url: str
    api: str
    scopes: tuple[str, ...]
    connect_url_hosts: tuple[str, ...]
    webhook_verifiers: tuple[str, ...]
    webhook_signature_header: str
    timeout: tuple[float, float]
    connect_path: str
    connections_path: str
    connection_path: str


class Settings:
    """The app's settings as typed properties; each one is a look at the live setting."""

    @property
    def _all(self) -> Mapping[str, Any]:
        value = getattr(django_settings, SETTING, None)
        if value is None:
            raise ImproperlyConfigured(
                f"The setting {SETTING} is missing. Add it to your settings, for instance as "
                f"{SETTING} = business_os_banking.env.banking_settings()."
            )
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"{SETTING} must be a dict, not {type(value).__name__}.")
        return value

    def _get(self, name: str) -> Any:
        return self._all.get(name, DEFAULTS[name])

    @property
    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        value = self._get("ACCOUNTS")
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f'{SETTING}["ACCOUNTS"] must be a dict of dicts, by alias.')
        return value

    @property
    def adapter(self) -> str:
        return str(self._get("ADAPTER"))

    @property
    def site_url(self) -> str | None:
        """The public origin (``https://bank.example``) for links back to us, without a slash at its end."""
        value = self._get("SITE_URL")
        return str(value).rstrip("/") if value else None

    @property
    def session_minutes(self) -> float:
        return float(self._get("SESSION_MINUTES"))

    @property
    def expiry_grace_minutes(self) -> float:
        return float(self._get("EXPIRY_GRACE_MINUTES"))

    @property
    def expiring_soon_days(self) -> float:
        return float(self._get("EXPIRING_SOON_DAYS"))

    @property
    def stale_days(self) -> float:
        return float(self._get("STALE_DAYS"))

    @property
    def read_every_hours(self) -> float:
        return float(self._get("READ_EVERY_HOURS"))

    @property
    def reads_per_day(self) -> int:
        return int(self._get("READS_PER_DAY"))

    @property
    def disconnect_superseded(self) -> bool:
        return bool(self._get("DISCONNECT_SUPERSEDED"))

    @property
    def consent_days(self) -> float | None:
        days = self._get("CONSENT_DAYS")
        return None if days is None else float(days)

    @property
    def consent_reminder_days(self) -> tuple[int, ...]:
        return tuple(int(days) for days in self._get("CONSENT_REMINDER_DAYS"))

    @property
    def consent_mails(self) -> bool:
        return bool(self._get("CONSENT_MAILS"))

    @property
    def payload_days(self) -> float:
        return float(self._get("PAYLOAD_DAYS"))

    @property
    def event_days(self) -> float:
        return float(self._get("EVENT_DAYS"))

    @property
    def webhook_max_bytes(self) -> int:
        return int(self._get("WEBHOOK_MAX_BYTES"))

    @property
    def destroy_by_shape(self) -> bool:
        return bool(self._get("DESTROY_BY_SHAPE"))


settings = Settings()


def account(alias: str = "default") -> Account:
    """Return the account *alias*; `ImproperlyConfigured` names the key and the variable that are missing.

    An account without an API key is complete enough to receive webhooks; :func:`require_key` is for calls.
    """
    accounts = settings.accounts
    if alias not in accounts:
        known = ", ".join(sorted(accounts)) or "none"
        raise ImproperlyConfigured(
            f'{SETTING}["ACCOUNTS"] has no account "{alias}" (there are: {known}). '
            "Set BUSINESS_OS_API_KEY and use business_os_banking.env.banking_settings(), or add it by hand."
        )
    return make_account(alias, accounts[alias])


def make_account(alias: str, values: Mapping[str, Any]) -> Account:
    """Return an account from a dict of settings, with the defaults filled in.

    A malformed value raises `ImproperlyConfigured` with the name of the key.
    """
    if not isinstance(values, Mapping):
        raise ImproperlyConfigured(f'{SETTING}["ACCOUNTS"]["{alias}"] must be a dict.')
    merged = {**ACCOUNT_DEFAULTS, **values}
    return Account(
        alias=alias,
        api_key=_text(alias, merged, "API_KEY"),
        webhook_secrets=_texts(alias, merged, "WEBHOOK_SECRETS"),
        base_url=_text(alias, merged, "BASE_URL").rstrip("/"),
        api=_text(alias, merged, "API"),
        scopes=_texts(alias, merged, "SCOPES"),
        connect_url_hosts=_texts(alias, merged, "CONNECT_URL_HOSTS"),
        webhook_verifiers=_texts(alias, merged, "WEBHOOK_VERIFIERS"),
        webhook_signature_header=_text(alias, merged, "WEBHOOK_SIGNATURE_HEADER"),
        timeout=_timeout(alias, merged["TIMEOUT"]),
        connect_path=_text(alias, merged, "CONNECT_PATH"),
        connections_path=_text(alias, merged, "CONNECTIONS_PATH"),
        connection_path=_text(alias, merged, "CONNECTION_PATH"),
    )


def require_key(account: Account) -> str:
    """Return the account's API key, or raise an `ImproperlyConfigured` that says how to set it."""
    if not account.api_key:
        raise ImproperlyConfigured(
            f"{key_name(account.alias, 'API_KEY')} is empty. Create a key at app.business-os.de under API Keys "
            f"and set the environment variable {variable_name(account.alias, 'API_KEY')}."
        )
    return account.api_key


def key_name(alias: str, key: str) -> str:
    """Return how a key of an account is written in a site's settings."""
    return f'{SETTING}["ACCOUNTS"]["{alias}"]["{key}"]'


def variable_name(alias: str, key: str) -> str:
    """Return the environment variable that :mod:`business_os_banking.env` reads for a key of an account."""
    infix = "" if alias == "default" else f"{alias.upper().replace('-', '_')}_"
    return f"BUSINESS_OS_{infix}{key}"


def _text(alias: str, values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"{key_name(alias, key)} must be a text, not {type(value).__name__}.")
    return value


def _texts(alias: str, values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = values[key]
    # A bare text is a sequence of texts too: without this, one secret would become many one-letter ones.
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ImproperlyConfigured(f"{key_name(alias, key)} must be a list of texts.")
    return tuple(item for item in value if item)


def _timeout(alias: str, value: Any) -> tuple[float, float]:
    pair = (value, value) if isinstance(value, int | float) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ImproperlyConfigured(f"{key_name(alias, 'TIMEOUT')} must be (connect, read) in seconds.")
    connect, read = pair
    for seconds in (connect, read):
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise ImproperlyConfigured(f"{key_name(alias, 'TIMEOUT')} must hold positive seconds.")
    return float(connect), float(read)
