"""One session for what is asked for twice: two clicks, one form posted twice, one request sent again with its key."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone

from business_os_banking import conf, exceptions
from business_os_banking.adapter import credentials_of
from business_os_banking.conf import Account
from business_os_banking.exceptions import BusinessOSError, KeyReused, NotAllowed, TimedOut
from business_os_banking.facts.report import digest_of
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.models.clocks import is_waiting, is_within
from business_os_banking.vocabulary import SESSION_MAX_LIFE, Kind, SessionStatus, Source

_MIN_LIFE: Final = timedelta(minutes=1)  # a session with less to live is not worth sending anybody to
_POLL_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 15.0  # web servers and proxies give up after 30
_SHORT_WAIT_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 2
_waiting: Final = threading.BoundedSemaphore(2)
_CLAIMS: Final = 5
_MARGIN_SECONDS: Final = 5

Owner = tuple[Any, str]  # the site's user or None, and the tenant


class Idempotency(NamedTuple):
    """Two digests: of who sent which key, and of what was asked with it."""

    key: str
    request: str


def claim(
    wanted: ConnectSession,
    owner: Owner,
    connection: BankingConnection | None,
    account: Account,
    by_link: int | None = None,
) -> tuple[ConnectSession, bool]:
    """Return (*wanted*, True) if it was written now, or (session, False) for the one that is under way already.

    The unique `single_flight` (for a request with a key of its own: `idempotency_key`) lets one of two
    simultaneous clicks through, on every database. *by_link* is the number of the renewal link that was used; raises
    `NotAllowed` if that has been withdrawn.
    """
    if not wanted.idempotency_key:
        wanted.single_flight = _single_flight(wanted, owner, connection, account.alias, by_link)
    life = min(timedelta(minutes=conf.settings.session_minutes), SESSION_MAX_LIFE)
    wanted.expires_at = timezone.now() + life
    user, tenant = owner
    tries = 0
    while True:
        try:
            with transaction.atomic(durable=True):
                if connection is not None and by_link is not None:
                    _check_link(connection, by_link)
                wanted.connection = connection or BankingConnection.objects.create(
                    user=user, tenant=tenant, account=account.alias
                )
                wanted.save(force_insert=True)
            return wanted, True
        except IntegrityError:
            other = _under_way(wanted, account)
            if other is not None:
                return other, False
            tries += 1
            if tries == _CLAIMS:
                raise  # something else than another click is in the way: a user who is deleted just now, say
            # A session whose worker died, or that has too little time left, must not block the way.
            if wanted.single_flight:
                ConnectSession.objects.filter(single_flight=wanted.single_flight).update(single_flight=None)


def _check_link(connection: BankingConnection, number: int) -> None:
    """Lock *connection*, and raise `NotAllowed` if its links up to this *number* have been withdrawn.

    Whoever withdraws them locks it, too, and so finds all sessions that they have begun.
    """
    rows = BankingConnection.objects.select_for_update().filter(pk=connection.pk)
    if number != rows.values_list("invitation", flat=True).first():
        raise NotAllowed("The renewal link has been withdrawn.")


def made_with(idempotency: Idempotency) -> ConnectSession | None:
    """Return the session that this key has made; raise `KeyReused` if it has come with another request."""
    session = (
        ConnectSession.objects.filter(idempotency_key=idempotency.key).select_related("connection").first()
    )
    if session is not None and session.idempotency_request != idempotency.request:
        raise KeyReused("The idempotency key has come before, with another request.")
    return session


def follow(session: ConnectSession, account: Account | None = None) -> ConnectSession:
    """Wait for the worker that opens *session*, and return or raise what it comes to.

    *account* is the session's; it is looked up where it is needed and not given.
    """
    if session.status == SessionStatus.CREATED:
        account = account or credentials_of(session.connection.account, session.connection)
        _wait(session, account)
    # What a key has made is its answer, also when the session has ended since and has no address any more.
    if session.connect_url or (session.idempotency_key and session.pending_token):
        return session
    error = _error_again(session)
    error.session = session
    raise error


def _wait(session: ConnectSession, account: Account) -> None:
    """Wait until *session* is open or has failed, for so long as a web server lets a request take.

    Only a few threads of this process wait for a provider that is slow: others need them, and so does who opens it.
    """
    is_one_of_few = _waiting.acquire(blocking=False)
    longest = _LONGEST_WAIT_SECONDS if is_one_of_few else _SHORT_WAIT_SECONDS
    try:
        # Clocks jump, and that of another machine may be ahead: it must not make anybody wait longer than it takes.
        waited = max(0.0, (timezone.now() - session.created_at).total_seconds())
        deadline = time.monotonic() + min(_patience(account) - waited, longest)
        while session.status == SessionStatus.CREATED and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            session.refresh_from_db()
    finally:
        if is_one_of_few:
            _waiting.release()


def _single_flight(
    wanted: ConnectSession,
    owner: Owner,
    connection: BankingConnection | None,
    alias: str,
    by_link: int | None,
) -> str:
    """Return the key that two clicks share when they mean the same."""
    user, tenant = owner
    if user is None and not tenant and connection is None:
        return digest_of(str(wanted.reference))  # nobody is not one person
    return digest_of(
        str(user.pk if user else ""),
        tenant,
        alias,
        str(connection.reference if connection else ""),
        wanted.api,
        wanted.email,
        " ".join(sorted(wanted.scopes)),
        repr(sorted(wanted.custom_fields.items())),
        wanted.next_url,
        "" if by_link is None else f"by link {by_link}",
        "in a browser" if wanted.has_cookie else "",
    )


def _under_way(wanted: ConnectSession, account: Account) -> ConnectSession | None:
    """Return the session that stands in the way of *wanted*, if it is as good."""
    if wanted.idempotency_key:
        return made_with(Idempotency(wanted.idempotency_key, wanted.idempotency_request))
    sessions = ConnectSession.objects.filter(single_flight=wanted.single_flight).select_related("connection")
    session = sessions.first()
    return session if session is not None and _is_usable(session, account) else None


def _is_usable(session: ConnectSession, account: Account) -> bool:
    now = timezone.now()
    if session.status == SessionStatus.CREATED:
        return is_within(session.created_at, now, timedelta(seconds=_patience(account)))
    return (
        session.status == SessionStatus.OPEN
        and session.returned_at is None
        # Somebody has been to the widget with it, and its address is good for one visit.
        and not (session.stage or session.upstream_id)
        and bool(session.connect_url)
        and is_waiting(session.expires_at, now + _MIN_LIFE, SESSION_MAX_LIFE)
    )


def _patience(account: Account) -> float:
    """Return the seconds after which a connect call has ended, one way or the other."""
    connect, read = account.timeout
    return 2 * connect + read + _MARGIN_SECONDS


def _error_again(session: ConnectSession) -> BusinessOSError:
    """Return what the call came to, as it was: its kind, its class, and how long to wait, if it said so."""
    if session.status == SessionStatus.CREATED:
        error: BusinessOSError = TimedOut("The session that was under way has not opened yet.")
        error.retry_after = _AGAIN_SECONDS
        return error
    failures = session.events.filter(kind=Kind.FAILED, source=Source.READ).order_by("pk")
    event = failures.first()
    payload = event.payload if event else {}
    kind = getattr(exceptions, str(payload.get("kind", session.error_class)), BusinessOSError)
    is_ours = isinstance(kind, type) and issubclass(kind, BusinessOSError)
    error_class: type[BusinessOSError] = kind if is_ours else BusinessOSError
    error = error_class("The session that was under way failed.", error_class=session.error_class)
    error.status = payload.get("status")
    if event and isinstance(wait := payload.get("retry_after"), int):
        passed = (timezone.now() - event.received_at).total_seconds()
        error.retry_after = min(wait, max(0, round(wait - passed)))
    return error
