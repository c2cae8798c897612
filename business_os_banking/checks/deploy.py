"""What is handy in development and wrong in public: found by ``manage.py check --deploy``."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured

from business_os_banking import conf
from business_os_banking.checks.rules import Key, accounts, is_texts, short_secrets, warning
from business_os_banking.conf import addresses

TAG: Final = "business_os_banking"
_REFUSALS: Final = "business_os_banking.webhooks.views"


@register(TAG, deploy=True)
def check_secrets(**_: Any) -> list[CheckMessage]:
    """Check that webhook secrets are long enough, and that each is known to one sender alone."""
    short = [
        message
        for alias, values in accounts()
        for message in short_secrets(Key("WEBHOOK_SECRETS", alias), values.get("WEBHOOK_SECRETS"))
    ]
    return [*short, *_shared_secrets()]


@register(TAG, deploy=True)
def check_addresses(**_: Any) -> list[CheckMessage]:
    """Check where customers are sent to, and sent back to."""
    return [*_return_to(), *(message for alias, values in accounts() for message in _hosts(alias, values))]


@register(TAG, deploy=True)
def check_limits(**_: Any) -> list[CheckMessage]:
    """Check that limits count, where they have not been switched off on purpose."""
    site = _site()
    names = ("CONNECTS_PER_HOUR", "REJECTED_WEBHOOKS_PER_MINUTE")
    on = [name for name in names if site.get(name, conf.DEFAULTS[name])]
    if not on or not _is_dummy_cache():
        return []
    return [
        warning(
            "W009",
            f"The default cache keeps nothing, so nothing is limited by {' and '.join(on)}.",
            'Give CACHES["default"] a real backend, such as django.core.cache.backends.redis.RedisCache; or set these '
            "limits to 0.",
        )
    ]


@register(TAG, deploy=True)
def check_log(**_: Any) -> list[CheckMessage]:
    """Check that refused webhooks can be read of: the log is the only place that says why."""
    logger = logging.getLogger(_REFUSALS)
    if not logger.disabled and logger.isEnabledFor(logging.WARNING):
        return []
    return [
        warning(
            "W013",
            f"Warnings of the logger {_REFUSALS} are dropped, and with them why a webhook was refused.",
            'Write LOGGING["loggers"]["business_os_banking"] = {"level": "INFO"}, and '
            'LOGGING["disable_existing_loggers"] = False.',
        )
    ]


def _is_dummy_cache() -> bool:
    try:
        return isinstance(caches[DEFAULT_CACHE_ALIAS], DummyCache)
    except Exception:  # noqa: BLE001 - a cache that cannot be made is not for us to report
        return False


def _site() -> Mapping[str, Any]:
    site = getattr(django_settings, conf.SETTING, None)
    return site if isinstance(site, Mapping) else {}


def _texts(values: Mapping[str, Any], name: str) -> Sequence[str]:
    """Return a list of texts; nothing for what is none, which other checks report."""
    value = values.get(name)
    return list(value) if value and is_texts(value) else []


def _secret_keys() -> list[str]:
    try:
        return [str(key) for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
    except ImproperlyConfigured:
        return []  # an empty one, which Django has a check for


def _shared_secrets() -> Iterator[CheckMessage]:
    """Yield a warning for each secret that more than one door opens to; which one it is stays unsaid."""
    others = {"SECRET_KEY": _secret_keys()}
    owners: dict[str, list[str]] = defaultdict(list)
    for name, keys in others.items():
        for key in filter(None, keys):
            owners[str(key)].append(name)
    for alias, values in accounts():
        if isinstance(values.get("API_KEY"), str):
            owners[values["API_KEY"]].append(str(Key("API_KEY", alias)))
        for secret in set(_texts(values, "WEBHOOK_SECRETS")):
            owners[secret].append(str(Key("WEBHOOK_SECRETS", alias)))
    for value, places in owners.items():
        webhooks = [place for place in places if "WEBHOOK_SECRETS" in place]
        if value and webhooks and len(places) > 1:
            yield warning(
                "W010",
                f"{places[0]} and {places[1]} hold the same secret: whoever knows it from one place can use it in the "
                "other.",
                f"Give {webhooks[-1]} one of its own, for instance the output of: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))".',
            )


def _return_to() -> Iterator[CheckMessage]:
    url = _site().get("SITE_URL")
    if not url and "*" in django_settings.ALLOWED_HOSTS:
        yield warning(
            "W007",
            'ALLOWED_HOSTS has "*", and there is no SITE_URL: whoever forges a Host header chooses where the bank '
            "sends a customer back to.",
            'Write "SITE_URL": "https://www.example.com" (in the environment: BUSINESS_OS_SITE_URL), or name the hosts '
            "in ALLOWED_HOSTS.",
        )
    address = addresses.parse(url) if isinstance(url, str) else None
    if address and address.scheme == "http" and not addresses.is_loopback(address.host):
        yield warning(
            "W008",
            f"{Key('SITE_URL')} is plain http, so customers come back from their bank unprotected.",
            f'Write "SITE_URL": "https://{address.host}".',
        )


def _is_on_this_machine(url: Any) -> bool:
    """Return whether Business OS is: then it is the sandbox, which has a check of its own."""
    address = addresses.parse(url) if isinstance(url, str) else None
    return address is not None and addresses.is_loopback(address.host)


def _hosts(alias: str, values: Mapping[str, Any]) -> Iterator[CheckMessage]:
    key = Key("CONNECT_URL_HOSTS", alias)
    for host in _texts(values, key.name):
        if addresses.is_loopback(host) and not _is_on_this_machine(values.get("BASE_URL")):
            what = "is this very machine, as it is for the sandbox"
        elif host.startswith(".") and "." not in host[1:]:
            what = "allows every host of a top-level domain"
        else:
            continue
        yield warning(
            "W011",
            f"{key} has {host!r}, which {what}.",
            f'Write "CONNECT_URL_HOSTS": ["saltedge.com", ".saltedge.com"]{key.or_variable}, or leave it out.',
        )
