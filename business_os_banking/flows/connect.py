"""Connect a bank: open a connect session upstream and lose nothing on the way there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError
from django.db.models import Case, When
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter, credentials_of
from business_os_banking.conf import Account
from business_os_banking.exceptions import BusinessOSError, ConnectionEnded, Refused, Unintelligible
from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, opened, refused
from business_os_banking.flows.claim import Idempotency, Owner, claim, follow
from business_os_banking.flows.learning import key_of
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream.client import BusinessOSClient, sendable_email
from business_os_banking.vocabulary import Outcome, SessionStatus

logger = logging.getLogger(__name__)


def start(
    *,
    owner: Owner,
    return_to: Callable[[ConnectSession], str],
    connection: BankingConnection | None = None,
    account: Account | None = None,
    api: str = "",
    email: str = "",
    scopes: Sequence[str] = (),
    custom_fields: Mapping[str, Any] | None = None,
    next_url: str = "",
    idempotency: Idempotency | None = None,
    by_link: int | None = None,
    has_cookie: bool = False,
) -> ConnectSession:
    """Open a connect session and return it, with the ``connect_url`` to send the browser to.

    With *connection* it is a retry or a renewal of that one, else a new connection of *owner* is made. *account* is
    that of the connection, or of the connection to be made; without one it is looked up, for a new one as
    ``default``. *return_to* is asked for the address that the bank sends the browser back to. Without *scopes* it is
    what was agreed on last for the connection, else all that the account offers. *by_link* is the number of
    the renewal link that was used. *has_cookie* tells that the browser is given a cookie by which it is known again.

    The row is committed before the API is called, so a crash in between loses nothing; for that reason the
    call must not be made inside a transaction (`RuntimeError`). Asked twice for the same thing, at once or
    while the first session waits to be used, it makes one API call and returns the same session. With
    *idempotency* that holds for its key instead, and for as long as the key is kept; see `replay`.

    Raises `ConnectionEnded` for a connection that was ended for good, and `BusinessOSError` (its ``session`` is
    the failed session, already saved) for whatever goes wrong upstream.
    """
    if connection is not None and not connection.can_renew:
        raise ConnectionEnded("The connection was disconnected; connect the bank anew.")
    account = account or account_of(connection.account if connection else "default", connection)
    with refused_if_not_set_up():
        conf.require_usable(account)
    wanted = ConnectSession(
        api=api or account.api,
        email=_sendable(email),
        scopes=list(scopes) or agreed_scopes(connection, account),
        custom_fields=dict(custom_fields or {}),
        next_url=next_url,
        idempotency_key=idempotency.key if idempotency else None,
        idempotency_request=idempotency.request if idempotency else "",
        by_link=by_link is not None,
        has_cookie=has_cookie,
    )
    wanted.make_key()
    _check_custom_fields(wanted.custom_fields)
    session, is_new = claim(wanted, owner, connection, account, by_link)
    return _open(session, account, return_to) if is_new else follow(session, account)


def replay(session: ConnectSession) -> ConnectSession:
    """Return *session*, which a key has made, as it is now, or raise what it came to.

    One that is still being opened is waited for.
    """
    with refused_if_not_set_up():
        return follow(session)


def account_of(
    alias: str, connection: BankingConnection | None = None, adapter: BankingAdapter | None = None
) -> Account:
    """Return the account behind *alias* for a call in a customer's name; raise `Refused` if it is not set up."""
    with refused_if_not_set_up():
        return credentials_of(alias, connection, adapter)


def agreed_scopes(connection: BankingConnection | None, account: Account) -> list[str]:
    """Return what was agreed on last, as far as the account still offers it; all that it offers if nothing was.

    Until something is agreed on, it is what the last attempt asked for.
    """
    scopes: list[str] = []
    if connection:
        agreed = Case(When(status=SessionStatus.SUCCEEDED, then=1), default=0)
        latest = connection.sessions.order_by(agreed.desc(), "-pk")
        scopes = latest.values_list("scopes", flat=True).first() or []
    return [scope for scope in scopes if scope in account.scopes] or list(account.scopes)


@contextmanager
def refused_if_not_set_up() -> Iterator[None]:
    """Let the operator, and not the customer, read what is wrong with the settings."""
    try:
        yield
    except ImproperlyConfigured as error:
        logger.error("Bank connections are not set up: %s", error)
        raise Refused("Not set up.", error_class="NotConfigured") from error


def _sendable(email: str) -> str:
    """Return *email* as it can be sent. What cannot is no reason to lock a customer out: none is sent then."""
    address = sendable_email(email)
    if email.strip() and not address:
        logger.warning(
            "The e-mail address of an owner is none that can be sent, so the session is opened without it."
        )
    return address


def _check_custom_fields(custom_fields: Mapping[str, Any]) -> None:
    taken = sorted({"session", "pending_token"} & set(custom_fields))
    if taken:
        raise ImproperlyConfigured(f"custom_fields must not use the reserved keys {', '.join(taken)}.")
    try:
        json.dumps(custom_fields)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"custom_fields must be JSON: {error}") from error


def _store(report: Report, values: Mapping[str, Any]) -> None:
    """Record *report* with *values*; raise `Unintelligible` if its token cannot be ours."""
    try:
        if record(report, store=values).outcome != Outcome.UNMATCHED:
            return
    except IntegrityError:
        pass
    raise Unintelligible("The upstream gave a pending_token that it had given before.")


def _is_there(session: ConnectSession) -> bool:
    """Read *session* again; return whether it has not been erased while the call was under way."""
    try:
        session.refresh_from_db()
    except ConnectSession.DoesNotExist:
        return False
    return True


def _open(
    session: ConnectSession, account: Account, return_to: Callable[[ConnectSession], str]
) -> ConnectSession:
    sent = {**session.custom_fields, "session": str(session.reference)}
    try:
        answer = BusinessOSClient(account).connect(
            return_to=return_to(session),
            email=session.email,
            api=session.api,
            scopes=session.scopes,
            custom_fields=sent,
        )
        now = timezone.now()
        values = {
            "pending_token": answer.pending_token,
            "connect_url": answer.connect_url.open(),
            "expires_at": answer.expires_at or session.expires_at,
            "owner_user_id": answer.owner_user_id,
            "custom_fields": sent,
            "opened_with": key_of(account),
        }
        # Told when it opens, since what a site asks for later is not meant for what is under way.
        proof_required = conf.settings.return_proof == "required"
        _store(opened(session, answer, now, proof_required=proof_required), values)
    except BusinessOSError as error:
        logger.warning("Connect session %s could not be opened: %s", session.reference, error)
        record(refused(session, error, timezone.now()))
        if _is_there(session):
            error.session = session
        raise
    except Exception:
        # The site's own hook, say. The session must not look as if it were still being opened.
        record(refused(session, BusinessOSError(error_class="Interrupted"), timezone.now()))
        raise
    if not _is_there(session):
        raise BusinessOSError("The connection was erased meanwhile.", error_class="Interrupted")
    # The webhook may have been faster than the answer, and an ended session keeps no address; the person
    # still has to be sent somewhere.
    session.connect_url = answer.connect_url.open()
    return session
