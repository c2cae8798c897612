"""What a connect costs besides the upstream's own time, and whether connections to the upstream are used again."""

from __future__ import annotations

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import requests
from django.contrib.auth import get_user_model
from django.test import Client

from benchmarks.serving import serving
from benchmarks.tables import show

CALLS = 300
THREADS = 4


class Upstream(ThreadingHTTPServer):
    """Answers every connect at once, as the upstream's page shows it, and counts who comes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted = 0
        self.answered = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Upstream

    def setup(self) -> None:
        super().setup()
        self.server.accepted += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {
            "connect_url": f"https://127.0.0.1/connect?token={uuid.uuid4().hex}",
            "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
            "owner_user_id": str(uuid.uuid4()),
            "pending_token": str(uuid.uuid4()),
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.answered += 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


def run() -> None:
    upstream = Upstream()
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{upstream.server_port}"
    bare = requests.Session()
    floor = [
        _timed(bare.post, address, json={"email": "user@kunde.example"}, timeout=10) for _ in range(CALLS)
    ]
    accepted = upstream.accepted, upstream.answered
    with serving(threads=THREADS, variables={"BENCHMARK_UPSTREAM": address}) as origin:
        one = _customer(origin)
        for _ in range(20):
            _start(one, origin)
        nothing = [
            _timed(one.get, f"{origin}/banking/api/connections/?page_size=1", timeout=10)
            for _ in range(CALLS)
        ]
        ours = [_timed(_start, one, origin) for _ in range(CALLS)]
        with ThreadPoolExecutor(THREADS) as pool:
            customers = [_customer(origin) for _ in range(THREADS)]
            list(pool.map(lambda number: _start(customers[number % THREADS], origin), range(CALLS)))
    opened, answered = upstream.accepted - accepted[0], upstream.answered - accepted[1]
    rows = [
        ("a bare `requests` POST that is kept alive", median(floor), ""),
        ("the site's answer to a customer's list of one", median(nothing), ""),
        (
            "the site's answer to a connect, the upstream's included",
            median(ours),
            f"{opened} for {answered} calls",
        ),
    ]
    show(("", "median ms", f"connections opened by {THREADS} threads"), rows)
    upstream.shutdown()


def _customer(origin: str) -> requests.Session:
    user, _new = get_user_model().objects.get_or_create(username=f"customer-{uuid.uuid4().hex}")
    client = Client()
    client.force_login(user)
    http = requests.Session()
    http.cookies.set("sessionid", client.cookies["sessionid"].value)
    http.cookies.set("csrftoken", "a" * 32)
    http.headers.update({"X-CSRFToken": "a" * 32, "Referer": origin})
    return http


def _start(http: requests.Session, origin: str) -> None:
    asked = {"email": "user@kunde.example", "next": f"/{uuid.uuid4().hex}/"}
    answer = http.post(f"{origin}/banking/api/connections/", json=asked, timeout=30)
    assert answer.status_code == 201, answer.text


def _timed(act: object, *args: object, **options: object) -> float:
    start = time.perf_counter()
    act(*args, **options)  # type: ignore[operator]
    return 1000 * (time.perf_counter() - start)
