"""Bodies of Salt Edge callbacks, in the shapes of their own documentation (upstream facts 3.4)."""

from __future__ import annotations

from typing import Any

from business_os_banking.testing import bodies
from business_os_banking.testing.bodies import raw

__all__ = ["SECRET", "bare_destroy", "body", "destroy", "fail", "notify", "raw", "success"]

SECRET = "test-webhook-secret"


def body(
    *, token: object = None, session: object = None, time: str = "2026-01-25T10:40:47.965Z", **data: Any
) -> dict[str, Any]:
    named = {"pending_token": token, "session": session}
    return bodies.callback(data, {name: str(value) for name, value in named.items() if value}, time)


def success(token: object = None, connection_id: str = "111222333444555666", **more: Any) -> dict[str, Any]:
    return body(token=token, connection_id=connection_id, stage="finish", **more)


def notify(token: object = None, stage: str = "fetch_accounts", **more: Any) -> dict[str, Any]:
    return body(token=token, **{"connection_id": "111222333444555666", "stage": stage, **more})


def fail(token: object = None, error_class: str = "InvalidCredentials", **more: Any) -> dict[str, Any]:
    return body(token=token, error_class=error_class, error_message="Wrong for ada@kunde.example", **more)


def destroy(token: object = None, connection_id: str = "111222333444555666", **more: Any) -> dict[str, Any]:
    """Return a removal under its own name: what only looks like one changes nothing by itself."""
    return {"type": "destroy", **bare_destroy(token, connection_id, **more)}


def bare_destroy(
    token: object = None, connection_id: str = "111222333444555666", **more: Any
) -> dict[str, Any]:
    """Return a removal as Salt Edge sends it: ids, and nothing to say about them."""
    return body(token=token, connection_id=connection_id, **more)
