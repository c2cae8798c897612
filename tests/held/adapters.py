"""Adapters of sites where more than one person may see a connection, or that know of a merger."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection, BankingConnectionQuerySet
from business_os_banking.vocabulary import Bank


class Tenant(BankingAdapter):
    """Everybody works for one company."""

    def get_owner(self, request: HttpRequest) -> tuple[Any, str]:
        return super().get_owner(request)[0], "company"

    def visible_connections(self, request: HttpRequest) -> BankingConnectionQuerySet:
        if not request.user.is_authenticated:
            return BankingConnection.objects.none()
        return BankingConnection.objects.filter(tenant="company")


class Merged(BankingAdapter):
    def is_same_bank(self, old: Bank, new: Bank) -> bool:
        return {old.code, new.code} == {"herbst_de", "winter_de"}


class Broken(BankingAdapter):
    def is_same_bank(self, old: Bank, new: Bank) -> bool:
        raise RuntimeError("a fault of the site's own hook")
