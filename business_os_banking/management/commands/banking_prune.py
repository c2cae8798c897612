"""Delete what is no longer of use."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from business_os_banking.flows.prune import prune


class Command(BaseCommand):
    help = (
        "Empties the bodies of events, and the e-mail addresses of sessions, older than PAYLOAD_DAYS, and deletes "
        "events older than EVENT_DAYS, in small batches. Never touches what waits to be applied or announced, or "
        "belongs to an open session. Run it once a day; it can be stopped at any time. Exit code: 0."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        pruned = prune()
        self.stdout.write(
            f"{pruned.payloads} bodies emptied, {pruned.emails} e-mail addresses cleared, "
            f"{pruned.events} events deleted"
        )
