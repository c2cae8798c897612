"""Fuzzing with atheris, which is guided by what the code does with its input: ``make fuzz SECONDS=120``.

Each target takes bytes and must hold for all of them. What falls out is written to a file ``crash-…``; it belongs into
`tests/webhooks/test_fuzzed.py`, which needs no atheris.

    python -m tests.fuzz.harness payload -max_total_time=120

It starts from the seeds and the words in `tests/fuzz/targets.py`; what it learns is forgotten when it ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import atheris

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
# The app's own code is watched, and what reads JSON and base64 for it.
with atheris.instrument_imports(include=["business_os_banking", "json", "base64"]):
    import django

    django.setup()
    from tests.fuzz import targets

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "payload": targets.payload,
    "verifiers": targets.verifiers,
    "webhook": targets.webhook,
}


def main() -> None:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"Name a target: {', '.join(TARGETS)}")
    targets.prepare(name)
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        for number, seed in enumerate(targets.SEEDS):
            (corpus / str(number)).write_bytes(seed)
        words.write_text("".join(f'"{word}"\n' for word in targets.WORDS))
        atheris.Setup([*sys.argv, f"-dict={words}", "-max_len=4000", str(corpus)], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
