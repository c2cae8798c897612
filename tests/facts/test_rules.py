"""What each fact does to the statuses that people see: one short story per rule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from business_os_banking.facts.fact import Fact
from business_os_banking.facts.lifecycle import (
    NEEDS_USER,
    Attempt,
    Link,
    Standing,
    State,
    merge_all,
)
from business_os_banking.facts.status import ConnectionView, SessionView, view_connection, view_session
from business_os_banking.facts.unneeded import superseded, to_remove
from business_os_banking.vocabulary import Kind
from tests.facts.strategies import at


def fact(kind: Kind, seconds: int, session: str = "s1", link: str = "", **more: Any) -> Fact:
    return Fact(kind=kind, at=at(seconds), session=session, link=link, **more)


def opened(seconds: int = 0, session: str = "s1") -> Fact:
    return fact(Kind.OPENED, seconds, session)


def success(seconds: int, session: str = "s1", link: str = "A", **more: Any) -> Fact:
    return fact(Kind.SUCCEEDED, seconds, session, link, **more)


def failure(seconds: int, error_class: str, session: str = "s1", link: str = "") -> Fact:
    return fact(Kind.FAILED, seconds, session, link, error_class=error_class)


def removal(seconds: int, link: str = "A", session: str = "") -> Fact:
    """Return our own removal, with its proof."""
    return fact(Kind.REMOVED, seconds, session, link, final=True)


def told(seconds: int, link: str = "A") -> Fact:
    """Return what a callback says of a removal: it may be undone."""
    return fact(Kind.REMOVED, seconds, "", link)


def connection(*facts: Fact) -> ConnectionView:
    """Return the view of the connection, after making sure that no order of *facts* gives another one."""
    views = [view_connection(merge_all(order)) for order in itertools.permutations(facts)]
    assert all(view == views[0] for view in views)
    return views[0]


def session(*facts: Fact, reference: str = "s1") -> SessionView:
    views = [view_session(merge_all(order), reference) for order in itertools.permutations(facts)]
    assert all(view == views[0] for view in views)
    return views[0]


# --- sessions ---


def test_a_session_of_which_nothing_is_known_is_created() -> None:
    assert session().status == "created"


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.FAILED, Kind.PROGRESSED, Kind.REMOVED])
def test_what_names_neither_session_nor_link_says_nothing(kind: Kind) -> None:
    assert merge_all([fact(kind, 5, session="", error_class="InvalidCredentials", stage="finish")]) == State()


def test_an_opened_session_is_open() -> None:
    view = session(opened())
    assert (view.status, view.error_class, view.error_group) == ("open", "", None)


@pytest.mark.parametrize(
    ("setback", "status", "error_class", "group"),
    [
        (failure(5, "InvalidCredentials"), "failed", "InvalidCredentials", "wrong_login"),
        (failure(5, "SomethingNew"), "failed", "SomethingNew", "try_again"),
        (failure(5, ""), "failed", "", "try_again"),
        (
            fact(Kind.CANCELLED, 5, error_class="ProviderAccessNotGranted"),
            "cancelled",
            "ProviderAccessNotGranted",
            "you_cancelled",
        ),
        (fact(Kind.EXPIRED, 5), "expired", "SessionExpired", "took_too_long"),
        (
            fact(Kind.CONSENT_ENDED, 5, error_class="ConsentExpired"),
            "failed",
            "ConsentExpired",
            "try_again",
        ),
    ],
)
def test_a_setback_ends_a_session_for_now(setback: Fact, status: str, error_class: str, group: str) -> None:
    view = session(opened(), setback)
    assert (view.status, view.error_class, view.error_group) == (status, error_class, group)
    assert view.succeeded_at is None
    assert session(opened(), setback, success(9)).status == "succeeded"
    assert session(opened(), setback, success(1)).status == "succeeded"


def test_the_latest_setback_is_the_one_that_is_told() -> None:
    view = session(
        failure(3, "ProviderError"), failure(5, "InvalidCredentials"), failure(4, "InteractiveTimeout")
    )
    assert view.error_class == "InvalidCredentials"


def test_of_setbacks_at_one_moment_a_failure_tells_most() -> None:
    view = session(
        fact(Kind.EXPIRED, 5),
        fact(Kind.CANCELLED, 5, error_class="ProviderAccessNotGranted"),
        failure(5, "AClassThatSortsFirst"),
    )
    assert (view.status, view.error_class) == ("failed", "AClassThatSortsFirst")
    view = session(fact(Kind.EXPIRED, 5), fact(Kind.CANCELLED, 5, error_class="ProviderAccessNotGranted"))
    assert view.status == "cancelled"


def test_a_success_clears_the_error() -> None:
    view = session(failure(9, "InvalidCredentials"), success(2))
    assert (view.error_class, view.error_group) == ("", None)
    assert view.succeeded_at == at(2)


def test_the_first_of_several_successes_is_when_the_session_succeeded() -> None:
    assert session(success(5), success(2), success(9)).succeeded_at == at(2)


def test_progress_is_told_and_changes_no_status() -> None:
    view = session(
        opened(),
        fact(Kind.PROGRESSED, 3, link="A", stage="fetch_accounts"),
        fact(Kind.PROGRESSED, 1, stage="start"),
    )
    assert (view.status, view.stage, view.upstream_id) == ("open", "fetch_accounts", "A")


def test_only_progress_and_success_tell_a_stage() -> None:
    assert session(fact(Kind.FAILED, 3, stage="interactive")).stage == ""
    assert session(success(3, stage="finish")).stage == "finish"


def test_coming_back_is_not_a_status() -> None:
    view = session(opened(), fact(Kind.RETURNED, 5), fact(Kind.RETURNED, 4))
    assert (view.status, view.returned_at) == ("open", at(4))


def test_the_upstream_id_is_that_of_the_success_even_if_another_was_named_later() -> None:
    facts = [
        failure(1, "InvalidCredentials", link="Z"),
        success(2, link="A"),
        fact(Kind.PROGRESSED, 3, link="Z", stage="start"),
    ]
    assert session(*facts).upstream_id == "A"
    assert connection(*facts).upstream_id == "A"


def test_without_a_success_the_upstream_id_is_the_one_named_last() -> None:
    facts = [fact(Kind.PROGRESSED, s, link=link, stage="start") for s, link in ((1, "B"), (2, "A"))]
    assert session(*facts).upstream_id == "A"


def test_a_success_without_an_upstream_id_takes_the_one_that_another_fact_named() -> None:
    facts = [success(2, link=""), fact(Kind.PROGRESSED, 1, link="A", stage="start")]
    assert session(*facts).upstream_id == "A"
    assert connection(*facts).upstream_id == "A"
    assert connection(*facts, removal(5)).status == "disconnected"


# --- connections ---


def test_without_a_success_a_connection_is_pending() -> None:
    view = connection(opened(), failure(2, "ProviderError"))
    assert (view.status, view.last_error_class, view.connected_at) == ("pending", "ProviderError", None)
    assert connection(opened()).last_error_class == ""


def test_of_several_failed_sessions_the_last_error_is_the_latest() -> None:
    assert connection(failure(2, "B"), failure(3, "A", session="s2")).last_error_class == "A"


def test_a_success_makes_it_active() -> None:
    view = connection(opened(), success(3, details={"provider_code": "bank_xf"}))
    assert (view.status, view.status_reason, view.upstream_id) == ("active", None, "A")
    assert view.connected_at == view.last_success_at == at(3)
    assert view.details == {"provider_code": "bank_xf"}
    assert view.disconnected_at is None
    assert view.ended_by is None


def test_a_later_success_refreshes_it() -> None:
    view = connection(success(3), success(7))
    assert (view.connected_at, view.last_success_at) == (at(3), at(7))


@pytest.mark.parametrize(
    ("error_class", "reason"),
    [
        ("InvalidCredentials", "login_changed"),
        ("CredentialsNotMatch", "login_changed"),
        ("InvalidInteractiveCredentials", "bank_step_required"),
        ("ProviderDisabled", "bank_disabled"),
        ("AispConsentAlreadyRevoked", "consent_revoked"),
    ],
)
def test_some_failures_of_a_working_link_need_the_user(error_class: str, reason: str) -> None:
    broken = (success(3), failure(5, error_class, link="A"))
    view = connection(*broken)
    assert (view.status, view.status_reason, view.last_error_class) == ("inactive", reason, error_class)
    healed = connection(*broken, success(6))
    assert (healed.status, healed.last_error_class) == ("active", "")


@pytest.mark.parametrize("error_class", ["ProviderUnavailable", "RateLimitExceeded", "SomethingNew"])
def test_a_passing_failure_of_a_working_link_is_only_remembered(error_class: str) -> None:
    view = connection(success(3), failure(5, error_class, link="A"))
    assert (view.status, view.last_error_class) == ("active", error_class)


def test_a_failure_before_the_success_says_nothing_about_the_link() -> None:
    view = connection(failure(1, "InvalidCredentials"), success(3))
    assert (view.status, view.last_error_class) == ("active", "")


def test_at_the_very_same_moment_the_success_counts() -> None:
    view = connection(failure(3, "InvalidCredentials", link="A"), success(3))
    assert (view.status, view.last_error_class) == ("active", "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"reason": "consent_revoked"}, "consent_revoked"),
        ({"error_class": "ConsentRevoked"}, "consent_revoked"),
        ({"error_class": "ConsentExpired"}, "consent_expired"),
        ({}, "consent_expired"),
    ],
)
def test_an_ended_consent_needs_the_user(given: dict[str, str], reason: str) -> None:
    view = connection(success(3), fact(Kind.CONSENT_ENDED, 5, session="", link="A", **given))
    assert (view.status, view.status_reason) == ("inactive", reason)


def test_a_late_old_consent_end_does_not_undo_a_newer_success() -> None:
    assert connection(success(9), fact(Kind.CONSENT_ENDED, 5, link="A")).status == "active"


def test_a_cancelled_or_expired_renewal_changes_nothing() -> None:
    view = connection(
        success(3),
        opened(5, "s2"),
        fact(Kind.CANCELLED, 6, "s2", error_class="ProviderAccessNotGranted"),
        fact(Kind.EXPIRED, 7, "s2"),
    )
    assert (view.status, view.upstream_id, view.last_error_class) == ("active", "A", "")


def test_a_failed_renewal_changes_nothing() -> None:
    view = connection(success(3), opened(5, "s2"), failure(6, "InvalidCredentials", "s2", link="B"))
    assert (view.status, view.upstream_id, view.last_error_class) == ("active", "A", "")


def test_a_renewal_replaces_the_link() -> None:
    view = connection(success(3), success(6, "s2", "B"))
    assert (view.status, view.upstream_id) == ("active", "B")
    assert (view.connected_at, view.last_success_at) == (at(3), at(6))


def test_refreshing_the_old_link_does_not_make_it_current_again() -> None:
    assert connection(success(3), success(6, "s2", "B"), success(8)).upstream_id == "B"


def test_what_happens_to_the_old_link_says_nothing_about_the_new_one() -> None:
    renewed = (success(3), success(6, "s2", "B"))
    assert connection(*renewed, removal(8)).status == "active"
    assert connection(*renewed, fact(Kind.CONSENT_ENDED, 8, link="A")).status == "active"
    assert connection(*renewed, failure(8, "InvalidCredentials", link="A")).last_error_class == ""


def test_a_change_of_no_bank_says_nothing() -> None:
    assert merge_all([fact(Kind.PROVIDER_CHANGED, 2, session="", provider_active=False)]) == State()


def test_a_link_that_is_removed_disconnects() -> None:
    view = connection(success(3), removal(7), removal(8))
    assert (view.status, view.ended_by, view.disconnected_at) == ("disconnected", "provider", at(7))
    assert to_remove(merge_all([success(3), removal(7), removal(8)])) == ()


def test_a_removed_link_stays_removed_but_a_renewal_revives_the_connection() -> None:
    assert connection(success(3), removal(7), success(9)).status == "disconnected"
    assert connection(success(3), removal(7), success(9, "s2", "B")).status == "active"


def test_the_removal_of_a_link_that_never_worked_is_nothing() -> None:
    facts = [failure(1, "InvalidCredentials", link="Z"), removal(2, "Z"), success(3)]
    assert connection(*facts).status == "active"


def test_a_removal_filed_under_the_session_alone_is_about_its_link() -> None:
    assert connection(success(3), removal(7, link="", session="s1")).status == "disconnected"
    other = connection(success(3), success(5, "s2", "B"), removal(7, link="", session="s1"))
    assert other.status == "active"


def test_a_connection_that_its_owner_ended_stays_ended() -> None:
    ended = fact(Kind.DISCONNECTED, 5, session="", ended_by="owner")
    view = connection(success(3), ended)
    assert (view.status, view.ended_by, view.disconnected_at) == ("disconnected", "owner", at(5))
    assert to_remove(merge_all([success(3), ended])) == ("A",)
    assert to_remove(merge_all([fact(Kind.PROGRESSED, 2, link="A"), ended])) == ("A",)  # named is enough
    assert connection(success(3), ended, success(9, "s2", "B")).status == "disconnected"
    assert to_remove(merge_all([success(3), ended, success(9, "s2", "B")])) == ("A", "B")
    assert to_remove(merge_all([success(3), ended, removal(6)])) == ()
    assert to_remove(merge_all([success(3), ended, removal(6, link="", session="s1")])) == ()
    assert connection(success(3), ended, removal(6)).ended_by == "owner"
    later = fact(Kind.DISCONNECTED, 7, session="", ended_by="operator")
    assert connection(ended, later).ended_by == "owner"


def test_an_ending_without_a_name_is_the_operators() -> None:
    assert connection(fact(Kind.DISCONNECTED, 5, session="")).ended_by == "operator"


def test_only_an_ended_connection_has_something_to_remove() -> None:
    assert to_remove(merge_all([success(3)])) == ()


def test_two_sessions_may_share_one_link() -> None:
    shared = (success(3), success(6, "s2"))
    assert connection(*shared).status == "active"
    assert connection(*shared, removal(8)).status == "disconnected"
    assert connection(*shared, failure(8, "InvalidCredentials", "s1", "A")).status == "inactive"
    assert connection(*shared, failure(8, "InvalidCredentials", "s2", "A")).status == "inactive"


# --- facts that name only the link ---


def test_a_success_that_names_only_the_link_counts_for_the_session_that_named_it() -> None:
    facts = [
        opened(),
        fact(Kind.PROGRESSED, 2, link="A", stage="start"),
        success(3, session=""),
        success(5, session=""),
    ]
    assert session(*facts).status == "succeeded"
    assert session(*facts).succeeded_at == at(3)
    assert connection(*facts).status == "active"


def test_it_counts_for_the_first_such_session_whenever_it_came() -> None:
    facts = [success(1, session=""), fact(Kind.PROGRESSED, 2, link="A", stage="start")]
    assert session(*facts).succeeded_at == at(1)


def test_for_a_later_session_it_counts_only_if_it_came_later() -> None:
    renewal = fact(Kind.PROGRESSED, 5, "s2", "A", stage="start")
    first = (success(1), success(4, session=""), renewal)
    assert session(*first, reference="s2").status == "created"
    then = (*first, success(5, session=""))
    assert session(*then, reference="s2").status == "succeeded"
    assert session(*then, reference="s2").succeeded_at == at(5)
    assert session(*then).succeeded_at == at(1)


def test_a_success_of_its_own_counts_before_an_inherited_one() -> None:
    facts = [success(4), success(2, session=""), fact(Kind.PROGRESSED, 1, "s1", "A", stage="start")]
    assert session(*facts).succeeded_at == at(4)


def test_alone_it_makes_nothing() -> None:
    assert connection(success(3, session="")).status == "pending"


# --- banks that are switched off ---


def bank(seconds: int, *, active: bool | None, code: str = "bank_xf") -> Fact:
    return fact(Kind.PROVIDER_CHANGED, seconds, session="", provider_code=code, provider_active=active)


AT_THE_BANK = success(3, details={"provider_code": "bank_xf"})


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ([bank(5, active=False)], "inactive", "bank_disabled"),
        ([bank(5, active=False), bank(6, active=True)], "active", None),
        ([bank(5, active=False), success(6)], "active", None),
        ([bank(2, active=False)], "active", None),
        ([bank(5, active=False, code="other_xf")], "active", None),
        ([bank(5, active=None)], "active", None),
        ([bank(3, active=False)], "inactive", "bank_disabled"),
    ],
)
def test_a_bank_that_is_switched_off_stops_its_connections(
    changes: Sequence[Fact], status: str, reason: str | None
) -> None:
    view = connection(AT_THE_BANK, *changes)
    assert (view.status, view.status_reason) == (status, reason)


def test_a_bank_that_is_back_does_not_mend_a_consent() -> None:
    view = connection(AT_THE_BANK, fact(Kind.CONSENT_ENDED, 4, link="A"), bank(5, active=True))
    assert (view.status, view.status_reason) == ("inactive", "consent_expired")


def test_a_bank_that_is_back_mends_what_its_switching_off_broke() -> None:
    view = connection(AT_THE_BANK, failure(4, "ProviderDisabled", link="A"), bank(5, active=True))
    assert view.status == "active"


def test_a_change_of_no_bank_is_nothing() -> None:
    assert connection(bank(5, active=False, code="")) == connection()


def test_details_are_the_latest_of_each() -> None:
    view = connection(
        success(3, details={"provider_name": "Old", "provider_code": "bank_xf"}),
        success(5, details={"provider_name": "New", "country_code": ""}),
    )
    assert view.details == {"provider_name": "New", "provider_code": "bank_xf"}


def test_an_event_that_is_not_understood_asserts_nothing() -> None:
    assert connection(fact(Kind.UNKNOWN, 5, error_class="InvalidCredentials")).status == "pending"
    assert session(fact(Kind.UNKNOWN, 5, error_class="InvalidCredentials")).status == "created"


# --- what the upstream's list says ---


def missed(seconds: int, link: str = "A") -> Fact:
    return fact(Kind.MISSED, seconds, session="", link=link)


def seen(seconds: int, link: str = "A") -> Fact:
    return fact(Kind.SEEN, seconds, session="", link=link)


def test_a_link_that_the_list_lacks_is_gone_until_something_proves_it_alive() -> None:
    view = connection(success(3), missed(7))
    assert (view.status, view.ended_by, view.disconnected_at) == ("disconnected", "provider", at(7))
    assert connection(success(3), missed(7), seen(8)).status == "active"
    assert connection(success(3), missed(7), success(8)).status == "active"
    assert connection(success(3), missed(7), seen(6)).status == "disconnected"
    assert connection(success(3), missed(7), success(7)).status == "disconnected"
    assert connection(success(3), missed(7), seen(7)).status == "active"
    assert connection(success(3), missed(7), seen(8), missed(9)).status == "disconnected"


def test_a_removal_is_final_whatever_the_list_says() -> None:
    assert connection(success(3), removal(5), seen(8)).status == "disconnected"


def test_what_the_list_says_of_another_link_is_nothing() -> None:
    assert connection(success(3), missed(7, "Z")).status == "active"


def test_what_is_only_said_to_be_gone_is_removed_all_the_same() -> None:
    ended = fact(Kind.DISCONNECTED, 5, session="", ended_by="owner")
    assert to_remove(merge_all([success(3), ended, missed(7)])) == ("A",)
    assert to_remove(merge_all([success(3), ended, told(7)])) == ("A",)
    assert to_remove(merge_all([success(3), ended, told(7), removal(8)])) == ()


def test_a_removal_that_a_callback_tells_of_can_be_undone() -> None:
    assert connection(success(3), told(7)).status == "disconnected"
    assert connection(success(3), told(7)).ended_by == "provider"
    assert connection(success(3), told(7), seen(8)).status == "active"
    assert connection(success(3), told(7), success(9)).status == "active"
    assert connection(success(3), told(7), success(5)).status == "disconnected"


def test_what_only_looks_like_a_removal_asserts_nothing() -> None:
    assert connection(success(3), fact(Kind.GUESSED_REMOVAL, 7, "", "A")).status == "active"


# --- times that cannot be read ---


def undated(seconds: int, session: str = "s1", link: str = "A") -> Fact:
    return fact(Kind.SUCCEEDED, seconds, session, link, dated=False)


def test_a_success_of_unknown_time_counts_from_the_opening_of_its_session() -> None:
    view = connection(opened(1), undated(9))
    assert (view.status, view.connected_at, view.upstream_id) == ("active", at(9), "A")
    assert session(opened(1), undated(9)).succeeded_at == at(9)
    # A failure after the opening is later than all that is known of the success.
    assert connection(opened(1), undated(9), failure(5, "InvalidCredentials", "", "A")).status == "inactive"
    assert connection(opened(6), undated(9), failure(5, "InvalidCredentials", "", "A")).status == "active"


def test_a_success_of_unknown_time_does_not_replace_one_that_has_a_time() -> None:
    assert connection(opened(1), undated(9), opened(2, "s2"), success(4, "s2", "B")).upstream_id == "B"
    assert connection(success(1, "s2", "B"), opened(2), undated(9)).upstream_id == "A"
    assert connection(undated(9), success(1, "s2", "B")).upstream_id == "B"


def test_a_success_of_unknown_time_that_names_only_its_link_is_of_the_session_that_led_there() -> None:
    progress = fact(Kind.PROGRESSED, 2, "s1", "A", stage="start")
    assert session(opened(1), progress, undated(9, session="")).status == "succeeded"
    assert connection(opened(1), progress, undated(9, session="")).status == "active"


def test_a_success_whose_time_is_told_later_is_dated_by_it() -> None:
    view = connection(opened(1), undated(9), success(3))
    assert (view.connected_at, view.last_success_at) == (at(3), at(3))


def test_a_failed_renewal_leaves_the_link_that_works() -> None:
    failed = fact(Kind.FAILED, 8, "s2", "A", error_class="InvalidCredentials", link_works=True)
    assert connection(success(3), failed).status == "active"
    assert connection(success(3), failed).last_error_class == ""
    assert session(failed, reference="s2").error_class == "InvalidCredentials"


def test_a_replaced_link_that_lives_on_is_superseded() -> None:
    bank: dict[str, Any] = {"details": {"provider_code": "bank_xf"}}
    assert (
        superseded(merge_all([success(3), success(6, "s2", "B")])) == ()
    )  # who knows whether it is the same bank?
    assert superseded(merge_all([success(3, **bank), success(6, "s2", "B")])) == ()
    other: dict[str, Any] = {"details": {"provider_code": "other_xf"}}
    assert superseded(merge_all([success(3, **bank), success(6, "s2", "B", **other)])) == ()
    renewed = (success(3, **bank), success(6, "s2", "B", **bank))
    assert superseded(merge_all([*renewed])) == ("A",)
    assert superseded(merge_all([*renewed, removal(8)])) == ()
    assert superseded(merge_all([*renewed, removal(8, "B")])) == ()
    assert superseded(merge_all([success(3), success(6, "s2", "A")])) == ()
    ended = fact(Kind.DISCONNECTED, 9, session="", ended_by="owner")
    assert superseded(merge_all([*renewed, ended])) == ()


def test_a_refresh_turns_no_setback_into_a_success_where_another_session_reached_the_link() -> None:
    facts = [failure(1, "InvalidCredentials", "s1", "A"), success(2, "s2"), success(5, session="")]
    assert session(*facts).status == "failed"
    assert session(*facts[:1], facts[2]).status == "succeeded"


def test_the_end_of_a_consent_is_what_was_said_since_the_last_consent() -> None:
    told = {"consent_expires_at": "2026-06-01T00:00:00+00:00"}
    assert connection(success(3, details=told)).consent_expires_at is not None
    assert connection(success(3, details=told), success(6, "s2")).consent_expires_at is None
    view = connection(success(3), success(6, "s2"))
    assert view.consented_at == at(6)
    assert connection(opened()).consented_at is None


def test_a_standing_without_a_reason_is_told_without_one() -> None:
    state = State(
        attempts={"s1": Attempt(successes={"A": at(1)})},
        links={"A": Link(standing=Standing(at(2), NEEDS_USER, ""))},
        banks={},
    )
    assert (view_connection(state).status, view_connection(state).status_reason) == ("inactive", None)


def test_until_one_works_whatever_is_known_of_any_link_describes_the_connection() -> None:
    view = connection(
        fact(Kind.PROGRESSED, 2, link="A", stage="start", details={"provider_name": "Demobank"})
    )
    assert view.details == {"provider_name": "Demobank"}


def test_that_a_reading_shows_the_link_does_not_switch_its_bank_on() -> None:
    bank: dict[str, Any] = {"details": {"provider_code": "bank_xf"}}
    known = [
        success(1, **bank),
        Fact(kind=Kind.PROVIDER_CHANGED, at=at(5), provider_code="bank_xf", provider_active=False),
        Fact(kind=Kind.SEEN, at=at(9), link="A", link_works=True),
    ]
    assert view_connection(merge_all(known)).status == "inactive"
    assert view_connection(merge_all([*known, success(12, **bank)])).status == "active"
