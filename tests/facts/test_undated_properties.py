"""No time that cannot be read wins a register by accident, whatever else is known and whenever it is heard of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts.fact import Fact
from business_os_banking.facts.lifecycle import (
    GOOD,
    Link,
    State,
    merge,
    merge_all,
)
from business_os_banking.facts.status import view_connection, view_session
from business_os_banking.facts.unneeded import superseded, to_remove
from business_os_banking.vocabulary import ConnectionStatus, Kind, SessionStatus
from tests.facts.strategies import at, fact_lists, facts, unheld

# Heard of before, amid and long after everything else that is known.
heard = st.sampled_from([at(-100), at(0), at(4), at(8), at(10_000)])
undated = st.builds(lambda fact, moment: replace(fact, at=moment, dated=False), facts, heard)
undated_success = undated.map(lambda fact: replace(fact, kind=Kind.SUCCEEDED))


def link_of(state: State, link: str) -> Link:
    return state.links.get(link, Link())


@given(fact_lists, undated)
def test_what_has_a_time_is_never_replaced(known: list[Fact], fact: Fact) -> None:
    before = merge_all(known)
    after = merge(before, fact)
    for key in after.links:
        old, new = link_of(before, key), link_of(after, key)
        assert new.details == old.details
        assert new.last_success_at == old.last_success_at
        assert (new.first_bare_success_at, new.last_bare_success_at) == (
            old.first_bare_success_at,
            old.last_bare_success_at,
        )
    for reference, attempt in after.attempts.items():
        assert attempt.successes == (
            before.attempts[reference].successes if reference in before.attempts else {}
        )


@given(fact_lists, undated_success)
def test_a_success_without_a_time_touches_no_standing(known: list[Fact], fact: Fact) -> None:
    before = merge_all(known)
    after = merge(before, fact)
    for key in after.links:
        old, new = link_of(before, key), link_of(after, key)
        assert (new.standing, new.trouble, new.listed, new.removed_at) == (
            old.standing,
            old.trouble,
            old.listed,
            old.removed_at,
        )
    assert after.banks == before.banks


@given(fact_lists, undated_success, heard)
def test_when_it_was_heard_decides_nothing(known: list[Fact], fact: Fact, moment: datetime) -> None:
    """Of an undated success, the moment of receipt is shown, and by it nothing is compared."""
    fact = replace(fact, details={})  # of two that are told without a time, what is heard last counts
    states = [merge_all([*known, fact]), merge_all([*known, replace(fact, at=moment)])]
    one, other = map(view_connection, states)
    assert (one.status, one.status_reason, one.upstream_id) == (
        other.status,
        other.status_reason,
        other.upstream_id,
    )
    assert one.ended_by == other.ended_by
    assert to_remove(states[0]) == to_remove(states[1])
    assert superseded(states[0]) == superseded(states[1])


def test_one_that_is_heard_of_at_the_opening_has_no_time_either() -> None:
    opening = Fact(kind=Kind.OPENED, at=at(4), session="s1")
    success = Fact(
        kind=Kind.SUCCEEDED,
        at=at(4),
        session="s1",
        link="A",
        dated=False,
        details={"provider_code": "bank_xf"},
    )
    off = Fact(kind=Kind.PROVIDER_CHANGED, at=at(2), provider_code="bank_xf", provider_active=False)
    view = view_connection(merge_all([opening, off, success]))
    assert (view.status, view.last_success_at) == (ConnectionStatus.ACTIVE, at(4))


@given(fact_lists, st.integers(0, 8), st.integers(1, 4))
def test_it_does_not_make_work_what_has_stopped_since(known: list[Fact], opened: int, later: int) -> None:
    known = [fact for fact in known if fact.kind in {Kind.PROGRESSED, Kind.RETURNED, Kind.UNKNOWN}]
    opening = Fact(kind=Kind.OPENED, at=at(opened), session="s9")
    stopped = Fact(kind=Kind.CONSENT_ENDED, at=at(opened + later), link="A")
    success = Fact(kind=Kind.SUCCEEDED, at=at(10_000), session="s9", link="A", dated=False)
    state = merge_all([*known, opening, stopped, success])
    assert view_session(state, "s9").status is SessionStatus.SUCCEEDED
    assert view_connection(state).status is ConnectionStatus.INACTIVE


@given(fact_lists, st.integers(0, 8), st.integers(1, 4))
def test_it_does_not_replace_a_later_link(known: list[Fact], opened: int, later: int) -> None:
    known = [fact for fact in known if fact.kind in {Kind.PROGRESSED, Kind.RETURNED, Kind.FAILED}]
    opening = Fact(kind=Kind.OPENED, at=at(opened), session="s9")
    renewal = Fact(kind=Kind.SUCCEEDED, at=at(opened + later), session="s8", link="Z")
    late = Fact(kind=Kind.SUCCEEDED, at=at(10_000), session="s9", link="Y", dated=False)
    assert view_connection(merge_all([*known, opening, renewal, late])).upstream_id == "Z"


@given(fact_lists, undated_success)
def test_it_is_never_lost_either(known: list[Fact], fact: Fact) -> None:
    fact = replace(fact, session="s1")
    view = view_session(merge_all([*known, fact]), "s1")
    assert view.status is SessionStatus.SUCCEEDED
    counted = merge_all(unheld([*known, fact]))
    assert view_connection(counted).status is not ConnectionStatus.PENDING


@given(fact_lists, undated_success, st.integers(0, 8))
def test_a_time_that_is_told_later_takes_its_place(known: list[Fact], fact: Fact, seconds: int) -> None:
    # How far a session was, while it lasted, is shown by receipt.
    fact = replace(fact, session="s1", link="A", stage="")
    dated = replace(fact, dated=True, at=at(seconds))
    both, one = merge_all([*known, fact, dated]), merge_all([*known, dated])
    assert view_session(both, "s1") == view_session(one, "s1")
    assert both.links["A"].standing == one.links["A"].standing


@given(fact_lists, st.integers(0, 8))
def test_a_reading_settles_what_a_failure_without_a_time_said(known: list[Fact], seconds: int) -> None:
    harmless = {Kind.PROGRESSED, Kind.RETURNED, Kind.SUCCEEDED}
    known = [fact for fact in known if fact.kind in harmless and fact.link != "B"]
    success = Fact(kind=Kind.SUCCEEDED, at=at(20), session="s1", link="A")
    failure = Fact(kind=Kind.CONSENT_ENDED, at=at(100 + seconds), link="A", dated=False)
    known = unheld(known)
    state = merge_all([*known, success, failure])
    assert view_connection(state).status is ConnectionStatus.INACTIVE
    reading = Fact(kind=Kind.SEEN, at=at(200), link="A", link_works=True)
    after = merge(state, reading)
    assert view_connection(after).status is ConnectionStatus.ACTIVE
    assert view_connection(after).last_error_class == ""
    standing = after.links["A"].standing
    assert standing is not None
    assert standing.rank == GOOD
    # It does not make the connection look as if it had been used since.
    assert view_connection(after).last_success_at == view_connection(state).last_success_at
