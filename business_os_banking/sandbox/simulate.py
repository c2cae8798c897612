"""The sandbox without its widget: for tests and demos that need the end of the story only.

Example::

    connect_url = ...                       # from POST /v2/banking/connect
    back = simulate.finish(connect_url)     # a person chose Demobank, logged in, and consented
    deliveries.deliver_due()                # with DELIVERY = "manual": the callbacks arrive

To post a callback of one's own making::

    body = simulate.callback_body(session, "fail", error_class="ProviderError")
    headers = simulate.sign(body, webhook_url)
"""

from contextlib import suppress
from datetime import datetime
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.db.models import Q

from . import callbacks, outcomes
from .behaviour import Change
from .deliveries import deliver_due
from .models import SandboxConnection, SandboxSession
from .scenarios import SCENARIOS
from .signing import sign

__all__ = [
    "callback_body",
    "deliver_due",
    "end_consent",
    "find_session",
    "finish",
    "remove",
    "sign",
    "switch_bank",
]


def find_session(token_or_url: str) -> SandboxSession:
    """Return the session of a ``connect_url``, of the token in it, or of a ``pending_token``.

    Raises ``SandboxSession.DoesNotExist``.
    """
    token = parse_qs(urlsplit(token_or_url).query).get("token", [token_or_url])[0]
    condition = Q(token=token)
    with suppress(ValueError):
        condition |= Q(pending_token=UUID(token))
    return SandboxSession.objects.get(condition)


def finish(token_or_url: str, scenario: str = "succeed", *, webhook_url: str = "") -> str:
    """Do what a patient person does at the bank ``scenario`` (a slug), to the end of the session.

    Any scenario may be played, also one whose bank belongs to the other api. ``webhook_url`` is
    where callbacks go, unless the setting names a URL; by default, where they would have gone had
    the widget been used. ``DELIVERY`` decides when they leave, just as for the widget.

    Returns the URL that the browser would be sent to, or an empty text if it is sent nowhere.
    Raises ``SandboxSession.DoesNotExist``, ``KeyError`` for an unknown scenario and
    ``outcomes.SessionOverError`` if the session has been used or has run out.
    """
    session = find_session(token_or_url)
    bank = SCENARIOS[scenario]
    session.scenario = bank.slug
    session.webhook_url = webhook_url or session.webhook_url
    session.save(update_fields=["scenario", "webhook_url"])
    if not outcomes.log_in(session, bank, correct=True):
        outcomes.log_in(session, bank, correct=True)
    error_class, error_message = outcomes.error_of(bank)
    if error_class:
        return outcomes.fail(session, error_class, error_message)
    return outcomes.succeed(session, bank)


def end_consent(which: SandboxConnection | str, how: str = "expired") -> None:
    """Let a consent end now, ``expired`` or ``revoked``: the list shows it, and a callback is due.

    ``which`` is the connection, its id, or whatever ``find_session`` takes. Nothing happens if the
    consent has ended or the connection is gone. Raises ``SandboxSession.DoesNotExist``,
    ``SandboxConnection.DoesNotExist`` if the session came to none, and ``ValueError`` for another word.
    """
    outcomes.change(_connection(which), Change(f"consent_{how}"))


def remove(which: SandboxConnection | str) -> None:
    """Let the bank remove a connection now: it is gone from the list, and the destroy callback is due.

    ``which`` and errors as for ``end_consent``.
    """
    outcomes.change(_connection(which), Change.REMOVED)


def switch_bank(provider_code: str, active: bool) -> None:
    """Switch a bank off or on now, for all its connections; nothing happens if it is so already.

    Each site with connections at the bank is due one callback. The list shows them as ``disabled``
    while it is off, and nobody can log in. When it is on again, each connection is refreshed, with a
    success callback of its own.
    """
    outcomes.switch_bank(provider_code, active=active)


def _connection(which: SandboxConnection | str) -> SandboxConnection:
    rows = SandboxConnection.objects.select_related("session")
    if isinstance(which, SandboxConnection):
        return rows.get(pk=which.pk)
    return rows.filter(connection_id=which).first() or rows.get(session=find_session(which))


def callback_body(session: SandboxSession, kind: str, *, time: datetime | None = None, **data: str) -> bytes:
    """Return the exact bytes of one callback about ``session``, not stored and not sent.

    ``kind`` is ``success``, ``notify``, ``fail``, ``destroy``, ``provider`` or ``consent``. ``data``
    adds or replaces keys of the body's ``data``: ``stage`` for a notify, ``error_class`` and
    ``error_message`` for a fail, ``provider_code`` and ``provider_status`` for provider changes,
    ``consent_status`` and ``reason`` for consent changes. ``connection_id`` is filled in from the
    session's connection where the kind has one and the session too; fails have none unless given.
    ``time`` is ``meta.time``, by default the present and later than any other callback's of this
    session. Raises ``ValueError`` for an unknown kind.
    """
    connection = getattr(session, "connection", None)
    if connection is not None and kind not in ("fail", "provider"):
        data.setdefault("connection_id", connection.connection_id)
    return callbacks.body(session, kind, time, **data).encode()
