"""Who is erased is gone, and what is old is forgotten; nobody else loses anything."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.pages import column
from tests.privacy.evidence import Evidence
from tests.privacy.markers import Marks
from tests.privacy.test_map import COLUMNS, PAGE

pytestmark = [pytest.mark.django_db, pytest.mark.long]

# The site's own; docs/privacy.md says that it stays.
OF_THE_SITE = {"auth_user.email"}


@pytest.fixture(scope="module")
def held(evidence: Evidence) -> Any:
    """Return a function that tells in which columns of a dump somebody's marks are, and of which kind."""
    marks = Marks(evidence.people)

    def of(person: str, moment: str) -> set[tuple[str, str]]:
        return {
            (name, kind)
            for name, text in evidence.dumps[moment].items()
            if name not in OF_THE_SITE
            for whose, kind in marks.found_in(text)
            if whose == person
        }

    return of


def test_there_was_something_to_erase(held: Any) -> None:
    found = {kind for _name, kind in held("eva", "before")}
    assert found >= {"e-mail", "pending token", "connect URL", "link id", "bank", "tenant", "metadata"}
    assert ("django_admin_log.object_repr", "bank") in held("eva", "before")


def test_nothing_is_left_of_a_person_who_was_erased(held: Any) -> None:
    assert held("eva", "eva is erased") == set()


def test_nothing_of_anybody_else_is_touched(held: Any, evidence: Evidence) -> None:
    for other in ("otto", "ida"):
        assert held(other, "eva is erased") == held(other, "before") != set()


def test_a_webhook_that_comes_too_late_leaves_ids_that_lead_nowhere(held: Any) -> None:
    found = {COLUMNS[name] for name, _kind in held("eva", "eva is heard of again")}
    assert found == set(column(PAGE, "late"))
    assert {kind for _name, kind in held("eva", "eva is heard of again")} == {"link id"}


def test_after_payload_days_there_is_no_email_no_content_and_no_address(
    held: Any, evidence: Evidence
) -> None:
    for person in ("eva", "otto", "ida"):
        kinds = {kind for _name, kind in held(person, "31 days later")}
        assert not kinds & {"e-mail", "custom fields", "next address", "connect URL"}
    dump = evidence.dumps["31 days later"]
    assert set(dump["business_os_banking_connectionevent.payload"].split()) == {"{}"}
    for name in ("email", "next_url", "connect_url"):
        assert not dump[f"business_os_banking_connectsession.{name}"].strip()


def test_after_event_days_nothing_is_left_of_what_matched_nothing(held: Any) -> None:
    assert held("eva", "401 days later") == set()
    assert held("ida", "401 days later") == set()
    assert held("otto", "401 days later") != set()


def test_what_belongs_to_nobody_any_more_can_be_erased(held: Any, evidence: Evidence) -> None:
    forms = {evidence.belongs_to_nobody, evidence.belongs_to_nobody.replace("-", "")}
    left = [
        any(form in text for text in evidence.dumps[moment].values() for form in forms)
        for moment in ("401 days later", "what belongs to nobody is erased")
    ]
    assert left == [True, False]
    # What has lost its user but is of a tenant stays, until the tenant is named.
    assert held("otto", "what belongs to nobody is erased") != set()


def test_nothing_is_left_of_a_tenant_that_was_erased(held: Any) -> None:
    assert held("otto", "otto's tenant is erased") == set()
