"""All settings: of each its kind with the rules for it, its default, and what it is for.

Accessors, accounts, checks and `env` are made from this table. Those of README and docs are compared with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from business_os_banking.conf import addresses, kinds
from business_os_banking.conf.kinds import Kind, Rule, Setting, T
from business_os_banking.conf.secret import Secret

APIS: Final = ("partner", "openbanking")
PROOFS: Final = ("asked", "required", "off")
SCOPES: Final = ("accounts", "holder_info", "transactions")
_BUILT_IN: Final = [
    f"business_os_banking.webhooks.verifiers.{name}"
    for name in ("SharedSecret", "HMACSignature", "StandardWebhooks")
]
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_HEADER_TEXT: Final = re.compile(r"[!-~]*")  # the error that the HTTP library raises for another quotes it
_URL: Final = re.compile(r"https?://[!-~]*")
_PLAIN: Final = " must be a plain path that begins with a slash, no query or dots for folders"


def _is_clean(secret: Secret) -> bool:
    text = secret.open()
    return text == text.strip() and text.isprintable()


def _is_sendable(key: Secret) -> bool:
    return _HEADER_TEXT.fullmatch(key.open()) is not None


_KEY: Final = kinds.SECRET.ruled(
    Rule("E015", " is empty", bool),
    Rule("E016", " holds a blank, a line break or another character that no key has", _is_sendable),
    example='"…", from app.business-os.de under API Keys',
)
_SECRETS: Final = kinds.SECRETS.ruled(
    Rule("E038", "[{place}] has blanks at its edge, or characters that cannot be seen", _is_clean, each=True),
    example='["…"], such as the output of: python -c "import secrets; print(secrets.token_urlsafe(32))"',
)
_BASE: Final = kinds.BASE.ruled(
    Rule("E018", " must be an absolute http(s) address with no query and no user name", addresses.is_base),
    Rule("E019", " is plain http, so the API key could be read on its way", addresses.is_protected),
)
_API: Final = kinds.TEXT.ruled(Rule("E020", f" is {{item!r}}, not one of {APIS}", APIS.__contains__))
_PROOF: Final = kinds.TEXT.ruled(Rule("E039", f" is {{item!r}}, not one of {PROOFS}", PROOFS.__contains__))
_SCOPES: Final = kinds.TEXTS.ruled(
    Rule("E021", " is empty", bool),
    Rule("E022", " has the unknown scope {item!r}", SCOPES.__contains__, each=True),
)
_HOSTS: Final = kinds.TEXTS.ruled(
    Rule("E023", " is empty, so no bank could be opened", bool),
    Rule("E024", " has {item!r}, which is not a bare host", addresses.is_host_entry, each=True),
)
_PUBLIC_KEYS: Final = kinds.TEXT_MAP.ruled(example='{"7.0": "-----BEGIN PUBLIC KEY-----…"}')
_VERIFIERS: Final = kinds.TEXTS.ruled(Rule("E026", " is empty, so every webhook is refused", bool))
_HEADER: Final = kinds.TEXT.ruled(Rule("E029", " is not the name of a header", _HEADER_NAME.fullmatch))
_URLS: Final = kinds.TEXTS.ruled(
    Rule("E031", "[{place}] is not an absolute http(s) address", _URL.fullmatch, each=True),
    example='["https://…"], to the letter as it is registered with Salt Edge',
)
_PATH: Final = kinds.TEXT.ruled(Rule("E030", _PLAIN, addresses.is_path))
_ID_PATH: Final = kinds.TEXT.ruled(Rule("E030", f'{_PLAIN} with "{{{{id}}}}"', addresses.is_path_with_id))
_ACCOUNTS: Final = kinds.ACCOUNTS.ruled(example='{"default": {"API_KEY": "…"}}, or use banking_settings()')
_CLASSES: Final = kinds.API_CLASSES.ruled(example='["dotted.path"], or leave it out to follow REST_FRAMEWORK')
_ORIGIN: Final = kinds.ORIGIN.ruled(
    Rule("E006", " must be scheme and host alone: no path, query or user name", addresses.is_origin),
    example='"https://www.example.com", or leave it out to use the host of the request',
)


def per_account(kind: Kind[T], default: Any, meaning: str) -> T:
    """Return a field of `Account` with its setting."""
    return field(
        default_factory=lambda: kind.used(default), metadata={"setting": Setting(kind, default, meaning)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One set of Business OS credentials."""

    alias: str
    api_key: Secret = per_account(_KEY, "", "the key, from app.business-os.de under API Keys")  # noqa: RUF009
    webhook_secrets: tuple[Secret, ...] = per_account(
        _SECRETS, [], "a webhook must prove to know one of these"
    )
    base_url: str = per_account(_BASE, "https://api.business-os.de", "where the API is")
    api: str = per_account(_API, "partner", "`partner` (regulated banks) or `openbanking` (others)")
    scopes: tuple[str, ...] = per_account(_SCOPES, list(SCOPES), "what customers are asked to share")
    connect_url_hosts: tuple[str, ...] = per_account(
        _HOSTS, ["saltedge.com", ".saltedge.com"], "hosts customers may be sent to; with a dot, all below it"
    )
    webhook_verifiers: tuple[str, ...] = per_account(_VERIFIERS, _BUILT_IN, "dotted paths of verifiers")
    webhook_signature_header: str = per_account(_HEADER, "X-Signature", "the header `HMACSignature` reads")
    saltedge_callback_urls: tuple[str, ...] = per_account(_URLS, [], "addresses registered with Salt Edge")
    saltedge_public_keys: Mapping[str, str] = per_account(_PUBLIC_KEYS, {}, "further keys, PEM by version")
    saltedge_customer_ids: tuple[str, ...] = per_account(
        kinds.TEXTS, [], "if set, `SaltEdgeSignature` takes what is about one of these alone"
    )
    timeout: tuple[float, float] = per_account(kinds.SECONDS, (3.05, 20), "seconds to connect and to answer")
    connect_path: str = per_account(_PATH, "/v2/banking/connect", "path of the connect call")
    connections_path: str = per_account(_PATH, "/v2/banking/connections", "path of the list of connections")
    connection_path: str = per_account(_ID_PATH, "/v2/banking/connections/{id}", "path of one of them")
    account_path: str = per_account(_ID_PATH, "/v2/banking/accounts/{id}", "path of one bank account")

    def __post_init__(self) -> None:
        # Whoever makes an account by hand, or replaces a key in one, may give plain texts.
        object.__setattr__(self, "api_key", kinds.SECRET.used(self.api_key))
        object.__setattr__(self, "webhook_secrets", kinds.SECRETS.used(self.webhook_secrets))


class Settings:
    """What is set for the whole site. On an object of this class, each is the live value."""

    __slots__ = ()

    accounts = Setting(_ACCOUNTS, {}, "the accounts, by alias")
    adapter = Setting(kinds.TEXT, "business_os_banking.adapter.BankingAdapter", "dotted path of your adapter")
    site_url = Setting(_ORIGIN, None, "public origin of where customers come back to, and of links in mails")
    site_name = Setting(
        kinds.TEXT, "", "what pages call this site; else as `django.contrib.sites` does, or its host"
    )
    session_minutes = Setting(kinds.NUMBER, 60, "how long a session lives if Business OS does not say")
    expiry_grace_minutes = Setting(kinds.NUMBER, 15, "how long after its end a session may still be heard of")
    expiring_soon_days = Setting(kinds.NUMBER, 14, "how long before a consent ends customers should renew it")
    stale_days = Setting(kinds.NUMBER, 7, "after how long without news a connection counts as stale")
    webhook_max_bytes = Setting(kinds.WHOLE, 65_536, "the largest webhook that is read")
    return_proof = Setting(_PROOF, "asked", "what a success needs that another browser finished")
    hold_other_bank = Setting(kinds.SWITCH, True, "ask where a renewal has ended at another bank")
    same_banks = Setting(kinds.PAIRS, [], "pairs of bank codes that are one bank")
    held_days = Setting(kinds.NUMBER, 7, "how long a question about a success stays open")
    connects_per_hour = Setting(kinds.COUNT, 100, "how often one person may start to connect; 0: no limit")
    rejected_webhooks_per_minute = Setting(kinds.COUNT, 60, "those of one address that are logged; 0: all")
    read_every_hours = Setting(kinds.NUMBER, 24, "how often the whole list is read")
    reads_per_day = Setting(
        kinds.WHOLE, 200, "reads of the list and of single connections, per account and day"
    )
    disconnect_superseded = Setting(kinds.SWITCH, False, "remove the old link when a renewal brought another")
    consent_days = Setting(kinds.NUMBER_OR_NONE, 180, "a consent's length where nobody says it, or `None`")
    consent_reminder_days = Setting(kinds.DAYS, [14, 7, 1], "days before its end to send `consent_expiring`")
    consent_mails = Setting(kinds.SWITCH, False, "send a mail at each of these steps; needs `SITE_URL`")
    renew_link_days = Setting(kinds.NUMBER, 7, "how long a renewal link for a customer is good for")
    payload_days = Setting(kinds.NUMBER, 30, "after how long `banking_prune` empties events and sessions")
    event_days = Setting(kinds.NUMBER, 400, "after how long it deletes events")
    evidence_days = Setting(kinds.NUMBER, 1_095, "for how long what proves a consent, and its end, is kept")
    unmatched_days = Setting(kinds.NUMBER, 30, "for how long an event that matches nothing waits and is kept")
    api_authentication_classes = Setting(_CLASSES, None, "who asks the REST API; `None`: the site's")
    api_permission_classes = Setting(_CLASSES, None, "who may; `None`: the site's, and signed in")
    api_throttle_classes = Setting(_CLASSES, None, "how often; `None`: the site's")
    database_pipeline = Setting(kinds.SWITCH, True, "send PostgreSQL statements without waiting in between")
    email_from_form = Setting(kinds.SWITCH, False, "let people who have an e-mail address give another one")


Table = Mapping[str, Setting[Any]]
SITE: Final[Table] = {item.name: item for item in vars(Settings).values() if isinstance(item, Setting)}
ACCOUNT: Final[Table] = {item.name.upper(): item.metadata["setting"] for item in fields(Account)[1:]}
for _name, _setting in ACCOUNT.items():
    _setting.name = _name
