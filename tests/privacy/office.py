"""The people who keep the site running: what they type, and what they look at."""

from __future__ import annotations

import io
import json

from django.core.management import CommandError, call_command

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests.privacy.evidence import Browser
from tests.privacy.journey import Journey


def run_commands(journey: Journey) -> None:
    """Run each command, with data in what it is given, and a row that was written around the app."""
    session = ConnectSession.objects.filter(connection__user=journey.user, status="succeeded").first()
    assert session is not None
    url = journey.person.new_connect_url()
    ConnectSession.objects.filter(pk=session.pk).update(connect_url=url)
    BankingConnection.objects.filter(pk=session.connection_id).update(
        metadata={"a": journey.person.one("metadata")}
    )
    for arguments in (
        ("banking_explain", str(session.reference)),
        ("banking_explain", str(session.connection.reference), "--json"),
        ("banking_rebuild", "--check"),
        ("banking_rebuild",),
        ("banking_replay", "--since", "2026-01-01", "--announce"),
        ("banking_reconcile", "--dry-run"),
        ("banking_reconcile", "--json"),
        ("banking_reconcile",),
        ("banking_erase", "--user", journey.person.typed_email),
        ("banking_erase", "--user", "nobody-of-this-name"),
        ("banking_prune",),
    ):
        journey.evidence.saw("commands", run(*arguments))


def look_at(journey: Journey, operator: Browser) -> None:
    """Open every page of the admin, search for everything, and leave a note in the site's own data."""
    admin = "/admin/business_os_banking"
    lists = [f"{admin}/{name}/" for name in ("bankingconnection", "connectsession", "connectionevent")]
    connections = BankingConnection.objects.filter(user=journey.user)
    sessions = ConnectSession.objects.filter(connection__in=connections)
    events = ConnectionEvent.objects.all()
    # One page of each sort: others differ in nothing that matters here.
    pages = {(row.status, ""): f"{lists[0]}{row.pk}/" for row in connections}
    pages |= {("", row.status): f"{lists[1]}{row.pk}/" for row in sessions}
    pages |= {(row.kind, row.outcome): f"{lists[2]}{row.pk}/" for row in events}
    shown = [f"{page}{name}/" for page in pages.values() for name in ("change", "history")]
    for url in [*lists, f"{admin}/accountstate/", f"{admin}/", *shown]:
        assert operator.see("admin", url).status_code == 200
    for number, found in enumerate(journey.person.texts.values()):
        # The term is shown again to who typed it.
        assert operator.get(lists[number % 3], {"q": min(found)}).status_code == 200
    pk = connections.filter(status="active").earliest("pk").pk
    for text in (json.dumps({"a": journey.person.one("metadata")}), "no json"):
        operator.send("admin", f"{lists[0]}{pk}/change/", {"metadata": text})
        operator.see("admin", f"{lists[0]}{pk}/change/")
    operator.see("admin", f"{lists[0]}{pk}/disconnect/")
    operator.send("admin", f"{lists[0]}{pk}/disconnect/", {"confirmed": "1"})
    refused = operator.get(lists[1], {"email__startswith": journey.person.compact_iban})
    assert refused.status_code == 400


def run(*arguments: str) -> str:
    """Run a command; return all that it says."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except (CommandError, SystemExit) as error:
        return f"{out.getvalue()}{err.getvalue()}{error}"
    return out.getvalue() + err.getvalue()
