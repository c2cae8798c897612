"""A real HTTP server on loopback, whose answers a test scripts down to the bytes and the pauses."""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from business_os_banking import conf

KEY = "bos_live_" + "0123456789abcdef" * 2
CONNECT_URL = "https://www.saltedge.com/connect?token=xxx"
TOKEN = "8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f"
GOOD = {
    "connect_url": CONNECT_URL,
    "expires_at": "2026-03-24T12:44:03Z",
    "owner_user_id": "d90f20ae-f6c1-46da-a080-3d4c86329bf6",
    "pending_token": TOKEN,
}


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class Server:
    """``behave`` answers each request; ``connections`` counts the TCP connections that sent any."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    tunnels: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    behave: Callable[[Exchange], None] = field(default=lambda exchange: exchange.answer(GOOD))
    tunnel: Callable[[Exchange], None] = field(default=lambda exchange: exchange.pass_on())

    def account(self, **values: Any) -> conf.Account:
        return conf.make_account(
            "default", {"API_KEY": KEY, "BASE_URL": self.url, "TIMEOUT": (1, 0.4), **values}
        )


class Exchange(BaseHTTPRequestHandler):
    """One connection. A test's ``behave`` is given this, and answers with the methods below."""

    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True
    server: _HTTPServer

    def setup(self) -> None:
        super().setup()
        self.counted = False

    def do_POST(self) -> None:
        script = self.server.script
        if not self.counted:
            self.counted, script.connections = True, script.connections + 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script.seen.append(Seen(self.command, self.path, self.headers, body))
        script.behave(self)

    do_GET = do_DELETE = do_POST  # noqa: N815 - http.server's names for them

    def do_CONNECT(self) -> None:
        self.server.script.tunnels += 1
        self.close_connection = True
        self.server.script.tunnel(self)

    def pass_on(self) -> None:
        """Be a proxy: pass on bytes, both ways, until one side has no more."""
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            other = {self.connection: far, far: self.connection}
            while not self.server.script.stop.is_set():
                for near in select.select(list(other), [], [], 0.05)[0]:
                    data = near.recv(65_536)
                    if not data:
                        return
                    other[near].sendall(data)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Answer in full; *body* is bytes as they are, or becomes JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self, content: bytes, pause: float = 0.05) -> None:
        """Send a byte at a time, until all is sent or the test is over."""
        for place in range(len(content)):
            self.wfile.write(content[place : place + 1])
            if self.server.script.stop.wait(pause):
                return

    def hang(self) -> None:
        self.server.script.stop.wait(20)
        self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it overrides
        pass


class _HTTPServer(ThreadingHTTPServer):
    script: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client hung up in the middle: that is what some tests are about."""


def serve(script: Server, tls: ssl.SSLContext | None = None) -> Callable[[], None]:
    """Start serving *script* on a free port of loopback, set its ``url``, and return what stops it."""
    server = _HTTPServer(("127.0.0.1", 0), Exchange)
    server.script = script
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    script.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

    def stop() -> None:
        script.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
