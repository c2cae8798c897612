"""The JSON objects of the fake API: connections and accounts, as Salt Edge's v6 shows them."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from .models import SandboxConnection

_HOLDER = "Erika Mustermann"
_FETCH_SCOPES = {
    "accounts": ["accounts", "balance"],
    "holder_info": ["holder_info"],
    "transactions": ["transactions"],
}


def owner_user_id(api_key: str) -> uuid.UUID:
    """Return the owner that Business OS names for a key: the same for every end user of that key."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox-owner:{api_key}")


def customer_id(api_key: str, api: str, email: str, otherwise: str) -> str:
    """Return the customer for an e-mail address, or for ``otherwise`` where no address was given."""
    digest = hashlib.sha256(f"{api_key}|{api}|{email.lower() or otherwise}".encode()).digest()
    digits = 13 if api == "partner" else 19
    return str(10 ** (digits - 1) + int.from_bytes(digest[:8], "big") % 10 ** (digits - 1))


def connection(row: SandboxConnection, *, is_switched_off: bool = False) -> dict[str, Any]:
    """Return one connection as the list shows it, at a bank that is switched off or not. Needs the row's session."""
    session = row.session
    consent_id = _derived_id(row.connection_id, "consent")
    created, updated = iso(row.created_at), iso(row.updated_at)
    return {
        "id": row.connection_id,
        "customer_id": session.customer_id,
        "customer_identifier": session.email or session.customer_id,
        "owner_user_id": str(session.owner_user_id),
        "provider_code": row.provider_code,
        "provider_name": row.provider_name,
        "country_code": row.country_code,
        "status": "disabled" if is_switched_off else "inactive" if row.error_class else "active",
        "automatic_refresh": True,
        "categorization": "personal",
        "categorization_vendor": "saltedge",
        "next_refresh_possible_at": _next_refresh(row),
        "last_consent_id": consent_id,
        "last_success_at": _iso_or_null(row.succeeded_at),
        "created_at": created,
        "updated_at": updated,
        "last_attempt": _last_attempt(row, consent_id),
    }


def _next_refresh(row: SandboxConnection) -> str | None:
    # Null while the bank is at work, and where it cannot go on without the person.
    if row.succeeded_at is None or row.error_class:
        return None
    return iso(row.succeeded_at + timedelta(hours=1))


def _last_attempt(row: SandboxConnection, consent_id: str) -> dict[str, Any]:
    session = row.session
    created, updated = iso(row.created_at), iso(row.updated_at)
    is_finished = row.succeeded_at is not None
    scopes = [fetched for scope in session.scopes for fetched in _FETCH_SCOPES[scope]]
    return {
        "id": _derived_id(row.connection_id, "attempt"),
        "consent_id": consent_id,
        "api_version": "6",
        "api_mode": "service",
        "automatic_fetch": True,
        "automatic_refresh": True,
        "categorize": True,
        "custom_fields": session.callback_custom_fields(),
        "exclude_accounts": [],
        "fetch_from_date": (row.created_at - timedelta(days=90)).date().isoformat(),
        "fetch_to_date": None,
        "fetch_scopes": scopes,
        "finished": is_finished,
        "finished_recent": is_finished,
        "include_natures": None,
        "interactive": False,
        "locale": "en",
        "partial": False,
        "show_consent_confirmation": True,
        "store_credentials": True,
        "user_present": True,
        "user_agent": None,
        "device_type": "desktop",
        "remote_ip": None,
        "customer_last_logged_at": created,
        "fail_at": _iso_or_null(row.failed_at),
        "fail_error_class": row.error_class or None,
        "fail_message": row.error_message or None,
        "success_at": None if row.error_class else _iso_or_null(row.succeeded_at),
        "unduplication_strategy": "mark_as_pending",
        "created_at": created,
        "updated_at": updated,
        "last_stage": {
            "id": _derived_id(row.connection_id, "stage"),
            "name": row.stage,
            "interactive_html": None,
            "interactive_fields_names": None,
            "interactive_fields_options": None,
            "created_at": created,
            "updated_at": updated,
        },
    }


def account(row: SandboxConnection) -> dict[str, Any]:
    """Return the one account of a connection, with as much as the scopes allow. Needs the row's session."""
    session = row.session
    extra: dict[str, Any] = {"iban": iban(row.country_code, row.account_id)}
    if "holder_info" in session.scopes:
        extra["holder_name"] = _HOLDER
    if "transactions" in session.scopes:
        extra["transactions_count"] = {"posted": 12, "pending": 1}
    return {
        "id": row.account_id,
        "name": f"{row.provider_name} current account",
        "nature": "account",
        "balance": 2007.2,
        "currency_code": "EUR",
        "extra": extra,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def iban(country_code: str, number: str) -> str:
    """Return an IBAN with right check digits, for the digits of ``number``."""
    rest = number[-18:]
    letters = "".join(str(int(letter, 36)) for letter in country_code)
    return f"{country_code}{98 - int(rest + letters + '00') % 97:02d}{rest}"


def iso(at: datetime) -> str:
    """Return ``at`` as ``2026-03-24T12:44:03Z``."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _iso_or_null(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _derived_id(connection_id: str, purpose: str) -> str:
    digest = hashlib.sha256(f"{connection_id}|{purpose}".encode()).digest()
    return str(10**18 + int.from_bytes(digest[:8], "big") % 10**18)
