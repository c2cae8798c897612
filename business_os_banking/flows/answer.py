"""Answering for a success that is held: it was meant, or it was not."""

from __future__ import annotations

import secrets

from django.utils import timezone

from business_os_banking.conf.secret import Secret
from business_os_banking.exceptions import NotAllowed
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.held import walk
from business_os_banking.facts.record import record, record_return
from business_os_banking.facts.report import confirmed, proved, refused_success
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.flows.remove import remove_upstream
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import EndedBy, HeldReason, Source


class NotYoursToAccept(NotAllowed):
    """Somebody else has to say that it was meant: who finished in another browser, or an operator."""


class NothingHeld(NotAllowed):
    """There is no question, any more."""


def accept(connection: BankingConnection, *, by: str = EndedBy.OWNER, why: str = "") -> BankingConnection:
    """Take the success of *connection* that is held for the one that was meant; return the connection as it is then.

    Its owner may say so of another bank alone; who finished in another browser proves it there (`prove`), and a link
    that was withdrawn is an operator's. *why* is kept. Raises `NotYoursToAccept`; `NothingHeld` where nothing is held.
    """
    session, link = _question(connection)
    if by == EndedBy.OWNER and connection.held_reason != HeldReason.OTHER_BANK:
        raise NotYoursToAccept("This is not the owner's to accept.")
    record(confirmed(session, link, connection.held_reason, timezone.now(), why))
    return _as_it_is(connection)


def refuse(connection: BankingConnection, *, why: str = "") -> BankingConnection:
    """Have the success of *connection* that is held count no more, and its link removed at the provider.

    Whoever may see the connection may say so. *why* is kept. Raises `NothingHeld` where nothing is held.
    """
    session, link = _question(connection)
    # Of another bank, that one alone; else whatever the attempt leads to.
    is_about_link = connection.held_reason == HeldReason.OTHER_BANK
    record(refused_success(session, link if is_about_link else "", Source.OPERATOR, timezone.now(), why))
    remove_upstream(connection)
    return _as_it_is(connection)


def prove(session: ConnectSession, doubt: str) -> None:
    """Record that the browser which raised *doubt* belongs to who began *session*: it counts for nobody else's."""
    record(proved(session, doubt, timezone.now()))


def disown(session: ConnectSession) -> None:
    """Record that who finished *session* at the bank did not begin it: whatever it leads to counts for nothing."""
    record(refused_success(session, "", Source.BROWSER, timezone.now()))


def finish(session: ConnectSession, key: Secret) -> bool:
    """Record that who began *session* has finished it, in an app that the bank led back to; return whether *key* fits.

    The caller has made sure that it is who began.
    """
    if not session.is_key(key):
        return False
    record_return(session, {}, proof=secrets.token_hex(8))
    return True


def _question(connection: BankingConnection) -> tuple[ConnectSession, str]:
    """Return the session and the link of the success that is held, as it is now."""
    connection.refresh_from_db()
    question = walk(from_json(connection.state), is_same_bank).question
    if question is None or not connection.held_reason:
        raise NothingHeld("Nothing is held.")
    session = ConnectSession.objects.select_related("connection").get(reference=question.session)
    return session, question.link


def _as_it_is(connection: BankingConnection) -> BankingConnection:
    connection.refresh_from_db()
    return connection
