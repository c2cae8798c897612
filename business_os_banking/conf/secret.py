"""Values that reports of errors must not show: those print every local variable of every frame. Pure: no Django."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final
from uuid import UUID

_MASK: Final = "***"


class Secret:
    """A text that is not shown: its ``repr`` and its ``str`` are ``***``. `open` returns it, where it is used.

    Secrets are equal, to one another and to plain texts, by their texts.
    """

    __slots__ = ("_text",)

    def __init__(self, text: Secret | str) -> None:
        self._text: str = text._text if isinstance(text, Secret) else text  # noqa: SLF001 - its own

    def open(self) -> str:
        """Return the text. It is one like any other but for its ``repr``, which is ``***``."""
        return Masked(self._text)

    def encode(self) -> bytes:
        """Return the bytes of the text in UTF-8, for a signature."""
        return _bytes(self._text)

    def __repr__(self) -> str:
        return _MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret | str):
            return NotImplemented
        return compare_digest(self.encode(), Secret(other).encode())

    def __hash__(self) -> int:
        return hash(self._text)


class Masked(str):
    """A text whose ``repr`` is ``***``. Libraries that are given one may keep it in variables of their own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _MASK


class Token(UUID):
    """A UUID whose ``repr`` is ``***``. Its ``str`` is what it is, since that is what databases are given."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _MASK


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
