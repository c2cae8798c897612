"""Which upstream connections are of no use any more, read off a state: what is to be removed at the provider.

Pure, as :mod:`business_os_banking.facts.lifecycle` is.
"""

from business_os_banking.facts.lifecycle import Link, State, unnamed
from business_os_banking.facts.status import gone_since, link_of, successes_of, view_connection


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


def superseded(state: State) -> tuple[str, ...]:
    """Return the links that live on although a renewal has replaced them, at a bank that is known to be the same."""
    current = view_connection(state).upstream_id
    link = state.links.get(current, Link())
    bank = link.told().get("provider_code", "")
    if state.ended or not (current and bank) or gone_since(link):
        return ()
    alive = {s.link for s in successes_of(state) if not gone_since(link_of(state, s, s.link))}
    return tuple(sorted(other for other in alive - {"", current} if _bank_of(state, other) == bank))


def _bank_of(state: State, link: str) -> str:
    return state.links.get(link, Link()).told().get("provider_code", "")


def _is_removed(state: State, session: str, link: str) -> bool:
    return any(state.links.get(key, Link()).removed_at for key in (link, unnamed(session)))
