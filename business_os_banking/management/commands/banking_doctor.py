"""Examine the set-up of the site, and say what is wrong with it."""

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
from business_os_banking.doctor.records import figures_of
from business_os_banking.doctor.upstream import MaySpend
from business_os_banking.flows.aliases import aliases


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
        accounts = _accounts(options["account"])
        findings = []
        for finding in examine(accounts, url=url, may_spend=self._may_spend(options)):
            findings.append(finding)
            if not options["json"]:
                self._write(finding)
        figures = {alias: figures_of(alias, timezone.now()) for alias in accounts}
        if options["json"]:
            result = {
                "healthy": not findings,
                "findings": [asdict(finding) for finding in findings],
                "accounts": figures,
            }
            self.stdout.write(json.dumps(result))
        elif options["verbosity"] > 1:
            self._write_figures(figures, healthy=not findings)
        if findings:
            raise SystemExit(1)

    def _may_spend(self, options: dict[str, Any]) -> MaySpend:
        def ask(question: str) -> bool:
            if options["spend"]:
                return True
            if options["json"] or not sys.stdin.isatty():
                return False
            return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

        return ask

    def _write(self, finding: Finding) -> None:
        style = self.style.ERROR if finding.severity == "error" else self.style.WARNING
        where = f" ({finding.account})" if finding.account else ""
        self.stdout.write(style(f"{finding.severity.upper()} {finding.code}{where}: {finding.what}"))
        self.stdout.write(f"  Why it matters: {finding.why}")
        self.stdout.write(f"  What to do: {finding.fix}")

    def _write_figures(self, figures: dict[str, dict[str, Any]], *, healthy: bool) -> None:
        for alias, values in figures.items():
            line = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
            self.stdout.write(f"{alias}: {line}")
        if healthy:
            self.stdout.write("Nothing is wrong.")


def _accounts(alias: str) -> list[str]:
    """Return the aliases to examine: all, or *alias* alone; none where the settings or the tables cannot be read."""
    try:
        known = aliases() if host.is_usable() else []
    except ImproperlyConfigured:
        return []  # the checks report it
    if alias and known and alias not in known:
        raise CommandError(f"There is no account {alias}. There are: {', '.join(known)}.", returncode=2)
    return [alias] if alias and known else known
