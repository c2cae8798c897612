"""Answering for a success that is held: it was meant, or it was not."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from business_os_banking.conf.secret import Secret
from business_os_banking.exceptions import NotAllowed
from business_os_banking.facts import merging, sql
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.held import Walk, walk
from business_os_banking.facts.record import record, record_return
from business_os_banking.facts.report import confirmed, digest_of, proved, refused_success
from business_os_banking.facts.retries import retried
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.flows.remove import remove_upstream
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import EndedBy, HeldReason, Source

# Raised by so many browsers beside others that no browser can lift it: an operator looks at it.
TOO_MANY = "too-many"


class NotYoursToAccept(NotAllowed):
    """Somebody else has to say that it was meant: who finished in another browser, or an operator."""


class NothingHeld(NotAllowed):
    """There is no question, any more, or it is another one than was answered."""


def question_of(connection: BankingConnection) -> str:
    """Return what the question that is open about *connection* is told from others by; ``""`` if none is."""
    if not connection.held_reason:
        return ""
    about = (connection.held_reason, str(connection.held_session_id), connection.held_link)
    return digest_of("question", *about)[:16]


def accept(
    connection: BankingConnection, *, question: str = "", by: str = EndedBy.OWNER, why: str = ""
) -> BankingConnection:
    """Take the success of *connection* that is held for the one that was meant; return the connection as it is then.

    Its owner may say so of another bank alone; who finished in another browser proves it there (`prove`), and a link
    that was withdrawn is an operator's. *question*, if given, is the `question_of` what was asked; *why* is kept.
    Raises `NotYoursToAccept`; `NothingHeld` where nothing is held, or something else by now.
    """
    if by == EndedBy.OWNER and connection.held_reason not in {"", HeldReason.OTHER_BANK}:
        raise NotYoursToAccept("This is not the owner's to accept.")
    retried(_answer, connection, question, by=by, why=why, is_meant=True)
    return _as_it_is(connection)


def refuse(
    connection: BankingConnection,
    *,
    question: str = "",
    by: str = EndedBy.OWNER,
    why: str = "",
) -> BankingConnection:
    """Have what is held of *connection* count no more, and its links removed at the provider.

    Whoever may see the connection may say so. Else as `accept`.
    """
    retried(_answer, connection, question, by=by, why=why, is_meant=False)
    remove_upstream(connection)
    return _as_it_is(connection)


def refuse_in_silence(connection: BankingConnection) -> int:
    """Refuse what is held of *connection*, and what is moot, because nobody has answered in time; return how much.

    Of another bank it stays a question.
    """
    return retried(_refuse_in_silence, connection)


def prove(session: ConnectSession, doubt: str) -> None:
    """Record that the browser which raised *doubt* belongs to who began *session*: it counts for nobody else's."""
    if doubt != TOO_MANY:
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
    record_return(session, {}, proof="app")
    return True


def look_again(connection: BankingConnection) -> None:
    """Read the columns of *connection* off its state anew: what the site's settings say of banks may have changed."""
    retried(_look_again, connection)


def _answer(connection: BankingConnection, question: str, *, by: str, why: str, is_meant: bool) -> None:
    with transaction.atomic():
        successes = _locked(connection)
        held, now = successes.question if successes else None, timezone.now()
        is_other = bool(question) and question != question_of(connection)
        if held is None or held.success.link != connection.held_link or is_other:
            _look_again(connection)
            changed = True
        else:
            changed = False
            session = _session(held.success.session)
            if by == EndedBy.OWNER and is_meant and held.reason != HeldReason.OTHER_BANK:
                raise NotYoursToAccept("This is not the owner's to accept.")
            if is_meant:
                record(confirmed(session, held.success.link, held.reason, now, why))
            else:
                for link in _links_held_with(successes, held.success.session, held.reason):
                    record(refused_success(session, link, Source.OPERATOR, now, why))
    if changed:
        raise NothingHeld("Nothing is held, or something else by now.")


def _refuse_in_silence(connection: BankingConnection) -> int:
    with transaction.atomic():
        successes = _locked(connection)
        count = 0
        for held in (*successes.held, *successes.moot) if successes else ():
            if held.reason != HeldReason.OTHER_BANK:
                session = _session(held.success.session)
                record(refused_success(session, held.success.link, Source.SWEEP, timezone.now()))
                count += 1
        return count


def _look_again(connection: BankingConnection) -> None:
    with transaction.atomic(), sql.cursor() as cursor:
        for row in sql.lock(cursor, [connection.pk]):
            state = from_json(row.state)
            merging.save(cursor, row, state, state, anew=True)


def _locked(connection: BankingConnection) -> Walk | None:
    """Lock *connection*, read it again, and return its successes; `None` if it is not there any more, or has ended."""
    row = BankingConnection.objects.select_for_update().filter(pk=connection.pk).first()
    if row is None or row.is_ended_for_good:
        return None
    for field in ("held_reason", "held_session_id", "held_link", "held_at", "held_bank"):
        setattr(connection, field, getattr(row, field))
    return walk(from_json(row.state), is_same_bank)


def _links_held_with(successes: Walk | None, session: str, reason: str) -> list[str]:
    """Return the links of *session* that are held for the same *reason*: one answer is about all of them."""
    held = successes.held if successes else ()
    return [each.success.link for each in held if (each.success.session, each.reason) == (session, reason)]


def _session(reference: str) -> ConnectSession:
    return ConnectSession.objects.select_related("connection").get(reference=reference)


def _as_it_is(connection: BankingConnection) -> BankingConnection:
    connection.refresh_from_db()
    return connection
