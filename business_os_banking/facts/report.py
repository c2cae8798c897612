"""A fact as it was reported: what happened, who says so, and what it names to be filed by.

Reports are what goes through the one door, `facts.record.record`. The functions here make those that the app
itself reports, and those that read the upstream's connection objects; `webhooks.payloads` makes those of webhooks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from business_os_banking.exceptions import BusinessOSError
from business_os_banking.facts.lifecycle import Fact
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream import answers
from business_os_banking.upstream.client import OpenedSession
from business_os_banking.upstream.objects import ConnectionObject
from business_os_banking.vocabulary import (
    CANCELLED_CLASSES,
    CONSENT_CLASSES,
    REASONS,
    Kind,
    Source,
    StatusReason,
)

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One reported fact, and what it is filed by. Times are aware and in UTC.

    ``fact`` names no session yet: which one is meant by ``pending_token`` or ``session_reference`` (our own key in the
    custom fields) is for `facts.match` to say. ``connection_id`` is the key of a row of ours, for reports of our own.
    ``digest`` tells a repetition from a new fact. ``conflict`` says why the report must not be acted on although it is
    authentic: it contradicts itself. ``payload`` is what is kept of the source, without personal data.
    """

    fact: Fact
    source: Source
    account: str
    digest: str
    received_at: datetime
    pending_token: UUID | None = field(default=None, repr=False)
    session_reference: UUID | None = None
    connection_id: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    conflict: str = ""

    def of_session(self, reference: str) -> Fact:
        """Return the fact as it is filed under the session with this *reference*, ``""`` for none."""
        return replace(self.fact, session=reference) if reference else self.fact

    def assertions(self) -> dict[str, Any]:
        """Return, as JSON, what cannot be read from an event's other columns."""
        values: dict[str, Any] = {
            "reason": self.fact.reason,
            "ended_by": self.fact.ended_by,
            "provider_active": self.fact.provider_active,
            "details": dict(self.fact.details),
            "conflict": self.conflict,
        }
        return {key: value for key, value in values.items() if value not in ("", None, {})}


def when(claimed: datetime | None, received_at: datetime) -> datetime:
    """Return the time of a fact: the provider's, but no later than receipt plus five minutes.

    One wrong clock must not freeze a register for years. No time, or one before 2000, counts as none.
    """
    if claimed is None or claimed < _EPOCH:
        return received_at
    return min(claimed, received_at + CLOCK_TOLERANCE)


def digest_of(*parts: str | bytes) -> str:
    """Return the hex SHA-256 of the parts, each with its length before it, so none runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


# --- What happens to a session -------------------------------------------------------------------------


def opened(session: ConnectSession, answer: OpenedSession, now: datetime) -> Report:
    """Report that the upstream opened *session*."""
    owner = {"owner_user_id": str(answer.owner_user_id)} if answer.owner_user_id else {}
    report = _of_session(session, Fact(kind=Kind.OPENED, at=now, details=owner), Source.READ)
    return replace(report, pending_token=answer.pending_token)


def refused(session: ConnectSession, error: BusinessOSError, now: datetime) -> Report:
    """Report that the connect call for *session* failed."""
    payload = {"status": error.status} if error.status else {}
    fact = Fact(kind=Kind.FAILED, at=now, error_class=error.error_class)
    return _of_session(session, fact, Source.READ, payload)


def returned(session: ConnectSession, hints: Mapping[str, str], now: datetime) -> Report:
    """Report that the browser came back.

    Of *hints*, from the URL, only those that Salt Edge adds are kept, and only as plain words: anybody may
    write anything into an address. They decide nothing.
    """
    words = {name: answers.word_of(hints.get(name)) for name in ("connection_id", "error_class")}
    payload = {name: word for name, word in words.items() if word}
    return _of_session(session, Fact(kind=Kind.RETURNED, at=now), Source.BROWSER, payload)


def expired(session: ConnectSession, at: datetime) -> Report:
    """Report that *session* ran out at *at* without a word."""
    return _of_session(session, Fact(kind=Kind.EXPIRED, at=at), Source.SWEEP)


def _of_session(
    session: ConnectSession, fact: Fact, source: Source, payload: Mapping[str, Any] | None = None
) -> Report:
    return Report(
        fact=fact,
        source=source,
        account=session.connection.account,
        digest=digest_of(source, fact.kind, str(session.reference)),
        received_at=fact.at,
        session_reference=session.reference,
        connection_id=session.connection_id,
        payload=payload or {},
    )


# --- What happens to a connection ----------------------------------------------------------------------


def disconnected(connection: BankingConnection, by: str, now: datetime) -> Report:
    """Report that its owner, or an operator, ended *connection*."""
    return _of_connection(connection, Fact(kind=Kind.DISCONNECTED, at=now, ended_by=by), Source.OPERATOR)


def expiring(connection: BankingConnection, days: int, now: datetime) -> Report:
    """Report that the consent of *connection* has come within *days* of its end. Once per end and step."""
    fact = Fact(kind=Kind.CONSENT_EXPIRING, at=now)
    end = f"{connection.consent_expires_at:%Y-%m-%d}"
    report = _of_connection(connection, fact, Source.SWEEP, end, str(days))
    return replace(report, payload={"days": days})


def missed(connection: BankingConnection, now: datetime) -> Report:
    """Report that the upstream's list lacks the link of *connection*, again."""
    fact = Fact(kind=Kind.MISSED, at=now, link=connection.upstream_id)
    return _of_connection(connection, fact, Source.READ, fact.link, now.isoformat())


def seen(connection: BankingConnection, now: datetime) -> Report:
    """Report that the upstream's list has the link of *connection* again."""
    fact = Fact(kind=Kind.SEEN, at=now, link=connection.upstream_id)
    return _of_connection(connection, fact, Source.READ, fact.link, now.isoformat())


def removed(connection: BankingConnection, upstream_id: str, now: datetime) -> Report:
    """Report that our own DELETE of an upstream connection was carried out."""
    fact = Fact(kind=Kind.REMOVED, at=now, link=upstream_id)
    return _of_connection(connection, fact, Source.READ, upstream_id)


def _of_connection(connection: BankingConnection, fact: Fact, source: Source, *parts: str) -> Report:
    return Report(
        fact=fact,
        source=source,
        account=connection.account,
        digest=digest_of(source, fact.kind, str(connection.reference), *parts),
        received_at=fact.at,
        connection_id=connection.pk,
    )


# --- What the upstream says of a connection ------------------------------------------------------------


def report_of(row: ConnectionObject, account: str, now: datetime) -> Report:
    """Return what *row* reports when read at *now*.

    The digest is made of what the row says, so reading an unchanged row again is no new fact.
    """
    kind, error_class, reason = _meaning(row)
    has_failed = kind in {Kind.FAILED, Kind.CANCELLED, Kind.CONSENT_ENDED}
    claimed = (row.failed_at if has_failed else row.succeeded_at) or row.updated_at
    # A working link says nothing of an attempt that is still under way on it.
    names_session = kind is not Kind.SUCCEEDED or row.attempt_succeeded
    token = row.pending_token if names_session else None
    reference = row.session_reference if names_session else None
    content = (
        kind,
        str(claimed),
        row.error_class,
        str(token),
        str(reference),
        str(sorted(row.details.items())),
    )
    return Report(
        fact=Fact(
            kind=kind,
            at=when(claimed, now),
            link=row.id,
            error_class=error_class,
            reason=reason,
            details=row.details,
        ),
        source=Source.READ,
        account=account,
        digest=digest_of(Source.READ, account, row.id, *content),
        received_at=now,
        pending_token=token,
        session_reference=reference,
        payload={"connection_id": row.id, "status": row.status},
    )


def _meaning(row: ConnectionObject) -> tuple[Kind, str, str]:
    """Return the kind of fact, its error class and its reason."""
    if row.status == "active":
        # An attempt that is under way has neither succeeded nor failed, and proves nothing yet.
        is_proof = row.attempt_succeeded or row.succeeded_at is not None or row.failed_at is not None
        return (Kind.SUCCEEDED if is_proof else Kind.UNKNOWN), "", ""
    if row.status not in {"inactive", "disabled"}:
        return Kind.UNKNOWN, "", ""
    error_class = row.error_class or ("ConnectionDisabled" if row.status == "disabled" else "")
    if error_class in CONSENT_CLASSES:
        return Kind.CONSENT_ENDED, error_class, ""
    reason = REASONS.get(error_class)
    if reason is None and row.status == "disabled":
        reason = StatusReason.BANK_DISABLED
    if reason is None:
        # Inactive means that it cannot go on without the user, whatever the class says.
        denied = error_class in CANCELLED_CLASSES
        reason = StatusReason.ACCESS_DENIED if denied else StatusReason.BANK_STEP_REQUIRED
    return Kind.FAILED, error_class, reason
