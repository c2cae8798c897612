"""Delivers callbacks to the site's webhook, one try at a time; `background` does so on its own.

There are up to four tries, until the response is a 2xx. Each is signed anew, since some signatures hold the time.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import requests
from django.db.models import F
from django.utils import timezone

from . import changes
from .models import SandboxChange, SandboxDelivery
from .signing import sign

logger = logging.getLogger("business_os_banking.sandbox")

# Seconds to wait before the second, third and fourth try.
BACKOFF = (0.5, 1.0, 2.0)
TIMEOUT = (2.0, 15.0)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Sender = Callable[[str, bytes, dict[str, str]], int | None]


@dataclass
class Job:
    """A stored delivery, as far as it takes to try it without the database."""

    reference: uuid.UUID
    url: str
    body: bytes
    due_at: datetime
    attempts: int


def post(url: str, body: bytes, headers: dict[str, str]) -> int | None:
    """POST one callback as Salt Edge would. Returns the status, or ``None`` without a response."""
    with requests.Session() as http:
        # A proxy from the environment cannot reach this machine's own loopback.
        http.trust_env = urlsplit(url).hostname not in _LOOPBACK
        try:
            response = http.post(url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException:
            return None
        return response.status_code


def deliver_due(now: datetime | None = None, send: Sender | None = None) -> int:
    """Make the changes that are due at ``now``, then try once each callback that is due, oldest first.

    A later ``now`` than the clock's is time travel: it makes late callbacks, retries, and later changes
    due. Returns how many callbacks got through.
    ``send(url, body, headers) -> status or None`` replaces real HTTP, for tests without a server.
    Raises ``ImproperlyConfigured`` if the callback cannot be signed.
    """
    now = now or timezone.now()
    for change in SandboxChange.objects.filter(due_at__lte=now).order_by("due_at", "pk"):
        changes.happen(change)
    due = SandboxDelivery.objects.filter(sent_at=None, due_at__lte=now, attempts__lte=len(BACKOFF)).order_by(
        "due_at", "pk"
    )
    delivered = 0
    for job in [job_of(delivery) for delivery in due]:
        status = attempt(job, now, send or post)
        save(job, now, status)
        delivered += is_success(status)
    return delivered


def job_of(delivery: SandboxDelivery) -> Job:
    """Return the job of a stored delivery."""
    return Job(
        reference=delivery.reference,
        url=delivery.url,
        body=delivery.body.encode(),
        due_at=delivery.due_at,
        attempts=delivery.attempts,
    )


def attempt(job: Job, now: datetime, send: Sender) -> int | None:
    """Try once, and return the status. Moves the job's ``due_at`` on if there is to be another try."""
    headers = {"Content-Type": "application/json", "User-Agent": "business-os-banking-sandbox"}
    status = send(job.url, job.body, {**headers, **sign(job.body, job.url)})
    job.attempts += 1
    if not is_success(status):
        # The URL is left out of the log: it may hold the shared secret.
        logger.warning("Sandbox: the webhook answered %s (try %s).", status or "nothing", job.attempts)
        if job.attempts <= len(BACKOFF):
            job.due_at = now + timedelta(seconds=BACKOFF[job.attempts - 1])
    return status


def is_success(status: int | None) -> bool:
    """Return whether this is the status of a 2xx response."""
    return status is not None and 200 <= status < 300


def save(job: Job, now: datetime, status: int | None) -> None:
    """Note the outcome of the try at ``now``."""
    SandboxDelivery.objects.filter(reference=job.reference).update(
        attempts=F("attempts") + 1,
        last_status=status,
        due_at=job.due_at,
        sent_at=now if is_success(status) else None,
    )
