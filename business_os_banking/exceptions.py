"""What can go wrong between this site and Business OS: one tree, so that callers can catch what they mean.

::

    BankingError
    ├── NotAllowed                  the adapter or the connection's state says no
    │   └── ConnectionEnded         its owner or an operator ended it for good
    ├── NotOffered                  scopes that the account's settings do not offer
    ├── NotYourEmail                an e-mail address beside the owner's own
    ├── TooManyAttempts             CONNECTS_PER_HOUR
    ├── KeyReused                   the idempotency key of another request
    └── BusinessOSError             a call to Business OS came to nothing
        ├── NotReachable            no TCP connection: nothing was sent
        ├── TimedOut                sent, and no whole answer in time
        ├── Refused                 401, 403
        ├── OutOfCredits            402
        ├── NotFound                404, 405, 410
        ├── RateLimited             429
        ├── InvalidRequest          the other 4xx, and what is refused before the call
        ├── UpstreamTrouble         5xx
        └── Unintelligible          3xx, or an answer that cannot be used

`upstream.answers.error_of` makes the exception of an answer. Rooms that raise a kind of their own derive it from
`BankingError`, too; of these only `WebhookRejected` (in `webhooks.verifiers`) is for hosts.
"""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "BankingError",
    "BusinessOSError",
    "ConnectionEnded",
    "FailedSession",
    "InvalidRequest",
    "KeyReused",
    "NotAllowed",
    "NotFound",
    "NotOffered",
    "NotReachable",
    "NotYourEmail",
    "OutOfCredits",
    "RateLimited",
    "Refused",
    "TimedOut",
    "TooManyAttempts",
    "Unintelligible",
    "UpstreamTrouble",
]


class FailedSession(Protocol):
    """The connect session that an error is about: a `ConnectSession`, as far as it is read here and above."""

    pk: int
    reference: UUID
    connection: Any
    error_group: str


class BankingError(Exception):
    """Everything this app raises on purpose."""


class NotAllowed(BankingError):
    """The site's adapter, or the state of the connection, does not allow this."""


class ConnectionEnded(NotAllowed):
    """The connection was ended for good by its owner or an operator; the bank is connected anew instead."""


class NotOffered(BankingError):
    """Scopes were asked for that the account's settings do not offer."""


class NotYourEmail(BankingError):
    """An e-mail address was given for somebody who has another one."""


class TooManyAttempts(BankingError):
    """The person has begun more sessions in an hour than ``CONNECTS_PER_HOUR`` allows."""


class KeyReused(BankingError):
    """An idempotency key has come before, with another request."""


class BusinessOSError(BankingError):
    """A call to Business OS did not give what was asked for.

    ``error_class`` is the class that the upstream named (``ConnectionDuplicated``), else the name of the
    exception. ``status`` is the HTTP status, ``None`` where there was no answer. ``from_api`` tells that a JSON
    object came with it: the API itself has answered, and no proxy before it. ``request_id`` is what the upstream
    calls the request, ``""`` if it does not say. ``retry_after`` is the wait in seconds that it asked for, or ``None``.
    ``session`` is the connect session that failed, where there is one.
    The message is for logs: it holds no secret and no personal data.
    """

    def __init__(self, message: str = "", *, error_class: str = "", status: int | None = None) -> None:
        super().__init__(message or type(self).__name__)
        self.error_class = error_class or type(self).__name__
        self.status = status
        self.from_api = False
        self.request_id = ""
        self.retry_after: int | None = None
        self.session: FailedSession | None = None

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{super().__str__()}{request}"


class NotReachable(BusinessOSError):
    """No connection could be made, so nothing was sent."""


class TimedOut(BusinessOSError):
    """The connection was made, but no whole answer came in time. What was asked may have been done."""


class Refused(BusinessOSError):
    """401 or 403: the API key is wrong, revoked, or of another organisation."""


class OutOfCredits(BusinessOSError):
    """402: the Business OS account has no credits left."""


class NotFound(BusinessOSError):
    """404, 405 or 410: there is no such thing, or no such path."""


class InvalidRequest(BusinessOSError):
    """400, 409, 422 and the like: the upstream, or our own check before the call, did not accept the request.

    ``fields`` maps the name of a field to its messages, as far as they are known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        error_class: str = "",
        status: int | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message, error_class=error_class, status=status)
        self.fields = {name: list(messages) for name, messages in (fields or {}).items()}


class RateLimited(BusinessOSError):
    """429: too many calls."""


class UpstreamTrouble(BusinessOSError):
    """5xx: the upstream, or the bank behind it, has a problem of its own."""


class Unintelligible(BusinessOSError):
    """Not the answer that was agreed: HTML, missing fields, wrong types, a connect_url we do not trust."""


# What task queues raise that is no fault of what they interrupt: a time limit, or that a task ends or is tried again.
_CONTROL_FLOW: Final = {
    *("celery.exceptions.TaskPredicate", "billiard.exceptions.SoftTimeLimitExceeded"),
    *("huey.exceptions.CancelExecution", "huey.exceptions.RetryTask", "rq.timeouts.BaseTimeoutException"),
}


def let_through(error: Exception) -> None:
    """Raise *error* again if a task queue means to end the task with it; loops that go on after a fault call this."""
    if any(f"{base.__module__}.{base.__qualname__}" in _CONTROL_FLOW for base in type(error).__mro__):
        raise error


def describe(error: Exception) -> str:
    """Return what there is to say of *error* in a log: for any but our own, where it was raised.

    The message of another may quote what was sent, or the secret that it was compared with.
    """
    if isinstance(error, ImproperlyConfigured | ImportError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}, line {frame.lineno})"
