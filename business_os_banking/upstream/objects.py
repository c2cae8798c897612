"""The upstream's list of connections: rows as Salt Edge v6 shows them, read tolerantly.

Field names: docs.business-os.de, module "List Connections", and Salt Edge's connection object (v6). That the list
can be had at all, and at which path, is inferred; see docs/upstream.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from business_os_banking.exceptions import Unintelligible
from business_os_banking.upstream import answers
from business_os_banking.vocabulary import (
    DETAILS,
)

_CREDITS_LIMIT: Final = 10**12  # what the column holds, with two digits after the point
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionObject:
    """One connection as the upstream lists it. Times are aware and in UTC; what is missing is empty.

    ``succeeded_at`` and ``failed_at`` are those of the last attempt. ``attempt_succeeded`` tells whether the
    last attempt ended well, as far as the row says: an old link is ``active`` all through a renewal.
    """

    id: str
    status: str
    pending_token: UUID | None = field(repr=False)
    session_reference: UUID | None
    attempt_succeeded: bool
    succeeded_at: datetime | None
    failed_at: datetime | None
    error_class: str
    updated_at: datetime | None
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPage:
    """One page of the list. ``credits`` is what the account has left, where the answer says so."""

    rows: tuple[ConnectionObject, ...]
    next_id: str
    credits: Decimal | None


def page_of(answer: Any) -> ConnectionPage:
    """Return the page that *answer* is; raise `Unintelligible` if it holds no list.

    The list is looked for as ``data`` or ``connections``: envelopes are not uniform upstream.
    """
    envelope = answer if isinstance(answer, Mapping) else {"data": answer}
    items = next(
        (envelope[key] for key in ("data", "connections") if isinstance(envelope.get(key), list)), None
    )
    if items is None:
        raise Unintelligible("The answer holds no list of connections.")
    meta = envelope.get("meta")
    rows = (row_of(item) for item in items)
    return ConnectionPage(
        rows=tuple(row for row in rows if row is not None),
        next_id=answers.id_of(meta.get("next_id")) if isinstance(meta, Mapping) else "",
        credits=_credits(envelope.get("business-os")),
    )


def _credits(value: Any) -> Decimal | None:
    """Return the credits left, which some answers carry as ``business-os.neuesGuthaben``."""
    left = value.get("neuesGuthaben") if isinstance(value, Mapping) else None
    if isinstance(left, bool) or not isinstance(left, int | float | str):
        return None
    try:
        amount = Decimal(str(left)).quantize(_CENT)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < _CREDITS_LIMIT else None


def row_of(item: Any) -> ConnectionObject | None:
    """Return the row that *item*, an element of the list, describes; ``None`` if it has no id."""
    if not isinstance(item, Mapping) or not (link := answers.id_of(item.get("id"))):
        return None
    attempt = item.get("last_attempt")
    attempt = attempt if isinstance(attempt, Mapping) else {}
    fields = attempt.get("custom_fields")
    fields = fields if isinstance(fields, Mapping) else {}
    succeeded_at = answers.time_of(attempt.get("success_at"))
    failed_at = answers.time_of(attempt.get("fail_at"))
    unsaid = "success_at" not in attempt and "fail_at" not in attempt
    return ConnectionObject(
        id=link,
        status=answers.word_of(item.get("status")).lower(),
        pending_token=answers.uuid_of(fields.get("pending_token")),
        session_reference=answers.uuid_of(fields.get("session")),
        attempt_succeeded=succeeded_at is not None or unsaid,
        succeeded_at=succeeded_at or answers.time_of(item.get("last_success_at")),
        failed_at=failed_at,
        error_class=answers.word_of(attempt.get("fail_error_class")),
        updated_at=answers.time_of(item.get("updated_at")),
        details={key: text for key in DETAILS if (text := answers.detail_of(key, item.get(key)))},
    )
