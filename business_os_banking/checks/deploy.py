"""What is handy in development and wrong in public: found by ``manage.py check --deploy``."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.checks.settings import TAG
from business_os_banking.conf import account, addresses, settings
from business_os_banking.conf.kinds import problem
from business_os_banking.conf.secret import Secret
from business_os_banking.conf.table import ACCOUNT, SITE

SECRET_MIN_LENGTH: Final = 16
_LIMITS: Final = ("CONNECTS_PER_HOUR", "REJECTED_WEBHOOKS_PER_MINUTE")
_REFUSALS: Final = "business_os_banking.webhooks.views"


@register(TAG, deploy=True)
def check_secrets(**_: Any) -> Iterator[CheckMessage]:
    """Check that webhook secrets are long, and that each is known in one place alone. What they are stays unsaid."""
    places: dict[Secret, dict[str, None]] = defaultdict(dict)
    with suppress(ImproperlyConfigured):  # There is none, for which Django has a check.
        for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS):
            places[Secret(str(key))]["SECRET_KEY"] = None
    with suppress(ImproperlyConfigured):  # An account cannot be made, which other checks report.
        for credentials in map(account, settings.accounts):
            places[credentials.api_key][ACCOUNT["API_KEY"].key(credentials.alias)] = None
            for number, secret in enumerate(credentials.webhook_secrets):
                places[secret][ACCOUNT["WEBHOOK_SECRETS"].key(credentials.alias)] = None
                if len(secret.open().removeprefix("whsec_")) < SECRET_MIN_LENGTH:
                    text = f"[{number}] is shorter than {SECRET_MIN_LENGTH} characters: it could be guessed"
                    yield ACCOUNT["WEBHOOK_SECRETS"].problem("W002", text, credentials.alias)
    for names in places.values():
        if len(names) > 1 and "WEBHOOK_SECRETS" in "".join(names):
            text = (
                f"{' and '.join(names)} hold the same secret: who knows it from one can use it in the other."
            )
            yield problem("W010", text, "Give each WEBHOOK_SECRETS a long random one of its own.")


@register(TAG, deploy=True)
def check_addresses(**_: Any) -> Iterator[CheckMessage]:
    """Check where customers are sent back to, and sent to. What cannot be read is reported by other checks."""
    with suppress(ImproperlyConfigured):
        url = settings.site_url
        if not url and "*" in django_settings.ALLOWED_HOSTS:
            text = ' is missing, and ALLOWED_HOSTS has "*": a forged Host header chooses where customers return to'
            yield SITE["SITE_URL"].problem("W007", text)
        elif url and not addresses.is_protected(url):
            text = " is plain http, so customers come back from their bank unprotected"
            yield SITE["SITE_URL"].problem("W008", text)
        if url and (other := _host_without_cookie(urlsplit(url).hostname or "")):
            text = f" is on another host than {other}: who starts there comes back without the cookie that knows them"
            hint = "Redirect to one host, or set SESSION_COOKIE_DOMAIN to what both have in common."
            yield problem("W014", f"{SITE['SITE_URL'].key()}{text}.", hint)
        for credentials in map(account, settings.accounts):
            for host in credentials.connect_url_hosts:
                # Business OS on this machine is the sandbox, which has a check of its own.
                is_here = addresses.is_loopback(host) and not addresses.is_here(credentials.base_url)
                if is_here or (host.startswith(".") and "." not in host[1:]):
                    what = "is this very machine" if is_here else "allows every host of a top-level domain"
                    text = f" has {host!r}, which {what}"
                    yield ACCOUNT["CONNECT_URL_HOSTS"].problem("W011", text, credentials.alias)


@register(TAG, deploy=True)
def check_limits(**_: Any) -> Iterator[CheckMessage]:
    """Check that limits count, where they have not been switched off on purpose."""
    with suppress(Exception):  # A cache that cannot be made is not for us to report.
        names = " and ".join(name for name in _LIMITS if getattr(settings, name.lower()))
        if names and isinstance(caches[DEFAULT_CACHE_ALIAS], DummyCache):
            text = f"The default cache keeps nothing, so nothing is limited by {names}."
            yield problem("W009", text, 'Give CACHES["default"] a real backend, or set these to 0.')


@register(TAG, deploy=True)
def check_log(**_: Any) -> Iterator[CheckMessage]:
    """Check that refused webhooks can be read of: the log is the only place that says why."""
    logger = logging.getLogger(_REFUSALS)
    if logger.disabled or not logger.isEnabledFor(logging.WARNING):
        text = f"Warnings of the logger {_REFUSALS} are dropped, and with them why a webhook was refused."
        level = 'LOGGING["loggers"]["business_os_banking"] = {"level": "INFO"}'
        yield problem("W013", text, f'Write {level}, and LOGGING["disable_existing_loggers"] = False.')


def _host_without_cookie(back: str) -> str:
    """Return a host of this site whose cookies are not sent to *back*, where people come back to; ``""`` if none."""
    domain = (django_settings.SESSION_COOKIE_DOMAIN or "").lstrip(".").lower()
    if domain:
        return "" if back == domain or back.endswith(f".{domain}") else domain
    # The test runner adds the host of its client.
    allowed = set(django_settings.ALLOWED_HOSTS) - {"*", "testserver"}
    others = sorted(host.lstrip(".").lower() for host in allowed)
    return next((host for host in others if host != back and not addresses.is_loopback(host)), "")
