"""The sandbox's settings: the dict ``BUSINESS_OS_SANDBOX``, read whenever a value is needed.

Every key is optional. The table in ``KEYS`` is the whole list.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

SIGNINGS = ("shared_secret", "hmac", "standard_webhooks", "salt_edge")
DELIVERIES = ("thread", "manual")
TROUBLES = ("", "html_502", "hang", "drip")
MISSING = (0, 404, 405)
LISTS = ("own", "another", "nobody")
ORDERS = ("ascending", "descending", "mixed")
STARTS = ("inclusive", "exclusive", "ignored")
SPEECHES = ("salt_edge", "relay")

# The values that some keys may have; others may have any of their type that is not too small.
_ALLOWED: dict[str, tuple[object, ...]] = {
    "WEBHOOK_SIGNING": SIGNINGS,
    "DELIVERY": DELIVERIES,
    "TROUBLE": TROUBLES,
    "LIST_MISSING": MISSING,
    "LIST_OF": LISTS,
    "LIST_ORDER": ORDERS,
    "FROM_ID": STARTS,
    "BY_ID_MISSING": MISSING,
    "SPEAKS_LIKE": SPEECHES,
}
_AT_LEAST = {"SESSION_MINUTES": 1, "PAGE_SIZE": 1}

# Key: (type or types, default).
KEYS: dict[str, tuple[type | tuple[type, ...], object]] = {
    "API_KEYS": ((list, tuple), ("sandbox",)),
    "WEBHOOK_URL": (str, ""),
    "WEBHOOK_SECRET": (str, ""),
    "WEBHOOK_SIGNING": (str, "shared_secret"),
    "WEBHOOK_PRIVATE_KEY": (str, ""),
    "WEBHOOK_KEY_VERSION": (str, "6.0"),
    "SESSION_MINUTES": (int, 60),
    "PAGE_SIZE": (int, 100),
    "LATE_SECONDS": ((int, float), 8),
    "SLOW_SECONDS": ((int, float), 10),
    "AFTERMATH_SECONDS": ((int, float), 20),
    "EARLY_WEBHOOK": (bool, False),
    "SPEAKS_LIKE": (str, "salt_edge"),
    "LIST_MISSING": (int, 0),
    "LIST_OF": (str, "own"),
    "LIST_ORDER": (str, "ascending"),
    "LIST_GROWS": (int, 0),
    "LIST_CIRCLES": (bool, False),
    "FROM_ID": (str, "inclusive"),
    "BY_ID_MISSING": (int, 0),
    "TROUBLE": (str, ""),
    "TROUBLE_CALLS": (int, 0),
    "TROUBLE_SECONDS": ((int, float), 30),
    "DELIVERY": (str, "thread"),
    "ALLOW_WITHOUT_DEBUG": (bool, False),
}


def problems() -> list[str]:
    """Return the mistakes in the settings dict, an English sentence each."""
    configured = getattr(django_settings, "BUSINESS_OS_SANDBOX", {})
    if not isinstance(configured, Mapping):
        return ["BUSINESS_OS_SANDBOX must be a dict."]
    problems = [f"BUSINESS_OS_SANDBOX has an unknown key {key!r}." for key in configured if key not in KEYS]
    for key in KEYS:
        try:
            _read(key)
        except ImproperlyConfigured as error:
            problems.append(str(error))
    return problems


def _read(key: str) -> Any:
    configured = getattr(django_settings, "BUSINESS_OS_SANDBOX", {})
    kinds, default = KEYS[key]
    value: Any = configured.get(key)
    if value is None:
        return default
    # A bool is an int for Python, but no number.
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] has the wrong type.")
    allowed = _ALLOWED.get(key)
    if allowed and value not in allowed:
        words = ", ".join(repr(choice) for choice in allowed)
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] must be one of {words}.")
    least = _AT_LEAST.get(key, 0)
    if isinstance(value, int | float) and not value >= least:
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] must be at least {least}.")
    return value


class SandboxSettings:
    """Typed access; each property raises ``ImproperlyConfigured`` for a value it cannot use."""

    @property
    def api_keys(self) -> list[str]:
        """The keys that the fake API accepts."""
        # An empty key would let in whoever sends none.
        return [str(key) for key in _read("API_KEYS") if key]

    @property
    def webhook_url(self) -> str:
        """The URL for callbacks; empty means the webhook of the site that the widget runs on."""
        return str(_read("WEBHOOK_URL"))

    @property
    def webhook_secret(self) -> str:
        """The secret for every signing method but ``salt_edge``."""
        return str(_read("WEBHOOK_SECRET"))

    @property
    def webhook_signing(self) -> str:
        """One of ``SIGNINGS``."""
        return str(_read("WEBHOOK_SIGNING"))

    @property
    def webhook_private_key(self) -> str:
        """PEM text of the RSA key for ``salt_edge``."""
        return str(_read("WEBHOOK_PRIVATE_KEY"))

    @property
    def webhook_key_version(self) -> str:
        """The value of ``Signature-key-version`` that ``salt_edge`` sends."""
        return str(_read("WEBHOOK_KEY_VERSION"))

    @property
    def session_minutes(self) -> int:
        """Minutes until a connect session runs out."""
        return int(_read("SESSION_MINUTES"))

    @property
    def page_size(self) -> int:
        """Rows on one page of the connection list."""
        return int(_read("PAGE_SIZE"))

    @property
    def late_seconds(self) -> float:
        """Seconds by which the callbacks of the late bank are late."""
        return float(_read("LATE_SECONDS"))

    @property
    def slow_seconds(self) -> float:
        """Seconds from the consent to the success at the slow bank."""
        return float(_read("SLOW_SECONDS"))

    @property
    def aftermath_seconds(self) -> float:
        """Seconds from the success to each change that a bank's scenario has for later."""
        return float(_read("AFTERMATH_SECONDS"))

    @property
    def early_webhook(self) -> bool:
        """Whether connect calls are answered only after the callbacks of a success were sent."""
        return bool(_read("EARLY_WEBHOOK"))

    @property
    def speaks_like(self) -> str:
        """Whose callbacks they look like, one of ``SPEECHES``: a relay's are written anew, with event names."""
        return str(_read("SPEAKS_LIKE"))

    @property
    def list_missing(self) -> int:
        """The status with which the connection list answers as if it did not exist; 0: it exists."""
        return int(_read("LIST_MISSING"))

    @property
    def list_of(self) -> str:
        """Whose connections the list shows, one of ``LISTS``."""
        return str(_read("LIST_OF"))

    @property
    def list_order(self) -> str:
        """The order of the list, one of ``ORDERS``: by id, which is by age, or in none that can be seen."""
        return str(_read("LIST_ORDER"))

    @property
    def list_grows(self) -> int:
        """Connections of strangers that are made after each page that was read."""
        return int(_read("LIST_GROWS"))

    @property
    def list_circles(self) -> bool:
        """Whether the last page leads to the first one again."""
        return bool(_read("LIST_CIRCLES"))

    @property
    def from_id(self) -> str:
        """What ``from_id`` does, one of ``STARTS``: a page starts with it, after it, or the first page comes always."""
        return str(_read("FROM_ID"))

    @property
    def by_id_missing(self) -> int:
        """The status with which a single connection answers as if only DELETE were possible there; 0: GET is, too."""
        return int(_read("BY_ID_MISSING"))

    @property
    def trouble(self) -> str:
        """The fault of the gateway in front of the API, one of ``TROUBLES``; empty: none."""
        return str(_read("TROUBLE"))

    @property
    def trouble_calls(self) -> int:
        """The number of calls for which the trouble lasts; 0: until the setting is changed."""
        return int(_read("TROUBLE_CALLS"))

    @property
    def trouble_seconds(self) -> float:
        """Seconds for which a call hangs or drips."""
        return float(_read("TROUBLE_SECONDS"))

    @property
    def delivery(self) -> str:
        """``thread``: callbacks leave on their own; ``manual``: when ``deliver_due`` is called."""
        return str(_read("DELIVERY"))

    @property
    def allowed(self) -> bool:
        """Whether the sandbox may answer at all."""
        return bool(django_settings.DEBUG or _read("ALLOW_WITHOUT_DEBUG"))


settings = SandboxSettings()
