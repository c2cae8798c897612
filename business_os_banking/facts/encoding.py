"""The state as JSON, as the database keeps it. Pure, as :mod:`business_os_banking.facts.lifecycle` is."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, TypeVar

from business_os_banking.facts.lifecycle import Attempt, Link, Noted, Setback, Standing, State

T = TypeVar("T")

_NAMES: Final = {kind: [field.name for field in fields(kind)] for kind in (State, Attempt, Link)}


def to_json(state: State) -> dict[str, Any]:
    """Return *state* as JSON-ready data, with everything that is empty left out."""
    encoded: dict[str, Any] = _encode(state)
    return encoded


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if names := _NAMES.get(type(value)):
        pairs = [(name, getattr(value, name)) for name in names]
        return {name: _encode(item) for name, item in pairs if item is not None and item != {}}
    if isinstance(value, tuple):  # the time comes first, and all else is plain
        return [value[0].isoformat(), *value[1:]]
    return {key: _encode(item) for key, item in value.items()}


def from_json(data: Mapping[str, Any]) -> State:
    """Return the state that :func:`to_json` wrote as *data*."""
    return State(
        attempts={key: _attempt(item) for key, item in data.get("attempts", {}).items()},
        links={key: _link(item) for key, item in data.get("links", {}).items()},
        banks={key: Standing(*_stamped(item)) for key, item in data.get("banks", {}).items()},
        ended=_register(Noted, data.get("ended")),
    )


def _attempt(data: Mapping[str, Any]) -> Attempt:
    return Attempt(
        opened_at=_time(data.get("opened_at")),
        returned_at=_time(data.get("returned_at")),
        successes=_times(data.get("successes", {})),
        undated=_times(data.get("undated", {})),
        named=_times(data.get("named", {})),
        setback=_register(Setback, data.get("setback")),
        progress=_register(Noted, data.get("progress")),
        renews=_times(data.get("renews", {})),
        required_at=_time(data.get("required_at")),
        withdrawn_at=_time(data.get("withdrawn_at")),
        doubts=_times(data.get("doubts", {})),
        proofs=_times(data.get("proofs", {})),
        confirmed=_times(data.get("confirmed", {})),
        refused=_times(data.get("refused", {})),
    )


def _link(data: Mapping[str, Any]) -> Link:
    return Link(
        standing=_register(Standing, data.get("standing")),
        removed_at=_time(data.get("removed_at")),
        last_removed_at=_time(data.get("last_removed_at")),
        last_success_at=_time(data.get("last_success_at")),
        trouble=_register(Noted, data.get("trouble")),
        listed=_register(Noted, data.get("listed")),
        first_bare_success_at=_time(data.get("first_bare_success_at")),
        last_bare_success_at=_time(data.get("last_bare_success_at")),
        bare_undated_at=_time(data.get("bare_undated_at")),
        details={key: Noted(*_stamped(item)) for key, item in data.get("details", {}).items()},
        undated_details={
            key: Noted(*_stamped(item)) for key, item in data.get("undated_details", {}).items()
        },
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _times(data: Mapping[str, str]) -> dict[str, datetime]:
    return {key: datetime.fromisoformat(text) for key, text in data.items()}


def _stamped(item: list[Any]) -> tuple[Any, ...]:
    return (datetime.fromisoformat(item[0]), *item[1:])


def _register(kind: Callable[..., T], item: list[Any] | None) -> T | None:
    return kind(*_stamped(item)) if item else None
