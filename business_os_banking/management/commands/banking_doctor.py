"""Find out what is wrong with the set-up."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from business_os_banking.conf import addresses
from business_os_banking.doctor import host
from business_os_banking.doctor.examine import examine
from business_os_banking.doctor.findings import Finding
from business_os_banking.doctor.records import facts_of
from business_os_banking.flows.reconcile import aliases


class Command(BaseCommand):
    help = (
        "Examines the settings, the database, the clock, the way to Business OS and the key, the public address, and "
        "the webhook, through which it sends signed self-tests and sees them arrive; then what the tables tell. Each "
        "finding says what is wrong, why it matters and what to type. A healthy site is silent; --verbosity 2 shows "
        "figures even then. Costs no credits unless --spend is given, or a question is answered with yes. "
        "Exit code: 0 nothing is wrong; 1 something is."
    )
    # It runs the checks itself, and has to say more than that they failed.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="", help="the public address of the site; default: SITE_URL")
        parser.add_argument("--account", default="", help="examine this account alone")
        parser.add_argument("--spend", action="store_true", help="allow one call that may cost a credit")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *_args: Any, **options: Any) -> None:
        url = options["url"].rstrip("/")
        if url and addresses.parse(url) is None:
            raise CommandError("The address must be whole, such as https://www.example.com.", returncode=2)
        chosen = _accounts(options["account"])
        findings = []
        for finding in examine(chosen, url=url, may_spend=self._may_spend(options)):
            findings.append(finding)
            if not options["json"]:
                self._tell(finding)
        facts = _facts(chosen)
        if options["json"]:
            told = {
                "healthy": not findings,
                "findings": [asdict(item) for item in findings],
                "accounts": facts,
            }
            self.stdout.write(json.dumps(told))
        elif options["verbosity"] > 1:
            self._tell_figures(facts, healthy=not findings)
        if findings:
            raise SystemExit(1)

    def _may_spend(self, options: dict[str, Any]) -> Any:
        def ask(question: str) -> bool:
            if options["spend"]:
                return True
            if options["json"] or not sys.stdin.isatty():
                return False
            return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

        return ask

    def _tell(self, finding: Finding) -> None:
        style = self.style.ERROR if finding.severity == "error" else self.style.WARNING
        where = f" ({finding.account})" if finding.account else ""
        self.stdout.write(style(f"{finding.severity.upper()} {finding.code}{where}: {finding.what}"))
        self.stdout.write(f"  Why it matters: {finding.why}")
        self.stdout.write(f"  What to do: {finding.fix}")

    def _tell_figures(self, facts: dict[str, Any], *, healthy: bool) -> None:
        for alias, figures in facts.items():
            told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
            self.stdout.write(f"{alias}: {told}")
        if healthy:
            self.stdout.write("Nothing is wrong.")


def _accounts(chosen: str) -> list[str]:
    try:
        known = aliases() if host.is_usable() else []
    except ImproperlyConfigured:
        return []  # the checks will say so
    if chosen and known and chosen not in known:
        raise CommandError(f"There is no account {chosen}. There are: {', '.join(known)}.", returncode=2)
    return [chosen] if chosen and known else known


def _facts(chosen: list[str]) -> dict[str, Any]:
    return {alias: facts_of(alias, timezone.now()) for alias in chosen}
