"""What follows a commit: it may fail, and what is committed stays so."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction


def after_commit(do: Callable[..., object], *args: object) -> None:
    """Call *do* with *args* once the transaction is committed. Whatever it raises, Django logs, and it goes no further.

    Not with a `functools.partial`: Django 5.2 and 6.0 log a hook that failed by its ``__qualname__``, which a partial
    has not, and the committed request would be answered 500.
    """

    def hook() -> None:
        do(*args)

    hook.__qualname__ = do.__qualname__
    transaction.on_commit(hook, robust=True)
