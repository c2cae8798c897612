"""Strict reading of the body of ``POST /v2/banking/connect``.

Stricter than the public page promises, on purpose: what passes here should pass there.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

APIS = ("partner", "openbanking")
SCOPES = ("accounts", "holder_info", "transactions")
MAX_CUSTOM_FIELDS = 1024  # bytes of compact JSON
MAX_RETURN_TO = 2040  # characters

_FORMAT = "WrongRequestFormat"


class NotJSONError(ValueError):
    """The body is no JSON text that a strict reader accepts."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one field."""

    field: str
    error_class: str
    message: str


@dataclass(frozen=True)
class ConnectRequest:
    """A valid request, with the documented defaults filled in."""

    api: str
    email: str
    return_to: str
    scopes: list[str]
    custom_fields: dict[str, Any]


def read_json(raw: bytes) -> Any:
    """Parse a request body; raises ``NotJSONError``."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
        # What Python reads and others refuse: infinite numbers, half a surrogate pair, NUL.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
        if "\\u0000" in text.replace("\\\\", ""):
            raise NotJSONError("The body contains a NUL character.")
    except (ValueError, RecursionError) as error:
        raise NotJSONError(str(error)) from None
    return value


def _refuse_constant(name: str) -> None:
    raise NotJSONError(f"{name} is not JSON.")


def check_connect(api: str, body: object) -> tuple[ConnectRequest | None, list[Problem]]:
    """Check the query's ``api`` and the parsed body.

    Returns the request and no problems, or ``None`` and all problems, in a stable order.
    """
    problems: list[Problem] = []
    if api not in APIS:
        problems.append(Problem("api", _FORMAT, f"api must be one of {', '.join(APIS)}."))
    if not isinstance(body, dict):
        return None, [*problems, Problem("", _FORMAT, "The body must be a JSON object.")]
    checks = {
        "email": _check_email,
        "return_to": _check_return_to,
        "scopes": _check_scopes,
        "custom_fields": _check_custom_fields,
    }
    problems += [Problem(str(name), _FORMAT, "Unknown field.") for name in body if name not in checks]
    for name, check in checks.items():
        problem = check(body[name]) if name in body else None
        if problem:
            problems.append(problem)
    if problems:
        return None, problems
    return (
        ConnectRequest(
            api=api,
            email=body.get("email", ""),
            return_to=body.get("return_to", ""),
            scopes=list(body.get("scopes", SCOPES)),
            custom_fields=dict(body.get("custom_fields", {})),
        ),
        [],
    )


def _check_email(value: object) -> Problem | None:
    if not isinstance(value, str):
        return Problem("email", "EmailInvalid", "email must be a string.")
    try:
        validate_email(value)
    except ValidationError:
        return Problem("email", "EmailInvalid", "email is not an e-mail address.")
    return None


def _check_return_to(value: object) -> Problem | None:
    if not isinstance(value, str):
        return Problem("return_to", "ReturnURLInvalid", "return_to must be a string.")
    if len(value) > MAX_RETURN_TO:
        text = f"return_to has more than {MAX_RETURN_TO} characters."
        return Problem("return_to", "ReturnURLTooLong", text)
    if not _is_absolute(value):
        text = "return_to must be an absolute http or https URI."
        return Problem("return_to", "ReturnURLInvalid", text)
    return None


def _is_absolute(value: str) -> bool:
    # A URI is ASCII without blanks; urlsplit would quietly drop tabs and line breaks.
    if not value.isascii() or any(ord(character) <= 32 or character == "\x7f" for character in value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _check_scopes(value: object) -> Problem | None:
    if not isinstance(value, list) or not all(isinstance(scope, str) for scope in value):
        return Problem("scopes", _FORMAT, "scopes must be an array of strings.")
    unknown = [scope for scope in value if scope not in SCOPES]
    if unknown or not value or len(set(value)) != len(value):
        text = f"scopes must name one or more of {', '.join(SCOPES)}, each once."
        return Problem("scopes", "AispConsentScopesNotAllowed", text)
    return None


def _check_custom_fields(value: object) -> Problem | None:
    if not isinstance(value, dict):
        text = "custom_fields must be an object."
        return Problem("custom_fields", "CustomFieldsFormatInvalid", text)
    if "pending_token" in value:
        text = "custom_fields must not contain pending_token: that key is ours."
        return Problem("custom_fields", "CustomFieldsFormatInvalid", text)
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_CUSTOM_FIELDS:
        text = f"custom_fields has {size} bytes, which is more than {MAX_CUSTOM_FIELDS}."
        return Problem("custom_fields", "CustomFieldsSizeTooBig", text)
    return None
