"""Held successes: whatever order facts come in, and however often, the same one is current and the same one is held."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.facts.fact import Fact
from business_os_banking.facts.held import hidden_links, same_bank, walk
from business_os_banking.facts.lifecycle import merge_all
from business_os_banking.facts.status import view_connection
from business_os_banking.facts.unneeded import refused, superseded
from business_os_banking.vocabulary import Bank, HeldReason, Kind
from tests.facts.strategies import at, fact_lists

OLD = {"provider_code": "old_xf", "provider_name": "Old Bank"}
NEW = {"provider_code": "new_xf", "provider_name": "New Bank"}


def fact(kind: Kind, second: int, session: str = "s1", link: str = "", **values: Any) -> Fact:
    return Fact(kind=kind, at=at(second), session=session, link=link, **values)


FIRST = [
    fact(Kind.OPENED, 0),
    fact(Kind.SUCCEEDED, 1, "s1", "A", details=OLD),
]
RENEWAL = [
    *FIRST,
    fact(Kind.OPENED, 2, "s2", renews="A"),
    fact(Kind.SUCCEEDED, 3, "s2", "B"),
    fact(Kind.PROGRESSED, 4, "s2", "B", details=NEW),  # the code becomes known later
]
JOURNEYS: dict[str, tuple[list[Fact], str, str]] = {
    # facts, the link that is current in the end, and why another is held
    "another bank": (RENEWAL, "A", "other_bank"),
    "another bank, confirmed": (
        [*RENEWAL, fact(Kind.CONFIRMED, 5, "s2", "B", reason="other_bank")],
        "B",
        "",
    ),
    "another bank, refused": ([*RENEWAL, fact(Kind.REFUSED, 5, "s2", "B")], "A", ""),
    "refused and confirmed": (
        [
            *RENEWAL,
            fact(Kind.CONFIRMED, 5, "s2", "B", reason="other_bank"),
            fact(Kind.REFUSED, 6, "s2", "B"),
        ],
        "A",
        "",
    ),
    "an answer to another question": (
        [*RENEWAL, fact(Kind.CONFIRMED, 5, "s2", "B", reason="link_withdrawn")],
        "A",
        "other_bank",
    ),
    "a doubt": ([*FIRST, fact(Kind.RETURNED, 2, doubt="n1")], "", "other_browser"),
    "a doubt, proved": (
        [*FIRST, fact(Kind.RETURNED, 2, doubt="n1"), fact(Kind.PROVED, 3, proof="n1")],
        "A",
        "",
    ),
    "two doubts, one proved": (
        [
            *FIRST,
            fact(Kind.RETURNED, 2, doubt="n1"),
            fact(Kind.RETURNED, 2, doubt="n2"),
            fact(Kind.PROVED, 3, proof="n1"),
        ],
        "",
        "other_browser",
    ),
    "a proof before, and a doubt": (
        [*FIRST, fact(Kind.RETURNED, 1, proof="p"), fact(Kind.RETURNED, 2, doubt="n1")],
        "",
        "other_browser",
    ),
    "a doubt, accepted by an operator": (
        [
            *FIRST,
            fact(Kind.RETURNED, 2, doubt="n1"),
            fact(Kind.CONFIRMED, 3, "s1", "A", reason="other_browser"),
        ],
        "A",
        "",
    ),
    "disowned": ([*FIRST, fact(Kind.RETURNED, 2, doubt="n1"), fact(Kind.REFUSED, 3)], "", ""),
    "a withdrawn link": (
        [*RENEWAL[:4], fact(Kind.WITHDRAWN, 2, "s2")],
        "A",
        "link_withdrawn",
    ),
    "a renewal that is folded, doubted": (
        [*FIRST, fact(Kind.SUCCEEDED, 3, "s2", "A"), fact(Kind.RETURNED, 4, "s2", doubt="n1")],
        "A",
        "other_browser",
    ),
    "moot": (
        [*RENEWAL, fact(Kind.OPENED, 6, "s3", renews="A"), fact(Kind.SUCCEEDED, 7, "s3", "C", details=OLD)],
        "C",
        "",
    ),
    "a second bank in one sitting": ([*FIRST, fact(Kind.SUCCEEDED, 3, "s1", "B", details=NEW)], "B", ""),
    "a late success of the first": (
        [
            *FIRST[:1],
            fact(Kind.OPENED, 1, "s2"),
            fact(Kind.SUCCEEDED, 2, "s2", "B", details=NEW),
            fact(Kind.SUCCEEDED, 3, "s1", "A", details=OLD),
        ],
        "A",
        "",
    ),
    "stopped since it succeeded, as the list alone tells": (
        [*FIRST, fact(Kind.FAILED, 6, "s2", "B", succeeded_at=at(4), reason="login_changed")],
        "B",
        "",
    ),
    "proof is required": ([replace(FIRST[0], proof_required=True), FIRST[1]], "", "other_browser"),
    "proof is required, and there": (
        [replace(FIRST[0], proof_required=True), FIRST[1], fact(Kind.RETURNED, 2, proof="p")],
        "A",
        "",
    ),
}


@pytest.mark.parametrize("name", JOURNEYS)
def test_every_order_holds_the_same(name: str) -> None:
    facts, link, reason = JOURNEYS[name]
    orders = itertools.permutations(facts) if len(facts) <= 6 else [facts, facts[::-1]]
    for order in orders:
        view = view_connection(merge_all([*order, *order[:2]]))
        assert (view.upstream_id, view.held_reason or "") == (link, reason), order
        assert view.details.get("provider_code", "") != "new_xf" or view.upstream_id == "B" or name == "moot"


@given(fact_lists)
def test_the_successes_are_told_apart(known: list[Fact]) -> None:
    state = merge_all(known)
    told = walk(state, same_bank)
    held, moot = ([each.success for each in some] for some in (told.held, told.moot))
    together = [*told.accepted, *held, *moot, *told.refused]
    assert len(set(together)) == len(together)
    assert all(told.current is not None and success > told.current for success in held) or not told.accepted
    assert all(told.current is not None and success < told.current for success in moot)
    assert not set(refused(state)) & {success.link for success in (*told.accepted, *held, *moot)}
    assert not set(superseded(state)) & {success.link for success in (*held, *moot)}
    assert not hidden_links(state, told) & {success.link for success in told.accepted}


@given(fact_lists, st.sampled_from(["s1", "s2", "s3"]), st.sampled_from(["", "A", "B"]))
def test_what_is_refused_never_counts_again(known: list[Fact], session: str, link: str) -> None:
    state = merge_all([*known, fact(Kind.REFUSED, 5, session, link)])
    told = walk(state, same_bank)
    held = [each.success for each in (*told.held, *told.moot)]
    counting = {(success.session, success.link) for success in (*told.accepted, *held)}
    assert not any(each == session and link in {"", other} for each, other in counting)


@given(fact_lists)
def test_what_another_browser_finished_shows_nothing_of_its_bank(known: list[Fact]) -> None:
    known = [replace(each, doubt="", proof="", renews="") for each in known if each.session != "s9"]
    known = [each for each in known if each.kind not in {Kind.WITHDRAWN, Kind.REFUSED} and each.link != "Z"]
    secret = {"provider_code": "secret_xf", "provider_name": "Secret"}
    doubted = [fact(Kind.SUCCEEDED, 20, "s9", "Z", details=secret), fact(Kind.RETURNED, 21, "s9", doubt="n")]
    view = view_connection(merge_all([*known, *doubted]))
    if view.ended_by is None or view.held_reason:
        assert "secret_xf" not in view.details.values()
    assert view.held_bank == ""
    assert view.upstream_id != "Z"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (("a", "", ""), ("a", "", ""), True),
        (("a", "", ""), ("b", "", ""), False),
        (("a", "", ""), ("", "B", ""), None),
        (("", "", ""), ("b", "B", "DE"), None),
        (("a", "Herbst Bank", "DE"), ("b", "HERBSTBANK", "de"), True),
        (("a", "Herbst Bank", "DE"), ("b", "Herbst Bank", "AT"), False),
        (("a", "Herbst Bank", "DE"), ("b", "Herbst Bank", ""), None),
        (("", "Herbst", ""), ("", "Winter", ""), False),
        (("a", "Herbst", ""), ("a", "Winter", ""), True),
    ],
)
def test_which_banks_are_one(
    one: tuple[str, str, str], other: tuple[str, str, str], is_same: bool | None
) -> None:
    assert same_bank(Bank(*one), Bank(*other)) is is_same
    assert same_bank(Bank(*other), Bank(*one)) is is_same


def test_each_reason_has_a_text() -> None:
    from business_os_banking.admin.answers import QUESTIONS
    from business_os_banking.wording import texts

    assert set(texts.HELD) == set(QUESTIONS) == set(HeldReason)
