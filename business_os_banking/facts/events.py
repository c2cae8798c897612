"""Between reports and the rows of the log: an event holds all that its report said, so it can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from business_os_banking.facts import notes
from business_os_banking.facts.fact import Fact
from business_os_banking.facts.report import Report
from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.upstream import masking
from business_os_banking.vocabulary import Kind, Outcome, Source

# What the columns by which an event names a connection or a session hold where it names none.
NAMING_NOBODY: Final[Mapping[str, Any]] = {
    "upstream_id": "",
    "pending_token": None,
    "session_reference": None,
    "payload": {},
}


def to_event(report: Report) -> ConnectionEvent:
    """Return an unsaved event for *report*; what it did is still to be written on it."""
    fact = report.fact
    return ConnectionEvent(
        account=report.account,
        source=report.source.value,
        kind=fact.kind.value,
        stage=fact.stage,
        error_class=fact.error_class,
        pending_token=report.pending_token,
        session_reference=report.session_reference,
        upstream_id=fact.link,
        provider_code=fact.provider_code if fact.kind is Kind.PROVIDER_CHANGED else "",
        assertions=report.assertions(),
        occurred_at=fact.at,
        received_at=report.received_at,
        digest=report.digest,
        payload=dict(report.payload),
    )


def from_event(event: ConnectionEvent) -> Report:
    """Return the report that *event* was recorded from, so that it can be applied again."""
    assertions = event.assertions
    chosen = event.session if event.by_hand else None
    return Report(
        fact=Fact(
            kind=Kind(event.kind),
            at=event.occurred_at,
            link=event.upstream_id,
            stage=event.stage,
            error_class=event.error_class,
            reason=assertions.get("reason", ""),
            ended_by=assertions.get("ended_by", ""),
            provider_code=event.provider_code,
            provider_active=assertions.get("provider_active"),
            details=assertions.get("details", {}),
            dated=assertions.get("dated", True),
            final=assertions.get("final", False),
            link_works=assertions.get("link_works", False),
            succeeded_at=_time(assertions.get("succeeded_at", "")),
            renews=assertions.get("renews", ""),
            proof_required=assertions.get("proof_required", False),
            doubt=assertions.get("doubt", ""),
            proof=assertions.get("proof", ""),
        ),
        source=Source(event.source),
        account=event.account,
        digest=event.digest,
        received_at=event.received_at,
        pending_token=None if chosen else event.pending_token,
        session_reference=chosen.reference if chosen else event.session_reference,
        connection_id=event.connection_id,
        conflict=assertions.get("conflict", ""),
        payload=event.payload,
    )


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def fact_of(event: ConnectionEvent) -> Fact:
    """Return the fact of *event* as it was filed."""
    is_named = event.pending_token or event.session_reference or event.by_hand
    return from_event(event).of_session(str(event.session.reference) if is_named and event.session else "")


def keep_own_duplicate(event: ConnectionEvent, rows: list[BankingConnection]) -> None:
    """Keep which connection there is already only if it is of the same owner: nobody else is to be told of it."""
    link = event.payload.get("duplicated_connection_id")
    if link is None:
        return
    owners = {(row.user_id, row.tenant) for row in rows}
    same_link = BankingConnection.objects.filter(account=event.account, upstream_id=link)
    if not owners & set(same_link.values_list("user_id", "tenant")):
        event.payload = {**event.payload, "duplicated_connection_id": masking.MASK}


def forget(event: ConnectionEvent) -> None:
    """Leave nothing on *event* that names anybody: it is about what was erased."""
    for name, value in NAMING_NOBODY.items():
        setattr(event, name, value)
    if event.kind != Kind.PROVIDER_CHANGED:  # what is said of a bank concerns others, too
        event.outcome, event.note = Outcome.ORPHANED.value, notes.ERASED
        event.provider_code, event.assertions = "", {}
