"""A site under gunicorn, and the load that another process puts on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Request = tuple[dict[str, str], str]  # headers and body


@dataclass(frozen=True)
class Result:
    """What one load was answered with: how many a second, and how long each took (milliseconds).

    ``busy`` is the processor time in milliseconds that the machine spent on each, whichever process it was in. It is
    that of the same work, so it tells how fast the machine was: the host of a virtual machine gives it a whole core at
    one time, and half of one at another.
    """

    rate: float
    p50: float
    p99: float
    busy: float


@contextmanager
def serving(
    python: str = sys.executable,
    *,
    workers: int = 1,
    threads: int = 1,
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run gunicorn with so many workers of so many threads each; give its address.

    Workers of the class gthread: those of the class sync close every connection.
    """
    port = free_port()
    options = {
        "--config": "benchmarks/gunicorn_conf.py",
        "--workers": workers,
        "--worker-class": "gthread",
        "--threads": threads,
        "--bind": f"127.0.0.1:{port}",
        "--keep-alive": 60,
        "--log-level": "error",
    }
    command = [python, "-m", "gunicorn", *(str(part) for pair in options.items() for part in pair)]
    process = subprocess.Popen(
        [*command, "benchmarks.wsgi"], cwd=ROOT, env={**os.environ, **(variables or {})}
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def load(
    url: str, requests: list[Request], *, status: int = 200, connections: int = 4, per_second: float = 0
) -> Result:
    """Post *requests* from another process, as fast as they are answered or so many a second."""
    given = {
        "url": url,
        "requests": requests,
        "status": status,
        "connections": connections,
        "per_second": per_second,
    }
    command = [sys.executable, "-m", "benchmarks.load"]
    before = _busy()
    done = subprocess.run(
        command, input=json.dumps(given), text=True, capture_output=True, cwd=ROOT, check=False
    )
    busy = (_busy() - before) / len(requests)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    hundredths = quantiles((1000 * taken for taken in found["latencies"]), n=100)
    return Result(len(requests) / found["seconds"], hundredths[49], hundredths[98], busy)


def _busy() -> float:
    """Return the milliseconds that all processors have worked so far; 0 where the system does not tell."""
    try:
        told = Path("/proc/stat").read_text().split(maxsplit=9)
    except OSError:
        return 0.0
    # "cpu", user, nice, system, idle, iowait, irq, softirq, stolen by the host, …: proc(5)
    worked = [int(ticks) for ticks in (*told[1:4], *told[6:8])]
    return 1000 * sum(worked) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise RuntimeError("gunicorn does not answer")
