"""The Django admin. To change a page, unregister its class, subclass it and register yours."""

from django.contrib import admin

from business_os_banking.admin.connections import BankingConnectionAdmin
from business_os_banking.admin.events import ConnectionEventAdmin
from business_os_banking.admin.sessions import ConnectSessionAdmin
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

__all__ = ["BankingConnectionAdmin", "ConnectSessionAdmin", "ConnectionEventAdmin"]

admin.site.register(BankingConnection, BankingConnectionAdmin)
admin.site.register(ConnectSession, ConnectSessionAdmin)
admin.site.register(ConnectionEvent, ConnectionEventAdmin)
