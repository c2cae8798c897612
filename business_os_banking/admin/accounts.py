"""What the app remembers about each Business OS account."""

from business_os_banking.admin.base import ReadMostlyAdmin


class AccountStateAdmin(ReadMostlyAdmin):
    """When it was reconciled and read last, what today's reads came to, and the credits that are left."""

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
