"""The responses that the OpenAPI description shows as examples."""

from __future__ import annotations

from typing import Any, Final

from business_os_banking.api import errors
from business_os_banking.vocabulary import Group
from business_os_banking.wording import Wording, texts

CONNECTION: Final[dict[str, Any]] = {
    "reference": "0b8bb4a5-7f3b-4c77-a6a8-5c1b0f6d1c55",
    "account": "default",
    "status": "active",
    "status_reason": None,
    "label": "Connected",
    "tone": "good",
    "title": "This bank is connected",
    "message": "We receive the information that you agreed to share.",
    "next_step": "There is nothing to do.",
    "bank": "Sparkasse Berlin",
    "provider_code": "sparkasse_berlin_de",
    "provider_name": "Sparkasse Berlin",
    "country_code": "DE",
    "needs_attention": False,
    "is_expiring_soon": False,
    "is_stale": False,
    "can_renew": True,
    "can_disconnect": True,
    "consent_expires_at": "2027-05-01T09:30:00Z",
    "consent_is_estimated": False,
    "next_refresh_possible_at": None,
    "last_success_at": "2026-11-02T09:31:07Z",
    "connected_at": "2026-11-02T09:31:07Z",
    "disconnected_at": None,
    "ended_by": None,
    "held_reason": None,
    "held_bank": "",
    "held_question": "",
    "created_at": "2026-11-02T09:29:44Z",
    "updated_at": "2026-11-02T09:31:07Z",
}
PENDING: Final = {
    **CONNECTION,
    "status": "pending",
    "label": "Not finished",
    "tone": "waiting",
    "title": "This bank is not connected yet",
    "message": "A connection was started, but not finished so far.",
    "next_step": "Finish it now, or remove it from your list.",
    "bank": "Bank",
    "provider_code": "",
    "provider_name": "",
    "country_code": "",
    "consent_expires_at": None,
    "last_success_at": None,
    "connected_at": None,
}
ENDED: Final = {
    **CONNECTION,
    "status": "disconnected",
    "label": "Disconnected",
    "tone": "warning",
    "title": "You disconnected this bank",
    "message": "We no longer receive information from it.",
    "next_step": "You can connect it again at any time.",
    "can_renew": False,
    "can_disconnect": False,
    "disconnected_at": "2026-11-20T14:02:10Z",
    "ended_by": "owner",
}
SESSION: Final[dict[str, Any]] = {
    "reference": "6f7c1a52-54bb-4c0e-9d0b-6a1d2f1a9a10",
    "connection": CONNECTION["reference"],
    "status": "open",
    "connection_status": "pending",
    "group": None,
    "tone": "waiting",
    "title": "Checking with your bank",
    "message": "We are waiting for your bank to confirm. This usually takes a few seconds, sometimes a minute.",
    "next_step": "This page changes by itself. You may also close it, nothing is lost.",
    "final": False,
    "poll_after": 5,
    "connect_url": "https://www.saltedge.com/connect?token=…",
    "api": "partner",
    "scopes": ["accounts", "holder_info", "transactions"],
    "next": "/books/",
    "expires_at": "2026-11-02T10:29:44Z",
    "returned_at": None,
    "succeeded_at": None,
    "created_at": "2026-11-02T09:29:44Z",
}
STARTED: Final = {**PENDING, "session": SESSION}
PAGE: Final = {
    "next": f"https://www.example.com/banking/api/connections/?cursor=after.{CONNECTION['reference']}",
    "previous": None,
    "results": [CONNECTION],
}

ERRORS: Final[dict[int, tuple[str, Wording, dict[str, Any]]]] = {
    400: ("ValidationError", errors.NOT_UNDERSTOOD, {"fields": {"status": ["There is no such field."]}}),
    401: ("NotAuthenticated", errors.SIGN_IN, {}),
    403: ("NotAuthenticated", errors.SIGN_IN, {}),
    404: ("UnknownConnection", texts.UNKNOWN_CONNECTION, {}),
    406: ("NotAcceptable", errors.NOT_UNDERSTOOD, {}),
    409: ("ConnectionEnded", errors.ENDED, {}),
    413: ("ContentTooLarge", errors.NOT_UNDERSTOOD, {}),
    415: ("UnsupportedMediaType", errors.NOT_UNDERSTOOD, {}),
    422: ("KeyReused", errors.KEY_REUSED, {}),
    429: ("TooManyAttempts", texts.TOO_MANY, {"group": Group.TRY_AGAIN}),
    503: ("NotReachable", texts.ERRORS["NotReachable"], {"group": Group.TRY_AGAIN}),
}


def error(status: int) -> dict[str, Any]:
    """Return the body of an error with this status, in the active language."""
    error_class, words, values = ERRORS[status]
    return errors.error_body(error_class, words, **values)
