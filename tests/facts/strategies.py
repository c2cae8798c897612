"""Random facts from small pools, so that they often speak of the same session, link and moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from business_os_banking.facts.fact import Fact
from business_os_banking.vocabulary import KNOWN_CLASSES, EndedBy, Kind, StatusReason

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


facts = st.builds(
    Fact,
    kind=st.sampled_from(Kind),
    at=st.integers(0, 8).map(at),
    session=st.sampled_from(["", "s1", "s2", "s3"]),
    link=st.sampled_from(["", "A", "B"]),
    error_class=st.sampled_from(["", "SomethingNew", *sorted(KNOWN_CLASSES)]),
    stage=st.sampled_from(["", "start", "fetch_accounts", "finish"]),
    reason=st.sampled_from(["", *StatusReason]),
    ended_by=st.sampled_from(EndedBy),
    provider_code=st.sampled_from(["", "bank_xf", "other_xf"]),
    provider_active=st.sampled_from([None, True, False]),
    dated=st.booleans(),
    final=st.booleans(),
    link_works=st.booleans(),
    renews=st.sampled_from(["", "", "A"]),
    proof_required=st.sampled_from([False, False, False, True]),
    doubt=st.sampled_from(["", "", "", "n1", "n2"]),
    proof=st.sampled_from(["", "", "n1", "n2"]),
    details=st.dictionaries(
        st.sampled_from(["provider_code", "provider_name"]), st.sampled_from(["bank_xf", "other_xf"])
    ),
)
fact_lists = st.lists(facts, max_size=8)

# Nobody doubts, withdraws or refuses anything in these: every success counts.
HELD = {Kind.WITHDRAWN, Kind.REFUSED}


def unheld(known: list[Fact]) -> list[Fact]:
    """Return *known* without what could hold a success, or make it count no more."""
    none: dict[str, Any] = {"doubt": "", "renews": "", "proof_required": False}
    return [replace(fact, **none) for fact in known if fact.kind not in HELD]
