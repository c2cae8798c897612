"""Changes of connections: each shows in the list, and has its callbacks."""

from datetime import datetime

from django.db import transaction

from . import callbacks
from .behaviour import Change
from .models import SandboxBank, SandboxChange, SandboxConnection, SandboxDelivery, SandboxSession

# How a consent ends: the class of the error in the list, its message, and the reason in the callback.
_CONSENT_ENDS = {
    Change.CONSENT_EXPIRED: ("ConsentExpired", "The consent has expired.", "expired"),
    Change.CONSENT_REVOKED: ("ConsentRevoked", "The consent was revoked.", "provider"),
}


@transaction.atomic
def happen(change: SandboxChange) -> list[SandboxDelivery]:
    """Make a planned change, unless it has been made already. Returns the callbacks, stored, not sent."""
    rows = SandboxChange.objects.filter(reference=change.reference)
    planned = rows.select_related("connection__session").first()
    # Of two that do this at once, only one deletes the row.
    if planned is None or not rows.delete()[0]:
        return []
    return apply(planned.connection, planned.what, planned.due_at)


def apply(connection: SandboxConnection, step: str, at: datetime) -> list[SandboxDelivery]:
    """Make the change ``step`` (a stage or a ``Change``) at ``at``, or as soon after as the order demands.

    Returns the callbacks, stored, not sent. Nothing happens to a connection that is gone.
    """
    if step in (Change.BANK_OFF, Change.BANK_ON):
        return switch_bank(connection.provider_code, active=step == Change.BANK_ON, at=at)
    if connection.removed_at is not None:
        return []
    if step == Change.REMOVED:
        return _remove(connection, at)
    if step in _CONSENT_ENDS:
        return _end_consent(connection, Change(step), at)
    return _reach(connection, step, at)


def switch_bank(provider_code: str, *, active: bool, at: datetime) -> list[SandboxDelivery]:
    """Switch a bank off or on. Returns the callbacks, stored, not sent; none if it is so already.

    Each site with connections there is told once. A bank that is on again refreshes its connections.
    """
    bank = SandboxBank.objects.select_for_update().filter(provider_code=provider_code).first()
    bank = bank or SandboxBank(provider_code=provider_code)
    if bank.is_switched_off != active:
        return []
    rows = SandboxConnection.objects.filter(provider_code=provider_code, removed_at=None)
    connections = list(rows.select_related("session").order_by("pk"))
    earlier = [connection.session.last_callback_at for connection in connections]
    when = callbacks.seconds_after([bank.changed_at, *earlier], at)
    bank.is_switched_off, bank.changed_at = not active, when
    bank.save()
    status = "active" if active else "inactive"
    deliveries: list[SandboxDelivery] = []
    for session in _one_for_each_site(connections):
        text = callbacks.body(session, "provider", when, provider_code=provider_code, provider_status=status)
        deliveries += callbacks.store(session, [text], at)
    for connection in connections:
        connection.updated_at = callbacks.tick(connection.session, when)
        connection.save(update_fields=["updated_at"])
        if active and connection.succeeded_at and not connection.error_class:
            deliveries += _reach(connection, callbacks.FINISH, at)
    return deliveries


def _one_for_each_site(connections: list[SandboxConnection]) -> list[SandboxSession]:
    sessions = [connection.session for connection in connections]
    return list({callbacks.url_of(session): session for session in sessions}.values())


def _reach(connection: SandboxConnection, stage: str, at: datetime) -> list[SandboxDelivery]:
    session = connection.session
    when = callbacks.next_time(session, at)
    connection.stage, connection.updated_at = stage, when
    kind = "notify"
    if stage == callbacks.FINISH:
        connection.succeeded_at = when
        kind = "success"
    connection.save()
    text = callbacks.body(session, kind, when, connection_id=connection.connection_id, stage=stage)
    return callbacks.store(session, [text], at)


def _end_consent(connection: SandboxConnection, step: Change, at: datetime) -> list[SandboxDelivery]:
    if connection.error_class:
        return []
    session = connection.session
    when = callbacks.tick(session, callbacks.seconds_after([session.last_callback_at], at))
    connection.error_class, connection.error_message, reason = _CONSENT_ENDS[step]
    connection.failed_at = connection.updated_at = when
    connection.save()
    text = callbacks.body(
        session,
        "consent",
        when,
        connection_id=connection.connection_id,
        consent_status=step.removeprefix("consent_"),
        reason=reason,
    )
    return callbacks.store(session, [text], at)


def _remove(connection: SandboxConnection, at: datetime) -> list[SandboxDelivery]:
    session = connection.session
    connection.removed_at = connection.updated_at = callbacks.next_time(session, at)
    connection.save()
    text = callbacks.body(session, "destroy", connection.removed_at, connection_id=connection.connection_id)
    return callbacks.store(session, [text], at)
