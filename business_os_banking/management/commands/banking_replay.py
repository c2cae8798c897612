"""Apply stored events again."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from business_os_banking.facts.replay import replay, select
from business_os_banking.management.base import BankingCommand
from business_os_banking.vocabulary import Outcome


class Command(BankingCommand):
    help = (
        "Applies stored events again, oldest first. It is always safe: an event that has had its effect has no "
        "other. Choose events by id, by outcome or by time; at least one of these is needed. "
        "Exit code: 0 done; 1 some could not be applied."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--id", type=int, nargs="+", default=[], help="ids of events")
        parser.add_argument("--outcome", choices=[outcome.value for outcome in Outcome])
        parser.add_argument(
            "--since", type=_time, help="received since then, ISO 8601; UTC without an offset"
        )
        parser.add_argument("--announce", action="store_true", help="Also tell their signals again.")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not (options["id"] or options["outcome"] or options["since"]):
            raise CommandError("Say which events: --id, --outcome or --since.")
        events = select(ids=options["id"], outcome=options["outcome"] or "", since=options["since"])
        result = replay(events, again=options["announce"])
        self.stdout.write(f"{result.applied} applied, {result.unchanged} unchanged, {result.failed} failed")
        if result.failed:
            raise SystemExit(1)


def _time(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
