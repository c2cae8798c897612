"""Filters whose choices are cheap. Django's own read the whole table for its distinct values."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.admin import advice
from business_os_banking.admin.display import Text
from business_os_banking.models import BankingConnection, ConnectSession, Removal
from business_os_banking.vocabulary import WAITING_STATUSES, ConnectionStatus, Outcome

_RECENT: Final = 2_000  # connections of which the countries are listed
_LISTED: Final = 200  # rows of each condition


class AccountFilter(admin.SimpleListFilter):
    """By Business OS account: those of the settings."""

    title = _("Business OS account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(alias, alias) for alias in conf.settings.accounts]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(account=self.value()) if self.value() else queryset


class CountryFilter(admin.SimpleListFilter):
    """By the bank's country: those of the latest connections."""

    title = _("country of the bank")
    parameter_name = "country_code"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        latest = model_admin.get_queryset(request).order_by("-pk").values_list("country_code", flat=True)
        selected = self.used_parameters.get(self.parameter_name, "")
        return [(code, code) for code in sorted({*latest[:_RECENT], selected}) if code]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(country_code=self.value()) if self.value() else queryset


class LookFilter(admin.SimpleListFilter):
    """Rows that an operator should look at. Subclasses define the choices, and the conditions behind each.

    Where a choice stands for several conditions, and nothing else narrows the list, it lists the first `_LISTED` rows
    of each: each condition has an index of its own, and an OR of them would read and sort all rows that meet any.
    """

    title = _("look at")
    parameter_name = "look"

    labels: dict[str, Text]

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Text]]:
        return list(self.labels.items())

    def is_alone(self, request: HttpRequest) -> bool:
        """Return whether nothing else narrows the list."""
        parameters = {name for name, value in request.GET.items() if value}
        return parameters <= {self.parameter_name, PAGE_VAR, ORDER_VAR, ALL_VAR}


class ConnectionLookFilter(LookFilter):
    labels = {
        "attention": _("Needs attention"),
        "stuck": _("Stuck"),
        "ending": _("Consent ends soon"),
        "held": _("Held"),
        "deleted": _("User deleted"),
    }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.labels:
            return queryset
        is_alone = self.is_alone(request)
        conditions = self._conditions(timezone.now(), is_alone=is_alone)
        if not is_alone:
            return queryset.filter(reduce(or_, (condition for condition, _order in conditions)))
        first = (queryset.filter(condition).order_by(order)[:_LISTED] for condition, order in conditions)
        return queryset.filter(pk__in={key for rows in first for key in rows.values_list("pk", flat=True)})

    def _conditions(self, now: datetime, *, is_alone: bool) -> list[tuple[Q, str]]:
        """Return the conditions, each with the ordering for which there is an index."""
        if self.value() == "stuck":
            stuck = advice.stuck_sessions(now).values_list("connection_id", flat=True)
            lists: list[Any] = _first(stuck) if is_alone else [stuck.order_by()]
            return [*((Q(pk__in=keys), "-pk") for keys in lists), _unremovable(now)]
        ending = (advice.consent_ending(now), "consent_expires_at")
        if self.value() == "ending":
            return [ending]
        if self.value() == "held":
            return [(Q(held_reason__gt=""), "-pk")]
        if self.value() == "deleted":
            return [(Q(pk__in=BankingConnection.objects.without_user().order_by().values("pk")), "-pk")]
        return [(Q(status=ConnectionStatus.INACTIVE), "-pk"), ending, _unremovable(now)]


def _unremovable(now: datetime) -> tuple[Q, str]:
    stuck = Removal.objects.stuck(now).exclude(connection=None).order_by("pk")
    return Q(pk__in=list(stuck.values_list("connection", flat=True)[:_LISTED])), "-pk"


class SessionLookFilter(LookFilter):
    labels = {"stuck": _("Stuck")}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.labels:
            return queryset
        stuck = advice.stuck_sessions(timezone.now())
        if not self.is_alone(request):
            return queryset & stuck
        first = _first(stuck.values_list("pk", flat=True))
        return queryset.filter(pk__in=[key for keys in first for key in keys])


def _first(stuck: QuerySet[ConnectSession, int]) -> list[list[int]]:
    """Return the values that *stuck* selects, of the first `_LISTED` sessions of each status.

    They are ordered by the other column of the index, which is sorted within one status only; ordered by keys, a
    database may walk down the table instead.
    """
    return [list(stuck.filter(status=status).order_by("expires_at")[:_LISTED]) for status in WAITING_STATUSES]


class EventLookFilter(LookFilter):
    labels = {
        "unmatched": _("Matches nothing"),
        "contradicting": _("Contradicting"),
        "orphaned": _("For an ended connection"),
        "failed": _("Failed"),
        "ignored": _("Ignored"),
    }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        unmatched = Q(outcome=Outcome.UNMATCHED, ignored_at=None)
        conditions = {
            "unmatched": unmatched & Q(note=""),
            "contradicting": unmatched & Q(note__gt=""),
            "orphaned": Q(outcome=Outcome.ORPHANED),
            "failed": Q(outcome=Outcome.FAILED),
            "ignored": Q(outcome=Outcome.UNMATCHED, ignored_at__isnull=False),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))
