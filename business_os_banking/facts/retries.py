"""Doing a transaction again that the database has refused because of another one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from django.db import OperationalError, transaction

P = ParamSpec("P")
T = TypeVar("T")

TRIES: Final = 12
_WAIT_SECONDS: Final = 0.02  # before the second try at most; then twice as long each time, up to the longest
_LONGEST_WAIT_SECONDS: Final = 0.5
# PostgreSQL: serialization failure, deadlock, lock_timeout. MariaDB and MySQL: lock wait timeout, deadlock, and a row
# that has changed since the snapshot was taken.
_PASSING: Final = {"40001", "40P01", "55P03", 1205, 1213, 1020}


def retried(do: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Return what *do* returns; call it again where only another transaction was in the way, `TRIES` times in all.

    *do* must make its transaction itself. Within one that was begun outside, nothing can be done again.
    """
    for number in range(1, TRIES + 1):
        try:
            return do(*args, **options)
        except OperationalError as error:
            if number == TRIES or transaction.get_connection().in_atomic_block or not is_passing(error):
                raise
        time.sleep(min(_WAIT_SECONDS * 2**number, _LONGEST_WAIT_SECONDS) * random.random())  # noqa: S311 - spreads who collide
    raise AssertionError("unreachable")


def is_passing(error: OperationalError) -> bool:
    """Return whether the database has given up this transaction because of another one, and would take it again."""
    cause = error.__cause__
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or (error.args or (None,))[0]
    return code in _PASSING
