"""Filters whose choices cost next to nothing. Django's own read the whole table for its distinct values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from heapq import nlargest
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.admin import advice
from business_os_banking.admin.display import Text
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import ConnectionStatus, Outcome

_RECENT: Final = 2_000
_LISTED: Final = 500


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
        chosen = {self.used_parameters.get(self.parameter_name, "")}
        return [(code, code) for code in sorted({*latest[:_RECENT], *chosen}) if code]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(country_code=self.value()) if self.value() else queryset


class LookFilter(admin.SimpleListFilter):
    """By what an operator should look at. Subclasses say which conditions there are."""

    title = _("look at")
    parameter_name = "look"

    choices_of: dict[str, tuple[Text, Callable[[QuerySet[Any], datetime], QuerySet[Any]]]]

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Text]]:
        return [(name, label) for name, (label, _narrow) in self.choices_of.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.choices_of.get(self.value() or "")
        return chosen[1](queryset, timezone.now()) if chosen else queryset


def _latest(rows: QuerySet[Any], *found: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows that any of *found* holds, as far as the latest `_LISTED`.

    Each of *found* has an index of its own; an OR of them would have none, or read and sort all that they find.
    """
    keys = {key for some in found for key in some.values_list("pk", flat=True)[:_LISTED]}
    return rows.filter(pk__in=nlargest(_LISTED, keys))


def _attention(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    inactive = rows.filter(status=ConnectionStatus.INACTIVE).order_by("-pk")
    return _latest(rows, inactive, _soonest(rows, now), rows & BankingConnection.objects.unremovable())


def _ending(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    return _latest(rows, _soonest(rows, now))


def _soonest(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    return rows.filter(advice.consent_ending(now)).order_by("consent_expires_at")


def _stuck(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    waiting = advice.stuck_sessions(now).order_by("-pk").values_list("connection_pk", flat=True)[:_LISTED]
    return _latest(rows, rows.filter(pk__in=list(waiting)), rows & BankingConnection.objects.unremovable())


def _unmatched(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(outcome=Outcome.UNMATCHED, ignored_at=None)


class ConnectionLookFilter(LookFilter):
    choices_of = {
        "attention": (_("Needs attention"), _attention),
        "stuck": (_("Stuck"), _stuck),
        "ending": (_("Consent ends soon"), _ending),
    }


class SessionLookFilter(LookFilter):
    choices_of = {
        "stuck": (_("Stuck"), lambda rows, now: rows & advice.stuck_sessions(now)),
    }


class EventLookFilter(LookFilter):
    choices_of = {
        "unmatched": (_("Matches nothing"), lambda rows, _now: _unmatched(rows).filter(note="")),
        "contradicting": (_("Contradicting"), lambda rows, _now: _unmatched(rows).filter(note__gt="")),
        "orphaned": (_("For an ended connection"), lambda rows, _now: rows.filter(outcome=Outcome.ORPHANED)),
        "failed": (_("Failed"), lambda rows, _now: rows.filter(outcome=Outcome.FAILED)),
        "ignored": (
            _("Ignored"),
            lambda rows, _now: rows.filter(outcome=Outcome.UNMATCHED).exclude(ignored_at=None),
        ),
    }
