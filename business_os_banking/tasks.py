"""What a queue may call. Plain functions: decorate them with whatever your queue has, or schedule them as they are.

Both may run at any time, twice at once, and be killed in the middle. *now* (aware, UTC) is for tests; without it, the
clock is asked.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from business_os_banking.flows import prune as prune_flow
from business_os_banking.flows.reconcile import reconcile

__all__ = ["banking_reconcile", "prune"]


def banking_reconcile(now: datetime | None = None) -> dict[str, Any]:
    """Find what was missed, and do what is due; return the counts (JSON-ready). Every five minutes is right."""
    return reconcile(now).as_dict()


def prune(now: datetime | None = None) -> dict[str, int]:
    """Forget what is older than ``PAYLOAD_DAYS`` and ``EVENT_DAYS``; return the counts. Once a day is right."""
    return asdict(prune_flow.prune(now))
