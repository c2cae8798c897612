"""Walking over many rows, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.db.models import QuerySet

SIZE: Final = 500


def of_rows(rows: QuerySet[Any], size: int = SIZE, after: int = 0) -> Iterator[list[Any]]:
    """Yield all of *rows* with a key above *after*, in the order of their keys, whatever becomes of them meanwhile.

    Each batch is looked for after the last key, never from the start again.
    """
    last = after
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:size]):
        yield batch
        last = batch[-1].pk


def each(rows: QuerySet[Any], size: int = SIZE) -> Iterator[Any]:
    """Yield each of *rows*, likewise. `QuerySet.iterator` takes a cursor of the server's, which poolers lose."""
    for batch in of_rows(rows, size):
        yield from batch


def of_keys(rows: QuerySet[Any], size: int = SIZE) -> Iterator[list[int]]:
    """Yield the keys of *rows* alone, likewise."""
    last = 0
    while pks := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:size]):
        yield pks
        last = pks[-1]
