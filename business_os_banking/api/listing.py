"""A page of the list: by keys and not by offset, so that it costs the same however far down, and no row is missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from business_os_banking.api.errors import UnknownConnection
from business_os_banking.models import BankingConnection, BankingConnectionQuerySet

_EXACT = ("status", "status_reason", "account", "provider_code")


@dataclass(frozen=True)
class Page:
    """The rows, and the cursors of the pages after and before this one."""

    rows: list[BankingConnection]
    next: str | None
    previous: str | None


def page_of(visible: BankingConnectionQuerySet, asked: Mapping[str, Any]) -> Page:
    """Return the page that *asked* (the names of `QuerySerializer`) wants. Two queries at most, and no count."""
    direction, _, reference = asked.get("cursor", "").partition(".")
    forward = direction != "before"
    rows = (
        _filtered(visible, asked)
        .with_checking()
        .defer("state", "baseline", "metadata")
        .order_by("-pk" if forward else "pk")
    )
    if reference:
        place = visible.filter(reference=reference).values_list("pk", flat=True).first()
        if place is None:
            raise UnknownConnection
        rows = rows.filter(pk__lt=place) if forward else rows.filter(pk__gt=place)
    size = asked["page_size"]
    # One row more than is shown tells whether there is a further page.
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    if not forward:
        found.reverse()
    has_next, has_previous = (more, bool(reference)) if forward else (True, more)
    return Page(
        rows=found,
        next=f"after.{found[-1].reference}" if found and has_next else None,
        previous=f"before.{found[0].reference}" if found and has_previous else None,
    )


def _filtered(rows: BankingConnectionQuerySet, asked: Mapping[str, Any]) -> BankingConnectionQuerySet:
    rows = rows.filter(**{name: asked[name] for name in _EXACT if name in asked})
    if "needs_attention" in asked:
        rows = rows.needing_attention(asked["needs_attention"])
    if "expires_before" in asked:
        rows = rows.filter(consent_expires_at__lt=asked["expires_before"])
    return rows
