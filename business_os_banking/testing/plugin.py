"""The pytest plugin: the fixture, and word of when a test ends. Loading it imports nothing but pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from business_os_banking.testing.endings import endings

if TYPE_CHECKING:
    from business_os_banking.testing import FakeUpstream

endings.are_told = True


@pytest.fixture
def banking_upstream() -> Iterator[FakeUpstream]:
    """Business OS as this test has it: in process, and with an account where the site's settings have none."""
    from business_os_banking.testing import FakeUpstream

    with FakeUpstream() as upstream:
        yield upstream


def pytest_runtest_logfinish() -> None:
    """Undo what the kit's functions left in place for the test. This hook comes last, whatever has failed before."""
    endings.run()
