"""The bodies of callbacks, and which of them a scenario sends in which order."""

import json
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from . import conf
from .models import SandboxConnection, SandboxDelivery, SandboxSession
from .scenarios import Scenario

STAGES = ("start", "connect", "fetch_accounts", "fetch_transactions", "finish_fetching")
KINDS = ("success", "notify", "fail", "destroy", "provider", "consent")
_MILLISECOND = timedelta(milliseconds=1)


def body(session: SandboxSession, kind: str, time: datetime | None = None, **data: str) -> str:
    """The JSON text of one callback.

    ``kind`` is one of ``KINDS``. ``data`` is added to the session's ids and custom fields: which
    keys make sense depends on the kind (``connection_id``, ``stage``, ``error_class``, …). ``time``
    goes into ``meta.time``; without it the session's clock moves on, so that no two callbacks of a
    session carry the same time. Raises ``ValueError`` for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of callback {kind!r}: one of {', '.join(KINDS)}.")
    content: dict[str, object] = dict(data)
    if kind != "provider":
        content["customer_id"] = session.customer_id
    if kind not in ("provider", "consent"):
        content["custom_fields"] = session.callback_custom_fields()
    if kind == "success":
        content.setdefault("stage", "finish")
    at = iso_milliseconds(time or next_time(session))
    return json.dumps({"data": content, "meta": {"version": "6", "time": at}})


def iso_milliseconds(at: datetime) -> str:
    """``2025-01-25T10:40:47.965Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_time(session: SandboxSession) -> datetime:
    """The present, in whole milliseconds, or one more than the last answer if that is later."""
    now = timezone.now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    if session.last_callback_at is not None:
        now = max(now, session.last_callback_at + _MILLISECOND)
    session.last_callback_at = now
    session.save(update_fields=["last_callback_at"])
    return now


def plan_fail(session: SandboxSession, error_class: str, error_message: str) -> list[SandboxDelivery]:
    """Store the fail callback. It names no connection: none came to exist."""
    text = body(session, "fail", error_class=error_class, error_message=error_message)
    return _store(session, [text])


def plan_success(
    session: SandboxSession, connection: SandboxConnection, scenario: Scenario
) -> list[SandboxDelivery]:
    """Store what the bank sends after a consent, in the order in which it is to arrive."""
    if scenario.silent:
        return []
    link = connection.connection_id
    notifies = [body(session, "notify", connection_id=link, stage=stage) for stage in STAGES]
    successes = [body(session, "success", connection_id=link)]
    for _ in range(1, scenario.successes):
        again = successes[0] if scenario.repeats_bytes else body(session, "success", connection_id=link)
        successes.append(again)
    texts = [*successes, *notifies] if scenario.success_first else [*notifies, *successes]
    return _store(session, texts, conf.settings.late_seconds if scenario.late else 0)


def plan_destroy(connection: SandboxConnection) -> list[SandboxDelivery]:
    """Store the callback about a connection that was removed."""
    session = connection.session
    return _store(session, [body(session, "destroy", connection_id=connection.connection_id)])


def _store(session: SandboxSession, texts: list[str], delay: float = 0) -> list[SandboxDelivery]:
    url = conf.settings.webhook_url or session.webhook_url
    if not url:
        return []
    due_at = timezone.now() + timedelta(seconds=delay)
    return [
        SandboxDelivery.objects.create(session=session, url=url, body=text, due_at=due_at) for text in texts
    ]
