"""What a connection object of the upstream asserts, whether a webhook, a row of the list or a single read holds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from business_os_banking.facts import notes
from business_os_banking.facts.fact import Fact
from business_os_banking.facts.report import Report, digest_of, when
from business_os_banking.upstream.objects import ConnectionObject, Names
from business_os_banking.upstream.times import Time
from business_os_banking.vocabulary import (
    CANCELLED_CLASSES,
    CONSENT_CLASSES,
    REASONS,
    Kind,
    Source,
    StatusReason,
)

_STOPPED: Final = frozenset({"inactive", "disabled"})  # statuses of a link that does not work


def report_of(item: ConnectionObject, account: str, now: datetime) -> Report:
    """Return what *item*, read at *now*, reports.

    The digest is made of what the object says, so reading an unchanged one again is no new fact.
    """
    fact, names_session = fact_of_object(item, now)
    tokens = sorted(item.names.tokens) if names_session else []
    sessions = sorted(item.names.sessions) if names_session else []
    content = (
        fact.kind,
        _text_of(_meaning(item)[1]),
        fact.error_class,
        str([token.hex for token in tokens]),
        str(sessions),
        _text_of(fact.succeeded_at),
        str(sorted(fact.details.items())),
    )
    return Report(
        fact=fact,
        source=Source.READ,
        account=account,
        digest=digest_of(Source.READ, account, item.id, *content),
        received_at=now,
        pending_token=tokens[0] if len(tokens) == 1 else None,
        session_reference=sessions[0] if len(sessions) == 1 else None,
        payload={"connection_id": item.id, "status": item.status} if item.id else {"status": item.status},
        conflict=name_conflict(item.names),
    )


def fact_of_object(item: ConnectionObject, received_at: datetime, time: Time = None) -> tuple[Fact, bool]:
    """Return what *item* asserts, and whether that is about the session that it names.

    *time* is when it was told, where that is known better than by the object itself.
    """
    kind, claimed, names_session = _meaning(item)
    claimed = claimed or time
    is_failure, link_works = kind is Kind.FAILED, item.status == "active" and kind is Kind.FAILED
    fact = Fact(
        kind=kind
        if item.status in _STOPPED
        else kind_of_failure(kind, item.error_class, link_works=link_works),
        at=when(claimed, received_at),
        dated=claimed is None or isinstance(claimed, datetime),
        link=item.id,
        error_class=item.error_class if is_failure else "",
        link_works=link_works,
        details=item.details,
        succeeded_at=_success_before_it_stopped(item),
    )
    if is_failure and item.status in _STOPPED:
        return _needs_the_user(fact, item.status), names_session
    return fact, names_session


def kind_of_failure(kind: Kind, error_class: str, *, link_works: bool = False) -> Kind:
    """Return *kind*, for a failure that which its class makes of it; a consent has not ended on a link that works."""
    if kind is not Kind.FAILED:
        return kind
    if error_class in CANCELLED_CLASSES:
        return Kind.CANCELLED
    return Kind.CONSENT_ENDED if error_class in CONSENT_CLASSES and not link_works else kind


def name_conflict(names: Names) -> str:
    """Return why nothing may be done on what *names* name, ``""`` if it is clear what they mean."""
    if len(names.tokens) > 1:
        return notes.TWO_TOKENS
    if len(names.sessions) > 1:
        return notes.TWO_SESSIONS
    if len(names.ids) > 1:
        return notes.TWO_LINKS
    # Silently, a connection would work that nobody could read or remove.
    return notes.UNUSABLE_ID if names.has_unusable_id else ""


def _meaning(item: ConnectionObject) -> tuple[Kind, Time, bool]:
    """Return the kind of fact, its time, and whether it is about the session that the object names."""
    has_failed = item.failure_at is not None or item.has_error
    if item.status in _STOPPED:
        # An attempt that is under way has not failed because the link, as it was before, does not work.
        is_about_session = not item.has_attempt or has_failed or _success_before_it_stopped(item) is not None
        return Kind.FAILED, item.failure_at or item.updated_at, is_about_session
    if item.status not in {"active", ""}:
        return Kind.UNKNOWN, item.updated_at, True
    if not item.has_attempt:
        kind = Kind.SUCCEEDED if item.status else Kind.UNKNOWN
        return kind, item.last_success_at or item.updated_at, True
    if _has_succeeded(item, has_failed=has_failed):
        return Kind.SUCCEEDED, item.success_at or item.updated_at, True
    if has_failed and (item.names.tokens or item.names.sessions):
        return Kind.FAILED, item.failure_at or item.updated_at, True
    # Nobody knows whose attempt failed, or it is under way: what is left is that the link has worked.
    if item.last_success_at is not None:
        return Kind.SUCCEEDED, item.last_success_at, False
    return Kind.UNKNOWN, item.updated_at, True


def _success_before_it_stopped(item: ConnectionObject) -> datetime | None:
    """Return when the last attempt ended well, of a link that has stopped working since; ``None`` if it did not."""
    if item.status not in _STOPPED or not isinstance(item.success_at, datetime):
        return None
    return item.success_at if _has_succeeded(item, has_failed=item.failure_at is not None) else None


def _has_succeeded(item: ConnectionObject, *, has_failed: bool) -> bool:
    """Whether the last attempt ended well: at a time that cannot be read, only if nothing speaks against it."""
    success, failure = item.success_at, item.failure_at
    if isinstance(success, datetime):
        return not (isinstance(failure, datetime) and failure > success)
    return not has_failed and (success is not None or item.is_finished)


def _needs_the_user(fact: Fact, status: str) -> Fact:
    """Return *fact*, of a link that is ``inactive`` or ``disabled``: it cannot go on, whatever the class says."""
    error_class = fact.error_class or ("ConnectionDisabled" if status == "disabled" else "")
    if error_class in CONSENT_CLASSES:
        return replace(fact, kind=Kind.CONSENT_ENDED, error_class=error_class)
    reason = REASONS.get(error_class)
    if reason is None and status == "disabled":
        reason = StatusReason.BANK_DISABLED
    if reason is None:
        denied = error_class in CANCELLED_CLASSES
        reason = StatusReason.ACCESS_DENIED if denied else StatusReason.BANK_STEP_REQUIRED
    return replace(fact, error_class=error_class, reason=reason)


def _text_of(time: Time) -> str:
    return time.isoformat() if isinstance(time, datetime) else time.text if time else ""
