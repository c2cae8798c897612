"""What each key of ``BUSINESS_OS_BANKING`` may hold: the table that ``checks.py`` walks."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name for it
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import addresses, kinds
from business_os_banking.webhooks import saltedge
from business_os_banking.webhooks.verifiers import SaltEdgeSignature, Verifier, whsec_key

SECRET_MIN_LENGTH: Final = 16
_HOST_ENTRY: Final = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*|[0-9a-f]*:[0-9a-f:.]+", re.IGNORECASE)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")


def error(number: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"business_os_banking.{number}")


def warning(number: str, message: str, hint: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"business_os_banking.{number}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the setting, or of one of its accounts; as text it reads as in a site's settings."""

    name: str
    alias: str | None = None

    def __str__(self) -> str:
        if self.alias is None:
            return f'{conf.SETTING}["{self.name}"]'
        return conf.key_name(self.alias, self.name)

    @property
    def variable(self) -> str:
        """The environment variable of an account's key."""
        return conf.variable_name(self.alias or "default", self.name)

    @property
    def or_variable(self) -> str:
        return f" (in the environment: {self.variable})" if self.alias is not None else ""


Check = Callable[[Key, Any], Iterator[CheckMessage]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a key may hold: its type in words, a test of the type, what to type, and a closer look."""

    kind: str
    fits: Callable[[Any], bool]
    example: str
    check: Check | None = None


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_number_or_none(value: Any) -> bool:
    return value is None or is_number(value)


def is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def positive_or_none(key: Key, value: Any) -> Iterator[CheckMessage]:
    if value is not None:
        yield from positive(key, value)


def positive(key: Key, value: Any) -> Iterator[CheckMessage]:
    if not kinds.is_positive_number(value):
        default = conf.DEFAULTS[key.name]
        yield error("E005", f"{key} must be above 0, not {value!r}.", f'Write "{key.name}": {default!r}.')


def site_url(key: Key, value: str | None) -> Iterator[CheckMessage]:
    address = addresses.parse(value or "https://site.example")
    if address is None or address.rest.strip("/"):
        yield error(
            "E006",
            f"{key} must be an origin: scheme and host, with no path, query or user name.",
            'Write "SITE_URL": "https://www.example.com", or leave it out to use the host of the request.',
        )


def adapter(key: Key, value: str) -> Iterator[CheckMessage]:
    found, problem = imported(value)
    hint = f'Write "ADAPTER": "{conf.DEFAULTS["ADAPTER"]}", or the dotted path of your subclass of it.'
    if problem:
        yield error("E007", f'{key} is "{value}", which cannot be imported: {problem}.', hint)
    elif not (isinstance(found, type) and issubclass(found, BankingAdapter)):
        yield error("E008", f'{key} is "{value}", which is not a subclass of BankingAdapter.', hint)


def api_key(key: Key, value: str) -> Iterator[CheckMessage]:
    if not kinds.is_header_text(value):
        yield error(
            "E016",
            f"{key} holds a blank, a line break or another character that no key has.",
            f"Copy the key again from app.business-os.de, API Keys, to {key.variable}.",
        )


def webhook_secrets(key: Key, value: list[str]) -> Iterator[CheckMessage]:
    for place, secret in enumerate(value):
        if secret != secret.strip() or not secret.isprintable():
            yield error(
                "E038",
                f"{key}[{place}] has a blank or a line break at its edge, or another character that cannot be seen.",
                f"Copy the secret again, to {key.variable}; what is read from a file needs .strip().",
            )
        if secret.startswith("whsec_") and whsec_key(secret) is None:
            yield error(
                "E017",
                f"{key}[{place}] begins with whsec_, but what follows is not base64.",
                f"Copy the secret again, whole, to {key.variable}; if it is no Standard Webhooks secret, "
                "choose one that does not begin with whsec_.",
            )


def base_url(key: Key, value: str) -> Iterator[CheckMessage]:
    address = addresses.parse(value)
    if address is None or not (address.rest in {"", "/"} or addresses.is_path(address.rest)):
        yield error(
            "E018",
            f"{key} must be an absolute http(s) address with no query and no user name.",
            f'Write "BASE_URL": "{conf.ACCOUNT_DEFAULTS["BASE_URL"]}"{key.or_variable}, or leave it out.',
        )


def api(key: Key, value: str) -> Iterator[CheckMessage]:
    if value not in conf.APIS:
        yield error(
            "E020",
            f'{key} is "{value}", which Business OS does not know.',
            f'Write "API": "partner" for regulated banks, or "openbanking" for the others{key.or_variable}.',
        )


def scopes(key: Key, value: list[str]) -> Iterator[CheckMessage]:
    hint = f'Write "SCOPES": {list(conf.SCOPES)!r}, or some of these{key.or_variable}.'
    unknown = [scope for scope in value if scope not in conf.SCOPES]
    if not value:
        yield error("E021", f"{key} is empty.", hint)
    elif unknown:
        yield error("E022", f"{key} has unknown scopes: {', '.join(map(repr, unknown))}.", hint)


def connect_url_hosts(key: Key, value: list[str]) -> Iterator[CheckMessage]:
    hint = f'Write "CONNECT_URL_HOSTS": ["saltedge.com", ".saltedge.com"]{key.or_variable}.'
    if not any(value):
        yield error("E023", f"{key} is empty, so no bank could be opened.", hint)
    for entry in filter(None, value):
        if not _HOST_ENTRY.fullmatch(entry):
            yield error(
                "E024",
                f"{key} has {entry!r}, which is not a bare host.",
                f"Leave out scheme, port and path; a leading dot allows all hosts below. {hint}",
            )


def webhook_verifiers(key: Key, value: list[str]) -> Iterator[CheckMessage]:
    default = conf.ACCOUNT_DEFAULTS["WEBHOOK_VERIFIERS"]
    hint = f'Leave it out, or write some of "WEBHOOK_VERIFIERS": {default!r}{key.or_variable}.'
    if not any(value):
        yield error("E026", f"{key} is empty, so every webhook is refused.", hint)
    for path in filter(None, value):
        found, problem = imported(path)
        if problem:
            yield error("E027", f'{key} has "{path}", which cannot be imported: {problem}.', hint)
        elif not (isinstance(found, type) and issubclass(found, Verifier)) or found is Verifier:
            yield error("E028", f'{key} has "{path}", which is not a subclass of Verifier.', hint)


def header_name(key: Key, value: str) -> Iterator[CheckMessage]:
    if not _HEADER_NAME.fullmatch(value):
        yield error(
            "E029",
            f"{key} is not the name of a header.",
            f'Write "{key.name}": "X-Signature"{key.or_variable}: letters, digits and hyphens.',
        )


def callback_urls(key: Key, value: list[str]) -> Iterator[CheckMessage]:
    for place, url in enumerate(value):
        if not url.startswith(("https://", "http://")) or not kinds.is_header_text(url):
            yield error(
                "E031",
                f"{key}[{place}] is not an absolute http(s) address.",
                "Copy the address from where it is registered with Salt Edge, to the letter: its signature is made "
                f"over it{key.or_variable}.",
            )


def pem_keys(key: Key, value: Mapping[str, str]) -> Iterator[CheckMessage]:
    for version, pem in value.items():
        try:
            saltedge.load(pem)
        except (ImproperlyConfigured, ImportError):
            yield error(
                "E032",
                f"{key}[{version!r}] cannot be used as an RSA public key.",
                "Copy the key whole, with its BEGIN and END lines, and install the extra: "
                "pip install django-business-os-banking[saltedge].",
            )


def path(key: Key, value: str) -> Iterator[CheckMessage]:
    default = conf.ACCOUNT_DEFAULTS[key.name]
    has_id = "{id}" in default
    if not addresses.is_path(value.replace("{id}", "1") if has_id else value) or (
        has_id and "{id}" not in value
    ):
        what = 'begin with a slash, hold "{id}"' if has_id else "begin with a slash"
        yield error(
            "E030",
            f"{key} must {what}, and have no query, no dots for folders and no other special characters.",
            f'Write "{key.name}": "{default}"{key.or_variable}.',
        )


def timeout(key: Key, value: Any) -> Iterator[CheckMessage]:
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not all(map(kinds.is_positive_number, pair)):
        yield error(
            "E025",
            f"{key} must be the seconds to connect and the seconds to answer, both above 0.",
            f'Write "TIMEOUT": (3.05, 20), or one number for both{key.or_variable}.',
        )


def plain_http_key(key: Key, account: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Check that no key leaves this machine unencrypted. *key* is that of ``BASE_URL``."""
    url = account.get(key.name)
    address = addresses.parse(url) if isinstance(url, str) else None
    is_open = address and address.scheme == "http" and not addresses.is_loopback(address.host)
    if is_open and account.get("API_KEY"):
        yield error(
            "E019",
            f"{key} is plain http, so the API key could be read on its way.",
            f"Write https:// instead of http://{key.or_variable}.",
        )


def salt_edge(alias: str, account: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Check that an account whose webhooks Salt Edge signs can verify them."""
    verifiers = account.get("WEBHOOK_VERIFIERS", conf.ACCOUNT_DEFAULTS["WEBHOOK_VERIFIERS"])
    verifier = f"{SaltEdgeSignature.__module__}.{SaltEdgeSignature.__qualname__}"
    # A site's own subclass may be among them; of what cannot be imported there is a message already.
    found = [imported(path)[0] for path in verifiers] if is_texts(verifiers) else []
    if not any(isinstance(item, type) and issubclass(item, SaltEdgeSignature) for item in found):
        yield warning(
            "W012",
            f"{Key('SALTEDGE_CALLBACK_URLS', alias)} is set, but no verifier in WEBHOOK_VERIFIERS looks at Salt Edge's "
            "signature.",
            f'Add "{verifier}" to {Key("WEBHOOK_VERIFIERS", alias)}.',
        )
    elif find_spec("cryptography") is None:
        yield error(
            "E036",
            "SaltEdgeSignature needs the package cryptography, which is not installed.",
            "pip install django-business-os-banking[saltedge]",
        )


def accounts() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the accounts of the setting by alias, as far as they are dicts."""
    site = getattr(django_settings, conf.SETTING, None)
    found = site.get("ACCOUNTS") if isinstance(site, Mapping) else None
    for alias, values in found.items() if isinstance(found, Mapping) else ():
        if isinstance(values, Mapping):
            yield str(alias), values


def short_secrets(key: Key, secrets: Any) -> Iterator[CheckMessage]:
    """Check the length of webhook secrets; whatever else is wrong with them is not said here."""
    for place, secret in enumerate(secrets if is_texts(secrets) else ()):
        if 0 < len(secret.removeprefix("whsec_")) < SECRET_MIN_LENGTH:
            yield warning(
                "W002",
                f"{key}[{place}] is shorter than {SECRET_MIN_LENGTH} characters: it could be guessed.",
                f"Put a longer one first in {key.variable}, for instance the output of: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))".',
            )


def imported(dotted_path: Any) -> tuple[Any, str]:
    """Return (what is found there, "") or (None, the problem). Imported code may raise anything."""
    try:
        return import_string(dotted_path), ""
    except Exception as problem:  # noqa: BLE001
        return None, f"{type(problem).__name__}: {problem}".rstrip(".")


_TEXT: Final = ("a text", is_text)
_TEXTS: Final = ("a list of texts", is_texts)
_NUMBER: Final = ("a number", is_number)
_CLASSES: Final = Rule(conf.API_CLASSES, conf.is_api_classes, 'for instance ["dotted.path"]')
_SWITCH: Final = Rule("True or False", is_switch, "True or False")

SITE_KEYS: Final[Mapping[str, Rule]] = {
    "ACCOUNTS": Rule(
        "a dict of dicts, by alias",
        lambda value: isinstance(value, Mapping),
        '"ACCOUNTS": {"default": {"API_KEY": "…"}}',
    ),
    "ADAPTER": Rule(*_TEXT, f'"ADAPTER": "{conf.DEFAULTS["ADAPTER"]}"', adapter),
    "SITE_URL": Rule(
        "a text or None",
        lambda value: value is None or isinstance(value, str),
        '"SITE_URL": "https://www.example.com"',
        site_url,
    ),
    "SESSION_MINUTES": Rule(*_NUMBER, '"SESSION_MINUTES": 60', positive),
    "EXPIRY_GRACE_MINUTES": Rule(*_NUMBER, '"EXPIRY_GRACE_MINUTES": 15', positive),
    "EXPIRING_SOON_DAYS": Rule(*_NUMBER, '"EXPIRING_SOON_DAYS": 14', positive),
    "STALE_DAYS": Rule(*_NUMBER, '"STALE_DAYS": 7', positive),
    "WEBHOOK_MAX_BYTES": Rule(*_NUMBER, '"WEBHOOK_MAX_BYTES": 65_536', positive),
    "READ_EVERY_HOURS": Rule(*_NUMBER, '"READ_EVERY_HOURS": 24', positive),
    "READS_PER_DAY": Rule(*_NUMBER, '"READS_PER_DAY": 200', positive),
    "DISCONNECT_SUPERSEDED": _SWITCH,
    "CONSENT_DAYS": Rule("a number or None", is_number_or_none, '"CONSENT_DAYS": 180', positive_or_none),
    "CONSENT_REMINDER_DAYS": Rule(
        "a list of whole days above 0", kinds.is_days, '"CONSENT_REMINDER_DAYS": [14, 7, 1]'
    ),
    "CONSENT_MAILS": _SWITCH,
    "RENEW_LINK_DAYS": Rule(*_NUMBER, '"RENEW_LINK_DAYS": 7', positive),
    "PAYLOAD_DAYS": Rule(*_NUMBER, '"PAYLOAD_DAYS": 30', positive),
    "EVENT_DAYS": Rule(*_NUMBER, '"EVENT_DAYS": 400', positive),
    "CONNECTS_PER_HOUR": Rule("a whole number, 0 or more", kinds.is_count, '"CONNECTS_PER_HOUR": 100'),
    "REJECTED_WEBHOOKS_PER_MINUTE": Rule(
        "a whole number, 0 or more", kinds.is_count, '"REJECTED_WEBHOOKS_PER_MINUTE": 60'
    ),
    "API_AUTHENTICATION_CLASSES": _CLASSES,
    "API_PERMISSION_CLASSES": _CLASSES,
    "API_THROTTLE_CLASSES": _CLASSES,
    "DATABASE_PIPELINE": _SWITCH,
    "EMAIL_FROM_FORM": _SWITCH,
}

ACCOUNT_KEYS: Final[Mapping[str, Rule]] = {
    "API_KEY": Rule(*_TEXT, '"API_KEY": "…"', api_key),
    "WEBHOOK_SECRETS": Rule(*_TEXTS, '"WEBHOOK_SECRETS": ["…"]', webhook_secrets),
    "BASE_URL": Rule(*_TEXT, '"BASE_URL": "https://api.business-os.de"', base_url),
    "API": Rule(*_TEXT, '"API": "partner"', api),
    "SCOPES": Rule(*_TEXTS, '"SCOPES": ["accounts", "holder_info", "transactions"]', scopes),
    "CONNECT_URL_HOSTS": Rule(
        *_TEXTS, '"CONNECT_URL_HOSTS": ["saltedge.com", ".saltedge.com"]', connect_url_hosts
    ),
    "WEBHOOK_VERIFIERS": Rule(*_TEXTS, '"WEBHOOK_VERIFIERS": ["dotted.path"]', webhook_verifiers),
    "WEBHOOK_SIGNATURE_HEADER": Rule(*_TEXT, '"WEBHOOK_SIGNATURE_HEADER": "X-Signature"', header_name),
    "SALTEDGE_CALLBACK_URLS": Rule(*_TEXTS, '"SALTEDGE_CALLBACK_URLS": ["https://…"]', callback_urls),
    "SALTEDGE_PUBLIC_KEYS": Rule(
        "a dict of texts",
        kinds.is_text_map,
        '"SALTEDGE_PUBLIC_KEYS": {"7.0": "-----BEGIN PUBLIC KEY-----…"}',
        pem_keys,
    ),
    "TIMEOUT": Rule(
        "a pair of numbers",
        lambda value: is_number(value) or isinstance(value, list | tuple),
        '"TIMEOUT": (3.05, 20)',
        timeout,
    ),
    "CONNECT_PATH": Rule(*_TEXT, '"CONNECT_PATH": "/v2/banking/connect"', path),
    "CONNECTIONS_PATH": Rule(*_TEXT, '"CONNECTIONS_PATH": "/v2/banking/connections"', path),
    "CONNECTION_PATH": Rule(*_TEXT, '"CONNECTION_PATH": "/v2/banking/connections/{id}"', path),
    "ACCOUNT_PATH": Rule(*_TEXT, '"ACCOUNT_PATH": "/v2/banking/accounts/{id}"', path),
}
