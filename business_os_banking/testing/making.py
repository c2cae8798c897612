"""Connections in any status, made by recording what would have happened on a site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from business_os_banking.adapter import email_of
from business_os_banking.conf import SCOPES
from business_os_banking.conf.secret import Secret, Token
from business_os_banking.facts.fact import Fact
from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, digest_of, opened
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.testing import bodies, fake_upstream
from business_os_banking.testing.commit_hooks import running_commit_hooks
from business_os_banking.testing.fake_upstream import FakeUpstream
from business_os_banking.testing.overriding import account_at_hand, default_alias
from business_os_banking.testing.reporting import next_moment
from business_os_banking.upstream.client import OpenedSession
from business_os_banking.vocabulary import ConnectionStatus, EndedBy, Kind, Source, StatusReason

_CONSENT_ENDED: Final = {StatusReason.CONSENT_EXPIRED, StatusReason.CONSENT_REVOKED}


def make_connection(
    user: Any, tenant: str, status: str, bank: str, reason: str, metadata: Mapping[str, Any]
) -> BankingConnection:
    wanted = _one_of(ConnectionStatus, status, "status")
    why = _reason(wanted, reason)
    with account_at_hand():
        session = _open(user, tenant, metadata)
        if wanted is not ConnectionStatus.PENDING:
            link = bodies.new_upstream_id()
            _record(session, Kind.SUCCEEDED, link, details=_details(bank))
            if why:
                kind = Kind.CONSENT_ENDED if why in _CONSENT_ENDED else Kind.FAILED
                _record(session, kind, link, error_class=bodies.ERROR_CLASSES[why], reason=why.value)
        connection = BankingConnection.objects.get(pk=session.connection_id)
        if wanted is ConnectionStatus.DISCONNECTED:
            with FakeUpstream(), running_commit_hooks():
                disconnect(connection, EndedBy.OWNER)
    connection.refresh_from_db()
    fake_upstream.mirror(connection)
    return connection


def _one_of(words: Any, value: str, name: str) -> Any:
    try:
        return words(value)
    except ValueError:
        known = ", ".join(words)
        raise ValueError(f"{name} must be one of {known}, not {value!r}.") from None


def _reason(status: ConnectionStatus, reason: str) -> StatusReason | None:
    if status is ConnectionStatus.INACTIVE:
        found: StatusReason = _one_of(StatusReason, reason or StatusReason.CONSENT_EXPIRED, "reason")
        return found
    if reason:
        raise ValueError(f"Only an inactive connection has a reason, and this one is to be {status.value}.")
    return None


def _open(user: Any, tenant: str, metadata: Mapping[str, Any]) -> ConnectSession:
    """Return a session that waits for the bank, on a connection of its own."""
    with transaction.atomic():
        connection = BankingConnection.objects.create(
            user=user, tenant=tenant, account=default_alias(), metadata=dict(metadata)
        )
        session = ConnectSession.objects.create(
            connection=connection, email=email_of(user), scopes=list(SCOPES)
        )
    now = timezone.now()
    sent = bodies.connect_answer()
    answer = OpenedSession(
        connect_url=Secret(sent["connect_url"]),
        pending_token=Token(sent["pending_token"]),
        expires_at=now + timedelta(hours=1),
        owner_user_id=UUID(sent["owner_user_id"]),
    )
    values = {
        "pending_token": answer.pending_token,
        "connect_url": answer.connect_url.open(),
        "expires_at": answer.expires_at,
        "owner_user_id": answer.owner_user_id,
        "custom_fields": {"session": str(session.reference)},
    }
    with running_commit_hooks():
        record(opened(session, answer, now), store=values)
    session.refresh_from_db()
    return session


def _record(session: ConnectSession, kind: Kind, link: str, **facts: Any) -> None:
    """Record what the provider's list would say of *link*, to which *session* has led."""
    report = Report(
        fact=Fact(kind=kind, at=next_moment(session.connection), link=link, **facts),
        source=Source.READ,
        account=session.connection.account,
        digest=digest_of("testing", kind, str(session.reference)),
        received_at=timezone.now(),
        pending_token=session.pending_token,
        session_reference=session.reference,
        payload={"connection_id": link},
    )
    # Fact by fact: a receiver is to find the rows as they are after this one, and not at the end.
    with running_commit_hooks():
        record(report)


def _details(bank: str) -> dict[str, str]:
    """Return what is told of a bank, as far as one is named."""
    if not bank:
        return {}
    code = re.sub(r"[^a-z0-9]+", "_", bank.lower()).strip("_")
    return {"provider_code": f"{code}_xf", "provider_name": bank, "country_code": "XF"}
