"""Send signed webhooks to a server on loopback and time them. A process of its own: ``python -m benchmarks.load``.

Reads a JSON object from standard input: ``url``, ``connections`` (how many at once), ``requests`` (pairs of headers and
body), ``status`` (what each must be answered with) and ``per_second`` (0: as fast as they are answered). Writes one:
``seconds`` in all, and the ``latencies`` in seconds.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit


def run(url: str, connections: int, requests: list[Any], status: int, per_second: float) -> dict[str, Any]:
    parts = urlsplit(url)
    latencies: list[float] = [0.0] * len(requests)
    errors: list[str] = []
    numbers = iter(range(len(requests)))
    lock = threading.Lock()
    start = time.perf_counter()

    def work() -> None:
        wire = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=60)
        while not errors:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            headers, body = requests[number]
            due = start + number / per_second if per_second else time.perf_counter()
            time.sleep(max(0.0, due - time.perf_counter()))
            wire.request("POST", parts.path, body, headers)
            answer = wire.getresponse()
            answer.read()
            # From when it was due, so that waiting for a slow answer before it counts.
            latencies[number] = time.perf_counter() - due
            if answer.status != status:
                errors.append(f"{answer.status} for {body[:300]}")
        wire.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit(errors[0])
    return {"seconds": time.perf_counter() - start, "latencies": latencies}


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
