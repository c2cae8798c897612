"""What a site may hear.

All of these are sent after the change is committed, and told again by reconcile until every receiver has
heard them: at least once for each transition. Make receivers idempotent; ``event.digest`` names the fact for
good. Every signal carries ``event``, ``connection`` and ``session`` (the last two may be ``None``), except
``webhook_rejected``, which carries ``account`` (an alias, empty if unknown) and ``reason`` (a text without secrets):
nothing of a rejected delivery is stored.
"""

from typing import Final

from django.dispatch import Signal

connect_session_started = Signal()
connect_session_finished = Signal()
connection_activated = Signal()
connection_deactivated = Signal()
connection_disconnected = Signal()
consent_expiring = Signal()
event_recorded = Signal()
event_unmatched = Signal()
webhook_rejected = Signal()

BY_NAME: Final[dict[str, Signal]] = {
    "connect_session_started": connect_session_started,
    "connect_session_finished": connect_session_finished,
    "connection_activated": connection_activated,
    "connection_deactivated": connection_deactivated,
    "connection_disconnected": connection_disconnected,
    "consent_expiring": consent_expiring,
    "event_recorded": event_recorded,
    "event_unmatched": event_unmatched,
}
