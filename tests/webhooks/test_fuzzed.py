"""The fuzzer's targets hold for what it starts from, and for everything that it ever found."""

from __future__ import annotations

import pytest

from tests.fuzz import targets

FOUND: list[bytes] = []


@pytest.mark.parametrize("data", [*targets.SEEDS, *FOUND, b"", b"\n" * 20, b"{}", b"\xff"], ids=repr)
@pytest.mark.parametrize("target", [targets.payload, targets.verifiers, targets.webhook])
@pytest.mark.django_db
def test_what_must_hold_of_any_bytes_does(target: object, data: bytes) -> None:
    assert callable(target)
    target(data)
