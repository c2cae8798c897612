"""Reading what Business OS answers, tolerantly: unknown fields are ignored, missing ones have defaults."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

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
from business_os_banking.upstream import values

_GONE: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE}
# Of a proxy or of TLS, not of the API: the same request may well work a moment later.
_TEMPORARY: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.TOO_EARLY}
_REQUEST_IDS: Final = ("X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "CF-Ray")
_CLASS_MAX_LENGTH: Final = 128
_SECONDS: Final = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_WAIT_MAX_DIGITS: Final = 12
_WAIT_MAX: Final = 86_400  # seconds; who asks for more is asked again after a day
# Of the answer to a removal: an id of the connection, and what tells of an error.
_IDS: Final = {"connection_id", "id"}
_ABOUT_THE_CALL: Final = {"request", "meta"}
_ERRORS: Final = {"error", "errors", "error_class", "error_message"}
_SENT: Final = ("api", "custom_fields", "email", "return_to", "scopes")


def json_of(content: bytes) -> Any:
    """Return the decoded JSON; raise `Unintelligible` for anything else, such as a gateway's HTML."""
    try:
        return json.loads(content, object_hook=_unshown)
    except (ValueError, RecursionError):
        raise Unintelligible("The answer is not JSON.") from None


def _unshown(members: dict[str, Any]) -> dict[str, Any]:
    return {key: values.unshown(key, value) for key, value in members.items()}


def data_of(answer: Any) -> Any:
    """Return what is under ``data``, where an answer has it; envelopes are not uniform upstream."""
    if isinstance(answer, Mapping) and isinstance(answer.get("data"), Mapping | list):
        return answer["data"]
    return answer


def says_removed(answer: Any, upstream_id: str) -> bool:
    """Return whether *answer* says that this connection was removed; raise `Unintelligible` if it says otherwise."""
    members = list(_members(answer))
    if any(name in _ERRORS and values.something(value) for name, value in members):
        raise Unintelligible("The answer to the removal holds an error.")
    removed = [value for name, value in members if name == "removed" and value is not None]
    if any(str(value).strip().lower() != "true" for value in removed):
        raise Unintelligible("The upstream says that the connection was not removed.")
    ids = {str(value).strip() for name, value in members if name in _IDS and not values.is_nothing(value)}
    if ids - {upstream_id}:
        raise Unintelligible("The answer to the removal is about another connection.")
    return bool(removed)


def _members(content: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Yield the members of *content* and of all objects in it, *depth* deep; not those that tell of the call itself."""
    if isinstance(content, Mapping):
        yield from content.items()
        content = [value for name, value in content.items() if name not in _ABOUT_THE_CALL]
    if isinstance(content, list) and depth:
        for item in content:
            yield from _members(item, depth - 1)


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> BusinessOSError:
    """Return the exception for an answer that is not 2xx.

    The upstream's message is left out on purpose: it may repeat an e-mail address. Match on the class.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    error = _error_of(status, body)
    error.from_api = isinstance(body, Mapping)
    error.retry_after = retry_after(headers.get("Retry-After", ""))
    return error


def is_temporary(status: int) -> bool:
    """Return whether *status* is trouble that passes, whatever was asked."""
    return status in _TEMPORARY or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return what the upstream calls the request, for asking its support; ``""`` if it does not say."""
    return next(filter(None, (values.word_of(headers.get(name, "")) for name in _REQUEST_IDS)), "")


def _error_of(status: int, body: Any) -> BusinessOSError:
    name = _class_of(body)
    message = f"HTTP {status}" + (f" {name}" if name else "")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Refused(message, error_class=name, status=status)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return OutOfCredits(message, error_class=name, status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(message, error_class=name, status=status)
    if status in _GONE:
        return NotFound(message, error_class=name, status=status)
    if is_temporary(status):
        return UpstreamTrouble(message, error_class=name, status=status)
    if status >= HTTPStatus.BAD_REQUEST:
        fields = _field_errors(body)
        # Anything else may be data of a customer, or the key, and messages go to logs.
        if names := sorted(set(fields) & set(_SENT)):
            message += f" (fields: {', '.join(names)})"
        return InvalidRequest(message, error_class=name, status=status, fields=fields)
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


def retry_after(value: str) -> int | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110 10.2.3), a day at most, or ``None``.

    Seconds may have a fraction; of dates, all three forms are read that the RFC wants to be.
    """
    text = " ".join(value.split())
    if _SECONDS.fullmatch(text):
        # More digits than a number needs are no wait that anybody means.
        return min(math.ceil(float(text)), _WAIT_MAX) if len(text) <= _WAIT_MAX_DIGITS else None
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # What names no zone (asctime) is in UTC.
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return min(max(0, round((moment - datetime.now(UTC)).total_seconds())), _WAIT_MAX)
