"""Erase a person's, or a tenant's, bank connections."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from business_os_banking.flows.erase import erase
from business_os_banking.management.base import BankingCommand


class Command(BankingCommand):
    help = (
        "Deletes all bank connections of a user or a tenant, with their sessions and events, and has them removed at "
        "the provider: now if it answers, else banking_reconcile goes on with it. Exit code: 0; 1: no such user."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="the user's name to log in with, or primary key")
        parser.add_argument("--tenant", default="", help="as the adapter's get_owner returns it")
        parser.add_argument(
            "--without-user",
            action="store_true",
            help="Those whose user the site has deleted: of the tenant that is named, or of no tenant.",
        )
        parser.add_argument("--keep-upstream", action="store_true", help="Do not disconnect at the provider.")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["user"] and options["without_user"]:
            raise CommandError("Name a --user, or say --without-user.")
        if not (options["user"] or options["tenant"] or options["without_user"]):
            raise CommandError("Name a --user or a --tenant.")
        user = user_named(options["user"]) if options["user"] else None
        erased = erase(
            user=user,
            tenant=options["tenant"],
            without_user=options["without_user"],
            upstream=not options["keep_upstream"],
        )
        self.stdout.write(f"{erased.connections} connection{'' if erased.connections == 1 else 's'} erased")
        if erased.removals_due:
            self.stdout.write(
                f"{erased.removals_due} of their links are not removed at the provider yet; banking_reconcile goes on"
            )


def user_named(name: str) -> Any:
    """Return the user with this name to log in with, or this primary key, whatever kind of key that is."""
    users = get_user_model()._default_manager  # noqa: SLF001 - documented; a site may have no `objects`
    for condition in ({get_user_model().USERNAME_FIELD: name}, {"pk": name}):
        try:
            user = users.filter(**condition).first()
        except (ValueError, ValidationError):
            continue
        if user is not None:
            return user
    raise CommandError("There is no such user.")
