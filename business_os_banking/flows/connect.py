"""Connect a bank: open a connect session upstream and lose nothing on the way there."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.db.models import Case, When
from django.utils import timezone

from business_os_banking import conf, exceptions
from business_os_banking.adapter import credentials_of
from business_os_banking.conf import Account
from business_os_banking.exceptions import (
    BusinessOSError,
    ConnectionEnded,
    KeyReused,
    TimedOut,
    Unintelligible,
)
from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, digest_of, opened, refused
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.vocabulary import Outcome, SessionStatus

logger = logging.getLogger(__name__)

_MIN_LIFE: Final = timedelta(minutes=1)  # a session with less to live is not worth sending anybody to
_POLL_SECONDS: Final = 0.1
_CLAIMS: Final = 5
_MARGIN_SECONDS: Final = 5

Owner = tuple[Any, str]  # the site's user or None, and the tenant


class Idempotency(NamedTuple):
    """Two digests: of who sent which key, and of what was asked with it."""

    key: str
    request: str


def start(
    *,
    owner: Owner,
    return_to: Callable[[ConnectSession], str],
    connection: BankingConnection | None = None,
    account: str = "default",
    api: str = "",
    email: str = "",
    scopes: Sequence[str] = (),
    custom_fields: Mapping[str, Any] | None = None,
    next_url: str = "",
    idempotency: Idempotency | None = None,
    by_link: bool = False,
) -> ConnectSession:
    """Open a connect session and return it, with the ``connect_url`` to send the browser to.

    With *connection* it is a retry or a renewal of that one, else a new connection of *owner* is made.
    *return_to* is asked for the address that the bank sends the browser back to. Without *scopes* it is what was
    agreed on last for the connection, else all that the account offers. *by_link* tells that a renewal link was used.

    The row is committed before the API is called, so a crash in between loses nothing; for that reason the
    call must not be made inside a transaction (`RuntimeError`). Asked twice for the same thing, at once or
    while the first session waits to be used, it makes one API call and returns the same session. With
    *idempotency* that holds for its key instead, and for as long as the key is kept; see `replay`.

    Raises `ConnectionEnded` for a connection that was ended for good, and `BusinessOSError` (its ``session`` is
    the failed session, already saved) for whatever goes wrong upstream.
    """
    if connection is not None and not connection.can_renew:
        raise ConnectionEnded("The connection was disconnected; connect the bank anew.")
    alias = connection.account if connection else account
    credentials = _credentials(alias, connection)
    wanted = ConnectSession(
        api=api or credentials.api,
        email=email,
        scopes=list(scopes) or agreed_scopes(connection, credentials),
        custom_fields=dict(custom_fields or {}),
        next_url=next_url,
        idempotency_key=idempotency.key if idempotency else None,
        idempotency_request=idempotency.request if idempotency else "",
        by_link=by_link,
    )
    _check_custom_fields(wanted.custom_fields)
    session, is_new = _claim(wanted, owner, connection, credentials)
    if not is_new:
        return _follow(session, credentials)
    return _open(session, credentials, return_to)


def replay(idempotency: Idempotency) -> ConnectSession | None:
    """Return the session that this key has made, as it is now, or raise what it came to; ``None`` for a new key.

    One that is still being opened is waited for. Raises `KeyReused` if the key has come with another request.
    """
    session = _made_with(idempotency.key, idempotency.request)
    if session is None:
        return None
    return _follow(session, _credentials(session.connection.account, session.connection))


def agreed_scopes(connection: BankingConnection | None, credentials: Account) -> list[str]:
    """Return what was agreed on last, as far as the account still offers it; all that it offers if nothing was.

    Until something is agreed on, it is what the last attempt asked for.
    """
    asked: list[str] = []
    if connection:
        agreed = Case(When(status=SessionStatus.SUCCEEDED, then=1), default=0)
        asked = (
            connection.sessions.order_by(agreed.desc(), "-pk").values_list("scopes", flat=True).first() or []
        )
    return [scope for scope in asked if scope in credentials.scopes] or list(credentials.scopes)


def _credentials(alias: str, connection: BankingConnection | None) -> Account:
    try:
        credentials = credentials_of(alias, connection)
        conf.require_usable(credentials)
    except ImproperlyConfigured as error:
        # The customer must not be shown this, and the operator must.
        logger.error("Bank connections are not set up: %s", error)
        raise exceptions.Refused("Not set up.", error_class="NotConfigured") from error
    return credentials


def _check_custom_fields(custom_fields: Mapping[str, Any]) -> None:
    taken = sorted({"session", "pending_token"} & set(custom_fields))
    if taken:
        raise ImproperlyConfigured(f"custom_fields must not use the reserved keys {', '.join(taken)}.")
    try:
        json.dumps(custom_fields)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"custom_fields must be JSON: {error}") from error


def _claim(
    wanted: ConnectSession, owner: Owner, connection: BankingConnection | None, credentials: Account
) -> tuple[ConnectSession, bool]:
    """Return (session, True) for one written now, or (session, False) for one that is under way already.

    The unique `single_flight` (for a request with a key of its own: `idempotency_key`) lets one of two
    simultaneous clicks through, on every database.
    """
    if not wanted.idempotency_key:
        wanted.single_flight = _single_flight(wanted, owner, connection, credentials.alias)
    wanted.expires_at = timezone.now() + timedelta(minutes=conf.settings.session_minutes)
    user, tenant = owner
    tries = 0
    while True:
        try:
            with transaction.atomic(durable=True):
                wanted.connection = connection or BankingConnection.objects.create(
                    user=user, tenant=tenant, account=credentials.alias
                )
                wanted.save(force_insert=True)
            return wanted, True
        except IntegrityError:
            other = _other(wanted, credentials)
            if other is not None:
                return other, False
            tries += 1
            if tries == _CLAIMS:
                raise  # something else than another click is in the way: a user who is deleted just now, say
            # A session whose worker died, or that has too little time left, must not block the way.
            if wanted.single_flight:
                ConnectSession.objects.filter(single_flight=wanted.single_flight).update(single_flight=None)


def _single_flight(
    wanted: ConnectSession, owner: Owner, connection: BankingConnection | None, alias: str
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
        "by link" if wanted.by_link else "",
    )


def _other(wanted: ConnectSession, credentials: Account) -> ConnectSession | None:
    """Return the session that stands in the way of *wanted*, if it is as good."""
    if wanted.idempotency_key:
        return _made_with(wanted.idempotency_key, wanted.idempotency_request)
    held = ConnectSession.objects.filter(single_flight=wanted.single_flight)
    other = held.select_related("connection").first()
    return other if other is not None and _is_usable(other, credentials) else None


def _made_with(key: str, request: str) -> ConnectSession | None:
    session = ConnectSession.objects.filter(idempotency_key=key).select_related("connection").first()
    if session is not None and session.idempotency_request != request:
        raise KeyReused("The idempotency key has come before, with another request.")
    return session


def _is_usable(session: ConnectSession, credentials: Account) -> bool:
    now = timezone.now()
    if session.status == SessionStatus.CREATED:
        return session.created_at > now - timedelta(seconds=_patience(credentials))
    return (
        session.status == SessionStatus.OPEN
        and session.returned_at is None
        # Somebody has been to the widget with it, and its address is good for one visit.
        and not (session.stage or session.upstream_id)
        and bool(session.connect_url)
        and session.expires_at is not None
        and session.expires_at > now + _MIN_LIFE
    )


def _patience(credentials: Account) -> float:
    """Return the seconds after which a connect call has ended, one way or the other."""
    connect, read = credentials.timeout
    return 2 * connect + read + _MARGIN_SECONDS


def _follow(session: ConnectSession, credentials: Account) -> ConnectSession:
    """Wait for the worker that opens *session*, and return or raise what it comes to."""
    # Clocks jump, and that of another machine may be ahead: it must not make anybody wait longer than it takes.
    waited = max(0.0, (timezone.now() - session.created_at).total_seconds())
    deadline = time.monotonic() + _patience(credentials) - waited
    while session.status == SessionStatus.CREATED and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        session.refresh_from_db()
    # What a key has made is its answer, also when the session has ended since and has no address any more.
    if session.connect_url or (session.idempotency_key and session.pending_token):
        return session
    error = _error_again(session)
    error.session = session
    raise error


def _error_again(session: ConnectSession) -> BusinessOSError:
    if session.status == SessionStatus.CREATED:
        return TimedOut("The session that was under way did not open in time.")
    kind = getattr(exceptions, session.error_class, BusinessOSError)
    known = isinstance(kind, type) and issubclass(kind, BusinessOSError)
    error_class: type[BusinessOSError] = kind if known else BusinessOSError
    return error_class("The session that was under way failed.", error_class=session.error_class)


def _store(report: Report, values: Mapping[str, Any]) -> None:
    """Record *report* with *values*; raise `Unintelligible` if its token cannot be ours."""
    try:
        if record(report, store=values).outcome != Outcome.UNMATCHED:
            return
    except IntegrityError:
        pass
    raise Unintelligible("The upstream gave a pending_token that it had given before.")


def _open(
    session: ConnectSession, credentials: Account, return_to: Callable[[ConnectSession], str]
) -> ConnectSession:
    sent = {**session.custom_fields, "session": str(session.reference)}
    try:
        answer = BusinessOSClient(credentials).connect(
            return_to=return_to(session),
            email=session.email,
            api=session.api,
            scopes=session.scopes,
            custom_fields=sent,
        )
        now = timezone.now()
        values = {
            "pending_token": answer.pending_token,
            "connect_url": answer.connect_url,
            "expires_at": answer.expires_at or session.expires_at,
            "owner_user_id": answer.owner_user_id,
            "custom_fields": sent,
        }
        _store(opened(session, answer, now), values)
    except BusinessOSError as error:
        logger.warning("Connect session %s could not be opened: %s", session.reference, error)
        record(refused(session, error, timezone.now()))
        session.refresh_from_db()
        error.session = session
        raise
    except Exception:
        # The site's own hook, say. The session must not look as if it were still being opened.
        record(refused(session, BusinessOSError(error_class="Interrupted"), timezone.now()))
        raise
    session.refresh_from_db()
    # The webhook may have been faster than the answer, and an ended session keeps no address; the person
    # still has to be sent somewhere.
    session.connect_url = answer.connect_url
    return session
