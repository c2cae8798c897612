"""The site itself, and the command: each fault is named; exit codes are kept to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from business_os_banking.doctor.findings import ADVICE
from tests.docs.pages import column


def test_a_mistake_in_the_settings(site: Any, doctor: Any) -> None:
    site.BUSINESS_OS_BANKING = {**site.BUSINESS_OS_BANKING, "STALE_DAYS": 0}
    found = doctor()
    assert set(found) == {"E005", "public-url-unknown"}
    assert "STALE_DAYS" in found["E005"]["what"]


def test_a_check_that_is_silenced_stays_so(site: Any, findings: Any) -> None:
    site.BUSINESS_OS_BANKING = {**site.BUSINESS_OS_BANKING, "STALE_DAYS": 0}
    site.SILENCED_SYSTEM_CHECKS = ["business_os_banking.E005"]
    assert findings() == set()


def test_a_path_that_cannot_be_one(site: Any, findings: Any) -> None:
    account = site.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    site.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, "ACCOUNT_PATH": "@evil.example/{id}"}}}
    assert findings() == {"E030", "account-unusable"}


def test_a_site_without_a_secret_key_is_examined_all_the_same(site: Any, plain_doctor: Any) -> None:
    site.SECRET_KEY, site.DEBUG = "", False
    assert plain_doctor()[0] == 1


@pytest.mark.parametrize("wrong", [None, [], {"ACCOUNTS": 5}, {"ACCOUNTS": {"default": {"TIMEOUT": "x"}}}])
def test_no_setting_makes_it_raise(site: Any, plain_doctor: Any, wrong: Any) -> None:
    site.BUSINESS_OS_BANKING = wrong
    code, text = plain_doctor()
    assert code == 1
    assert re.search(r"^ERROR E0", text)


def test_tables_that_are_not_up_to_date(site: Any, doctor: Any) -> None:
    MigrationRecorder.Migration.objects.filter(app="business_os_banking").delete()
    found = doctor()
    assert set(found) == {"migrations-missing", "public-url-unknown"}
    assert found["migrations-missing"]["fix"] == "python manage.py migrate business_os_banking"


def test_a_database_that_is_away(site: Any, plain_doctor: Any) -> None:
    def away(*_args: Any) -> Any:
        raise OperationalError("password of somebody is wrong")

    with connection.execute_wrapper(away):
        code, text = plain_doctor()
    assert code == 1
    assert "ERROR database-away" in text
    assert "somebody" not in text


def test_sqlite_in_production(site: Any, findings: Any) -> None:
    site.DEBUG = False
    expected = {"sqlite-in-production"} if connection.vendor == "sqlite" else set()
    assert findings() == expected


# What each server is asked to do, where that concerns this connection alone. Within a transaction SQLite ignores it.
CARELESS = {
    "postgresql": "SET synchronous_commit = off",
    "sqlite": "PRAGMA synchronous = OFF",
}
CAREFUL = {
    "postgresql": "SET synchronous_commit = on",
    "sqlite": "PRAGMA synchronous = FULL",
}


@contextmanager
def careless_commits() -> Iterator[None]:
    if connection.vendor == "mysql":
        # There it is the whole server's, which other tests use at the same time: only what it answers is changed.
        def answer_2(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            return execute(sql.replace("@@innodb_flush_log_at_trx_commit", "2"), params, many, context)

        with connection.execute_wrapper(answer_2):
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute(CARELESS[connection.vendor])
        try:
            yield
        finally:
            cursor.execute(CAREFUL[connection.vendor])


def test_commits_that_may_be_lost(transactional_db: None, site: Any, doctor: Any) -> None:
    with careless_commits():
        findings = doctor()
    assert set(findings) == {"commits-not-durable", "public-url-unknown"}
    assert "synchronous" in findings["commits-not-durable"]["fix"] or connection.vendor == "mysql"


# --- the command ---


def test_it_says_what_why_and_what_to_type(site: Any, plain_doctor: Any) -> None:
    code, text = plain_doctor()
    assert code == 1
    first, why, fix = text.splitlines()
    assert first.startswith("WARNING public-url-unknown: ")
    assert why.startswith("  Why it matters: ")
    assert fix.startswith("  What to do: python manage.py banking_doctor --url ")


def test_figures_are_shown_when_asked_for(site: Any, plain_doctor: Any) -> None:
    _code, text = plain_doctor(verbosity=2)
    assert re.search(r"^default: last webhook at None, .*events failed 0", text, re.MULTILINE)


@pytest.mark.parametrize(
    "wrong", [("--url", "www.shop.example"), ("--url", "https://["), ("--account", "nowhere")]
)
def test_a_command_line_that_makes_no_sense_ends_with_2(site: Any, plain_doctor: Any, wrong: Any) -> None:
    with pytest.raises(CommandError) as caught:
        plain_doctor(*wrong)
    assert caught.value.returncode == 2


def test_every_finding_is_explained() -> None:
    assert column("doctor.md", "findings") == list(ADVICE)
