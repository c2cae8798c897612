"""Webhooks through gunicorn: the app against the floor and against dj-stripe, in turns."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks import deliveries, fill

ROOT = Path(__file__).resolve().parents[1]
PEER_SECRET = "whsec_benchmarks"
Request = tuple[dict[str, str], str]


@dataclass(frozen=True)
class Result:
    """What one load of webhooks was answered with: how many a second, and how long each took (milliseconds)."""

    rate: float
    p50: float
    p99: float


@contextmanager
def serving(python: str, application: str, *, workers: int = 1, **variables: str) -> Iterator[str]:
    """Run gunicorn with so many workers of one thread each; give its address.

    Workers of the class gthread: those of the class sync close every connection.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        python,
        "-m",
        "gunicorn",
        "--workers",
        str(workers),
        "--worker-class",
        "gthread",
        "--threads",
        "1",
    ]
    command += ["--bind", f"127.0.0.1:{port}", "--keep-alive", "60", "--log-level", "error", application]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables})
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def load(
    url: str, requests: list[Request], *, status: int = 200, connections: int = 4, per_second: float = 0
) -> Result:
    """Send *requests* from another process, and return how it went."""
    given = {
        "url": url,
        "requests": requests,
        "status": status,
        "connections": connections,
        "per_second": per_second,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(given),
        text=True,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    hundredths = quantiles((1000 * taken for taken in found["latencies"]), n=100)
    return Result(len(requests) / found["seconds"], hundredths[49], hundredths[98])


def finishing(count: int) -> list[Request]:
    """Make so many sessions, and return webhooks each of which finishes one."""
    bodies = [deliveries.body(fill.session().pending_token, f"55{time.time_ns()}") for _ in range(count)]
    return [(deliveries.headers(body), body.decode()) for body in bodies]


def forged(count: int) -> list[Request]:
    bodies = [deliveries.body("0" * 32, f"44{number}") for number in range(count)]
    return [(deliveries.headers(body, good=False), body.decode()) for body in bodies]


def of_peer(count: int) -> list[Request]:
    """Return so many events as Stripe signs them, of about the size of ours."""
    made = []
    now = int(time.time())
    for number in range(count):
        event = {
            "id": f"evt_{time.time_ns()}{number}",
            "object": "event",
            "api_version": "2020-08-27",
            "created": now,
            "livemode": False,
            "type": "radar.early_fraud_warning.created",
            "data": {"object": {"id": f"issfr_{number}", "object": "radar.early_fraud_warning"}},
        }
        body = json.dumps(event)
        digest = hmac.new(PEER_SECRET.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={digest}"}
        made.append((headers, body))
    return made


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise RuntimeError("gunicorn does not answer")
