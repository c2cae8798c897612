"""Compare state with the log of facts, and correct it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.management.base import BankingCommand


class Command(BankingCommand):
    help = (
        "Recomputes the state of every connection from the log of facts and prints each difference from what is "
        "stored; without --check it also writes what the log says. Runs beside live traffic. "
        "Exit code: 0 no difference, or mended; 1 with --check, if there is a difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only compare; change nothing.")

    def handle(self, *_args: Any, **options: Any) -> None:
        count = 0
        for difference in rebuild(check=options["check"]):
            count += 1
            self.stdout.write(str(difference))
        participle = "found" if options["check"] else "mended"
        self.stdout.write(f"{count} difference{'' if count == 1 else 's'} {participle}")
        if count and options["check"]:
            raise SystemExit(1)
