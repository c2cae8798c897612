"""The tables. Statuses and the other columns that follow from facts are written by `facts.record` alone."""

from business_os_banking.models.accounts import AccountState
from business_os_banking.models.connections import BankingConnection, BankingConnectionQuerySet
from business_os_banking.models.events import ConnectionEvent, ConnectionEventQuerySet
from business_os_banking.models.removals import Removal, RemovalQuerySet
from business_os_banking.models.sessions import ConnectSession, ConnectSessionQuerySet, SessionLink

__all__ = [
    "AccountState",
    "BankingConnection",
    "BankingConnectionQuerySet",
    "ConnectSession",
    "ConnectSessionQuerySet",
    "ConnectionEvent",
    "ConnectionEventQuerySet",
    "Removal",
    "RemovalQuerySet",
    "SessionLink",
]
