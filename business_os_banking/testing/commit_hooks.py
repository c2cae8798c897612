"""On-commit hooks in a test whose transaction never commits, as that of a ``TestCase``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

logger = logging.getLogger(__name__)


@contextmanager
def running_commit_hooks() -> Iterator[None]:
    """Run, at the end of the block, the hooks that were registered in it and by these hooks, once each.

    Outside a transaction they have run by themselves. As in Django, what a robust one raises is logged. Those that were
    there before are left to whoever registered them.
    """
    before = {
        database.alias: len(database.run_on_commit) for database in connections.all(initialized_only=True)
    }
    yield
    for database in connections.all(initialized_only=True):
        start = before.get(database.alias, 0)
        # Each is taken off the list: whoever captures hooks around us, or commits later, must not run it again.
        while len(database.run_on_commit) > start:
            hooks: list[Any] = database.run_on_commit  # a savepoint that is rolled back makes it anew
            _, hook, is_robust = hooks.pop(start)
            try:
                hook()
            except Exception:
                if not is_robust:
                    raise
                logger.exception("A robust on-commit hook raised")
