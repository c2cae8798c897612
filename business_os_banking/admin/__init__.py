"""The Django admin. To change a page, unregister its class, subclass it and register yours."""

from django.contrib import admin

from business_os_banking.admin.accounts import AccountStateAdmin
from business_os_banking.admin.connections import BankingConnectionAdmin
from business_os_banking.admin.events import ConnectionEventAdmin
from business_os_banking.admin.removals import RemovalAdmin
from business_os_banking.admin.sessions import ConnectSessionAdmin
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)

__all__ = [
    "AccountStateAdmin",
    "BankingConnectionAdmin",
    "ConnectSessionAdmin",
    "ConnectionEventAdmin",
    "RemovalAdmin",
]

admin.site.register(BankingConnection, BankingConnectionAdmin)
admin.site.register(ConnectSession, ConnectSessionAdmin)
admin.site.register(ConnectionEvent, ConnectionEventAdmin)
admin.site.register(AccountState, AccountStateAdmin)
admin.site.register(Removal, RemovalAdmin)
