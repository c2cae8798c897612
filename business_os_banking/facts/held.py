"""Which success is current, which is held, and why: one walk over the successes of a state.

A success is held while it may not be what the owner meant: another browser finished it, it is another bank, its
renewal link was withdrawn. Pure, as :mod:`business_os_banking.facts.lifecycle` is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from business_os_banking.facts.lifecycle import Attempt, Link, State, answer_key, unnamed
from business_os_banking.facts.successes import Success, successes_of
from business_os_banking.vocabulary import Bank, HeldReason

# Whether two banks are the same one, `None` where too little is known of either to tell.
SameBank = Callable[[Bank, Bank], bool | None]


@dataclass(frozen=True, slots=True)
class Walk:
    """The successes of a state, told apart. ``accepted`` are all that are neither refused nor held."""

    accepted: tuple[Success, ...]
    held: tuple[Success, ...]  # and later than the current one; what is older is moot
    refused: tuple[Success, ...]
    reason: HeldReason | None  # why the last of those is held

    @property
    def current(self) -> Success | None:
        return self.accepted[-1] if self.accepted else None

    @property
    def question(self) -> Success | None:
        """The success that somebody has to answer for: of those that are held, the last."""
        return self.held[-1] if self.held else None


def walk(state: State, is_same_bank: SameBank) -> Walk:
    """Return the successes of *state*, earliest first, as accepted, held and refused ones."""
    accepted: list[Success] = []
    held: list[Success] = []
    refused: list[Success] = []
    reason: HeldReason | None = None
    for success in sorted(successes_of(state)):
        attempt = state.attempts.get(success.session, Attempt())
        if not attempt.refused.keys().isdisjoint({"", success.link}):
            refused.append(success)
            continue
        why = _why_held(state, attempt, success, accepted[-1] if accepted else None, is_same_bank)
        if why is None:
            accepted.append(success)
            held.clear()
        else:
            held.append(success)
        reason = why
    return Walk(tuple(accepted), tuple(held), tuple(refused), reason if held else None)


def open_doubts(attempt: Attempt) -> set[str]:
    """Return the nonces of the browsers that came back and have not proved that they are who began."""
    return attempt.doubts.keys() - attempt.proofs.keys()


def bank_of(state: State, success: Success) -> Bank:
    """Return what *state* says of the bank of *success*."""
    return _bank(state, success.link, unnamed(success.session))


def same_bank(one: Bank, other: Bank) -> bool | None:
    """Return whether two banks are the same: by their codes, or by name and country; `None` if it is unknown."""
    if one.code and one.code == other.code:
        return True
    has_names = bool(one.name and other.name)
    if has_names and _folded(one.name) == _folded(other.name):
        return not (one.country and other.country) or one.country.upper() == other.country.upper()
    return False if has_names or (one.code and other.code) else None


def _why_held(
    state: State, attempt: Attempt, success: Success, current: Success | None, is_same_bank: SameBank
) -> HeldReason | None:
    is_doubted = bool(open_doubts(attempt)) or bool(attempt.required_at and not attempt.proofs)
    if is_doubted and not _is_confirmed(attempt, HeldReason.OTHER_BROWSER, success):
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


def _is_confirmed(attempt: Attempt, reason: HeldReason, success: Success) -> bool:
    return answer_key(reason, success.link) in attempt.confirmed


def _bank(state: State, *keys: str) -> Bank:
    told: dict[str, str] = {}
    for key in reversed(keys):
        told |= state.links.get(key, Link()).told()
    return Bank(*(told.get(name, "") for name in ("provider_code", "provider_name", "country_code")))


def _folded(name: str) -> str:
    return "".join(name.casefold().split())
