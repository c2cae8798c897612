"""A database that the threads of a live server can really share."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper

TIMEOUT = 30  # seconds that SQLite waits for another writer


@contextmanager
def file_instead_of_memory(directory: Path) -> Iterator[None]:
    """Put a file in the place of an SQLite in memory; other databases are left as they are.

    Of an SQLite in memory, Django gives all threads of a live server one and the same connection. What one
    request writes is then inside the transaction of another: no site has that, and no test could rely on it.
    """
    memory = connections["default"]
    if not isinstance(memory, DatabaseWrapper) or not memory.is_in_memory_db():
        yield
        return
    path = directory / "browser.sqlite3"
    _copy(memory, path)
    before = connections.settings["default"]
    # Nothing here has to outlive a power cut.
    options = {**before["OPTIONS"], "timeout": TIMEOUT, "init_command": "PRAGMA synchronous = off"}
    connections.settings["default"] = {**before, "NAME": str(path), "OPTIONS": options}
    # This thread's connection is put aside, not closed: an SQLite in memory ends with its last connection.
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = before
        connections["default"] = memory


def _copy(memory: DatabaseWrapper, path: Path) -> None:
    memory.ensure_connection()
    target = sqlite3.connect(path)
    memory.connection.backup(target)
    # Readers and the writer do not wait for one another. It is a property of the file.
    target.execute("PRAGMA journal_mode = wal")
    target.close()
