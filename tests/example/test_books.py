"""The example's own tests, as a developer of such a site runs them."""

from __future__ import annotations

import re

import pytest

from tests.example.conftest import Project

SECONDS = 10


def test_they_pass_and_take_seconds(project: Project) -> None:
    said = project.manage("test", "example_project", SECRET_KEY="")
    ran = re.search(r"Ran (\d+) tests in ([\d.]+)s\n\nOK", said)
    assert ran, said
    assert int(ran[1]) >= 10
    assert float(ran[2]) < SECONDS


@pytest.mark.long
def test_a_real_key_is_never_used_in_them(project: Project) -> None:
    real = {"BUSINESS_OS_API_KEY": "real", "BUSINESS_OS_WEBHOOK_SECRETS": "real", "DEBUG": "true"}
    said = project.manage("test", "example_project", "--verbosity=0", **real)
    assert "OK" in said
