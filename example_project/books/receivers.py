"""What the site does when a bank is connected."""

from typing import Any
from urllib.parse import urlsplit

from django.dispatch import receiver
from django.urls import Resolver404, resolve

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.signals import connection_activated
from example_project.books.models import Client, Note


@receiver(connection_activated)
def link_to_client(
    event: ConnectionEvent, connection: BankingConnection | None, session: ConnectSession | None, **_: Any
) -> None:
    """Link the connection to the client whose page the customer set out from, and leave a note there.

    May be told twice: the link is only set, and the note is found by the event's digest.
    """
    if connection is None:
        return
    client = _client(connection, session)
    if client is None:
        return
    if client.bank_id != connection.pk:
        client.bank = connection
        client.save(update_fields=["bank"])
    # The webhook does not say which bank it is; that may become known later, or not at all.
    bank = connection.provider_name or "The bank"
    text = f"{bank} is connected. Account movements can be booked from now on."
    Note.objects.get_or_create(digest=event.digest, defaults={"client": client, "text": text})


def _client(connection: BankingConnection, session: ConnectSession | None) -> Client | None:
    linked = Client.objects.filter(bank=connection).first()
    if linked is not None or session is None:
        return linked
    try:
        match = resolve(urlsplit(session.next_url).path)
    except Resolver404:
        return None
    if match.view_name != "client":
        return None
    # The address came from the browser: it may name a client, but only one of the connection's owner.
    return Client.objects.filter(pk=match.kwargs["pk"], owner=connection.user_id).first()
