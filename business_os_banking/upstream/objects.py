"""What the upstream says of a connection: one reader, whether a webhook, a row of the list or a single read holds it.

Field names: docs.business-os.de, module "List Connections", and Salt Edge's connection object (v6). That the list
can be had at all, and at which path, is inferred; see docs/upstream.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from business_os_banking.conf.secret import Token
from business_os_banking.exceptions import Unintelligible
from business_os_banking.upstream import values
from business_os_banking.upstream.times import Time, time_of
from business_os_banking.vocabulary import DETAILS

Object = Mapping[str, Any]

STATUSES: Final = frozenset({"active", "inactive", "disabled"})
_MAX_DEPTH: Final = 5
_ENVELOPES: Final = ("data", "payload", "body", "event", "connection", "connections")
_WRAPPERS: Final = (*_ENVELOPES, "last_attempt", "meta")
_TOKENS: Final = ("pending_token", "pendingToken")
_LISTS: Final = ("data", "connections")
# What an attempt says of itself; in a flat object it stands beside the id.
_OF_AN_ATTEMPT: Final = (
    *("success_at", "fail_at", "fail_error_class", "error_class", "error", "finished", "last_stage"),
)
FINISHED: Final = frozenset({"finish", "finish_fetching"})
_CREDITS_LIMIT: Final = 10**12  # what the column holds, with two digits after the point
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Names:
    """All that some objects name a session and a link by. Of each there is one, or they contradict each other.

    ``has_unusable_id`` tells that something is meant as the id of a connection and cannot be used as one.
    """

    tokens: frozenset[Token]
    sessions: frozenset[UUID]
    ids: frozenset[str]
    has_unusable_id: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionObject:
    """One connection as the upstream shows it. Times are as `times.time_of` reads them; what is missing is empty.

    ``success_at``, ``failure_at``, ``is_finished`` and ``error_class`` are those of the last attempt, if it
    ``has_attempt``, in an object of its own or beside the id: an old link is ``active`` all through a renewal. Without
    a usable ``id`` the ``names`` say why.
    """

    id: str
    status: str
    names: Names
    has_attempt: bool
    is_finished: bool
    has_error: bool
    success_at: Time
    failure_at: Time
    error_class: str
    last_success_at: Time
    updated_at: Time
    created_at: Time
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
    envelope = answer if isinstance(answer, dict) else {"data": answer}
    meta = envelope.get("meta")
    items = (_unwrapped(values.something(item)) for item in _items_in(envelope) if isinstance(item, dict))
    rows = (object_of(item, received_at) for item in items)
    return ConnectionPage(
        rows=tuple(row for row in rows if row.id or row.names.has_unusable_id),
        next_id=values.id_of(meta.get("next_id")) if isinstance(meta, dict) else "",
        credits=_credits(envelope.get("business-os")),
    )


def _items_in(envelope: Object) -> list[Any]:
    """Return the list that *envelope* holds; one that is empty may stand beside the one that is meant."""
    inner = envelope.get("data")
    holders = (envelope, inner) if isinstance(inner, dict) else (envelope,)
    lists = [holder[key] for holder in holders for key in _LISTS if isinstance(holder.get(key), list)]
    if not lists:
        raise Unintelligible("The answer holds no list of connections.")
    return next(filter(None, lists), [])


def _unwrapped(item: Object) -> Object:
    """Return the connection in a row of the list, which may be wrapped once more."""
    inner = next((item[key] for key in _ENVELOPES if isinstance(item.get(key), dict)), None)
    return item if inner is None or _id_in(item) is not None else inner


def object_of(
    item: Object, received_at: datetime, parts: Sequence[Object] | None = None, names: Names | None = None
) -> ConnectionObject:
    """Return the connection that *item* is: JSON without what says nothing (`values.something`).

    *parts* are all objects among which it stands, and *names* what they name; without them it stands alone.
    """
    attempt = item.get("last_attempt")
    if not isinstance(attempt, dict):
        attempt = {key: item[key] for key in _OF_AN_ATTEMPT if item.get(key, False) is not False}
    parts = parts if parts is not None else list(parts_of(item))
    names = names or names_in(parts)
    upstream_id = values.id_of(_id_in(item))
    return ConnectionObject(
        id=upstream_id,
        status=status_in(item),
        names=replace(names, ids=names.ids | {upstream_id}) if upstream_id else names,
        has_attempt=bool(attempt),
        is_finished=_is_finished(attempt),
        has_error=has_error_in([attempt]),
        success_at=time_of(attempt.get("success_at"), received_at),
        failure_at=time_of(attempt.get("fail_at"), received_at),
        error_class=error_class_in([attempt]),
        last_success_at=time_of(item.get("last_success_at"), received_at),
        updated_at=time_of(item.get("updated_at"), received_at),
        created_at=time_of(item.get("created_at"), received_at),
        details=details_in(parts, received_at),
    )


def parts_of(item: Object, depth: int = 1) -> Iterator[Object]:
    """Yield *item* and the objects that it wraps, outermost first."""
    yield item
    if depth < _MAX_DEPTH:
        for key in _WRAPPERS:
            if key in item:
                inner = item[key]
                if isinstance(inner, list) and len(inner) == 1:
                    inner = inner[0]
                if isinstance(inner, dict):
                    yield from parts_of(inner, depth + 1)


def is_connection(part: Object) -> bool:
    """Return whether *part* is a whole connection: it has an id, and says how the connection or an attempt stands."""
    is_whole = isinstance(part.get("last_attempt"), dict) or status_in(part) in STATUSES
    return is_whole and _id_in(part) is not None and not _is_envelope(part)


def _is_envelope(part: Object) -> bool:
    """Whether *part* is an event about the connection that it holds: its id and status are then the event's."""
    inner = [part[key] for key in _ENVELOPES if isinstance(part.get(key), dict)]
    return (
        any(_id_in(item) is not None or _is_envelope(item) for item in inner) and "connection_id" not in part
    )


def status_in(part: Object) -> str:
    """Return how *part*, a connection, stands; ``""`` if it does not say."""
    return values.word_of(part["status"]).lower() if "status" in part else ""


def names_in(parts: Sequence[Object]) -> Names:
    """Return what *parts* name a session and a link by.

    A token may stand anywhere. Custom fields hold what callers put there: nothing but our keys is looked for in them.
    What is no UUID is no token: a placeholder beside the real one contradicts nothing.
    """
    tokens: list[Any] = []
    sessions: list[Any] = []
    ids: list[Any] = []
    nested = [part["connection"] for part in parts if "connection" in part]
    for part in parts:
        ours = part.get("custom_fields")
        ours = ours if isinstance(ours, dict) else {}
        tokens += [place[key] for place in (part, ours) for key in _TOKENS if key in place]
        sessions += [ours["session"]] if "session" in ours else []
        # What belongs to a connection (a consent, an account, an event) has an id of its own beside the connection's.
        if "connection_id" in part:
            ids.append(part["connection_id"])
        elif "id" in part and (is_connection(part) or any(part is inner for inner in nested)):
            ids.append(part["id"])
    usable = frozenset(filter(None, map(values.id_of, ids)))
    return Names(
        tokens=_uuids(tokens, Token),
        sessions=_uuids(sessions, UUID),
        ids=usable,
        has_unusable_id=len(usable) < len(ids) and any(map(values.is_unusable_id, ids)),
    )


def error_class_in(parts: Sequence[Object]) -> str:
    """Return the class of an error, looked for where callbacks, attempts and errors of Salt Edge have it, or ``""``."""
    return next(filter(None, map(values.word_of, _errors_in(parts))), "")


def has_error_in(parts: Sequence[Object]) -> bool:
    """Return whether there is an error, even one whose class cannot be read."""
    return any(True for _error in _errors_in(parts))


def _errors_in(parts: Sequence[Object]) -> Iterator[Any]:
    for part in parts:
        for key in ("error_class", "fail_error_class"):
            if key in part and _is_error(part[key]):
                yield part[key]
        if "error" in part:
            error = part["error"]
            inner = error if isinstance(error, dict) else {"class": error}
            classes = [inner[key] for key in ("class", "error_class", "code") if key in inner]
            yield from filter(_is_error, classes or [inner])


def _is_error(value: Any) -> bool:
    """Whether *value* is the class or the code of an error: zero is the code of success."""
    return bool(str(value).strip().strip("0."))


def details_in(parts: Sequence[Object], received_at: datetime) -> dict[str, str]:
    """Return what *parts* tell of a link besides its state, by the names in `vocabulary.DETAILS`."""
    pairs = [(key, part[key]) for part in reversed(parts) for key in DETAILS if key in part]
    details = {key: _detail_of(key, value, received_at) for key, value in pairs}
    return {key: text for key, text in details.items() if text}


def _id_in(part: Object) -> Any:
    """Return the id of the connection that *part* is, or belongs to."""
    return part.get("connection_id", part.get("id"))


def _detail_of(key: str, value: Any, received_at: datetime) -> str:
    if key.endswith("_at"):
        time = time_of(value, received_at, is_end=True)
        return time.isoformat() if isinstance(time, datetime) else ""
    if key == "owner_user_id":
        return str(values.uuid_of(value) or "")
    return values.bank_name_of(value) if key == "provider_name" else values.word_of(value)


def _is_finished(attempt: Object) -> bool:
    stage = attempt.get("last_stage")
    name = stage.get("name") if isinstance(stage, dict) else stage
    is_finished = str(attempt.get("finished", "")).strip().lower() in {"true", "1"}
    return is_finished or values.word_of(name).lower() in FINISHED


def _uuids(candidates: Sequence[Any], kind: type[values.U]) -> frozenset[values.U]:
    return frozenset(uuid for value in candidates if (uuid := values.uuid_of(value, kind)))


def _credits(value: Any) -> Decimal | None:
    """Return the credits left, which some answers carry as ``business-os.neuesGuthaben``."""
    left = value.get("neuesGuthaben") if isinstance(value, dict) else None
    if isinstance(left, bool) or not isinstance(left, int | float | str):
        return None
    try:
        amount = Decimal(str(left)).quantize(_CENT)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < _CREDITS_LIMIT else None
