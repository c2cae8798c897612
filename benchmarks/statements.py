"""What the app asks the database for one webhook that finishes a session, so that the floor can ask the same."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg.types.json import Jsonb

from benchmarks import deliveries, fill

_DIGEST = re.compile("[0-9a-f]{64}")
# One statement: its text, and its parameters, in which {name} stands for what another webhook has in this place.
Statement = tuple[str, list[Any]]


def record() -> tuple[list[Statement], list[Statement], list[Statement]]:
    """Return the statements before BEGIN, inside, and after COMMIT."""
    session = fill.session()
    assert session.pending_token
    link = f"66{time.time_ns()}"
    body = deliveries.body(session.pending_token, link)
    names = {
        str(session.pending_token): "{token}",
        str(session.reference): "{reference}",
        link: "{link}",
    }
    # If they are the same number, they are so for the sessions after it, too.
    keys = {session.pk: "{session}", session.connection_id: "{connection}"}
    before: list[Statement] = []
    inside: list[Statement] = []
    after: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        part = inside if connection.in_atomic_block else after if inside else before
        part.append((sql, [_named(value, names, keys) for value in params or ()]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        fill.deliver(body)
    return before, inside, after


def _named(value: Any, names: dict[str, str], keys: dict[int, str]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return keys.get(value, value)
    if isinstance(value, Jsonb):
        value = value.dumps(value.obj) if value.dumps else ""
    if isinstance(value, str | UUID):
        text = str(value)
        for known, name in names.items():
            text = text.replace(known, name)
        return "{digest}" if _DIGEST.fullmatch(text) else text
    return value
