"""Listening to all signals of the app at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.dispatch import Signal

from business_os_banking import signals
from business_os_banking.testing.captured import CapturedSignal


@contextmanager
def capture_signals() -> Iterator[list[CapturedSignal]]:
    """Give a list that fills with the signals that are sent within the block."""
    captured: list[CapturedSignal] = []
    receivers = {
        name: _receiver(name, captured) for name, item in vars(signals).items() if isinstance(item, Signal)
    }
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, weak=False)
    try:
        yield captured
    finally:
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)


def _receiver(name: str, captured: list[CapturedSignal]) -> Callable[..., None]:
    def receive(connection: Any = None, session: Any = None, event: Any = None, **_: Any) -> None:
        captured.append(CapturedSignal(name, connection, session, event))

    return receive
