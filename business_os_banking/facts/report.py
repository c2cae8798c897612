"""A fact as it was reported: what happened, who says so, and what it names to be filed by.

Reports are what goes through the one door, `facts.record.record`. The functions here make those that the app
itself reports; `facts.interpret` makes those of the upstream's connection objects, `webhooks.payloads` of webhooks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from business_os_banking.exceptions import BusinessOSError
from business_os_banking.facts.fact import Fact
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream import values
from business_os_banking.upstream.client import OpenedSession
from business_os_banking.upstream.times import CLOCK_TOLERANCE, Time
from business_os_banking.vocabulary import Kind, Source


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
        content: dict[str, Any] = {
            "reason": self.fact.reason,
            "ended_by": self.fact.ended_by,
            "provider_active": self.fact.provider_active,
            "details": dict(self.fact.details),
            "conflict": self.conflict,
            "dated": None if self.fact.dated else False,
            "final": self.fact.final or None,
            "link_works": self.fact.link_works or None,
            "succeeded_at": self.fact.succeeded_at.isoformat() if self.fact.succeeded_at else "",
            "renews": self.fact.renews,
            "proof_required": self.fact.proof_required or None,
            "doubt": self.fact.doubt,
            "proof": self.fact.proof,
        }
        return {key: value for key, value in content.items() if value not in ("", None, {})}


def when(claimed: Time, received_at: datetime) -> datetime:
    """Return the time of a fact: the provider's, but no later than receipt plus five minutes.

    One wrong clock must not freeze a register for years. No time, and one that cannot be read, are that of receipt.
    """
    return min(claimed, received_at + CLOCK_TOLERANCE) if isinstance(claimed, datetime) else received_at


def digest_of(*parts: str | bytes) -> str:
    """Return the hex SHA-256 of the parts, each with its length before it, so none runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


# --- What happens to a session -------------------------------------------------------------------------


def opened(
    session: ConnectSession, answer: OpenedSession, now: datetime, *, proof_required: bool = False
) -> Report:
    """Report that the upstream opened *session*, and which link its connection stood on when it was asked to."""
    fact = Fact(
        kind=Kind.OPENED,
        at=now,
        details={"owner_user_id": str(answer.owner_user_id)} if answer.owner_user_id else {},
        renews=session.connection.upstream_id,
        proof_required=proof_required,
    )
    return replace(_of_session(session, fact, Source.READ), pending_token=answer.pending_token)


def refused(session: ConnectSession, error: BusinessOSError, now: datetime) -> Report:
    """Report that the connect call for *session* failed."""
    about = {"kind": type(error).__name__, "status": error.status, "retry_after": error.retry_after}
    payload = {name: value for name, value in about.items() if value is not None}
    fact = Fact(kind=Kind.FAILED, at=now, error_class=error.error_class)
    return _of_session(session, fact, Source.READ, payload)


def returned(
    session: ConnectSession, hints: Mapping[str, str], now: datetime, *, doubt: str = "", proof: str = ""
) -> Report:
    """Report that the browser came back; with a *doubt* or a *proof*, that it finished at the bank.

    Of *hints*, from the URL, only those that Salt Edge adds are kept, and only as plain words: anybody may
    write anything into an address. They decide nothing.
    """
    words = {name: values.word_of(hints.get(name)) for name in ("connection_id", "error_class")}
    payload = {name: word for name, word in words.items() if word}
    fact = Fact(kind=Kind.RETURNED, at=now, doubt=doubt, proof=proof)
    return _of_session(session, fact, Source.BROWSER, payload, doubt, proof)


def proved(session: ConnectSession, doubt: str, now: datetime) -> Report:
    """Report that the browser which raised this *doubt* is that of who began *session*."""
    return _of_session(session, Fact(kind=Kind.PROVED, at=now, proof=doubt), Source.BROWSER, None, doubt)


def withdrawn(session: ConnectSession, now: datetime) -> Report:
    """Report that the renewal link which *session* was begun with has been withdrawn."""
    return _of_session(session, Fact(kind=Kind.WITHDRAWN, at=now), Source.OPERATOR)


def confirmed(session: ConnectSession, link: str, held_reason: str, now: datetime, why: str = "") -> Report:
    """Report that the success of *session* on *link*, which was held, is what was meant."""
    fact = Fact(kind=Kind.CONFIRMED, at=now, link=link, reason=held_reason)
    return _of_session(session, fact, Source.OPERATOR, {"why": why} if why else None, link, held_reason)


def refused_success(
    session: ConnectSession, link: str, source: Source, now: datetime, why: str = ""
) -> Report:
    """Report that the success of *session* on *link*, or with ``""`` whatever it leads to, is not what was meant."""
    fact = Fact(kind=Kind.REFUSED, at=now, link=link)
    return _of_session(session, fact, source, {"why": why} if why else None, link)


def held_reminder(session: ConnectSession, now: datetime) -> Report:
    """Report that nobody has answered yet whether the success of *session* was meant."""
    return _of_session(session, Fact(kind=Kind.HELD_REMINDER, at=now), Source.SWEEP)


def expired(session: ConnectSession, at: datetime) -> Report:
    """Report that *session* ran out at *at* without a word."""
    return _of_session(session, Fact(kind=Kind.EXPIRED, at=at), Source.SWEEP)


def _of_session(
    session: ConnectSession,
    fact: Fact,
    source: Source,
    payload: Mapping[str, Any] | None = None,
    *parts: str,
) -> Report:
    return Report(
        fact=fact,
        source=source,
        account=session.connection.account,
        digest=digest_of(source, fact.kind, str(session.reference), *filter(None, parts)),
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


def seen(connection: BankingConnection, now: datetime, *, works: bool = False) -> Report:
    """Report that the upstream has the link of *connection* after all, and shows that it works."""
    fact = Fact(kind=Kind.SEEN, at=now, link=connection.upstream_id, link_works=works)
    return _of_connection(connection, fact, Source.READ, fact.link, now.isoformat())


def removed(connection: BankingConnection, upstream_id: str, now: datetime, requested_at: datetime) -> Report:
    """Report that our own DELETE of an upstream connection was carried out, as it was asked for at *requested_at*."""
    fact = Fact(kind=Kind.REMOVED, at=now, link=upstream_id, final=True)
    return _of_connection(connection, fact, Source.READ, upstream_id, requested_at.isoformat())


def _of_connection(connection: BankingConnection, fact: Fact, source: Source, *parts: str) -> Report:
    return Report(
        fact=fact,
        source=source,
        account=connection.account,
        digest=digest_of(source, fact.kind, str(connection.reference), *parts),
        received_at=fact.at,
        connection_id=connection.pk,
    )
