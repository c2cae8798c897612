"""The sandbox's settings: the dict ``BUSINESS_OS_SANDBOX``, read whenever a value is needed.

Every key is optional. The table in ``KEYS`` is the whole list.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

SIGNINGS = ("shared_secret", "hmac", "standard_webhooks", "salt_edge")
DELIVERIES = ("thread", "manual")

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
    "DELIVERY": (str, "thread"),
    "ALLOW_WITHOUT_DEBUG": (bool, False),
}


def problems() -> list[str]:
    """What is wrong with the settings dict, one English sentence per mistake."""
    configured = getattr(django_settings, "BUSINESS_OS_SANDBOX", {})
    if not isinstance(configured, Mapping):
        return ["BUSINESS_OS_SANDBOX must be a dict."]
    found = [f"BUSINESS_OS_SANDBOX has an unknown key {key!r}." for key in configured if key not in KEYS]
    for key in KEYS:
        try:
            _read(key)
        except ImproperlyConfigured as error:
            found.append(str(error))
    return found


def _read(key: str) -> Any:
    configured = getattr(django_settings, "BUSINESS_OS_SANDBOX", {})
    kinds, default = KEYS[key]
    value: Any = configured.get(key)
    if value is None:
        return default
    # A bool is an int for Python, and never a number that somebody meant.
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] has the wrong type.")
    allowed = {"WEBHOOK_SIGNING": SIGNINGS, "DELIVERY": DELIVERIES}.get(key)
    if allowed and value not in allowed:
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] must be one of {', '.join(allowed)}.")
    if key in ("SESSION_MINUTES", "PAGE_SIZE") and isinstance(value, int) and value < 1:
        raise ImproperlyConfigured(f"BUSINESS_OS_SANDBOX[{key!r}] must be at least 1.")
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
        """Where callbacks go; empty means the webhook of the site that the widget runs on."""
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
        """What ``salt_edge`` puts into ``Signature-key-version``."""
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
        """How late the callbacks of the late bank are."""
        return float(_read("LATE_SECONDS"))

    @property
    def delivery(self) -> str:
        """``thread``: callbacks leave on their own; ``manual``: when ``deliver_due`` is called."""
        return str(_read("DELIVERY"))

    @property
    def allowed(self) -> bool:
        """Whether the sandbox may answer at all."""
        return bool(django_settings.DEBUG or _read("ALLOW_WITHOUT_DEBUG"))


settings = SandboxSettings()
