"""A page of the list: by key, not by offset, so that each costs the same, however far down, and no row is missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from business_os_banking.api.errors import UnknownConnection
from business_os_banking.models import BankingConnection, BankingConnectionQuerySet

_EXACT = ("status", "status_reason", "account", "provider_code")


@dataclass(frozen=True)
class Page:
    """The rows of a page, and the cursors of the pages after and before it."""

    rows: list[BankingConnection]
    next: str | None
    previous: str | None


def page_of(visible: BankingConnectionQuerySet, query: Mapping[str, Any]) -> Page:
    """Return the page for *query*, the validated data of a `QuerySerializer`. Two queries at most, and no count."""
    direction, _, reference = query.get("cursor", "").partition(".")
    forward = direction != "before"
    queryset = (
        _filtered(visible, query)
        .with_checking()
        .defer("state", "baseline", "metadata")
        .order_by("-pk" if forward else "pk")
    )
    if reference:
        key = visible.filter(reference=reference).values_list("pk", flat=True).first()
        if key is None:
            raise UnknownConnection
        queryset = queryset.filter(pk__lt=key) if forward else queryset.filter(pk__gt=key)
    size = query["page_size"]
    # One row more than is shown tells whether there is a further page.
    rows = list(queryset[: size + 1])
    is_cut, rows = len(rows) > size, rows[:size]
    if not forward:
        rows.reverse()
    has_next, has_previous = (is_cut, bool(reference)) if forward else (True, is_cut)
    return Page(
        rows=rows,
        next=f"after.{rows[-1].reference}" if rows and has_next else None,
        previous=f"before.{rows[0].reference}" if rows and has_previous else None,
    )


def _filtered(queryset: BankingConnectionQuerySet, query: Mapping[str, Any]) -> BankingConnectionQuerySet:
    queryset = queryset.filter(**{name: query[name] for name in _EXACT if name in query})
    if "needs_attention" in query:
        queryset = queryset.needing_attention(query["needs_attention"])
    if "expires_before" in query:
        queryset = queryset.filter(consent_expires_at__lt=query["expires_before"])
    return queryset
