"""The floor: a view written by hand that verifies the same signature and runs the same statements on a raw cursor.

It knows what each webhook of the benchmark means, and so decides nothing: what it costs is Django, and the database.
The statements are those that the app itself runs for one webhook, recorded at the start, with other values. It waits
for the answer to each, as one does by hand; with ``BENCHMARK_PIPELINE`` it sends those of the transaction in one go, as
the app does, and does not even read the row that it locks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from contextlib import nullcontext
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks import statements
from benchmarks.deliveries import SECRET

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
TOLERANCE = 300  # seconds
PIPELINE = "BENCHMARK_PIPELINE" in os.environ
with override_settings(ROOT_URLCONF="benchmarks.urls"):
    BEFORE, INSIDE, AFTER = statements.record()


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    body = request.body
    if not _is_signed(request, body):
        return HttpResponse(status=403)
    about = json.loads(body)["data"]
    values = {
        "{token}": about["custom_fields"]["pending_token"],
        "{link}": about["connection_id"],
        "{digest}": hashlib.sha256(body).hexdigest(),
    }
    with connection.cursor() as cursor:
        _run(cursor, BEFORE, values)
        _what, session, reference, _token, root, *_rest = cursor.fetchone()
        values |= {"{session}": str(session), "{connection}": str(root), "{reference}": str(reference)}
        with transaction.atomic(), connection.connection.pipeline() if PIPELINE else nullcontext():
            _run(cursor, INSIDE, values)
        _run(cursor, AFTER, values)
    return HttpResponse(status=200)


def _run(cursor: Any, some: list[statements.Statement], values: dict[str, str]) -> None:
    for sql, params in some:
        cursor.execute(sql, [_filled(value, values) if isinstance(value, str) else value for value in params])


def _filled(value: str, values: dict[str, str]) -> str:
    for name, real in values.items():
        if name in value:
            value = value.replace(name, real)
    return value


def _is_signed(request: HttpRequest, body: bytes) -> bool:
    name, sent = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    expected = hmac.new(KEY, f"{name}.{sent}.".encode() + body, hashlib.sha256).digest()
    given = base64.b64decode(request.headers["webhook-signature"].removeprefix("v1,"))
    return abs(time.time() - int(sent)) < TOLERANCE and hmac.compare_digest(expected, given)


urlpatterns = [path("banking/webhook/", webhook)]
