"""``manage.py demo``: something to look at."""

import socket
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core.management.base import BaseCommand, CommandError

from example_project.books.models import Client

CLIENTS = [
    ("10001", "Bäckerei Lindemann", "Bakery"),
    ("10002", "Yilmaz Elektrotechnik GmbH", "Electrical contractor"),
    ("10003", "Praxis Dr. Sommer", "Dental practice"),
]
TEXT = """
  Kontor & Klar, an example of django-business-os-banking

    Open      {origin}/
    Log in    demo / demo    (the tax adviser: press "Connect your bank")
    Operator  {origin}/admin/   admin / admin

  {mode}
  Stop with Ctrl-C.
"""


class Command(BaseCommand):
    help = (
        "Make the users demo (password demo) and admin (password admin) and three clients, unless they are "
        "there, and say where to go. For a demo on your own machine only: it refuses to run without DEBUG."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo's passwords are known to everybody: set DEBUG=true, or do without.")
        _check_port(settings.PORT)
        origin = f"http://127.0.0.1:{settings.PORT}"
        Site.objects.update_or_create(
            pk=settings.SITE_ID,
            defaults={"domain": f"127.0.0.1:{settings.PORT}", "name": "Kontor & Klar"},
        )
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", "admin@example.com", "admin")
        demo = users.filter(username="demo").first() or users.create_user(
            "demo", "demo@example.com", "demo", first_name="Dana", last_name="Demo"
        )
        for number, name, trade in CLIENTS:
            Client.objects.get_or_create(
                owner_id=demo.pk, number=number, defaults={"name": name, "trade": trade}
            )
        if settings.SANDBOX:
            mode = "The banks are invented (sandbox): the login of each is username / secret."
            if settings.RECONCILE_SECONDS:
                seconds = f"{settings.RECONCILE_SECONDS:g}"
                mode += f"\n  The server runs banking_reconcile by itself, every {seconds} seconds."
        else:
            mode = "BUSINESS_OS_API_KEY is set: this uses the real Business OS API and real banks."
        self.stdout.write(TEXT.format(origin=origin, mode=mode))
        self.stdout.flush()


def _check_port(port: int) -> None:
    """Say that the port is taken before anybody is told to go there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used ({error.strerror}). Try another: make demo PORT={port + 1}"
            ) from error
