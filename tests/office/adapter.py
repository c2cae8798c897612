"""The adapter of a site whose organisations (Django's groups, here) have a Business OS account each."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection
from tests.office.models import BankingKeys
from tests.upstream.fake import BASE_URL


class KeysPerTenant(BankingAdapter):
    def get_owner(self, request: Any) -> Any:
        return request.user, str(request.user.groups.get().name)

    def get_account(self, request: Any) -> str:
        return f"org-{request.user.groups.get().name}"

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        keys = BankingKeys.objects.filter(alias=alias).first()
        if keys is None:
            raise ImproperlyConfigured(f"There is no account {alias}.")
        return self.account(alias, keys)

    def account(self, alias: str, keys: BankingKeys) -> conf.Account:
        values = {"API_KEY": keys.api_key, "WEBHOOK_SECRETS": [keys.secret], "BASE_URL": BASE_URL}
        return conf.make_account(alias, values)


class OneNameForAll(KeysPerTenant):
    """A slip that one makes easily, and that would file what one tenant says under all of them."""

    def account(self, alias: str, keys: BankingKeys) -> conf.Account:
        return super().account("default", keys)


class InCapitals(KeysPerTenant):
    def account(self, alias: str, keys: BankingKeys) -> conf.Account:
        return super().account(alias.upper(), keys)
