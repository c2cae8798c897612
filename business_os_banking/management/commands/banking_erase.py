"""Erase a person's, or a tenant's, bank connections."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from business_os_banking.flows.erase import StillHeldError, erase


class Command(BaseCommand):
    help = (
        "Disconnects all bank connections of a user or a tenant at the provider, then deletes them with their "
        "sessions and events. Stops, with nothing of that connection deleted, where the provider cannot be "
        "reached; run it again later. Exit code: 0 all erased; 1 not all."
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
        user = _user(options["user"]) if options["user"] else None
        try:
            erased = erase(
                user=user,
                tenant=options["tenant"],
                without_user=options["without_user"],
                upstream=not options["keep_upstream"],
            )
        except StillHeldError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{erased} connection{'' if erased == 1 else 's'} erased")


def _user(name: str) -> Any:
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
