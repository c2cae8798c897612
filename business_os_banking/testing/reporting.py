"""What the provider reports of a connection, sent to the real webhook view and proved as a real sender does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max
from django.test import RequestFactory
from django.utils import timezone

from business_os_banking.adapter import WrongAccount, credentials_of
from business_os_banking.conf import Account, make_account, table
from business_os_banking.facts.record import record
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.testing import bodies, fake_upstream
from business_os_banking.testing.commit_hooks import running_commit_hooks
from business_os_banking.testing.fake_upstream import session_of_link
from business_os_banking.testing.overriding import ACCOUNT, account_at_hand
from business_os_banking.vocabulary import Kind
from business_os_banking.webhooks import views
from business_os_banking.webhooks.verifiers import configured

Subject = BankingConnection | ConnectSession

# Of these, no two are at one time: which came last decides what a link is worth.
_COMPETING: Final = [Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED, Kind.CONSENT_ENDED, Kind.REMOVED]
_TICK: Final = timedelta(milliseconds=1)


def report_success(x: Subject) -> ConnectionEvent:
    session, upstream_id = _attempt(x)
    return _report(x, session, {"connection_id": upstream_id or bodies.new_upstream_id(), "stage": "finish"})


def report_failure(x: Subject, error_class: str) -> ConnectionEvent:
    session, upstream_id = _attempt(x)
    # Where nothing has come to exist yet, the callback names no connection.
    named = {"connection_id": upstream_id} if upstream_id else {}
    return _report(x, session, {**named, "error_class": error_class, "error_message": "It failed."})


def report_consent_end(x: Subject) -> ConnectionEvent:
    session, upstream_id = _link(x)
    return _report(x, session, {"connection_id": upstream_id, "consent_status": "expired"})


def report_removed(x: Subject) -> ConnectionEvent:
    session, upstream_id = _link(x)
    return _report(x, session, {"connection_id": upstream_id}, event="destroy")


def deliver(body: Mapping[str, Any], alias: str = "default") -> ConnectionEvent:
    """Post *body* to the webhook of the account *alias*, run the on-commit hooks, and return the event.

    The view is called without the site's URLs and middleware: what is tested are receivers, and neither a redirect to
    https nor a prefix of the addresses should be in their way. Raises `AssertionError` for any answer but 200.
    """
    content = bodies.raw(body)
    recorded: list[ConnectionEvent] = []

    def keep(*args: Any, **kwargs: Any) -> ConnectionEvent:
        recorded.append(record(*args, **kwargs))
        return recorded[-1]

    with account_at_hand(), running_commit_hooks(), _proved(content, alias) as headers:
        request = RequestFactory().post("/", content, "application/json", headers=headers)
        with mock.patch.object(views, "record", keep):
            response = views.webhook(request, account=alias)
        if response.status_code != 200:
            raise AssertionError(
                f"The webhook answered {response.status_code}, and not 200. The log of "
                "business_os_banking.webhooks.views says why."
            )
    # The event, and all else, may have been erased by a receiver.
    with suppress(ConnectionEvent.DoesNotExist):
        recorded[0].refresh_from_db()
    return recorded[0]


def next_moment(connection: BankingConnection) -> datetime:
    """Return now, or the moment after what is known already of *connection*: clocks may stand still in tests."""
    now = timezone.now()
    known = connection.events.filter(kind__in=_COMPETING).aggregate(latest=Max("occurred_at"))["latest"]
    return max(now, known + _TICK) if known else now


def _report(
    x: Subject, session: ConnectSession | None, data: Mapping[str, Any], event: str = ""
) -> ConnectionEvent:
    connection = _connection(x)
    custom_fields = bodies.custom_fields(session) if session else {}
    body = bodies.callback(data, custom_fields, next_moment(connection), event=event)
    recorded = deliver(body, connection.account)
    # A receiver may have erased it.
    with suppress(BankingConnection.DoesNotExist, ConnectSession.DoesNotExist):
        x.refresh_from_db()
        fake_upstream.mirror(_connection(x))
    return recorded


def _connection(x: Subject) -> BankingConnection:
    """Return the connection that *x* is or belongs to, as it is now."""
    return BankingConnection.objects.get(pk=x.connection_id if isinstance(x, ConnectSession) else x.pk)


def _attempt(x: Subject) -> tuple[ConnectSession | None, str]:
    """Return the session that waits for the bank, else the one that made the link, else the last one; and its link."""
    connection = _connection(x)
    sessions = connection.sessions.order_by("-pk")
    if isinstance(x, ConnectSession):
        session = sessions.filter(pk=x.pk).first()
    else:
        session = sessions.waiting().first() or session_of_link(connection) or sessions.first()
    if session is None and not connection.upstream_id:
        raise ValueError("There is neither a session nor a link to report of: use make_connection().")
    return session, session.upstream_id if session else connection.upstream_id


def _link(x: Subject) -> tuple[ConnectSession | None, str]:
    """Return the session that made the link, as far as there is one, and the link's upstream id."""
    connection = _connection(x)
    session = session_of_link(connection)
    upstream_id = connection.upstream_id
    if isinstance(x, ConnectSession):
        session = connection.sessions.get(pk=x.pk)
        upstream_id = session.upstream_id
    if not upstream_id:
        raise ValueError(
            "No success has made a link yet, so there is none to speak of: report_success() first."
        )
    return session, upstream_id


@contextmanager
def _proved(content: bytes, alias: str) -> Iterator[dict[str, str]]:
    """Give headers that prove *content*, signed with the account's own secret wherever that can be done.

    Where it cannot (a verifier of the site's own that does not sign, an adapter that does not know the account), the
    view is lent an account for this one delivery.
    """
    account = _account(alias)
    if account and (headers := _signed(account, content)):
        yield headers
        return
    lent = replace(
        account or make_account(alias, ACCOUNT),
        webhook_secrets=tuple(ACCOUNT["WEBHOOK_SECRETS"]),
        webhook_verifiers=tuple(table.ACCOUNT["WEBHOOK_VERIFIERS"].default),
    )
    with mock.patch.object(views, "credentials_of", return_value=lent):
        yield _signed(lent, content) or {}


def _account(alias: str) -> Account | None:
    try:
        return credentials_of(alias)
    except WrongAccount:
        raise
    except ImproperlyConfigured:
        return None


def _signed(account: Account, content: bytes) -> dict[str, str] | None:
    signatures = (verifier.sign(content, timezone.now()) for verifier in configured(account))
    return next((headers for headers in signatures if headers), None)
