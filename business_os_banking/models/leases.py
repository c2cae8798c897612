"""Leases: rows of work that several workers take from one queue, each row by one worker at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.db import models, transaction

from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due

M = TypeVar("M", bound=models.Model)

LONGEST: Final = timedelta(minutes=15)


def is_free(now: datetime) -> models.Q:
    """Return the condition for rows that no worker holds at *now*."""
    return is_due("leased_until", now, LONGEST + CLOCKS_DIFFER)


def take(rows: models.QuerySet[M], most: int, lease: timedelta, now: datetime) -> list[M]:
    """Take *most* of *rows* at most for this worker alone until *now* + *lease* (15 minutes at most); return them.

    Others pass over them for so long. Whoever is done sets ``leased_until`` to ``None``; of who dies, the rows are
    free when the lease is over.
    """
    free = rows.filter(is_free(now))
    manager = rows.model._default_manager  # noqa: SLF001 - as Django's documentation allows
    features = transaction.get_connection().features
    with transaction.atomic():
        if features.has_select_for_update:
            skip = features.has_select_for_update_skip_locked
            taken = list(free.select_for_update(skip_locked=skip)[:most])
            manager.filter(pk__in=[row.pk for row in taken]).update(leased_until=now + lease)
            return taken
        # Nobody can lock a row here; but of two that write the same, the second sees that it is no longer the same.
        return [
            row
            for row in free[:most]
            if manager.filter(pk=row.pk, leased_until=row.leased_until).update(leased_until=now + lease)  # type: ignore[attr-defined]
        ]
