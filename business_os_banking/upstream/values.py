"""What a single value from outside says: nothing, a word, an id, a UUID, the name of a bank. Pure: no Django.

Senders and relays write what is absent in many ways (upstream facts, section 10). Whatever reads JSON of the upstream,
a webhook or an answer, first leaves out what says nothing (`something`), and asks here what the rest says.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, TypeVar
from uuid import UUID

from business_os_banking.conf.secret import Masked
from business_os_banking.upstream import masking

U = TypeVar("U", bound=UUID)
ID_MAX_LENGTH: Final = 128  # what the columns hold
WORD_MAX_LENGTH: Final = 128
NAME_MAX_LENGTH: Final = 255
MAX_NESTING: Final = 32  # no object of the upstream that is known comes near it
_NUMBER_MAX_BITS: Final = 256

# Compared in lower case, without blanks around: what languages print for "there is none".
_NOTHING: Final = frozenset(
    {"", "undefined", "null", "none", "nil", "nan", "never", "n/a", "-", "--", "\u2013", "\u2014"}
)
_LONGEST: Final = max(map(len, _NOTHING))
# Members of objects in which zero stands for nothing, too: ids, times, and the class of an error.
_ZERO_IS_NOTHING: Final = ("_id", "_at", "time", "stage", "error_class")
_ZERO_MAX_LENGTH: Final = 40  # a zero UUID in braces, and more zeros than anybody writes
# Members that reports of errors must not show: with them a session can be named, or taken over.
_SECRET: Final = frozenset({"pending_token", "pendingToken", "connect_url"})
# What shows nothing although it counts as printable: fillers of Hangul, an empty Braille cell, a joiner of graphemes.
_BLANK_LETTERS: Final = "\u034f\u115f\u1160\u2800\u3164\uffa0"
_WORD: Final = re.compile(r"[\w.:=/+-]+", re.ASCII)
# Zero-width joiners are part of how some scripts write a word; all other characters of format are invisible tricks.
_JOINERS: Final = "\u200c\u200d"


class NotWhole(str):
    """The text of a JSON number that is not whole. As an id it is of no use: digits may be lost already."""

    __slots__ = ()


def is_nothing(value: Any) -> bool:
    """Return whether *value* says nothing: ``null``, ``false``, what is empty, and words for nothing.

    A list or an object in which all is nothing is nothing as well. ``0`` is a number here; as an id it is nothing.
    """
    if isinstance(value, str):
        text = value.strip()
        return len(text) <= _LONGEST and _is_word_for_nothing(text)
    if isinstance(value, dict):
        return all(map(is_nothing, value.values()))
    if isinstance(value, list):
        return all(map(is_nothing, value))
    return value is None or value is False or value != value  # NaN


def says_nothing(key: str, value: Any) -> bool:
    """Return whether an object's member says nothing; of an object in it, only something is left already.

    That an attempt is not finished says something, if only within the attempt: else it would pass for none.
    """
    if value.__class__ is dict:
        return not value
    if key == "finished":
        return value is not False and is_nothing(value)
    return is_nothing(value) or ((key == "id" or key.endswith(_ZERO_IS_NOTHING)) and _is_zero(value))


def something(value: Any, depth: int = MAX_NESTING) -> Any:
    """Return *value*, JSON of any depth, without the members of objects that say nothing."""
    if isinstance(value, dict):
        members = ((key, something(item, depth - 1)) for key, item in value.items()) if depth else ()
        return {key: item for key, item in members if not says_nothing(key, item)}
    if isinstance(value, list):
        return [something(item, depth - 1) for item in value] if depth else []
    return value


def unshown(key: str, value: Any) -> Any:
    """Return the *value* of a member or a column, of a kind that reports of errors do not show if it is secret."""
    return Masked(value) if key in _SECRET and isinstance(value, str) else value


def word_of(value: Any) -> str:
    """Return one plain word (a class, a code, a status; whole numbers count), or ``""``: anybody may send anything.

    Neither an IBAN nor a word for nothing is one.
    """
    text = _text_of(value)
    if len(text) > WORD_MAX_LENGTH or not _WORD.fullmatch(text) or _is_word_for_nothing(text):
        return ""
    return text if text.isdecimal() or masking.masked(text) == text else ""


def id_of(value: Any) -> str:
    """Return an id of the upstream as text, or ``""`` for nothing and for what cannot be one.

    Ids are opaque: their case is kept, and they are never cut. See `is_unusable_id` for those that cannot be used.
    """
    text = "" if isinstance(value, NotWhole) else word_of(value)
    return "" if _is_zero(text) else text


def is_unusable_id(value: Any) -> bool:
    """Return whether *value* is meant as an id and cannot be used as one: too long, or not a plain word."""
    if is_nothing(value) or id_of(value):
        return False
    return not _is_zero(value)


def uuid_of(value: Any, kind: type[U] = UUID) -> U | None:  # type: ignore[assignment]
    """Return *value* as a UUID, or ``None`` if it is not the text of one, or the one that is all zeros."""
    if not isinstance(value, str):
        return None
    try:
        uuid = kind(value.strip())
    except ValueError:
        return None
    return uuid if uuid.int else None


def bank_name_of(value: Any) -> str:
    """Return the name of a bank as one line, or ``""``.

    White space of every kind becomes one blank; characters that cannot be seen go, but for those that join letters.
    """
    if not isinstance(value, str):
        return ""
    text = "".join(char if char.isprintable() or char in _JOINERS else _blank(char) for char in value)
    text = " ".join(text.split())[:NAME_MAX_LENGTH].rstrip()
    if is_nothing(text.strip(f"{_JOINERS}{_BLANK_LETTERS} ")):
        return ""
    # The one free text that is kept, and what names a bank has neither an e-mail address nor an IBAN in it.
    return text if masking.masked(text) == text else ""


def _is_zero(value: Any) -> bool:
    """Whether *value* is zero, as a number, a text, or a UUID, in any of its forms."""
    text = str(value) if isinstance(value, str | int | float) else ""
    return 0 < len(text) <= _ZERO_MAX_LENGTH and "0" in text and not text.strip().strip("{}").strip("0-.")


def _is_word_for_nothing(text: str) -> bool:
    if len(text) > _LONGEST:
        return False
    return text.lower() in _NOTHING or not (text.isprintable() or any(map(_is_visible, text)))


def _is_visible(char: str) -> bool:
    return char.isprintable() and not char.isspace()


def _blank(char: str) -> str:
    return " " if char.isspace() or unicodedata.category(char) in {"Zl", "Zp", "Zs"} else ""


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value.bit_length() < _NUMBER_MAX_BITS else ""
    return ""
