"""An independent fake of Business OS: it shares no code with our client or our sandbox."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeUpstream:
    url: str
    calls: list[dict[str, Any]] = field(default_factory=list)  # what was asked, oldest first


@contextmanager
def fake_upstream() -> Iterator[FakeUpstream]:
    """Serve connect calls on a free port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            token = str(uuid.uuid4())
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.calls.append(
                {"path": self.path, "headers": headers, "body": json.loads(body), "token": token}
            )
            answer = json.dumps(
                {
                    "connect_url": f"https://www.saltedge.com/connect?token={uuid.uuid4().hex}",
                    "expires_at": "2099-03-24T12:44:03Z",
                    "owner_user_id": "d90f20ae-f6c1-46da-a080-3d4c86329bf6",
                    "pending_token": token,
                    "something_new": {"unknown": True},
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeUpstream(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def success(call: dict[str, Any], connection_id: str) -> bytes:
    """Return Salt Edge's success callback for a connect call."""
    custom_fields = {**call["body"]["custom_fields"], "pending_token": call["token"]}
    data = {
        "connection_id": connection_id,
        "customer_id": "1234567890123",
        "custom_fields": custom_fields,
        "stage": "finish",
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return json.dumps({"data": data, "meta": {"version": "6", "time": now}}).encode()


def signed(how: str, body: bytes, secret: str, whsec: str) -> tuple[str, dict[str, str]]:
    """Return what to add to the webhook's address, and headers, to prove oneself in the way *how*."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256)
    if how == "address":
        return f"default/{secret}/", {}
    headers = {
        "header": {"X-Webhook-Secret": secret},
        "bearer": {"Authorization": f"Bearer {secret}"},
        "basic": {"Authorization": "Basic " + base64.b64encode(f"bos:{secret}".encode()).decode()},
        "hmac hex": {"X-Signature": "sha256=" + digest.hexdigest()},
        "hmac base64": {"X-Signature": base64.b64encode(digest.digest()).decode()},
        "standard webhooks": _standard_webhooks(body, whsec),
    }
    return "default/" if how == "header" else "", headers[how]


def _standard_webhooks(body: bytes, whsec: str) -> dict[str, str]:
    message_id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(whsec.removeprefix("whsec_"))
    text = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
