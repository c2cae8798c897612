"""How much memory this process takes, as Linux tells it. What `resource` tells is handed down by the parent."""

from __future__ import annotations

from pathlib import Path


def now() -> float:
    """Return what is resident now, in MB."""
    return _status("VmRSS")


def peak() -> float:
    """Return the most that has been resident so far, in MB."""
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
