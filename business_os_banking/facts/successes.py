"""Successes, read off a state: which session has reached which link, and when.

Pure, as :mod:`business_os_banking.facts.lifecycle` is.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from business_os_banking.facts.lifecycle import Attempt, Link, State

# Before everything that has a time.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Success(NamedTuple):
    """One session reaching one link for the first time.

    ``at`` is what it is compared by, ``succeeded_at`` what is shown. They differ for a success at a time that cannot be
    read: that is no earlier than its session was opened, and no more is known, so by that it is compared.
    """

    at: datetime
    session: str
    link: str
    succeeded_at: datetime
    is_dated: bool = True


def successes_of(state: State) -> list[Success]:
    """Return every first success of a session on a link, inherited ones included.

    A success that named only the link counts for the session that mentioned this link first; for later
    ones (a renewal that the bank folded into the old link) only if it came after they mentioned it. It does not
    turn a setback into a success where another session is known to have reached the link.
    """
    successes = [
        Success(since, reference, link, since)
        for reference, attempt in state.attempts.items()
        for link, at in attempt.successes.items()
        for since in [_since(state, reference, link, at)]
    ]
    own = {(s.session, s.link) for s in successes}
    for reference, attempt in state.attempts.items():
        for key, heard_at in attempt.undated.items():
            if (reference, key) not in own:
                successes.append(Success(_opening(attempt), reference, key, heard_at, is_dated=False))
                own.add((reference, key))
    reached = {s.link for s in successes}
    for key, link in state.links.items():
        namers = sorted((a.named[key], ref) for ref, a in state.attempts.items() if key in a.named)
        for position, (named_at, reference) in enumerate(namers):
            attempt = state.attempts[reference]
            if (reference, key) in own or (key in reached and attempt.setback):
                continue
            if success := _inherited(link, key, reference, attempt, named_at, is_first=position == 0):
                successes.append(success)
    return successes


def _since(state: State, reference: str, link: str, at: datetime) -> datetime:
    """Return when the session first reached *link*, of which its own word comes from *at*.

    What came first may have named the link alone. That is the session's if none has mentioned the link before it, and
    it had been opened by then. Else a late word of an older session would pass for the latest success.
    """
    opened_at = state.attempts[reference].opened_at
    bare_at = state.links.get(link, Link()).first_bare_success_at
    if opened_at is None or bare_at is None or not opened_at <= bare_at < at:
        return at
    namers = [(attempt.named[link], ref) for ref, attempt in state.attempts.items() if link in attempt.named]
    return bare_at if min(namers, default=(at, reference))[1] == reference else at


def _inherited(
    link: Link, key: str, reference: str, attempt: Attempt, named_at: datetime, *, is_first: bool
) -> Success | None:
    """Return what successes that named only the *link*, by its *key*, are worth to a session that named it."""
    first, last = link.first_bare_success_at, link.last_bare_success_at
    if first and last and (is_first or last >= named_at):
        at = first if is_first else max(named_at, first)
        return Success(at, reference, key, at)
    if link.bare_undated_at and is_first:
        return Success(_opening(attempt), reference, key, link.bare_undated_at, is_dated=False)
    return None


def _opening(attempt: Attempt) -> datetime:
    return attempt.opened_at or EARLIEST
