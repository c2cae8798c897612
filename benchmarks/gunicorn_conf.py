"""What docs/operations.md advises for gunicorn; all servers of the benchmarks run with it."""

from __future__ import annotations

import gc


def post_worker_init(_worker: object) -> None:
    gc.freeze()
