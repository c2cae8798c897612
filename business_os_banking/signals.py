"""What a site may hear.

All of these are sent after the change is committed, and told again by reconcile until every receiver has
heard them: at least once for each transition. Make receivers idempotent; ``event.digest`` names the fact for
good. Every signal carries ``event``, ``connection`` and ``session`` (the last two may be ``None``), except
``webhook_rejected``, which carries ``account`` (an alias, empty if unknown) and ``reason`` (a text without secrets):
nothing of a rejected delivery is stored.
"""

from typing import Final

from django.dispatch import Signal

__all__ = [
    "connect_session_finished",
    "connect_session_started",
    "connection_activated",
    "connection_deactivated",
    "connection_disconnected",
    "connection_held",
    "consent_expiring",
    "event_recorded",
    "event_unmatched",
    "webhook_rejected",
]

#: A session is open: the browser is about to be sent to the bank.
connect_session_started = Signal()

#: A session succeeded, failed, was cancelled or expired; sent again if it succeeds after that.
connect_session_finished = Signal()

#: A connection became ``active``.
connection_activated = Signal()

#: A connection became ``inactive``: only the customer can help.
connection_deactivated = Signal()

#: A connection ended; ``connection.ended_by`` says by whom.
connection_disconnected = Signal()

#: A success of ``session`` is held, ``connection.held_reason`` says why: somebody has to answer whether it was meant.
#: Sent again as a reminder, with an ``event`` of the kind ``held_reminder``. Where the doubt came second,
#: `connection_activated` has been sent before.
connection_held = Signal()

#: A consent has come within one of the steps of ``CONSENT_REMINDER_DAYS``, ``event.payload["days"]``, of its end.
consent_expiring = Signal()

#: An event was recorded, whatever it did.
event_recorded = Signal()

#: An event was recorded that matches nothing yet.
event_unmatched = Signal()

#: A delivery was refused before its sender was believed.
webhook_rejected = Signal()

# Those that an event can make due, by the name that is written on it.
BY_NAME: Final[dict[str, Signal]] = {
    "connect_session_started": connect_session_started,
    "connect_session_finished": connect_session_finished,
    "connection_activated": connection_activated,
    "connection_deactivated": connection_deactivated,
    "connection_disconnected": connection_disconnected,
    "connection_held": connection_held,
    "consent_expiring": consent_expiring,
    "event_recorded": event_recorded,
    "event_unmatched": event_unmatched,
}
