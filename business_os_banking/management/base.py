"""What the commands have in common: where there are no tables, they say what to do instead of failing somewhere."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from business_os_banking.models.tables import are_missing


class BankingCommand(BaseCommand):
    def execute(self, *args: Any, **options: Any) -> Any:
        if are_missing(DEFAULT_DB_ALIAS):
            raise CommandError(
                "The tables of business_os_banking are not in this database or schema. Run migrate; where each tenant "
                "has a schema (django-tenants), run this command in each: tenant_command, or all_tenants_command."
            )
        return super().execute(*args, **options)
