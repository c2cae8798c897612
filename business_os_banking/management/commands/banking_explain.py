"""Print what happened to a connection."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from business_os_banking.flows.consent import record_of_consent
from business_os_banking.flows.explain import explain, find
from business_os_banking.management.base import BankingCommand


class Command(BankingCommand):
    help = (
        "Prints the record of a connection's consents, then its timeline: every fact, its source, and its effect or "
        "why it had none. "
        "REFERENCE is that of the connection, or of one of its sessions (customers see the session's). "
        "Times are UTC. Exit code: 0 found; 1 there is no such reference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", type=UUID, help="for instance 8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f")
        parser.add_argument("--json", action="store_true", help="Print one JSON object per line.")

    def handle(self, *_args: Any, **options: Any) -> None:
        connection = find(options["reference"])
        if connection is None:
            raise CommandError("Neither a connection nor a session has this reference.")
        if not options["json"]:
            self.stdout.write(f"{connection} · {connection.reference}")
            for line in record_of_consent(connection):
                self.stdout.write(f"  {line}")
        for entry in explain(connection):
            if options["json"]:
                self.stdout.write(json.dumps({**_fields(entry), "at": entry.at.isoformat()}, default=str))
            else:
                at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
                session = f" [{entry.session[:8]}]" if entry.session else ""
                line = f"{at}  {entry.source}: {entry.text}{session} — {entry.effect} (#{entry.event})"
                self.stdout.write(line)


def _fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}
