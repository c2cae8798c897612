"""The same, but the event is kept as an ``Event``, too, as dj-stripe does by default; nothing is called then."""

from benchmarks.peer.settings import *  # noqa: F403

DJSTRIPE_WEBHOOK_EVENT_CALLBACK = None
