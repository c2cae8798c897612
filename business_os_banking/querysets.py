"""What one asks of the tables, by name; every method can be chained."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.db import models
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.vocabulary import ConnectionStatus, Kind, Outcome, SessionStatus, Source

if TYPE_CHECKING:
    from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession  # noqa: F401

REMOVAL_TRIES: Final = 5  # a removal at the provider that failed so often is for a person to look at
UNREMOVABLE: Final = Q(removal_due=True, removal_tries__gte=REMOVAL_TRIES)

WAITING: Final = (SessionStatus.CREATED, SessionStatus.OPEN)


class BankingConnectionQuerySet(models.QuerySet["BankingConnection"]):
    def owned_by(self, user: Any, tenant: str = "") -> BankingConnectionQuerySet:
        """Return the connections of *user* within *tenant*; nobody owns nothing."""
        if user is None or not user.is_authenticated:
            return self.none()
        return self.filter(user=user, tenant=tenant)

    def active(self) -> BankingConnectionQuerySet:
        return self.filter(status=ConnectionStatus.ACTIVE)

    def inactive(self) -> BankingConnectionQuerySet:
        return self.filter(status=ConnectionStatus.INACTIVE)

    def living(self) -> BankingConnectionQuerySet:
        """Leave out the tombstones."""
        return self.exclude(status=ConnectionStatus.DISCONNECTED)

    def needing_attention(self, needs: bool = True) -> BankingConnectionQuerySet:
        """Return those whose owner should do something, as `BankingConnection.needs_attention`; else the others."""
        soon = timezone.now() + timedelta(days=conf.settings.expiring_soon_days)
        waiting = Q(status=ConnectionStatus.INACTIVE)
        expiring = Q(status=ConnectionStatus.ACTIVE, consent_expires_at__lte=soon)
        return self.filter(waiting | expiring) if needs else self.exclude(waiting | expiring)

    def with_checking(self) -> BankingConnectionQuerySet:
        """Select along what `BankingConnection.is_checking` asks for: for lists."""
        # By its name: the model is made with a class of this module.
        sessions: Any = apps.get_model("business_os_banking", "ConnectSession")
        latest = sessions.objects.filter(connection=OuterRef("pk")).latest_is_back()
        return self.annotate(has_returned=Subquery(latest[:1]))


class ConnectSessionQuerySet(models.QuerySet["ConnectSession"]):
    def waiting(self) -> ConnectSessionQuerySet:
        """Return the sessions of which nothing final is known and no setback either."""
        return self.filter(status__in=WAITING)

    def latest_is_back(self) -> QuerySet[ConnectSession, bool]:
        """Return of each session, the latest first, whether its browser is back and its answer is not."""
        is_back = Q(status__in=WAITING, returned_at__isnull=False)
        return self.order_by("-pk").annotate(is_back=is_back).values_list("is_back", flat=True)

    def overdue(self, now: datetime) -> ConnectSessionQuerySet:
        """Return the waiting sessions that ended before *now*."""
        return self.waiting().filter(expires_at__lt=now)


class ConnectionEventQuerySet(models.QuerySet["ConnectionEvent"]):
    def unmatched(self) -> ConnectionEventQuerySet:
        """Return what matches nothing yet, without what an operator has set aside."""
        return self.filter(outcome=Outcome.UNMATCHED, ignored_at=None)

    def webhooks(self, account: str) -> ConnectionEventQuerySet:
        """Return what Business OS has sent for *account*; our own self-tests are left out."""
        return self.filter(account=account, source=Source.WEBHOOK).exclude(kind=Kind.SELF_TEST)

    def unannounced(self) -> ConnectionEventQuerySet:
        return self.filter(announced_at__isnull=True)
