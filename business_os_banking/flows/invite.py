"""Renewal links: an operator makes one, a customer opens it, and no login is needed on the way.

A link is the right to renew one connection, and nothing else. Nothing is stored of it: it is signed, and holds
which connection it is for, when it was made, and how many links of that connection had been withdrawn by then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import email_of
from business_os_banking.exceptions import BankingError
from business_os_banking.facts.record import record
from business_os_banking.facts.report import withdrawn
from business_os_banking.facts.retries import retried
from business_os_banking.flows import connect
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.models.clocks import CLOCKS_DIFFER
from business_os_banking.vocabulary import SessionStatus

_SALT: Final = "business_os_banking.web.invitation"
_MICROSECONDS: Final = 1_000_000  # in a second


class Why(Enum):
    """Why a link opens nothing."""

    UNKNOWN = "unknown"  # not made by this site, or changed on its way
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


class LinkNotValid(BankingError):
    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


def create(connection: BankingConnection) -> str:
    """Return the token of a link that renews *connection* for the next ``RENEW_LINK_DAYS``."""
    # As fine as the database's times, so that it is clear which of the sessions are later.
    made = round(timezone.now().timestamp() * _MICROSECONDS)
    return Signer(salt=_SALT).sign_object([connection.reference.hex, connection.invitation, made])


def withdraw(connection: BankingConnection) -> None:
    """Make all links to *connection* that there are invalid; what they have begun is held if it still succeeds."""
    retried(_withdraw, connection)


def _withdraw(connection: BankingConnection) -> None:
    with transaction.atomic():
        rows = BankingConnection.objects.filter(pk=connection.pk)
        if not rows.select_for_update().exists():
            return
        rows.update(invitation=F("invitation") + 1)
        begun = connection.sessions.filter(by_link=True).exclude(status=SessionStatus.SUCCEEDED)
        for session in begun.select_related("connection"):
            record(withdrawn(session, timezone.now()))


def find(token: str) -> BankingConnection:
    """Return the connection that the link with this *token* renews, or raise `LinkNotValid`.

    A link has been used once a session that was started after it was made has succeeded, whoever started it:
    there is nothing left to do. Until then it may be opened again; banks fail, and people are interrupted.
    """
    reference, number, made = _read(token)
    connection = BankingConnection.objects.filter(reference=reference).first()
    if connection is None:
        raise LinkNotValid(Why.UNKNOWN)
    if number != connection.invitation or not connection.can_renew:
        raise LinkNotValid(Why.WITHDRAWN)
    later = connection.sessions.filter(created_at__gt=made, created_at__lte=timezone.now() + CLOCKS_DIFFER)
    succeeded = later.filter(status=SessionStatus.SUCCEEDED, refused_at=None)
    if succeeded.exclude(pk=connection.held_session_id or 0).exists():
        raise LinkNotValid(Why.USED)
    if timezone.now() > made + timedelta(days=conf.settings.renew_link_days):
        raise LinkNotValid(Why.EXPIRED)
    return connection


def start(
    connection: BankingConnection,
    *,
    return_to: Callable[[ConnectSession], str],
    custom_fields: dict[str, Any],
    has_cookie: bool = False,
) -> ConnectSession:
    """Open a session on *connection* for whoever holds its link, and return it, as `connect.start` does.

    The owner stays who it was, and so does what was agreed on last: API, scopes, e-mail address.
    """
    last = connection.sessions.order_by("-pk").first()
    user = connection.user
    return connect.start(
        owner=(user, connection.tenant),
        return_to=return_to,
        connection=connection,
        api=last.api if last else "",
        # The session's is emptied after a while.
        email=(last.email if last else "") or email_of(user),
        custom_fields=custom_fields,
        by_link=connection.invitation,
        has_cookie=has_cookie,
    )


def _read(token: str) -> tuple[UUID, int, datetime]:
    try:
        reference, number, made = Signer(salt=_SALT).unsign_object(token)
        return UUID(reference), int(number), datetime.fromtimestamp(made / _MICROSECONDS, UTC)
    except (BadSignature, ValueError, TypeError) as error:
        raise LinkNotValid(Why.UNKNOWN) from error
