"""A signal as it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession


@dataclass(frozen=True)
class CapturedSignal:
    """One signal of the app. ``webhook_rejected`` is about no rows, so it has none of the three."""

    name: str
    connection: BankingConnection | None = None
    session: ConnectSession | None = None
    event: ConnectionEvent | None = None
