"""Webhooks as a sender makes them: bodies of Salt Edge's callbacks, signed by Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from time import time as clock
from typing import Any

SECRET = "whsec_YmVuY2htYXJrcyBvbmx5LCBub3QgYSBzZWNyZXQ="


SUCCESS = {
    "stage": "finish",
    "provider_code": "demobank_de",
    "provider_name": "Demobank",
    "country_code": "DE",
}


def body(pending_token: object, link: str, *, time: str = "2026-11-01T10:00:00Z", **data: Any) -> bytes:
    """Return the body of a callback about the session with *pending_token*; without more, of its success."""
    about = {
        "connection_id": link,
        "customer_id": "9876543210123",
        "custom_fields": {"pending_token": str(pending_token)},
        **(data or SUCCESS),
    }
    return json.dumps({"data": about, "meta": {"version": "6", "time": time}}).encode()


def headers(content: bytes, *, good: bool = True) -> dict[str, str]:
    """Return the headers that sign *content*, or with ``good=False`` ones that do not."""
    now = str(int(clock()))
    name = "msg_" + hashlib.sha256(content).hexdigest()[:24]
    key = base64.b64decode(SECRET.removeprefix("whsec_")) if good else b"another key"
    digest = hmac.new(key, f"{name}.{now}.".encode() + content, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
