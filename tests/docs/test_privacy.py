"""The page on privacy speaks of every column there is, and of no other."""

from __future__ import annotations

from typing import Final

from django.apps import apps

from business_os_banking.conf.table import SITE
from tests.docs.pages import column, names, table, text

PAGE: Final = "privacy.md"
APP: Final = "business_os_banking"
COLUMNS: Final = [
    f"{model._meta.model_name}.{field.name}"
    for model in apps.get_app_config(APP).get_models()
    for field in model._meta.fields
]


def test_the_map_has_every_column_of_every_table() -> None:
    # The page begins with what matters most, and not in the order of the modules.
    assert sorted(column(PAGE, "map")) == sorted(COLUMNS)


def test_every_column_says_what_why_and_until_when() -> None:
    for name, *cells in table(PAGE, "map"):
        assert len(cells) == 4, name
        assert all(cells), name
        end = cells[-1]
        assert "banking_" in end or end == "never" or "when" in end, name


def test_whatever_is_personal_or_secret_can_be_erased() -> None:
    for name, _what, kind, _why, until in table(PAGE, "map"):
        if not kind.startswith("no"):
            assert names(until) & {"banking_erase", "banking_prune"}, name


def test_the_defaults_are_those_of_the_code() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table(PAGE, "retention")}
    assert rows == {key: str(SITE[key].default) for key in ("PAYLOAD_DAYS", "EVENT_DAYS", "UNMATCHED_DAYS")}


def test_columns_that_are_named_elsewhere_exist() -> None:
    assert set(column(PAGE, "late")) <= set(COLUMNS)


def test_the_sandbox_is_mentioned() -> None:
    tables = [model._meta.db_table for model in apps.get_app_config(f"{APP}_sandbox").get_models()]
    assert tables
    assert all(name.startswith(f"{APP}_sandbox_") for name in tables)
    assert f"{APP}_sandbox_…" in text(PAGE)
