"""A fact as it was reported: what happened, who says so, and what it names to be filed by.

Reports are what goes through the one door, `flows.record.record`. The functions here make those that the app
itself reports; `webhooks.payloads` makes those that come from outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from business_os_banking import answers
from business_os_banking.lifecycle import Fact
from business_os_banking.vocabulary import Kind, Source

if TYPE_CHECKING:
    from business_os_banking.client import OpenedSession
    from business_os_banking.exceptions import BusinessOSError
    from business_os_banking.models import BankingConnection, ConnectSession

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One reported fact. Times are aware and in UTC; ``digest`` tells a repetition from a new fact.

    ``conflict`` says why the report must not be acted on although it is authentic (it contradicts itself).
    ``connection_pk`` is for reports of our own, which know their connection.
    """

    kind: Kind
    source: Source
    account: str
    digest: str
    occurred_at: datetime
    received_at: datetime
    pending_token: UUID | None = field(default=None, repr=False)
    session_reference: UUID | None = None
    connection_id: str = ""
    connection_pk: int | None = None
    stage: str = ""
    error_class: str = ""
    reason: str = ""
    ended_by: str = ""
    provider_code: str = ""
    provider_active: bool | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)
    conflict: str = ""

    def fact(self, session: str) -> Fact:
        """Return what the merge needs of this, filed under the session with the reference *session*."""
        return Fact(
            kind=self.kind,
            at=self.occurred_at,
            session=session,
            link=self.connection_id,
            error_class=self.error_class,
            stage=self.stage,
            reason=self.reason,
            ended_by=self.ended_by,
            provider_code=self.provider_code,
            provider_active=self.provider_active,
            details=self.details,
        )

    def assertions(self) -> dict[str, Any]:
        """Return, as JSON, what cannot be read from an event's other columns."""
        values: dict[str, Any] = {
            "reason": self.reason,
            "ended_by": self.ended_by,
            "provider_active": self.provider_active,
            "details": dict(self.details),
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


def _of_session(
    session: ConnectSession, kind: Kind, source: Source, at: datetime, *parts: str, **values: Any
) -> Report:
    return Report(
        kind=kind,
        source=source,
        account=session.connection.account,
        digest=digest_of(source, kind, str(session.reference), *parts),
        occurred_at=at,
        received_at=at,
        session_reference=session.reference,
        connection_pk=session.connection_pk,
        **values,
    )


def opened(session: ConnectSession, answer: OpenedSession, now: datetime) -> Report:
    """Report that the upstream opened *session*."""
    owner = {"owner_user_id": str(answer.owner_user_id)} if answer.owner_user_id else {}
    return _of_session(
        session, Kind.OPENED, Source.READ, now, pending_token=answer.pending_token, details=owner
    )


def refused(session: ConnectSession, error: BusinessOSError, now: datetime) -> Report:
    """Report that the connect call for *session* failed."""
    payload = {"status": error.status} if error.status else {}
    return _of_session(session, Kind.FAILED, Source.READ, now, error_class=error.error_class, payload=payload)


def returned(session: ConnectSession, hints: Mapping[str, str], now: datetime) -> Report:
    """Report that the browser came back.

    Of *hints*, from the URL, only those that Salt Edge adds are kept, and only as plain words: anybody may
    write anything into an address. They decide nothing.
    """
    kept = {
        name: text for name in ("connection_id", "error_class") if (text := answers.word_of(hints.get(name)))
    }
    return _of_session(session, Kind.RETURNED, Source.BROWSER, now, payload=kept)


def expired(session: ConnectSession, at: datetime) -> Report:
    """Report that *session* ran out at *at* without a word."""
    return _of_session(session, Kind.EXPIRED, Source.SWEEP, at)


def disconnected(connection: BankingConnection, by: str, now: datetime) -> Report:
    """Report that its owner, or an operator, ended *connection*."""
    return Report(
        kind=Kind.DISCONNECTED,
        source=Source.OPERATOR,
        account=connection.account,
        digest=digest_of(Source.OPERATOR, Kind.DISCONNECTED, str(connection.reference)),
        occurred_at=now,
        received_at=now,
        connection_pk=connection.pk,
        ended_by=by,
    )


def expiring(connection: BankingConnection, days: int, now: datetime) -> Report:
    """Report that the consent of *connection* has come within *days* of its end. Once per end and step."""
    ends = connection.consent_expires_at
    return Report(
        kind=Kind.CONSENT_EXPIRING,
        source=Source.SWEEP,
        account=connection.account,
        digest=digest_of(
            Source.SWEEP, Kind.CONSENT_EXPIRING, str(connection.reference), f"{ends:%Y-%m-%d}", str(days)
        ),
        occurred_at=now,
        received_at=now,
        connection_pk=connection.pk,
        payload={"days": days},
    )


def self_tested(report: Report, return_to: str) -> Report:
    """Return the *report* of a self-test together with the address that customers would be sent back to."""
    return replace(report, payload={**report.payload, "return_to": return_to})


def missed(connection: BankingConnection, now: datetime) -> Report:
    """Report that the upstream's list lacks the link of *connection*, again."""
    return _listed(connection, Kind.MISSED, now)


def seen(connection: BankingConnection, now: datetime) -> Report:
    """Report that the upstream's list has the link of *connection* again."""
    return _listed(connection, Kind.SEEN, now)


def _listed(connection: BankingConnection, kind: Kind, now: datetime) -> Report:
    return Report(
        kind=kind,
        source=Source.READ,
        account=connection.account,
        digest=digest_of(
            Source.READ, kind, str(connection.reference), connection.connection_id, now.isoformat()
        ),
        occurred_at=now,
        received_at=now,
        connection_pk=connection.pk,
        connection_id=connection.connection_id,
    )


def removed(connection: BankingConnection, connection_id: str, now: datetime) -> Report:
    """Report that our own DELETE of an upstream connection was carried out."""
    return Report(
        kind=Kind.REMOVED,
        source=Source.READ,
        account=connection.account,
        digest=digest_of(Source.READ, Kind.REMOVED, str(connection.reference), connection_id),
        occurred_at=now,
        received_at=now,
        connection_pk=connection.pk,
        connection_id=connection_id,
    )
