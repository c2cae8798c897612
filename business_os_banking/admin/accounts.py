"""The states of the Business OS accounts: reading, alarms and credits."""

from business_os_banking.admin.base import ReadMostlyAdmin


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
        "silence",
        "silent_since",
        "credits",
        "credits_at",
    )
