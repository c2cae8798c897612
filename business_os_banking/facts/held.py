"""Which success is current, which is held, and why: one walk over the successes of a state.

A success is held while it may not be what the owner meant: another browser finished it, it is another bank, its
renewal link was withdrawn. Pure, as :mod:`business_os_banking.facts.lifecycle` is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from business_os_banking.facts.lifecycle import Attempt, Link, State, answer_key, unnamed
from business_os_banking.facts.successes import Success, successes_of
from business_os_banking.vocabulary import Bank, HeldReason

# Whether two banks are the same one, `None` where too little is known of either to tell.
SameBank = Callable[[Bank, Bank], bool | None]


class Held(NamedTuple):
    """A success that does not count yet, and why."""

    success: Success
    reason: HeldReason


@dataclass(frozen=True, slots=True)
class Walk:
    """The successes of a state, told apart. ``accepted`` are all that are neither refused nor held."""

    accepted: tuple[Success, ...]
    held: tuple[Held, ...]  # and later than the current one
    moot: tuple[Held, ...]  # held, and older than the current one: nobody is asked about them
    refused: tuple[Success, ...]

    @property
    def current(self) -> Success | None:
        return self.accepted[-1] if self.accepted else None

    @property
    def question(self) -> Held | None:
        """What somebody has to answer for: of those that are held, the last."""
        return self.held[-1] if self.held else None


def walk(state: State, is_same_bank: SameBank) -> Walk:
    """Return the successes of *state*, earliest first, as accepted, held, moot and refused ones."""
    accepted: list[Success] = []
    held: list[Held] = []
    moot: list[Held] = []
    refused: list[Success] = []
    for success in sorted(successes_of(state)):
        attempt = state.attempts.get(success.session, Attempt())
        if is_refused(attempt, success.link):
            refused.append(success)
            continue
        why = _why_held(state, attempt, success, accepted[-1] if accepted else None, is_same_bank)
        if why is None:
            accepted.append(success)
            moot, held = [*moot, *held], []
        else:
            held.append(Held(success, why))
    return Walk(tuple(accepted), tuple(held), tuple(moot), tuple(refused))


def is_refused(attempt: Attempt, link: str) -> bool:
    """Return whether a success on *link* was refused: it, or whatever the session leads to."""
    return not attempt.refused.keys().isdisjoint({"", link})


def open_doubts(attempt: Attempt) -> set[str]:
    """Return the nonces of the browsers that came back and have not proved that they are who began."""
    return attempt.doubts.keys() - attempt.proofs.keys()


def doubtful_sessions(state: State) -> set[str]:
    """Return the references of the sessions that somebody else than their owner may have finished."""
    return {
        reference
        for reference, attempt in state.attempts.items()
        if _is_doubted(attempt) or attempt.withdrawn_at or "" in attempt.refused
    }


def hidden_links(state: State, told: Walk) -> set[str]:
    """Return the links of which the owner is told nothing: what doubtful and refused sessions have led to or named.

    Not those on which a success that counts stands, too.
    """
    doubtful = doubtful_sessions(state)
    links = {link for reference in doubtful for link in state.attempts[reference].named}
    links |= {unnamed(reference) for reference in doubtful}
    others = [*(held.success for held in (*told.held, *told.moot)), *told.refused]
    links |= {key for success in others for key in (success.link, unnamed(success.session))}
    return links - {key for success in told.accepted for key in (success.link, unnamed(success.session))}


def bank_of(state: State, success: Success) -> Bank:
    """Return what *state* says of the bank of *success*."""
    return _bank(state, success.link, unnamed(success.session))


def same_bank(one: Bank, other: Bank) -> bool | None:
    """Return whether two banks are the same: by their codes, or by name and country; `None` if it is unknown."""
    if one.code and one.code == other.code:
        return True
    has_names = bool(one.name and other.name)
    if has_names and _folded(one.name) == _folded(other.name):
        # Many countries have a bank of that name.
        has_countries = bool(one.country and other.country)
        return one.country.upper() == other.country.upper() if has_countries else None
    return False if has_names or (one.code and other.code) else None


def _why_held(
    state: State, attempt: Attempt, success: Success, current: Success | None, is_same_bank: SameBank
) -> HeldReason | None:
    if _is_doubted(attempt) and not _is_confirmed(attempt, HeldReason.OTHER_BROWSER, success):
        return HeldReason.OTHER_BROWSER
    if attempt.withdrawn_at and not _is_confirmed(attempt, HeldReason.LINK_WITHDRAWN, success):
        return HeldReason.LINK_WITHDRAWN
    # What the connection stood on when this session was opened is what it was to renew. A second bank that is chosen in
    # the first sitting, and a late success of an earlier session, renew nothing.
    if current is None or not attempt.renews or _is_confirmed(attempt, HeldReason.OTHER_BANK, success):
        return None
    new = bank_of(state, success)
    old = [bank_of(state, current), *(_bank(state, link) for link in attempt.renews)]
    return HeldReason.OTHER_BANK if all(is_same_bank(bank, new) is False for bank in old) else None


def _is_doubted(attempt: Attempt) -> bool:
    return bool(open_doubts(attempt)) or bool(attempt.required_at and not attempt.proofs)


def _is_confirmed(attempt: Attempt, reason: HeldReason, success: Success) -> bool:
    # What was accepted before its link was known stays accepted when it is.
    return any(answer_key(reason, link) in attempt.confirmed for link in {success.link, ""})


def _bank(state: State, *keys: str) -> Bank:
    told: dict[str, str] = {}
    for key in reversed(keys):
        told |= state.links.get(key, Link()).told()
    return Bank(*(told.get(name, "") for name in ("provider_code", "provider_name", "country_code")))


def _folded(name: str) -> str:
    return "".join(name.casefold().split())
