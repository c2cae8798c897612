"""``manage.py runserver``: Django's own, which in the demo runs `banking_reconcile`, too."""

from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand

from example_project.books import reconciling


class Command(RunserverCommand):
    def on_bind(self, server_port: int) -> None:
        """Start what runs beside the server. Only the process that serves gets here, with or without a reloader."""
        super().on_bind(server_port)
        # With a real key each reading may cost a credit: there the operator decides how often.
        if settings.SANDBOX and settings.RECONCILE_SECONDS:
            reconciling.start()
