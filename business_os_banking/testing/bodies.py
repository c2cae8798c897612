"""Bodies of Salt Edge's callbacks, in the shapes of their own documentation, and rows of the upstream's list."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from business_os_banking.models import ConnectSession

CUSTOMER: Final = "9876543210123"
# The class that the provider gives with each reason for which a connection is inactive.
ERROR_CLASSES: Final = {
    "consent_expired": "ConsentExpired",
    "consent_revoked": "ConsentRevoked",
    "login_changed": "InvalidCredentials",
    "bank_step_required": "InvalidInteractiveCredentials",
    "access_denied": "ProviderAccessNotGranted",
    "bank_disabled": "ProviderDisabled",
}
_ID_DIGITS: Final = 18


def new_upstream_id() -> str:
    """Return an upstream id that nobody else has: digits, as Salt Edge's are."""
    return str(uuid.uuid4().int % 10**_ID_DIGITS).zfill(_ID_DIGITS)


def callback(
    data: Mapping[str, Any], custom_fields: Mapping[str, Any], at: datetime | str, *, event: str = ""
) -> dict[str, Any]:
    """Return a callback with *data*. *at* is when it happened; *event* is its name, which Salt Edge's have not."""
    time = at if isinstance(at, str) else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    named = {"type": event} if event else {}
    return {
        **named,
        "data": {"customer_id": CUSTOMER, "custom_fields": dict(custom_fields), **data},
        "meta": {"version": "6", "time": time},
    }


def custom_fields(session: ConnectSession) -> dict[str, Any]:
    """Return what was sent along with *session*, and comes back with all that is said of it."""
    token = {"pending_token": str(session.pending_token)} if session.pending_token else {}
    return {**session.custom_fields, "session": str(session.reference), **token}


def raw(body: Mapping[str, Any]) -> bytes:
    """Return *body* as the bytes that are sent."""
    return json.dumps(body).encode()


def connect_answer(host: str = "www.saltedge.com", **changes: Any) -> dict[str, Any]:
    """Return an answer to connect, flat, as the public page of Business OS shows it."""
    return {
        "connect_url": f"https://{host}/connect?token={uuid.uuid4().hex}",
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "owner_user_id": "d90f20ae-f6c1-46da-a080-3d4c86329bf6",
        "pending_token": str(uuid.uuid4()),
        **changes,
    }


def connection_object(
    upstream_id: str,
    *,
    custom_fields: Mapping[str, Any] | None = None,
    attempt: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return a connection as the upstream lists it (Salt Edge v6); *attempt* changes its last attempt."""
    return {
        "id": upstream_id,
        "customer_id": CUSTOMER,
        "provider_code": "demobank_xf",
        "provider_name": "Demobank",
        "country_code": "XF",
        "status": "active",
        "last_attempt": {
            "custom_fields": dict(custom_fields or {}),
            "success_at": None,
            "fail_at": None,
            "fail_error_class": None,
            **(attempt or {}),
        },
        "updated_at": None,
        **changes,
    }
