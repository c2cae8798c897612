"""What the app asks the database for one webhook that finishes a session, so that the floor can ask the same."""

from __future__ import annotations

import re
import time

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import deliveries, fill

Statements = list[list[str]]


def record() -> Statements:
    """Return the statements before BEGIN, inside, and after COMMIT, with names such as ``{link}`` for the values."""
    session = fill.session()
    assert session.pk == session.connection_pk, "one name stands for both"
    assert session.pending_token
    link = f"66{time.time_ns()}"
    body = deliveries.body(session.pending_token, link)
    with CaptureQueriesContext(connection) as captured:
        fill.deliver(body)
    parts: Statements = [[]]
    for query in captured.captured_queries:
        if query["sql"] in {"BEGIN", "COMMIT"}:
            parts.append([])
            continue
        sql = query["sql"].replace(session.pending_token.hex, "{token}").replace(link, "{link}")
        sql = sql.replace(session.reference.hex, "{reference}").replace(str(session.reference), "{reference}")
        sql = re.sub(rf"(?<![\d.]){session.pk}(?![\d.])", "{key}", sql)
        parts[-1].append(re.sub(r"'[0-9a-f]{64}'", "'{digest}'", sql))
    before, inside, after = parts
    return [before, inside, after]
