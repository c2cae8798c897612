"""The settings, typed and read at call time, so that ``override_settings`` works and nothing is cached.

A site writes one dict, ``BUSINESS_OS_BANKING``. What it leaves out has the default that is given here.
:mod:`business_os_banking.checks` reports mistakes before they are met.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf import addresses
from business_os_banking.conf.kinds import is_count, is_days, is_header_text, is_positive_number, is_text_map

APIS: Final = ("partner", "openbanking")
SCOPES: Final = ("accounts", "holder_info", "transactions")
SETTING: Final = "BUSINESS_OS_BANKING"
API_CLASSES: Final = "a list of dotted paths, or a dict of such lists by operation"
API_OPERATIONS: Final = ("list", "create", "detail", "renew", "disconnect", "session")

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
    "SALTEDGE_CALLBACK_URLS": [],  # as registered with Salt Edge, to the letter; for SaltEdgeSignature
    "SALTEDGE_PUBLIC_KEYS": {},  # version -> PEM; the published ones are built in
    "TIMEOUT": (3.05, 20),
    # Where the upstream keeps things. All but the list's are documented paths; see docs/upstream.md.
    "CONNECT_PATH": "/v2/banking/connect",
    "CONNECTIONS_PATH": "/v2/banking/connections",
    "CONNECTION_PATH": "/v2/banking/connections/{id}",
    "ACCOUNT_PATH": "/v2/banking/accounts/{id}",
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
    "CONNECTS_PER_HOUR": 100,  # by one person; 0: no limit. Counted in Django's default cache
    "REJECTED_WEBHOOKS_PER_MINUTE": 60,  # from one address, before they are no longer logged; 0: no limit
    "READ_EVERY_HOURS": 24,  # how often everything is read back when no session waits for news
    "READS_PER_DAY": 200,  # pages of the upstream's list, per account and UTC day; they may cost credits
    "DISCONNECT_SUPERSEDED": False,  # remove the old upstream connection once a renewal has replaced it
    "CONSENT_DAYS": 180,  # a consent's length where the provider does not say its end; None: no estimate
    "CONSENT_REMINDER_DAYS": [14, 7, 1],
    "CONSENT_MAILS": False,  # send the ready-made mail to the owner at each of these steps
    "RENEW_LINK_DAYS": 7,  # how long a renewal link for a customer is good for
    "PAYLOAD_DAYS": 30,  # how long bodies of events, and e-mail and other addresses of sessions, are kept
    "EVENT_DAYS": 400,  # how long events are kept
    # Of the REST API: dotted paths, or a dict of such lists by operation; None: the site's REST_FRAMEWORK
    "API_AUTHENTICATION_CLASSES": None,
    "API_PERMISSION_CLASSES": None,
    "API_THROTTLE_CLASSES": None,
    "DATABASE_PIPELINE": True,  # send PostgreSQL statements without waiting for the answer to the one before
    "EMAIL_FROM_FORM": False,  # let people who have an address of their own give another one
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
    saltedge_callback_urls: tuple[str, ...]
    saltedge_public_keys: Mapping[str, str]
    timeout: tuple[float, float]
    connect_path: str
    connections_path: str
    connection_path: str
    account_path: str


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

    def _number(self, name: str) -> float:
        value = self._get(name)
        if not is_positive_number(value):
            raise ImproperlyConfigured(f'{SETTING}["{name}"] must be a number above 0, not {value!r}.')
        return float(value)

    def _count(self, name: str) -> int:
        value = self._get(name)
        if not is_count(value):
            raise ImproperlyConfigured(
                f'{SETTING}["{name}"] must be a whole number, 0 or more, not {value!r}.'
            )
        return int(value)

    def _api_classes(self, name: str) -> Mapping[str, Sequence[str]]:
        value = self._get(name)
        if not is_api_classes(value):
            raise ImproperlyConfigured(f'{SETTING}["{name}"] must be {API_CLASSES}, not {value!r}.')
        if value is None:
            return {}
        return value if isinstance(value, Mapping) else dict.fromkeys(API_OPERATIONS, value)

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
        return self._number("SESSION_MINUTES")

    @property
    def expiry_grace_minutes(self) -> float:
        return self._number("EXPIRY_GRACE_MINUTES")

    @property
    def expiring_soon_days(self) -> float:
        return self._number("EXPIRING_SOON_DAYS")

    @property
    def stale_days(self) -> float:
        return self._number("STALE_DAYS")

    @property
    def read_every_hours(self) -> float:
        return self._number("READ_EVERY_HOURS")

    @property
    def reads_per_day(self) -> int:
        return int(self._number("READS_PER_DAY"))

    @property
    def disconnect_superseded(self) -> bool:
        return bool(self._get("DISCONNECT_SUPERSEDED"))

    @property
    def consent_days(self) -> float | None:
        return None if self._get("CONSENT_DAYS") is None else self._number("CONSENT_DAYS")

    @property
    def consent_reminder_days(self) -> tuple[int, ...]:
        value = self._get("CONSENT_REMINDER_DAYS")
        if not is_days(value):
            raise ImproperlyConfigured(
                f'{SETTING}["CONSENT_REMINDER_DAYS"] must be a list of whole days above 0, not {value!r}.'
            )
        return tuple(value)

    @property
    def consent_mails(self) -> bool:
        return bool(self._get("CONSENT_MAILS"))

    @property
    def renew_link_days(self) -> float:
        return self._number("RENEW_LINK_DAYS")

    @property
    def payload_days(self) -> float:
        return self._number("PAYLOAD_DAYS")

    @property
    def event_days(self) -> float:
        return self._number("EVENT_DAYS")

    @property
    def connects_per_hour(self) -> int:
        return self._count("CONNECTS_PER_HOUR")

    @property
    def rejected_webhooks_per_minute(self) -> int:
        return self._count("REJECTED_WEBHOOKS_PER_MINUTE")

    @property
    def webhook_max_bytes(self) -> int:
        return int(self._number("WEBHOOK_MAX_BYTES"))

    @property
    def api_authentication_classes(self) -> Mapping[str, Sequence[str]]:
        """Dotted paths by operation of the REST API; an operation that is not there follows the site."""
        return self._api_classes("API_AUTHENTICATION_CLASSES")

    @property
    def api_permission_classes(self) -> Mapping[str, Sequence[str]]:
        return self._api_classes("API_PERMISSION_CLASSES")

    @property
    def api_throttle_classes(self) -> Mapping[str, Sequence[str]]:
        return self._api_classes("API_THROTTLE_CLASSES")

    @property
    def database_pipeline(self) -> bool:
        return bool(self._get("DATABASE_PIPELINE"))

    @property
    def email_from_form(self) -> bool:
        return bool(self._get("EMAIL_FROM_FORM"))


settings = Settings()


def account(alias: str = "default") -> Account:
    """Return the account *alias*; `ImproperlyConfigured` names the key and the variable that are missing.

    An account without an API key is complete enough to receive webhooks; :func:`require_usable` is for calls.
    """
    # Kept in no variable: reports of errors show those, and these hold all accounts' secrets.
    if alias not in settings.accounts:
        known = ", ".join(sorted(map(str, settings.accounts))) or "none"
        raise ImproperlyConfigured(
            f'{SETTING}["ACCOUNTS"] has no account "{alias}" (there are: {known}). '
            f"Set {variable_name(alias, 'API_KEY')} and use business_os_banking.env.banking_settings(), "
            "or add it by hand."
        )
    return make_account(alias, settings.accounts[alias])


def make_account(alias: str, values: Mapping[str, Any]) -> Account:
    """Return an account from a dict of settings, with the defaults filled in.

    A malformed value raises `ImproperlyConfigured` with the name of the key.
    """
    try:
        return _account(alias, values)
    except ImproperlyConfigured as error:
        problem = str(error)
    # Reports of errors show local variables, and these are the account's secrets.
    del values
    raise ImproperlyConfigured(problem)


def _account(alias: str, values: Mapping[str, Any]) -> Account:
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
        saltedge_callback_urls=_texts(alias, merged, "SALTEDGE_CALLBACK_URLS"),
        saltedge_public_keys=_text_map(alias, merged, "SALTEDGE_PUBLIC_KEYS"),
        timeout=_timeout(alias, merged["TIMEOUT"]),
        connect_path=_text(alias, merged, "CONNECT_PATH"),
        connections_path=_text(alias, merged, "CONNECTIONS_PATH"),
        connection_path=_text(alias, merged, "CONNECTION_PATH"),
        account_path=_text(alias, merged, "ACCOUNT_PATH"),
    )


def require_key(account: Account) -> str:
    """Return the account's API key, or raise an `ImproperlyConfigured` that says how to set it."""
    if not account.api_key:
        raise ImproperlyConfigured(
            f"{key_name(account.alias, 'API_KEY')} is empty. Create a key at app.business-os.de under API "
            f"Keys and set the environment variable {variable_name(account.alias, 'API_KEY')}."
        )
    # The error that the HTTP library raises for such a header quotes the header.
    if not is_header_text(account.api_key):
        raise ImproperlyConfigured(
            f"{key_name(account.alias, 'API_KEY')} holds a blank, a line break or another character that no "
            f"key has. Copy the key again, to {variable_name(account.alias, 'API_KEY')}."
        )
    return account.api_key


def require_usable(account: Account) -> None:
    """Raise an `ImproperlyConfigured` that says what is wrong, unless calls may be made with *account*.

    What the checks tell of the settings holds here for accounts that an adapter makes as well: the key goes to
    ``BASE_URL`` and nowhere else, whatever is put after it, and it does not leave this machine unencrypted.
    """
    require_key(account)
    address = addresses.parse(account.base_url)
    if address is None or not (address.rest == "" or addresses.is_path(address.rest)):
        raise _malformed(
            account.alias, "BASE_URL", "must be an absolute http(s) address, with a path at most"
        )
    if address.scheme == "http" and not addresses.is_loopback(address.host):
        raise _malformed(account.alias, "BASE_URL", "is plain http, so the API key could be read on its way")
    paths = {
        "CONNECT_PATH": account.connect_path,
        "CONNECTIONS_PATH": account.connections_path,
        "CONNECTION_PATH": account.connection_path.replace("{id}", "1"),
        "ACCOUNT_PATH": account.account_path.replace("{id}", "1"),
    }
    for key, path in paths.items():
        if not addresses.is_path(path):
            raise _malformed(account.alias, key, "must be a plain path that begins with a slash")
    if (
        "{id}" not in account.connection_path
    ):  # it would be the path of all connections, or of one and the same
        raise _malformed(account.alias, "CONNECTION_PATH", 'must hold "{id}"')


def key_name(alias: str, key: str) -> str:
    """Return how a key of an account is written in a site's settings."""
    return f'{SETTING}["ACCOUNTS"]["{alias}"]["{key}"]'


def variable_name(alias: str, key: str) -> str:
    """Return the environment variable that :mod:`business_os_banking.env` reads for a key of an account."""
    infix = "" if alias == "default" else f"{alias.upper().replace('-', '_')}_"
    return f"BUSINESS_OS_{infix}{key}"


def is_api_classes(value: Any) -> bool:
    """Return whether *value* is None, a list of texts, or a dict of such lists by operation of the REST API."""
    lists = value.values() if isinstance(value, Mapping) else [() if value is None else value]
    known = not isinstance(value, Mapping) or set(value) <= set(API_OPERATIONS)
    return known and all(
        isinstance(item, list | tuple) and all(isinstance(path, str) for path in item) for item in lists
    )


def is_secret(value: Any) -> TypeGuard[str]:
    """Return whether *value* is a text that is worth masking.

    Shorter than eight characters it is a word, such as the sandbox's key, and masking it would garble other texts.
    """
    return isinstance(value, str) and len(value) >= 8


def _text(alias: str, values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        raise _malformed(alias, key, f"must be a text, not {type(value).__name__}")
    return value


def _text_map(alias: str, values: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value: Mapping[str, str] = values[key]
    if not is_text_map(value):
        raise _malformed(alias, key, "must be a dict of texts")
    return value


def _texts(alias: str, values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = values[key]
    # A bare text is a sequence of texts too: without this, one secret would become many one-letter ones.
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _malformed(alias, key, "must be a list of texts")
    return tuple(item for item in value if item)


def _timeout(alias: str, value: Any) -> tuple[float, float]:
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(map(is_positive_number, pair)):
        raise _malformed(alias, "TIMEOUT", "must be (connect, read), both in seconds above 0")
    connect, read = pair
    return float(connect), float(read)


def _malformed(alias: str, key: str, problem: str) -> ImproperlyConfigured:
    variable = variable_name(alias, key)
    return ImproperlyConfigured(f"{key_name(alias, key)} {problem}. From the environment it is {variable}.")
