"""Print everything that the app holds of a person."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from business_os_banking.flows.export import export
from business_os_banking.management.base import BankingCommand
from business_os_banking.management.commands.banking_erase import user_named


class Command(BankingCommand):
    help = (
        "Prints, as one JSON object, everything that the app holds of a user: bank connections, sessions, events, and "
        "the record of each consent. It is personal: mind where you write it. Exit code: 0; 1 there is no such user."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="the user's name to log in with, or primary key")

    def handle(self, *_args: Any, **options: Any) -> None:
        content = export(user_named(options["user"]))
        self.stdout.write(json.dumps(content, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
