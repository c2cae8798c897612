"""Which banks connections are at, and what was told last of a bank to those that have not heard it."""

from __future__ import annotations

from typing import Final

from business_os_banking.facts import lifecycle
from business_os_banking.facts.events import from_event
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.facts.status import view_connection
from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.vocabulary import Kind

_PAGE: Final = 20


def codes_of(states: list[State]) -> set[str]:
    """Return the codes of all banks that *states* know of."""
    codes = (link.told().get("provider_code", "") for state in states for link in state.links.values())
    return {code for code in codes if code}


def newly_at(rows: list[BankingConnection], before: list[State], after: list[State]) -> list[set[str]]:
    """Return for each of *rows* the codes of the banks at which it turns out to be just now.

    A change of a bank is brought to who is at it, so what a row that has been at two of them has not heard is asked for
    once more where it comes back.
    """
    newly = []
    for row, old, new in zip(rows, before, after, strict=True):
        codes = codes_of([new])
        learnt = codes - codes_of([old])
        if len(codes) > 1 and old != new:
            current = view_connection(new, is_same_bank).details.get("provider_code", "")
            learnt |= {current} - {"", row.provider_code}
        newly.append(learnt)
    return newly


def with_banks(account: str, new_bank: str, after: list[State], newly: list[set[str]]) -> list[State]:
    """Add what is known of a bank to the connections that turn out to be there just now; of *new_bank*, nothing is."""
    for code in set().union(*newly) - {new_bank}:
        change = latest_change(account, code)
        if change is not None:
            asserted = lifecycle.evidence(from_event(change).fact)
            after = [
                state | asserted if code in codes else state
                for state, codes in zip(after, newly, strict=True)
            ]
    return after


def latest_change(account: str, provider_code: str) -> ConnectionEvent | None:
    """Return the event that told last whether this bank is switched on. At the very same moment, it is."""
    changes = ConnectionEvent.objects.filter(
        account=account, kind=Kind.PROVIDER_CHANGED, provider_code=provider_code
    )
    latest: ConnectionEvent | None = None
    start = 0
    # By pages: most often the first row tells, and behind a pooler no cursor of the server's may be open.
    while page := list(changes.order_by("-occurred_at", "-pk")[start : start + _PAGE]):
        for event in page:
            if latest is not None and event.occurred_at < latest.occurred_at:
                return latest
            is_active = event.assertions.get("provider_active")
            if is_active is not None and (latest is None or is_active):
                latest = event
        start += _PAGE
    return latest
