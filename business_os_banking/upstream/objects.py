"""What the upstream says of a connection: one reader, whether a webhook, a row of the list or a single read holds it.

Field names: docs.business-os.de, module "List Connections", and Salt Edge's connection object (v6). That the list
can be had at all, and at which path, is inferred; see docs/upstream.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from business_os_banking.exceptions import Unintelligible
from business_os_banking.upstream import values
from business_os_banking.upstream.times import Time, time_of
from business_os_banking.vocabulary import DETAILS

Object = Mapping[str, Any]

STATUSES: Final = frozenset({"active", "inactive", "disabled"})
_MAX_DEPTH: Final = 5
_WRAPPERS: Final = ("data", "payload", "body", "event", "connection", "last_attempt", "meta")
_LISTS: Final = ("data", "connections")
_FINISHED: Final = frozenset({"finish", "finish_fetching"})
_CREDITS_LIMIT: Final = 10**12  # what the column holds, with two digits after the point
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Names:
    """All that some objects name a session and a link by. Of each there is one, or they contradict each other.

    ``has_unusable_id`` tells that something is meant as the id of a connection and cannot be used as one.
    """

    tokens: frozenset[UUID] = field(repr=False)
    sessions: frozenset[UUID]
    ids: frozenset[str]
    has_unusable_id: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionObject:
    """One connection as the upstream shows it. Times are as `times.time_of` reads them; what is missing is empty.

    ``success_at``, ``failure_at``, ``is_finished`` and ``error_class`` are those of the last attempt, if it
    ``has_attempt``: an old link is ``active`` all through a renewal.
    """

    id: str
    status: str
    names: Names
    has_attempt: bool
    is_finished: bool
    success_at: Time
    failure_at: Time
    error_class: str
    last_success_at: Time
    updated_at: Time
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPage:
    """One page of the list. ``credits`` is what the account has left, where the answer says so."""

    rows: tuple[ConnectionObject, ...]
    next_id: str
    credits: Decimal | None


def page_of(answer: Any, received_at: datetime) -> ConnectionPage:
    """Return the page that *answer* is; raise `Unintelligible` if it holds no list.

    The list may be under ``data`` or ``connections``, or the answer itself: envelopes are not uniform upstream.
    """
    envelope = answer if isinstance(answer, Mapping) else {"data": answer}
    items = next((envelope[key] for key in _LISTS if isinstance(envelope.get(key), list)), None)
    if items is None:
        raise Unintelligible("The answer holds no list of connections.")
    meta = envelope.get("meta")
    rows = (object_of(item, received_at) for item in items if isinstance(item, Mapping))
    return ConnectionPage(
        rows=tuple(row for row in rows if row is not None),
        next_id=values.id_of(meta.get("next_id")) if isinstance(meta, Mapping) else "",
        credits=_credits(envelope.get("business-os")),
    )


def object_of(item: Object, received_at: datetime) -> ConnectionObject | None:
    """Return the connection that *item* is, ``None`` if it has no usable id."""
    item = values.something(item)
    upstream_id = values.id_of(item.get("id")) or values.id_of(item.get("connection_id"))
    if not upstream_id:
        return None
    attempt = item.get("last_attempt")
    attempt = attempt if isinstance(attempt, Mapping) else {}
    parts = list(parts_of(item))
    names = names_in(parts)
    return ConnectionObject(
        id=upstream_id,
        status=values.word_of(item.get("status")).lower(),
        names=Names(names.tokens, names.sessions, names.ids | {upstream_id}, names.has_unusable_id),
        has_attempt=bool(attempt),
        is_finished=_is_finished(attempt),
        success_at=time_of(attempt.get("success_at"), received_at),
        failure_at=time_of(attempt.get("fail_at"), received_at),
        error_class=error_class_in([attempt]),
        last_success_at=time_of(item.get("last_success_at"), received_at),
        updated_at=time_of(item.get("updated_at"), received_at),
        details=details_in(parts, received_at),
    )


def parts_of(item: Object, depth: int = 1) -> Iterator[Object]:
    """Yield *item* and the objects that it wraps, outermost first."""
    yield item
    if depth < _MAX_DEPTH:
        for key in _WRAPPERS:
            inner = item.get(key)
            if isinstance(inner, list) and len(inner) == 1:
                inner = inner[0]
            if isinstance(inner, Mapping):
                yield from parts_of(inner, depth + 1)


def is_connection(part: Object) -> bool:
    """Return whether *part* is a whole connection: it has an id, and says how the connection or an attempt stands."""
    has_id = bool(values.id_of(part.get("id")) or values.id_of(part.get("connection_id")))
    status = values.word_of(part.get("status")).lower()
    return has_id and (isinstance(part.get("last_attempt"), Mapping) or status in STATUSES)


def names_in(parts: Sequence[Object]) -> Names:
    """Return what *parts* name a session and a link by.

    A token may stand anywhere. Custom fields hold what callers put there: nothing but our keys is looked for in them.
    What is no UUID is no token: a placeholder beside the real one contradicts nothing.
    """
    ours = [fields for part in parts if isinstance(fields := part.get("custom_fields"), Mapping)]
    tokens = _values([*parts, *ours], "pending_token", "pendingToken")
    whole = [part for part in parts if is_connection(part)]
    nested = [inner for part in parts if isinstance(inner := part.get("connection"), Mapping)]
    ids = _values(parts, "connection_id") + _values([*whole, *nested], "id")
    return Names(
        tokens=_uuids(tokens),
        sessions=_uuids(_values(ours, "session")),
        ids=frozenset(map(values.id_of, ids)) - {""},
        has_unusable_id=any(map(values.is_unusable_id, ids)),
    )


def error_class_in(parts: Sequence[Object]) -> str:
    """Return the class of an error, looked for where callbacks, attempts and errors of Salt Edge have it, or ``""``."""
    for part in parts:
        error = part.get("error")
        inner = error if isinstance(error, Mapping) else {}
        places = (
            part.get("error_class"),
            part.get("fail_error_class"),
            inner.get("class"),
            inner.get("error_class"),
            inner.get("code"),
            error if not inner else None,
        )
        if word := next(filter(None, map(values.word_of, places)), ""):
            return word
    return ""


def details_in(parts: Sequence[Object], received_at: datetime) -> dict[str, str]:
    """Return what *parts* tell of a link besides its state, by the names in `vocabulary.DETAILS`."""
    details: dict[str, str] = {}
    for part in reversed(parts):
        for key in DETAILS:
            if text := _detail_of(key, part.get(key), received_at):
                details[key] = text
    return details


def _detail_of(key: str, value: Any, received_at: datetime) -> str:
    if key.endswith("_at"):
        time = time_of(value, received_at, is_end=True)
        return time.isoformat() if isinstance(time, datetime) else ""
    if key == "owner_user_id":
        return str(values.uuid_of(value) or "")
    return values.bank_name_of(value) if key == "provider_name" else values.word_of(value)


def _is_finished(attempt: Object) -> bool:
    stage = attempt.get("last_stage")
    name = stage.get("name") if isinstance(stage, Mapping) else stage
    return attempt.get("finished") is True or values.word_of(name).lower() in _FINISHED


def _values(parts: Sequence[Object], *keys: str) -> list[Any]:
    return [part[key] for part in parts for key in keys if key in part]


def _uuids(candidates: Sequence[Any]) -> frozenset[UUID]:
    return frozenset(uuid for value in candidates if (uuid := values.uuid_of(value)))


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
