"""Catch up on what was missed. Run it from cron, every five minutes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from business_os_banking.flows.reconcile import preview, reconcile
from business_os_banking.management.base import BankingCommand

_NOT_COUNTS = {"credits", "due", "problems", "needs_a_person"}


class Command(BankingCommand):
    help = (
        "Applies events that failed or matched nothing, tells receivers what they have not heard, reads back "
        "what webhooks did not bring, expires sessions that ran out, removes upstream what was ended here, and "
        "reminds of consents that end. Safe to run at any time and twice at once; every five minutes is right. "
        "With --verbosity 0 it is silent unless a person is needed. "
        "Exit code: 0 all is well; 1 a person is needed (the output says why)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count what is due; change nothing.")
        parser.add_argument("--json", action="store_true", help="Print the counts as JSON.")

    def handle(self, *_args: Any, **options: Any) -> None:
        result = preview() if options["dry_run"] else reconcile()
        counts = result.as_dict()
        if options["json"]:
            self.stdout.write(json.dumps(counts))
        elif options["verbosity"] > 0 or result.needs_a_person:
            texts = [f"{name} {value}" for name, value in counts.items() if value and name not in _NOT_COUNTS]
            prefix = "Due: " if options["dry_run"] else ""
            self.stdout.write(prefix + (", ".join(texts).replace("_", " ") or "nothing to do"))
            for alias, due in result.due.items():
                self.stdout.write(
                    f"{alias}: to be read by id {due['by_id']}, sessions for the tail {due['tail']}, "
                    f"the whole list {'yes' if due['sweep'] else 'no'}"
                )
            for alias, left in result.credits.items():
                self.stdout.write(f"{alias}: {left} credits left")
            for problem in result.problems:
                self.stderr.write(self.style.WARNING(problem))
        if result.needs_a_person:
            raise SystemExit(1)
