"""Filters whose choices cost next to nothing. Django's own read the whole table for its distinct values."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf

_RECENT: Final = 2_000


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
