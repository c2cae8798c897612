"""Callbacks: their bodies, their times, and the rows in which they wait to be sent."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from . import conf, payloads
from .models import SandboxConnection, SandboxDelivery, SandboxSession

# A success callback carries the last of them.
FINISH = "finish"
STAGES = ("start", "connect", "fetch_accounts", "fetch_transactions", "finish_fetching")
KINDS = ("success", "notify", "fail", "destroy", "provider", "consent")
# What a relay calls the callbacks, and the keys that it writes whether or not there is something under them.
_EVENTS = {kind: f"connection.{kind}" for kind in KINDS} | {
    "provider": "provider.changed",
    "consent": "consent.changed",
}
_ABSENT = (
    "error_class",
    "error_message",
    "consent_status",
    "reason",
    "provider_code",
    "provider_status",
    "stage",
)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)


def body(session: SandboxSession, kind: str, time: datetime | None = None, **data: str) -> str:
    """Return the JSON text of one callback.

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
        content.setdefault("stage", FINISH)
    at = time or next_time(session)
    if conf.settings.speaks_like == "relay":
        return json.dumps(_as_a_relay(session, kind, content, at))
    return json.dumps({"data": content, "meta": {"version": "6", "time": iso_milliseconds(at)}})


def _as_a_relay(
    session: SandboxSession, kind: str, content: dict[str, object], at: datetime
) -> dict[str, object]:
    """Return the callback as something in between would write it anew.

    It has a name, ``null`` for what is absent, the time in the form of another language, and of a success the whole
    connection.
    """
    connection: SandboxConnection | None = getattr(session, "connection", None) if kind == "success" else None
    whole = {"connection": payloads.connection(connection)} if connection else {}
    return {
        "event": _EVENTS[kind],
        "data": {**dict.fromkeys(_ABSENT), **content, **whole},
        "meta": {"version": "6", "time": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")},
    }


def iso_milliseconds(at: datetime) -> str:
    """Return ``at`` as ``2025-01-25T10:40:47.965Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_time(session: SandboxSession, at: datetime | None = None) -> datetime:
    """Return ``at`` (or the present) in whole milliseconds, or one more than the last callback's if that is later."""
    at = _whole_milliseconds(at or timezone.now())
    if session.last_callback_at is not None:
        at = max(at, session.last_callback_at + _MILLISECOND)
    return tick(session, at)


def seconds_after(moments: Iterable[datetime | None], at: datetime) -> datetime:
    """Return ``at`` in whole milliseconds, or the first second that is later than all of ``moments``.

    The connection list shows whole seconds: there, too, what happened later has to be later.
    """
    later = [moment.replace(microsecond=0) + _SECOND for moment in moments if moment is not None]
    return max([_whole_milliseconds(at), *later])


def tick(session: SandboxSession, at: datetime) -> datetime:
    """Note ``at`` as the time of the session's last callback, and return it."""
    session.last_callback_at = at
    session.save(update_fields=["last_callback_at"])
    return at


def url_of(session: SandboxSession) -> str:
    """Return the URL for the callbacks of a session; empty if there is none."""
    return conf.settings.webhook_url or session.webhook_url


def store(session: SandboxSession, texts: list[str], due_at: datetime | None = None) -> list[SandboxDelivery]:
    """Store these bodies to be sent in this order, at once or at ``due_at``; none if there is no URL."""
    url = url_of(session)
    if not url:
        return []
    due_at = due_at or timezone.now()
    return [
        SandboxDelivery.objects.create(session=session, url=url, body=text, due_at=due_at) for text in texts
    ]


def _whole_milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
