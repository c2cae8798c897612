"""Send signed webhooks to a server on loopback and time them. A process of its own: ``python -m benchmarks.load``.

Reads a JSON object from standard input: ``url``, ``connections`` (how many at once), ``requests`` (pairs of headers and
body), ``status`` (what each must be answered with) and ``per_second`` (0: as fast as they are answered). Writes one:
``seconds`` in all, and the ``latencies`` in seconds.

It shares the machine with what it measures, so it does little: what is sent is made before, and of an answer no more
is read than where it ends. ``http.client`` took four times the processor time.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


def run(url: str, connections: int, requests: list[Any], status: int, per_second: float) -> dict[str, Any]:
    parts = urlsplit(url)
    wires = [_wire(parts.path, headers, body) for headers, body in requests]
    latencies: list[float] = [0.0] * len(requests)
    numbers = iter(range(len(requests)))
    lock = threading.Lock()
    start = time.perf_counter()

    def following() -> int | None:
        with lock:
            return next(numbers, None)

    def work() -> None:
        with socket.create_connection(("127.0.0.1", parts.port or 80), timeout=60) as server:
            while (number := following()) is not None:
                due = start + number / per_second if per_second else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                server.sendall(wires[number])
                answered = _status(server)
                # From when it was due, so that waiting for a slow answer before it counts.
                latencies[number] = time.perf_counter() - due
                if answered != status:
                    raise RuntimeError(f"{answered} for {requests[number][1][:300]}")

    with ThreadPoolExecutor(connections) as pool:
        for worker in [pool.submit(work) for _ in range(connections)]:
            worker.result()
    return {"seconds": time.perf_counter() - start, "latencies": latencies}


def _wire(path: str, headers: dict[str, str], body: str) -> bytes:
    raw = body.encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def _status(server: socket.socket) -> int:
    """Read one answer to its end; return its status, 0 if it does not tell its length."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(server)
    found = _LENGTH.search(answer)
    if found is None:
        return 0
    end = answer.index(b"\r\n\r\n") + 4 + int(found[1])
    while len(answer) < end:
        answer += _more(server)
    return int(answer[9:12])


def _more(server: socket.socket) -> bytes:
    if part := server.recv(65536):
        return part
    raise ConnectionError("the server has closed the connection")


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
