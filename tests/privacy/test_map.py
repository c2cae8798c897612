"""Every mark is where docs/privacy.md allows it, and in each place that is allowed there is one."""

from __future__ import annotations

import pytest
from django.apps import apps

from tests.docs.pages import column, names, table
from tests.privacy.evidence import Evidence
from tests.privacy.markers import NOWHERE, Marks, kinds

pytestmark = [pytest.mark.django_db, pytest.mark.long]

PAGE = "privacy.md"
APP = "business_os_banking"
ALLOWED = {row[0].strip("`"): names(row[2]) for row in table(PAGE, "map")}
ELSEWHERE = {row[0].strip("`"): names(row[1]) for row in table(PAGE, "elsewhere")}
PLACES = {row[0].strip("`"): names(row[1]) for row in table(PAGE, "places")}
KINDS = set(column(PAGE, "data"))
COLUMNS = {
    f"{model._meta.db_table}.{field.column}": f"{model._meta.model_name}.{field.name}"
    for model in apps.get_app_config(APP).get_models()
    for field in model._meta.fields
}


@pytest.fixture(scope="module")
def marks(evidence: Evidence) -> Marks:
    return Marks(evidence.people)


def test_the_map_speaks_of_the_kinds_that_are_planted(evidence: Evidence) -> None:
    planted = {kind for person in evidence.people for kind, texts in person.texts.items() if texts}
    assert planted | {"API key", "webhook secret"} == KINDS


def test_every_column_holds_what_the_map_allows_and_nothing_else(evidence: Evidence, marks: Marks) -> None:
    found: dict[str, set[str]] = {}
    for dump in evidence.dumps.values():
        for name, text in dump.items():
            found.setdefault(name, set()).update(kinds(marks.found_in(text)))
    ours = {COLUMNS[name]: held for name, held in found.items() if name in COLUMNS}
    # Every column of every row was looked at.
    assert set(ours) == set(ALLOWED)
    # Words of our own stand in backquotes, too.
    assert {name: held for name, held in ours.items() if held} == {
        name: allowed & KINDS for name, allowed in ALLOWED.items() if allowed & KINDS
    }
    others = {name: held for name, held in found.items() if name not in COLUMNS and held}
    assert others == ELSEWHERE


@pytest.mark.parametrize("place", PLACES)
def test_every_place_shows_what_the_map_allows_and_nothing_else(
    evidence: Evidence, marks: Marks, place: str
) -> None:
    texts = evidence.places[place]
    assert texts
    found = marks.found_in(*texts)
    if place == "pages of others":
        found = {(whose, kind) for whose, kind in found if whose == "eva"}
    assert kinds(found) == PLACES[place]


def test_every_place_that_was_looked_at_is_in_the_map(evidence: Evidence) -> None:
    assert set(evidence.places) == set(PLACES)


def test_what_is_to_be_nowhere_is_nowhere_in_the_map() -> None:
    held = set().union(*ALLOWED.values(), *ELSEWHERE.values())
    assert not held & NOWHERE
    shown = {place for place, allowed in PLACES.items() if allowed & NOWHERE}
    # Django's own mails, as they are without the masked reporter; the key goes to whom it belongs; and a link is shown
    # to who makes it, and to who has it.
    assert shown == {"fault mails", "Business OS", "renewal link", "renewal link, when made"}


def test_everything_went_wrong_that_can(evidence: Evidence) -> None:
    said = "\n".join(map(str, evidence.places["log"]))
    for line in (
        "could not be opened: HTTP 401",
        "could not be opened: Business OS did not answer",
        "could not be opened: The host of the connect_url",
        "the settings are not right: OperationalError",
        "the body broke off",
        "the event could not be applied",
        "rejected: there is no such account",
        "the body is not a JSON object",
        "a fault of the site's own receiver",
        "a fault of the site's own hook",
        "The mail backend raised SMTPRecipientsRefused",
        "is not proved yet",
        "the list of connections could not be read",
        "Service Unavailable: /banking/connect/",
    ):
        assert line in said, line
