"""What a queue may call. Plain functions: decorate them with whatever your queue has, or schedule them as they are."""

from __future__ import annotations

from typing import Any

from business_os_banking.flows.reconcile import reconcile


def banking_reconcile() -> dict[str, Any]:
    """Reconcile once and return the counts (JSON-ready). Every five minutes is right; see `flows.reconcile`."""
    return reconcile().as_dict()
