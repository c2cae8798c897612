"""Counting in Django's cache, so that one caller cannot keep the site, or its log, busy."""

from __future__ import annotations

from typing import Final

from django.core.cache import cache

_PREFIX: Final = "business_os_banking:throttle"


def within(name: str, who: str, limit: int, seconds: int) -> bool:
    """Count one more of *name* by *who*; return whether that is within *limit* per window of *seconds*.

    A window begins with the first one that is counted. *limit* 0 means no limit: off on purpose. A cache that
    does not answer (or holds nothing, like the dummy one) throttles nobody: it must not lock customers out.
    """
    if limit <= 0:
        return True
    key = f"{_PREFIX}:{name}:{who}"
    try:
        cache.add(key, 0, seconds)
        return cache.incr(key) <= limit
    except Exception:  # noqa: BLE001 - each cache has its own errors, and none of them is a reason to refuse
        return True
