"""What an operator should do next about a connection, and which rows need a look at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.admin.display import Text
from business_os_banking.doctor import findings
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import ConnectionStatus, HeldReason, SessionStatus, StatusReason

_ANSWER_TIMEOUT: Final = timedelta(minutes=15)  # after the browser came back
_OPENING_TIMEOUT: Final = timedelta(minutes=5)


def stuck_sessions(now: datetime) -> QuerySet[ConnectSession]:
    """Return the waiting sessions that came back without an answer, are over, or were never opened."""
    came_back = Q(returned_at__lt=now - _ANSWER_TIMEOUT)
    never_opened = Q(status=SessionStatus.CREATED, created_at__lt=now - _OPENING_TIMEOUT)
    return ConnectSession.objects.waiting().filter(came_back | never_opened | Q(expires_at__lt=now))


def consent_ending(now: datetime) -> Q:
    """Return the condition for working connections whose consent ends soon."""
    soon = now + timedelta(days=conf.settings.expiring_soon_days)
    return Q(status=ConnectionStatus.ACTIVE, consent_expires_at__lte=soon)


def next_step(connection: BankingConnection) -> Text:
    """Return what an operator should do next about *connection*."""
    if connection.removal_due:
        if connection.removals.all().stuck(timezone.now()).exists():
            return gettext(findings.ADVICE["removals-stuck"].fix)
        return _("Nothing: banking_reconcile removes it at the provider.")
    if connection.held_reason == HeldReason.LINK_WITHDRAWN:
        return _("Accept or refuse what the withdrawn link has led to.")
    if connection.held_reason:
        return _("A question is open, which the customer is asked. Answer it if you know what was meant.")
    if connection.status == ConnectionStatus.PENDING:
        return _for_pending(connection)
    if connection.status == ConnectionStatus.INACTIVE:
        if connection.status_reason == StatusReason.BANK_DISABLED:
            return _("Nothing: it goes on by itself when the bank is back.")
        return _("Only the customer can help. Send a renewal link.")
    if connection.status == ConnectionStatus.ACTIVE and connection.is_expiring_soon:
        return _("Send a renewal link before the consent ends.")
    if connection.is_stale:
        return _("Nothing has been heard for a while. Check it now.")
    return _("Nothing.")


def _for_pending(connection: BankingConnection) -> Text:
    waiting = connection.sessions.waiting()
    if stuck_sessions(timezone.now()).filter(connection=connection).exists():
        return _("A session waits for an answer that should be here. Check it now.")
    if waiting.exists():
        return _("Nothing yet: the customer is on the way.")
    return _("It was never finished. Send a renewal link, or disconnect it.")
