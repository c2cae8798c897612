"""Which accounts there are."""

from __future__ import annotations

from business_os_banking import conf
from business_os_banking.models import BankingConnection


def aliases() -> list[str]:
    """Return the accounts of the settings, and those that an adapter has added, whose connections name them."""
    accounts = set(conf.settings.accounts)
    # One hop on the index per account: DISTINCT would walk the whole table.
    last = ""
    while alias := _next_account(last):
        accounts.add(alias)
        last = alias
    return sorted(accounts)


def _next_account(last: str) -> str | None:
    rows = BankingConnection.objects.filter(account__gt=last).order_by("account")
    return rows.values_list("account", flat=True).first()
