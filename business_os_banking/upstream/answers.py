"""Reading what Business OS answers, tolerantly: unknown fields are ignored, missing ones have defaults."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotFound,
    OutOfCredits,
    RateLimited,
    Refused,
    Unintelligible,
    UpstreamTrouble,
)
from business_os_banking.upstream import masking

_GONE: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE}
_CLASS_MAX_LENGTH: Final = 128
_NAME_MAX_LENGTH: Final = 255
_ID_MAX_BITS: Final = 256
_ID: Final = re.compile(r"[\w-]{1,128}", re.ASCII)
_WORD: Final = re.compile(r"[\w.:/+-]{1,128}", re.ASCII)
_WAIT_MAX_DIGITS: Final = 9
_WAIT_MAX: Final = 86_400  # seconds; who asks for more is asked again after a day
_YEARS: Final = range(2000, 2200)
_SENT: Final = ("api", "custom_fields", "email", "return_to", "scopes")


def json_of(content: bytes) -> Any:
    """Return the decoded JSON; raise `Unintelligible` for anything else, such as a gateway's HTML."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Unintelligible("The answer is not JSON.") from None


def data_of(answer: Any) -> Any:
    """Return what is under ``data``, where an answer has it; envelopes are not uniform upstream."""
    if isinstance(answer, Mapping) and isinstance(answer.get("data"), Mapping | list):
        return answer["data"]
    return answer


def uuid_of(value: Any) -> UUID | None:
    """Return *value* as a UUID, or ``None`` if it is not the text of one."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value.strip())
    except ValueError:
        return None


def time_of(value: Any) -> datetime | None:
    """Return an ISO 8601 text as an aware time in UTC (without an offset it is taken as UTC), or ``None``.

    A time that is centuries off is none: neither databases nor other time zones can take it, and nobody means it.
    """
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        time = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None


def detail_of(key: str, value: Any) -> str:
    """Return what is said of a link under *key* (one of `DETAILS`) as a text to keep, or ``""``."""
    if key.endswith("_at"):
        time = time_of(value)
        return time.isoformat() if time else ""
    if key == "owner_user_id":
        return str(uuid_of(value) or "")
    if key == "provider_name":
        text = value if isinstance(value, str) else ""
        text = "".join(char for char in text if char.isprintable())[:_NAME_MAX_LENGTH]
        # The one free text that is kept, and what names a bank has neither of these in it.
        return text if masking.masked(text) == text else ""
    return word_of(value)


def word_of(value: Any) -> str:
    """Return one plain word (an id, a class, a code; whole numbers count), or ``""``: anybody may send anything.

    An IBAN is no word.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if value.bit_length() < _ID_MAX_BITS else ""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        return ""
    return value if masking.masked(value) == value else ""


def id_of(value: Any) -> str:
    """Return an id of the upstream as text, or ``""`` for what cannot be one. Its case is kept: ids are opaque."""
    text = word_of(value)
    return text if _ID.fullmatch(text) else ""


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> BusinessOSError:
    """Return the exception for an answer that is not 2xx.

    The upstream's message is left out on purpose: it may repeat an e-mail address. Match on the class.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    name = _class_of(body)
    message = f"HTTP {status}" + (f" {name}" if name else "")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Refused(message, error_class=name, status=status)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return OutOfCredits(message, error_class=name, status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _retry_after(headers.get("Retry-After", ""))
        return RateLimited(message, error_class=name, status=status, retry_after=wait)
    if status in _GONE:
        return NotFound(message, error_class=name, status=status)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        fields = _field_errors(body)
        # Anything else may be data of a customer, or the key, and messages go to logs.
        if names := sorted(set(fields) & set(_SENT)):
            message += f" (fields: {', '.join(names)})"
        return InvalidRequest(message, error_class=name, status=status, fields=fields)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UpstreamTrouble(message, error_class=name, status=status)
    return Unintelligible(f"{message}: a redirect is not an answer.", status=status)


def _class_of(body: Any) -> str:
    """Return the class of an error, looked for where the known error shapes have it, or ``""``."""
    if not isinstance(body, Mapping):
        return ""
    error = body.get("error")
    inner = error if isinstance(error, Mapping) else {}
    candidates = inner.get("class"), body.get("error_class"), inner.get("code"), body.get("code")
    for value in candidates:
        # A class is one word; a sentence under the same key is a message, and may name the customer.
        if isinstance(value, str) and value.isascii() and value.isidentifier():
            return value[:_CLASS_MAX_LENGTH]
    return ""


def _field_errors(body: Any) -> dict[str, list[str]]:
    """Return the messages by field, from the usual shapes: a map, or a list of objects."""
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error")
    inner = error if isinstance(error, Mapping) else {}
    places = [body.get(name) for name in ("errors", "detail", "details", "fields", "issues")]
    places += [inner.get(name) for name in ("errors", "detail", "details", "fields", "issues")]
    fields: dict[str, list[str]] = {}
    for place in [*places, error if isinstance(error, list) else None]:
        for name, message in _named_messages(place):
            fields.setdefault(name, []).append(message)
    return fields


def _named_messages(place: Any) -> list[tuple[str, str]]:
    if isinstance(place, Mapping):
        return [
            (str(name), str(item))
            for name, value in place.items()
            for item in (value if isinstance(value, list) else [value])
        ]
    return [
        (name, str(item.get("message") or item.get("msg") or ""))
        for item in (place if isinstance(place, list) else [])
        if isinstance(item, Mapping) and (name := _field_of(item))
    ]


def _field_of(item: Mapping[str, Any]) -> str:
    """Return the field that an error is about: a name, or the last name on the path to it."""
    for key in ("field", "param", "path", "loc"):
        value = item.get(key)
        names = [step for step in (value if isinstance(value, list) else [value]) if isinstance(step, str)]
        if names:
            return names[-1]
    return ""


def _retry_after(value: str) -> int | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110 10.2.3: seconds or a date), a day at most, or ``None``."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        # More digits than int() takes are no wait that anybody means.
        return min(int(text), _WAIT_MAX) if len(text) <= _WAIT_MAX_DIGITS else None
    try:
        wait = parsedate_to_datetime(text) - datetime.now(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(0, round(wait.total_seconds())), _WAIT_MAX)
