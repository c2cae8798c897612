"""Facts, the state they add up to, and the merge that joins them.

Everything that happens to a connection is a :class:`Fact`. Each fact asserts a small :class:`State`
(:func:`evidence`), and :func:`merge` joins it to what was known before. Every part of a state is a
minimum, a maximum or a union of these, so the join is commutative, associative and idempotent: the same
set of facts gives the same state, in whatever order they arrive and however often each is repeated.
Statuses are not part of a state; :mod:`business_os_banking.facts.status` reads them off it.

This module is pure: no Django, no clock, no I/O. All times are aware and in UTC.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Final, NamedTuple, TypeVar

from business_os_banking.facts.fact import Fact
from business_os_banking.vocabulary import (
    CANCELLED_CLASSES,
    REASONS,
    SESSION_EXPIRED,
    EndedBy,
    Kind,
    SessionStatus,
    StatusReason,
)

T = TypeVar("T")


class Setback(NamedTuple):
    """Why a session did not succeed. The order of the fields is the order of comparison."""

    at: datetime
    rank: int
    status: str
    error_class: str


class Standing(NamedTuple):
    """Whether a link works. At the very same time, good outranks bad: a success is proof."""

    at: datetime
    rank: int
    reason: str


class Noted(NamedTuple):
    """A value and when it was so; the later one counts."""

    at: datetime
    value: str


GOOD, NEEDS_USER = 1, 0
# At the very same moment the list that has it is believed: the word sorts later.
MISSING, THERE = "missing", "there"
# Somebody else's word that it is removed may be undone, as a list may; our own removal, with its proof, may not.
_LISTED: Final = {Kind.MISSED: MISSING, Kind.REMOVED: MISSING, Kind.SEEN: THERE}
# They name the link of a success that is known already.
_ANSWERS: Final = {Kind.CONFIRMED, Kind.REFUSED}
_SETBACK_STATUS: Final = {
    Kind.EXPIRED: (0, SessionStatus.EXPIRED),
    Kind.CANCELLED: (1, SessionStatus.CANCELLED),
    Kind.FAILED: (2, SessionStatus.FAILED),
    Kind.CONSENT_ENDED: (2, SessionStatus.FAILED),
}


def _one(choose: Callable[..., T], a: T | None, b: T | None) -> T | None:
    """Return the one that is there, or what *choose* (`min` or `max`) makes of both."""
    if a is None or b is None:
        return b if a is None else a
    return choose(a, b)


def _union(combine: Callable[[T, T], T], a: Mapping[str, T], b: Mapping[str, T]) -> dict[str, T]:
    """Return the union of two maps; values under the same key are combined."""
    return {**a, **{key: combine(a[key], b[key]) if key in a else b[key] for key in b}}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one connect session."""

    opened_at: datetime | None = None
    returned_at: datetime | None = None
    successes: Mapping[str, datetime] = field(default_factory=dict)  # link -> first success
    # link -> first heard of a success at a time that cannot be read
    undated: Mapping[str, datetime] = field(default_factory=dict)
    named: Mapping[str, datetime] = field(default_factory=dict)  # link -> first mention
    setback: Setback | None = None
    progress: Noted | None = None
    # What decides whether its successes are held, by the first time that each was said. No two are compared.
    renews: Mapping[str, datetime] = field(
        default_factory=dict
    )  # links that the connection stood on when it opened
    required_at: datetime | None = None
    withdrawn_at: datetime | None = None
    doubts: Mapping[str, datetime] = field(default_factory=dict)  # by nonce
    proofs: Mapping[str, datetime] = field(default_factory=dict)
    confirmed: Mapping[str, datetime] = field(default_factory=dict)  # by `answer_key`
    refused: Mapping[str, datetime] = field(default_factory=dict)  # by link; "" for whatever it leads to

    def __or__(self, other: "Attempt") -> "Attempt":
        return Attempt(
            opened_at=_one(min, self.opened_at, other.opened_at),
            returned_at=_one(min, self.returned_at, other.returned_at),
            successes=_union(min, self.successes, other.successes),
            undated=_union(min, self.undated, other.undated),
            named=_union(min, self.named, other.named),
            setback=_one(max, self.setback, other.setback),
            progress=_one(max, self.progress, other.progress),
            renews=_union(min, self.renews, other.renews),
            required_at=_one(min, self.required_at, other.required_at),
            withdrawn_at=_one(min, self.withdrawn_at, other.withdrawn_at),
            doubts=_union(min, self.doubts, other.doubts),
            proofs=_union(min, self.proofs, other.proofs),
            confirmed=_union(min, self.confirmed, other.confirmed),
            refused=_union(min, self.refused, other.refused),
        )


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of one upstream connection, whichever sessions led to it."""

    standing: Standing | None = None
    removed_at: datetime | None = None
    last_removed_at: datetime | None = None
    last_success_at: datetime | None = None
    trouble: Noted | None = None
    listed: Noted | None = None  # MISSING or THERE: what was said last of whether the upstream has it
    # Successes that named only the link: they count for the sessions that turn out to have led to it.
    first_bare_success_at: datetime | None = None
    last_bare_success_at: datetime | None = None
    bare_undated_at: datetime | None = None  # first heard of such a success at a time that cannot be read
    details: Mapping[str, Noted] = field(default_factory=dict)
    # Those told at a time that cannot be read: they are for where there are no others.
    undated_details: Mapping[str, Noted] = field(default_factory=dict)

    def __or__(self, other: "Link") -> "Link":
        return Link(
            standing=_one(max, self.standing, other.standing),
            removed_at=_one(min, self.removed_at, other.removed_at),
            last_removed_at=_one(max, self.last_removed_at, other.last_removed_at),
            last_success_at=_one(max, self.last_success_at, other.last_success_at),
            trouble=_one(max, self.trouble, other.trouble),
            listed=_one(max, self.listed, other.listed),
            first_bare_success_at=_one(min, self.first_bare_success_at, other.first_bare_success_at),
            last_bare_success_at=_one(max, self.last_bare_success_at, other.last_bare_success_at),
            bare_undated_at=_one(min, self.bare_undated_at, other.bare_undated_at),
            details=_union(max, self.details, other.details),
            undated_details=_union(max, self.undated_details, other.undated_details),
        )

    def told(self) -> dict[str, str]:
        """Return what was told of it last, by the names in :data:`vocabulary.DETAILS`."""
        return {key: noted.value for key, noted in {**self.undated_details, **self.details}.items()}


@dataclass(frozen=True, slots=True)
class State:
    """Everything that facts have said about one connection."""

    attempts: Mapping[str, Attempt] = field(default_factory=dict)  # by session reference
    links: Mapping[str, Link] = field(default_factory=dict)  # by upstream upstream_id
    banks: Mapping[str, Standing] = field(default_factory=dict)  # by provider_code
    ended: Noted | None = None  # the first time that its owner or an operator ended it

    def __or__(self, other: "State") -> "State":
        return State(
            attempts=_union(lambda a, b: a | b, self.attempts, other.attempts),
            links=_union(lambda a, b: a | b, self.links, other.links),
            banks=_union(max, self.banks, other.banks),
            ended=_one(min, self.ended, other.ended),
        )


def merge(state: State, fact: Fact) -> State:
    """Return *state* with *fact* added to it. Order and repetition make no difference."""
    return state | evidence(fact)


def merge_all(facts: Iterable[Fact], state: State | None = None) -> State:
    """Return what *facts* add up to, on top of *state*."""
    return reduce(merge, facts, state or State())


def evidence(fact: Fact) -> State:
    """Return the state that *fact* asserts when nothing else is known."""
    if fact.kind is Kind.DISCONNECTED:
        return State(ended=Noted(fact.at, fact.ended_by or EndedBy.OPERATOR))
    if fact.kind is Kind.PROVIDER_CHANGED:
        if not fact.provider_code or fact.provider_active is None:
            return State()
        rank = GOOD if fact.provider_active else NEEDS_USER
        return State(banks={fact.provider_code: Standing(fact.at, rank, "")})
    link_key = fact.link or (unnamed(fact.session) if fact.session else "")
    link = _link_evidence(fact)
    return State(
        attempts={fact.session: _attempt_evidence(fact)} if fact.session else {},
        links={link_key: link} if link_key and link != Link() else {},
    )


def _attempt_evidence(fact: Fact) -> Attempt:
    success_at = fact.at if fact.kind is Kind.SUCCEEDED and fact.dated else fact.succeeded_at
    setback = None
    if fact.kind in _SETBACK_STATUS and fact.succeeded_at is None:
        cancelled = fact.kind is Kind.FAILED and fact.error_class in CANCELLED_CLASSES
        rank, status = _SETBACK_STATUS[Kind.CANCELLED if cancelled else fact.kind]
        default = SESSION_EXPIRED if fact.kind is Kind.EXPIRED else ""
        setback = Setback(fact.at, rank, status, fact.error_class or default)
    return Attempt(
        opened_at=fact.at if fact.kind is Kind.OPENED else None,
        returned_at=fact.at if fact.kind is Kind.RETURNED else None,
        successes={fact.link: success_at} if success_at else {},
        undated={fact.link: fact.at} if fact.kind is Kind.SUCCEEDED and not fact.dated else {},
        named={fact.link: fact.at} if fact.link and fact.kind not in _ANSWERS else {},
        setback=setback,
        progress=Noted(fact.at, fact.stage)
        if fact.stage and fact.kind in {Kind.PROGRESSED, Kind.SUCCEEDED}
        else None,
        renews={fact.renews: fact.at} if fact.renews else {},
        required_at=fact.at if fact.proof_required else None,
        withdrawn_at=fact.at if fact.kind is Kind.WITHDRAWN else None,
        doubts={fact.doubt: fact.at} if fact.doubt else {},
        proofs={fact.proof: fact.at} if fact.proof else {},
        confirmed={answer_key(fact.reason, fact.link): fact.at} if fact.kind is Kind.CONFIRMED else {},
        refused={fact.link: fact.at} if fact.kind is Kind.REFUSED else {},
    )


def answer_key(reason: str, link: str) -> str:
    """Return the key for the answer that a success on *link*, which was held for this *reason*, was meant."""
    return f"{reason} {link}"


def _link_evidence(fact: Fact) -> Link:
    # Undated, it must not outdo what has a time: see `status`, which dates it by the opening of its session.
    succeeded = fact.kind is Kind.SUCCEEDED and fact.dated
    standing = None
    trouble = None
    if succeeded or (fact.kind is Kind.SEEN and fact.link_works):
        standing = Standing(fact.at, GOOD, "")
    elif fact.kind in {Kind.FAILED, Kind.CONSENT_ENDED} and not fact.link_works:
        trouble = Noted(fact.at, fact.error_class)
        reason = fact.reason or REASONS.get(fact.error_class, "")
        if fact.kind is Kind.CONSENT_ENDED:
            reason = reason or StatusReason.CONSENT_EXPIRED
        standing = Standing(fact.at, NEEDS_USER, reason) if reason else None
    bare = fact.at if succeeded and not fact.session else None
    details = {key: Noted(fact.at, value) for key, value in fact.details.items() if value}
    removed_at = fact.at if fact.kind is Kind.REMOVED and fact.final else None
    return Link(
        standing=standing,
        removed_at=removed_at,
        last_removed_at=removed_at,
        last_success_at=fact.at if succeeded else fact.succeeded_at,
        trouble=trouble,
        listed=Noted(fact.at, _LISTED[fact.kind]) if fact.kind in _LISTED and not fact.final else None,
        first_bare_success_at=bare,
        last_bare_success_at=bare,
        bare_undated_at=fact.at if fact.kind is Kind.SUCCEEDED and not (fact.dated or fact.session) else None,
        details=details if fact.dated else {},
        undated_details={} if fact.dated else details,
    )


def unnamed(session: str) -> str:
    """Return the key for what is said of a session's link by facts that do not name the link."""
    return f"?{session}"
