"""Delete data that is no longer needed."""

from __future__ import annotations

from typing import Any

from business_os_banking.flows.prune import prune
from business_os_banking.management.base import BankingCommand


class Command(BankingCommand):
    help = (
        "Empties the bodies of events older than PAYLOAD_DAYS, clears sessions as old of their e-mail address, "
        "custom fields and addresses, and deletes events older than EVENT_DAYS, all in small batches. Never "
        "deletes what failed and waits to be applied, what waits to be announced, or what belongs to an open "
        "session. Run it once a day; it can be stopped at any time. Exit code: 0."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        pruned = prune()
        self.stdout.write(
            f"{pruned.payloads} bodies emptied, {pruned.sessions} sessions cleared, "
            f"{pruned.events} events deleted"
        )
