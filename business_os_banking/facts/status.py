"""Statuses, read off a state: the only place where facts become the words that people see.

Pure, as :mod:`business_os_banking.facts.lifecycle` is. The columns of the models are copies of these views.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from business_os_banking.facts.held import (
    Held,
    SameBank,
    bank_of,
    hidden_links,
    is_refused,
    same_bank,
    walk,
)
from business_os_banking.facts.lifecycle import (
    GOOD,
    MISSING,
    NEEDS_USER,
    Attempt,
    Link,
    Standing,
    State,
    unnamed,
)
from business_os_banking.facts.successes import EARLIEST, Success, successes_of
from business_os_banking.vocabulary import (
    ConnectionStatus,
    EndedBy,
    Group,
    HeldReason,
    SessionStatus,
    StatusReason,
    group_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """The columns of a connect session that follow from the state."""

    status: SessionStatus
    upstream_id: str
    succeeded_at: datetime | None
    returned_at: datetime | None
    error_class: str
    error_group: Group | None
    stage: str
    refused_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """The columns of a connection that follow from the state."""

    status: ConnectionStatus
    status_reason: StatusReason | None
    upstream_id: str
    connected_at: datetime | None
    last_success_at: datetime | None
    last_error_class: str
    disconnected_at: datetime | None
    ended_by: EndedBy | None
    details: Mapping[str, str]
    consented_at: datetime | None  # when the current session succeeded: the last consent
    consent_expires_at: datetime | None  # as the provider said since then
    held_reason: HeldReason | None
    held_session: str  # the reference of the session whose success is held
    held_link: str
    held_bank: str  # the name, else the code, of the bank that it is at; not of what another browser finished
    has_moot: bool  # something is held that nobody is asked about any more
    hidden: tuple[
        Mapping[str, str], ...
    ]  # details that no column may show: of links that its owner may not have meant


def view_session(state: State, reference: str) -> SessionView:
    """Return what *state* says of the session with this *reference*."""
    attempt = state.attempts.get(reference, Attempt())
    successes = [s for s in successes_of(state) if s.session == reference]
    error_class = attempt.setback.error_class if attempt.setback and not successes else ""
    return SessionView(
        status=_session_status(attempt, succeeded=bool(successes)),
        upstream_id=_session_link(attempt, successes),
        succeeded_at=min(s.succeeded_at for s in successes) if successes else None,
        returned_at=attempt.returned_at,
        error_class=error_class,
        error_group=group_of(error_class) if attempt.setback and not successes else None,
        stage=attempt.progress.value if attempt.progress else "",
        refused_at=_refused_at(attempt, successes),
    )


def _refused_at(attempt: Attempt, successes: list[Success]) -> datetime | None:
    """Return when the session was refused, unless one of its successes was not."""
    is_whole = all(is_refused(attempt, success.link) for success in successes)
    is_refused_at_all = "" in attempt.refused or successes
    return min(attempt.refused.values(), default=None) if is_whole and is_refused_at_all else None


def _session_status(attempt: Attempt, *, succeeded: bool) -> SessionStatus:
    if succeeded:
        return SessionStatus.SUCCEEDED
    if attempt.setback:
        return SessionStatus(attempt.setback.status)
    return SessionStatus.OPEN if attempt.opened_at else SessionStatus.CREATED


def _session_link(attempt: Attempt, successes: list[Success]) -> str:
    """Return the link of the last success that named one, else the link mentioned last."""
    named = [(s.at, s.link) for s in successes if s.link] or [
        (at, link) for link, at in attempt.named.items()
    ]
    return max(named)[1] if named else ""


def view_connection(state: State, is_same_bank: SameBank = same_bank) -> ConnectionView:
    """Return what *state* says of the connection as a whole. Successes that are held or refused do not count."""
    successes = walk(state, is_same_bank)
    current = successes.current
    link_id = _session_link(
        state.attempts.get(current.session, Attempt()) if current else Attempt(),
        [current] if current else [],
    )
    link = link_of(state, current, link_id)
    hidden = hidden_links(state, successes)
    details = _about(state, current, link, hidden).told()
    question = None if state.ended else successes.question
    status, reason = _connection_status(state, current, link, details.get("provider_code", ""))
    ended_at, ended_by = _ending(state, current, link)
    return ConnectionView(
        status=status,
        status_reason=reason,
        upstream_id=link_id,
        connected_at=min((s.succeeded_at for s in successes.accepted), default=None),
        last_success_at=_last_success_at(current, link),
        last_error_class=_last_error(state, current, link),
        disconnected_at=ended_at,
        ended_by=ended_by,
        details=details,
        consented_at=_consented_at(current),
        consent_expires_at=_consent_end(current, link),
        held_reason=question.reason if question else None,
        held_session=question.success.session if question else "",
        held_link=question.success.link if question else "",
        held_bank=_held_bank(state, question),
        has_moot=any(held.reason != HeldReason.OTHER_BANK for held in successes.moot),
        hidden=tuple(state.links[key].told() for key in sorted(hidden) if key in state.links),
    )


def link_of(state: State, current: Success | None, link_id: str) -> Link:
    if current is None:
        return Link()
    link = state.links.get(link_id, Link()) | state.links.get(unnamed(current.session), Link())
    if current.is_dated:
        return link
    # It is in no register yet.
    return link | Link(standing=Standing(current.at, GOOD, ""), last_success_at=current.at)


def _about(state: State, current: Success | None, link: Link, hidden: set[str]) -> Link:
    """Return the link whose details describe the connection: until one works, whatever is known of any not *hidden*."""
    if current is not None:
        return link
    return reduce(or_, (link for key, link in state.links.items() if key not in hidden), Link())


def _held_bank(state: State, question: Held | None) -> str:
    if question is None or question.reason == HeldReason.OTHER_BROWSER:
        return ""
    bank = bank_of(state, question.success)
    return bank.name or bank.code


def gone_since(link: Link) -> datetime | None:
    """Return since when the link is gone: it was removed, or the list lacks it and nothing later proves it alive.

    A removal is final. A list may have been the wrong one, so what it lacked can come back.
    """
    if link.removed_at:
        return link.removed_at
    listed = link.listed
    if (
        listed is None
        or listed.value != MISSING
        or (link.last_success_at and link.last_success_at > listed.at)
    ):
        return None
    return listed.at


def _connection_status(
    state: State, current: Success | None, link: Link, provider_code: str
) -> tuple[ConnectionStatus, StatusReason | None]:
    if state.ended or (current and gone_since(link)):
        return ConnectionStatus.DISCONNECTED, None
    if current is None:
        return ConnectionStatus.PENDING, None
    standing = link.standing
    bank = state.banks.get(provider_code)
    # What was said last of the bank as a whole and of this link's use of the bank is what counts: a success
    # proves that a bank works again, and a bank switched on again mends the links that it had stopped.
    about_the_bank = (
        standing is None or standing.rank == GOOD or standing.reason == StatusReason.BANK_DISABLED
    )
    # That a reading shows the link says nothing of the bank: a success does.
    last = standing.at if standing and standing.rank != GOOD else link.last_success_at
    if bank and about_the_bank and not (last and last > bank.at):
        standing = Standing(bank.at, bank.rank, StatusReason.BANK_DISABLED)
    if standing and standing.rank == NEEDS_USER:
        return ConnectionStatus.INACTIVE, StatusReason(standing.reason) if standing.reason else None
    return ConnectionStatus.ACTIVE, None


def _ending(state: State, current: Success | None, link: Link) -> tuple[datetime | None, EndedBy | None]:
    if state.ended:
        return state.ended.at, EndedBy(state.ended.value)
    if current and (gone_at := gone_since(link)):
        return gone_at, EndedBy.PROVIDER
    return None, None


def _last_error(state: State, current: Success | None, link: Link) -> str:
    if current is None:
        setbacks = [a.setback for a in state.attempts.values() if a.setback]
        return max(setbacks).error_class if setbacks else ""
    is_over = link.trouble and link.standing and link.standing >= Standing(link.trouble.at, GOOD, "")
    return link.trouble.value if link.trouble and not is_over else ""


def _last_success_at(current: Success | None, link: Link) -> datetime | None:
    """Return when the link worked last: of what is not dated, when it was heard of."""
    if current is None or current.is_dated or (link.last_success_at or current.at) > current.at:
        return link.last_success_at
    return current.succeeded_at


def _consented_at(current: Success | None) -> datetime | None:
    return None if current is None else current.at if current.at > EARLIEST else current.succeeded_at


def _consent_end(current: Success | None, link: Link) -> datetime | None:
    """Return the end of the consent that was told with, or after, the last consent; older ones are over."""
    end = link.details.get("consent_expires_at")
    if end is None and current and not current.is_dated:
        end = link.undated_details.get("consent_expires_at")
    if current is None or end is None or end.at < current.at:
        return None
    return datetime.fromisoformat(end.value)
