"""Which upstream connections are of no use any more, read off a state: what is to be removed at the provider.

Pure, as :mod:`business_os_banking.facts.lifecycle` is.
"""

from business_os_banking.facts.held import SameBank, bank_of, same_bank, walk
from business_os_banking.facts.lifecycle import Attempt, Link, State, answer_key, unnamed
from business_os_banking.facts.status import gone_since, link_of
from business_os_banking.facts.successes import Success, successes_of
from business_os_banking.vocabulary import HeldReason


def to_remove(state: State) -> tuple[str, ...]:
    """Return, of a connection that its owner or an operator ended, the links whose removal nothing proves.

    All that was ever named, whether it succeeded or not; a list that lacks one, or somebody's word, is no proof.
    """
    if not state.ended:
        return ()
    links = {(success.session, success.link) for success in successes_of(state)}
    links |= {(reference, link) for reference, attempt in state.attempts.items() for link in attempt.named}
    return tuple(
        sorted({link for reference, link in links if link and not _is_removed(state, reference, link)})
    )


def superseded(state: State, is_same_bank: SameBank = same_bank) -> tuple[str, ...]:
    """Return the links that live on although a renewal has replaced them, at a bank that is known to be the same.

    One that somebody has confirmed to be another bank has replaced them, too. What is held has replaced nothing.
    """
    successes = walk(state, is_same_bank)
    current = successes.current
    if (
        state.ended
        or current is None
        or not current.link
        or gone_since(link_of(state, current, current.link))
    ):
        return ()
    # A success that named the link alone is the session's own only as far as is known: nothing is removed for it.
    if state.attempts.get(current.session, Attempt()).successes.keys().isdisjoint({current.link, ""}):
        return ()
    others: set[str] = set()
    is_chain = True
    for older, newer in zip(successes.accepted[-2::-1], successes.accepted[::-1], strict=False):
        is_chain = is_chain and _has_replaced(state, newer, older, is_same_bank)
        is_same = is_chain or is_same_bank(bank_of(state, older), bank_of(state, current)) is True
        is_alive = not gone_since(link_of(state, older, older.link))
        if is_same and is_alive and not _may_be_later(state, older, current):
            others.add(older.link)
    return tuple(
        sorted(
            others - {"", current.link} - {held.success.link for held in (*successes.held, *successes.moot)}
        )
    )


def _has_replaced(state: State, newer: Success, older: Success, is_same_bank: SameBank) -> bool:
    """Whether both banks are known, and the same, or somebody has confirmed that the newer one is meant."""
    is_same = is_same_bank(bank_of(state, older), bank_of(state, newer))
    attempt = state.attempts.get(newer.session, Attempt())
    is_confirmed = answer_key(HeldReason.OTHER_BANK, newer.link) in attempt.confirmed
    return is_same is True or (is_same is False and is_confirmed)


def _may_be_later(state: State, other: Success, current: Success) -> bool:
    """Whether *other* is of a later session, or its own word is: *current* may be the older one then."""
    theirs, ours = (state.attempts.get(s.session, Attempt()) for s in (other, current))
    if theirs.successes.get(other.link, other.at) > current.at:
        return True
    return theirs.opened_at is not None and ours.opened_at is not None and theirs.opened_at > ours.opened_at


def refused(state: State, is_same_bank: SameBank = same_bank) -> tuple[str, ...]:
    """Return the links of refused successes on which no other success stands, and whose removal nothing proves."""
    successes = walk(state, is_same_bank)
    standing = {
        s.link for s in (*successes.accepted, *(held.success for held in (*successes.held, *successes.moot)))
    }
    links = {s.link for s in successes.refused if s.link and not _is_removed(state, s.session, s.link)}
    return tuple(sorted(links - standing))


def _is_removed(state: State, session: str, link: str) -> bool:
    return is_removed(state.links.get(link, Link()) | state.links.get(unnamed(session), Link()))


def is_removed(link: Link) -> bool:
    """Return whether our own removal of *link* is proved, and nothing proves since then that it works."""
    if link.last_removed_at is None:
        return False
    return link.last_success_at is None or link.last_success_at <= link.last_removed_at
