"""Counting in Django's cache, so that one caller cannot keep the site, or its log, busy."""

from __future__ import annotations

import hashlib
import logging
import time
from ipaddress import ip_address
from typing import Final

from django.core.cache import cache

logger = logging.getLogger(__name__)

_PREFIX: Final = "business_os_banking:throttle"
_HALF: Final = 64  # bits of an IPv6 address


def within(name: str, who: str, limit: int, seconds: int) -> bool:
    """Count one more of *name* by *who*; return whether that is within *limit* per window of *seconds*.

    Windows follow the clock: each has a key of its own, since some caches let a key that is counted up live on. *limit*
    0 means no limit: off on purpose. A cache that does not answer (or holds nothing, like the dummy one) throttles
    nobody, and says so in the log: it must not lock customers out.
    """
    if limit <= 0:
        return True
    # Whatever *who* holds, blanks or an address, no cache refuses the key, and none learns it.
    digest = hashlib.sha256(repr((name, who, int(time.time()) // seconds)).encode()).hexdigest()
    key = f"{_PREFIX}:{digest}"
    try:
        return cache.add(key, 1, seconds) or cache.incr(key) <= limit
    except ValueError:
        return True  # the window ended between the two calls
    except Exception as error:  # noqa: BLE001 - each cache has its own errors, and none of them is a reason to refuse
        logger.warning("The cache does not answer, so the limit on %s holds nobody: %r", name, error)
        return True


def seconds_left(seconds: int) -> int:
    """Return how long the window of *seconds* that is running still lasts, in seconds."""
    return seconds - int(time.time()) % seconds


def neighbourhood(address: str) -> str:
    """Return what a stranger at *address* is counted by: of IPv6, everybody has a whole network to come from."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 or parsed.ipv4_mapped else f"{int(parsed) >> _HALF:x}::/64"
