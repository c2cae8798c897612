"""Reading a request: a small JSON object, and the key that makes it safe to repeat."""

from __future__ import annotations

import re
from typing import Any, Final

from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.utils import json

MAX_BYTES: Final = 16_384
KEY_HEADER: Final = "Idempotency-Key"
# The string of a structured header is quoted, but many clients leave the quotes out.
KEY: Final = r'"?([!#-~]{1,255})"?'


class ContentTooLarge(APIException):
    status_code = 413
    default_detail = f"At most {MAX_BYTES} bytes are read."


class SmallJSONParser(BaseParser):
    """JSON of up to `MAX_BYTES`: Django's own limit does not hold for a body that is read as a stream."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise ContentTooLarge
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"This is no JSON: {error}") from error


def idempotency_key(request: Request) -> str:
    """Return the request's idempotency key without quotes, or ""; raise `ValidationError` for an invalid one."""
    value = request.headers.get(KEY_HEADER)
    if value is None:
        return ""
    match = re.fullmatch(KEY, value)
    if match is None:
        raise ValidationError({KEY_HEADER: [_("Use 1 to 255 visible ASCII characters.")]})
    return match[1]


def single_values(query: QueryDict) -> dict[str, Any]:
    """Return the parameters of an address by name; raise `ValidationError` for one that is repeated."""
    repeated = [name for name, values in query.lists() if len(values) > 1]
    if repeated:
        raise ValidationError({name: [_("Give this only once.")] for name in repeated})
    return query.dict()
