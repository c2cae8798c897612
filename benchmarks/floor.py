"""The floor: a view written by hand that verifies the same signature and runs the same statements on a raw cursor.

It knows what each webhook of the benchmark means, and so decides nothing: what it costs is Django, and the database.
The statements are those that the app itself ran for one webhook, recorded before the run, with other values.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from pathlib import Path

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.deliveries import SECRET

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
TOLERANCE = 300  # seconds
# One list for before BEGIN, one for the transaction, one for after COMMIT; {name} stands for a value.
BEFORE, INSIDE, AFTER = json.loads(Path(os.environ["BENCHMARK_STATEMENTS"]).read_text())


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    body = request.body
    if not _is_signed(request, body):
        return HttpResponse(status=403)
    about = json.loads(body)["data"]
    values = {
        "token": about["custom_fields"]["pending_token"],
        "link": about["connection_id"],
        "digest": hashlib.sha256(body).hexdigest(),
    }
    with connection.cursor() as cursor:
        for sql in BEFORE:
            cursor.execute(_with(values, sql))
        row = cursor.fetchone()
        values |= {"key": str(row[0]), "reference": str(row[1])}
        with transaction.atomic():
            for sql in INSIDE:
                cursor.execute(_with(values, sql))
        for sql in AFTER:
            cursor.execute(_with(values, sql))
    return HttpResponse(status=200)


def _with(values: dict[str, str], sql: str) -> str:
    for name, value in values.items():
        sql = sql.replace("{" + name + "}", value)
    return sql


def _is_signed(request: HttpRequest, body: bytes) -> bool:
    name, sent = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    expected = hmac.new(KEY, f"{name}.{sent}.".encode() + body, hashlib.sha256).digest()
    given = base64.b64decode(request.headers["webhook-signature"].removeprefix("v1,"))
    return abs(time.time() - int(sent)) < TOLERANCE and hmac.compare_digest(expected, given)


urlpatterns = [path("banking/webhook/", webhook)]
