"""The site itself: its settings, its database, the names that it answers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import ERROR, run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host

from business_os_banking.doctor.findings import Finding, finding

_LABEL: Final = "business_os_banking"
_WHY_ERROR: Final = "What needs this setting fails, or is refused. docs/checks.md has more of each id."
_WHY_WARNING: Final = (
    "The site works, and less safely or reliably than it could. docs/checks.md has more of each id."
)
# By vendor: the query, parts of its result with which a commit may be lost, and how the setting is corrected.
_DURABILITY: Final = {
    "postgresql": (
        "SELECT current_setting('synchronous_commit') || ' ' || current_setting('fsync')",
        ("off ", " off"),
        "ALTER SYSTEM SET synchronous_commit = on; ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
    ),
    "mysql": (
        "SELECT CONCAT('flush ', @@innodb_flush_log_at_trx_commit)",
        ("flush 0", "flush 2"),
        "SET GLOBAL innodb_flush_log_at_trx_commit = 1; and the same in the server's configuration",
    ),
    "sqlite": (
        "PRAGMA synchronous",
        ("0",),
        "PRAGMA synchronous = NORMAL (or FULL), in OPTIONS init_command",
    ),
}


def examine_settings() -> Iterator[Finding]:
    """Run the app's own checks; those for deployment unless the site is in development."""
    messages = run_checks(tags=[_LABEL], include_deployment_checks=not django_settings.DEBUG)
    for message in messages:
        if not message.is_silenced():
            is_error = message.level >= ERROR
            yield Finding(
                code=(message.id or "").removeprefix(f"{_LABEL}."),
                severity="error" if is_error else "warning",
                what=message.msg,
                why=_WHY_ERROR if is_error else _WHY_WARNING,
                fix=message.hint or "",
            )


def examine_database() -> Iterator[Finding]:
    """Check that the database answers, has our tables, and keeps what it has acknowledged."""
    try:
        executor = MigrationExecutor(connection)
        ours = [node for node in executor.loader.graph.leaf_nodes() if node[0] == _LABEL]
        plan = executor.migration_plan(ours)
        correction = _durability_correction()
    except DatabaseError as error:
        # The message of a driver may hold user names; its class says enough.
        yield finding("database-away", f"The database cannot be used ({type(error).__name__}).")
        return
    if plan:
        yield finding("migrations-missing", f"{len(plan)} migration(s) have not been applied.")
    if connection.vendor == "sqlite" and not django_settings.DEBUG:
        yield finding("sqlite-in-production", "The site runs on SQLite, and DEBUG is off.")
    if correction:
        yield finding(
            "commits-not-durable", "The database acknowledges commits that it may lose.", setting=correction
        )


def is_usable() -> bool:
    """Return whether the database answers and has all our tables."""
    try:
        tables = set(connection.introspection.table_names())
    except DatabaseError:
        return False
    return all(model._meta.db_table in tables for model in apps.get_app_config(_LABEL).get_models())  # noqa: SLF001


def examine_origin(origin: str) -> Finding | None:
    """Return what is wrong if Django does not answer to the host of *origin*, the public address of the site."""
    host = urlsplit(origin).hostname or ""
    allowed = django_settings.ALLOWED_HOSTS
    if django_settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    name = f"[{host}]" if ":" in host else host
    if validate_host(name, allowed):
        return None
    return finding("host-not-allowed", f"ALLOWED_HOSTS does not have {name}.", host=name)


def _durability_correction() -> str:
    """Return how to make commits durable, or ``""`` if they are."""
    if connection.vendor not in _DURABILITY:
        return ""
    query, unsafe, correction = _DURABILITY[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        result = str(cursor.fetchone()[0])
    return correction if any(word in result for word in unsafe) else ""
