"""Bytes to a JSON object, at a cost that is bounded by their number, and with nothing lost on the way unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from business_os_banking.exceptions import BankingError
from business_os_banking.upstream.values import MAX_NESTING, NotWhole, says_nothing, unshown

Object = Mapping[str, Any]

# No callback that is known comes near it; what goes beyond was written to cost us something.
MAX_KEYS: Final = 2000


class NotUnderstoodError(BankingError):
    """The body is not a JSON object, or not one of a size that is read here. The message quotes nothing of it."""


def parse(content: bytes) -> tuple[Object, frozenset[str]]:
    """Return the object that *content* is, and the keys that stand twice in one object with different values.

    What says nothing is left out, as `values.something` does it. Of a key's values the last is the one that stands in
    the object, as everywhere in Python; what that is worth is for the caller to say. Numbers that are not whole stay
    texts. Raises `NotUnderstoodError`.
    """
    contradicted: set[str] = set()
    keys = 0

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal keys
        keys += len(pairs)
        if keys > MAX_KEYS:
            raise NotUnderstoodError(f"the body has more than {MAX_KEYS} keys")
        values: dict[str, Any] = {}
        for key, value in pairs:
            # Objects are made from the inside out: those in it are without what says nothing.
            if not says_nothing(key, value):
                if key in values and values[key] != value:
                    contradicted.add(key)
                values[key] = unshown(key, value)
        return values

    try:
        parsed = json.loads(
            # As RFC 8259 has it, or with the mark before it that some languages write.
            content.decode(json.detect_encoding(content)),
            object_pairs_hook=to_object,
            parse_float=NotWhole,
            parse_constant=NotWhole,
        )
    except (ValueError, RecursionError):
        raise NotUnderstoodError("the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise NotUnderstoodError("the body is not a JSON object")
    if content.count(b"{") + content.count(b"[") > MAX_NESTING:
        _check_nesting(parsed)
    return parsed, frozenset(contradicted)


def _check_nesting(parsed: dict[str, Any]) -> None:
    level: list[Any] = [parsed]
    for _ in range(MAX_NESTING):
        members = (item.values() if isinstance(item, dict) else item for item in level)
        level = [value for values in members for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise NotUnderstoodError(f"the body is nested more than {MAX_NESTING} deep")
