"""A site's webhook on a real socket."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener(ThreadingHTTPServer):
    """A webhook on loopback. Answers with ``statuses`` in turn, and then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.got: list[tuple[bytes, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhook/"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((body, dict(self.headers)))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def threads() -> list[threading.Thread]:
    """The sandbox's own threads that are still at work."""
    return [thread for thread in threading.enumerate() if thread.name == "business-os-banking-sandbox"]


def wait_for_threads() -> None:
    """Wait until everything that leaves on its own has left."""
    for thread in threads():
        thread.join(20)
        assert not thread.is_alive()
