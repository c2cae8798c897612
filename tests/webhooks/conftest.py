"""What the tests of the endpoint share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from business_os_banking import signals


@pytest.fixture
def reasons() -> Iterator[list[str]]:
    heard: list[str] = []

    def receiver(reason: str, **kwargs: Any) -> None:
        heard.append(reason)

    signals.webhook_rejected.connect(receiver)
    yield heard
    signals.webhook_rejected.disconnect(receiver)
