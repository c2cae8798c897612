"""The promise: the same set of facts gives the same state, in any order, with any repetition and grouping."""

from __future__ import annotations

import json
import random
import re

from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.fact import Fact
from business_os_banking.facts.lifecycle import State, merge, merge_all
from business_os_banking.facts.status import view_connection, view_session
from business_os_banking.facts.unneeded import to_remove
from business_os_banking.vocabulary import ConnectionStatus, EndedBy, Kind, SessionStatus
from tests.facts.strategies import fact_lists, facts, unheld


@given(fact_lists, st.randoms(use_true_random=False))
def test_order_makes_no_difference(known: list[Fact], chance: random.Random) -> None:
    shuffled = random.Random(chance.random()).sample(known, len(known))
    assert merge_all(shuffled) == merge_all(known)


@given(fact_lists, st.data())
def test_repetition_makes_no_difference(known: list[Fact], data: st.DataObject) -> None:
    repeated = data.draw(st.lists(st.sampled_from(known), max_size=6)) if known else []
    assert merge_all([*known, *repeated]) == merge_all(known)


@given(fact_lists, fact_lists, fact_lists)
def test_grouping_makes_no_difference(a: list[Fact], b: list[Fact], c: list[Fact]) -> None:
    one, two, three = merge_all(a), merge_all(b), merge_all(c)
    together = merge_all([*a, *b, *c])
    assert (one | two) | three == together
    assert one | (two | three) == together


@given(fact_lists)
def test_merging_a_state_with_itself_changes_nothing(known: list[Fact]) -> None:
    state = merge_all(known)
    assert state | state == state
    assert state | State() == state


@given(fact_lists, facts)
def test_a_merge_leaves_its_arguments_alone(known: list[Fact], fact: Fact) -> None:
    state = merge_all(known)
    before = to_json(state)
    merge(state, fact)
    assert to_json(state) == before


@given(fact_lists)
def test_a_state_survives_the_database(known: list[Fact]) -> None:
    state = merge_all(known)
    restored = from_json(to_json(state))
    assert restored == state
    assert view_connection(restored) == view_connection(state)


@given(fact_lists)
def test_a_success_is_never_lost(known: list[Fact]) -> None:
    state = merge_all(known)
    for fact in known:
        if fact.kind is Kind.SUCCEEDED and fact.session:
            view = view_session(state, fact.session)
            assert view.status is SessionStatus.SUCCEEDED
            assert view.succeeded_at is not None
            # At a time that cannot be read, it counts at its receipt only where no success has a time.
            assert view.succeeded_at <= fact.at or not fact.dated
            assert view.error_class == ""
            counted = view_connection(merge_all(unheld(known)))
            assert counted.status is not ConnectionStatus.PENDING


@given(fact_lists, facts)
def test_once_succeeded_always_succeeded(known: list[Fact], fact: Fact) -> None:
    """Of its own success: one that named the link alone is of the session that turns out to have led to it first."""
    state = merge_all(known)
    for session, attempt in state.attempts.items():
        if attempt.successes or attempt.undated:
            assert view_session(state, session).status is SessionStatus.SUCCEEDED
            later = view_session(merge(state, fact), session)
            assert later.status is SessionStatus.SUCCEEDED


@given(fact_lists, facts)
def test_what_its_owner_ended_stays_ended(known: list[Fact], fact: Fact) -> None:
    ended = Fact(kind=Kind.DISCONNECTED, at=fact.at, ended_by=EndedBy.OWNER)
    view = view_connection(merge_all([*known, ended, fact]))
    assert view.status is ConnectionStatus.DISCONNECTED
    assert view.ended_by in {EndedBy.OWNER, EndedBy.OPERATOR, EndedBy.PROVIDER}
    assert view.disconnected_at is not None


@given(fact_lists)
def test_a_session_that_never_succeeded_makes_no_connection(known: list[Fact]) -> None:
    known = [fact for fact in known if fact.kind not in {Kind.SUCCEEDED, Kind.DISCONNECTED}]
    state = merge_all(known)
    assert view_connection(state).status is ConnectionStatus.PENDING
    assert to_remove(state) == ()


@given(fact_lists)
def test_every_set_of_facts_has_a_view(known: list[Fact]) -> None:
    state = merge_all(known)
    view = view_connection(state)
    assert (view.status is ConnectionStatus.INACTIVE) == (view.status_reason is not None)
    assert (view.status is ConnectionStatus.DISCONNECTED) == (view.disconnected_at is not None)
    assert (view.ended_by is not None) == (view.disconnected_at is not None)


@given(fact_lists)
def test_what_says_nothing_takes_no_place_in_a_row(known: list[Fact]) -> None:
    """A state is written with every webhook that changes it."""
    text = json.dumps(to_json(merge_all(known)))
    assert not re.search(
        r'"[a-z_]+": null|"(successes|undated|named|details|undated_details|banks)": \{\}', text
    )
