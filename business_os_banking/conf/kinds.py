"""What a setting's value may be. Settings come from outside: whatever is asked about, the answer is yes or no."""

import sys
from collections.abc import Mapping
from typing import Any


def is_text_map(value: Any) -> bool:
    """Return whether *value* is a dict of texts by text."""
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def is_count(value: Any) -> bool:
    """Return whether *value* is a whole number, zero or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_days(value: Any) -> bool:
    """Return whether *value* is a list of whole numbers of days above zero."""
    return isinstance(value, list | tuple) and all(
        isinstance(days, int) and not isinstance(days, bool) and days > 0 for days in value
    )


def is_positive_number(value: Any) -> bool:
    """Return whether *value* is a finite number above zero, and a real one: no bool, no text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= sys.float_info.max


def is_header_text(value: str) -> bool:
    """Return whether *value* can be sent as the value of a header, and has no blank in it."""
    return value.isascii() and value.isprintable() and " " not in value
