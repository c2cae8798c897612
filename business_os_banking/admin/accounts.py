"""The states of the Business OS accounts: reading, alarms and credits."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from business_os_banking.admin.base import ReadMostlyAdmin
from business_os_banking.flows import learning
from business_os_banking.models import AccountState


class AccountStateAdmin(ReadMostlyAdmin):
    """Account states are looked at only: reconcile writes them."""

    list_display = (
        "alias",
        "reconciled_at",
        "read_at",
        "reads",
        "paused_until",
        "list_missing_at",
        "silence",
        "credits",
    )
    fields = (
        "alias",
        "reconciled_at",
        "read_at",
        "reads_on",
        "reads",
        "troubles",
        "paused_until",
        "list_missing_at",
        "learnt_in_words",
        "whole_reading",
        "sweep_started_at",
        "sweep_pages",
        "sweep_next_at",
        "silence",
        "silent_since",
        "credits",
        "credits_at",
    )

    @admin.display(description=gettext_lazy("learnt about the list"), empty_value="-")
    def learnt_in_words(self, state: AccountState) -> str:
        """What reading has taught, by the names and words of the documentation, with the day."""
        known = ((name, state.learnt.get(name)) for name in learning.SHOWN)
        return ", ".join(f"{name}: {entry['value']} ({entry['at'][:10]})" for name, entry in known if entry)

    @admin.display(description=gettext_lazy("a whole reading takes"), empty_value="-")
    def whole_reading(self, state: AccountState) -> str:
        days = learning.days_of_a_whole_reading(state)
        return "" if days is None else _("%(days)s days, at the pace of its share") % {"days": days}
