"""The bank says that it is connected already: which of the owner's connections is it?"""

from __future__ import annotations

from business_os_banking.exceptions import FailedSession
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Group, Kind


def known_connection(session: ConnectSession | FailedSession) -> BankingConnection | None:
    """Return the connection to renew instead of the one that *session* could not make; ``None`` if unsure.

    The upstream may name it (``duplicated_connection_id``); else it is the owner's only other connection, if
    there is just one. Never one of another owner.
    """
    mine: BankingConnection = session.connection
    if session.error_group != Group.ALREADY_CONNECTED or mine.user_id is None:
        return None
    others = BankingConnection.objects.filter(user_id=mine.user_id, tenant=mine.tenant).living()
    others = others.filter(account=mine.account, connected_at__isnull=False).exclude(pk=mine.pk)
    if link := _named_link(session):
        return others.filter(upstream_id=link).first()
    rows = list(others.order_by("pk")[:2])
    return rows[0] if len(rows) == 1 else None


def _named_link(session: ConnectSession | FailedSession) -> str:
    failures = ConnectionEvent.objects.filter(session_id=session.pk, kind=Kind.FAILED).order_by(
        "-occurred_at", "-pk"
    )
    payload = failures.values_list("payload", flat=True).first() or {}
    return str(payload.get("duplicated_connection_id", ""))
