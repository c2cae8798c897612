"""Loading the kit costs nothing and changes nothing; what is asked of it afterwards is undone when the test ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from business_os_banking import testing
from tests.packaging.server import clean_environment

pytest_plugins = ["pytester"]

HEAVY = {"django", "requests", "rest_framework", "unittest.mock", "business_os_banking.models"}
NAMES = ", ".join(testing.__all__)


@pytest.mark.once
@pytest.mark.parametrize(
    "code",
    ["import business_os_banking.testing.plugin", f"from business_os_banking.testing import {NAMES}"],
    ids=["the plugin", "all names"],
)
def test_loading_imports_no_django(code: str) -> None:
    script = f"{code}\nimport sys\nprint(*sorted(set(sys.modules) & {HEAVY}))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    assert done.stdout.split() == []


def test_all_that_is_public_is_there_and_documented() -> None:
    assert all(getattr(testing, name).__doc__ for name in testing.__all__)
    assert testing.__all__ == sorted(testing.__all__)


@pytest.mark.once
def test_the_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(banking_upstream): pass")
    options = ["-p", "no:django", "-p", "no:cacheprovider"]
    pytester.runpytest_subprocess(*options, "-p", "no:business_os_banking").assert_outcomes(errors=1)
    listed = pytester.runpytest_subprocess(*options, "--fixtures")
    listed.stdout.fnmatch_lines(["*banking_upstream*"])
