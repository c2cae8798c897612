"""Getting callbacks to the site's webhook: on their own in a thread, or on demand.

The first try and up to three more, unless the answer is a 2xx. Signed at each try, since some
signatures hold the time.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import sleep
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction
from django.db.models import F
from django.utils import timezone

from . import conf
from .models import SandboxDelivery
from .signing import sign

logger = logging.getLogger("business_os_banking.sandbox")

# Seconds to wait before the second, third and fourth try.
BACKOFF = (0.5, 1.0, 2.0)
TIMEOUT = (2.0, 15.0)
# Between two callbacks of one thread, so that a person sees the stages go by.
PACE = 0.15
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Sender = Callable[[str, bytes, dict[str, str]], int | None]
T = TypeVar("T")


@dataclass
class _Job:
    reference: uuid.UUID
    url: str
    body: bytes
    due_at: datetime
    attempts: int


def post(url: str, body: bytes, headers: dict[str, str]) -> int | None:
    """POST one callback as Salt Edge would. Returns the status, or ``None`` without an answer."""
    with requests.Session() as http:
        # A proxy from the environment cannot reach this machine's own loopback.
        http.trust_env = urlsplit(url).hostname not in _LOOPBACK
        try:
            answer = http.post(url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException:
            return None
        return answer.status_code


def schedule(deliveries: list[SandboxDelivery]) -> None:
    """Send these after the present transaction, in the background, if the settings say so."""
    if not deliveries or conf.settings.delivery != "thread":
        return
    jobs = [_job(delivery) for delivery in deliveries]
    transaction.on_commit(lambda: _start(jobs))


def deliver_due(now: datetime | None = None, send: Sender | None = None) -> int:
    """Try once each callback that is due at ``now``, oldest first; returns how many got through.

    A later ``now`` than the clock's is time travel: it makes late callbacks and retries due.
    ``send(url, body, headers) -> status or None`` replaces real HTTP, for tests without a server.
    Raises ``ImproperlyConfigured`` if the callback cannot be signed.
    """
    now = now or timezone.now()
    due = SandboxDelivery.objects.filter(sent_at=None, due_at__lte=now, attempts__lte=len(BACKOFF)).order_by(
        "due_at", "pk"
    )
    delivered = 0
    for job in [_job(delivery) for delivery in due]:
        status = _try(job, now, send or post)
        _save(job, now, status)
        delivered += _is_success(status)
    return delivered


def _job(delivery: SandboxDelivery) -> _Job:
    return _Job(
        reference=delivery.reference,
        url=delivery.url,
        body=delivery.body.encode(),
        due_at=delivery.due_at,
        attempts=delivery.attempts,
    )


def _try(job: _Job, now: datetime, send: Sender) -> int | None:
    """One attempt. Moves the job's ``due_at`` on if there is to be another."""
    headers = {"Content-Type": "application/json", "User-Agent": "business-os-banking-sandbox"}
    status = send(job.url, job.body, {**headers, **sign(job.body, job.url)})
    job.attempts += 1
    if not _is_success(status):
        # The URL is left out of the log: it may hold the shared secret.
        answer = status or "nothing"
        logger.warning("Sandbox: the webhook answered %s (try %s).", answer, job.attempts)
        if job.attempts <= len(BACKOFF):
            job.due_at = now + timedelta(seconds=BACKOFF[job.attempts - 1])
    return status


def _is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _save(job: _Job, now: datetime, status: int | None) -> None:
    SandboxDelivery.objects.filter(reference=job.reference).update(
        attempts=F("attempts") + 1,
        last_status=status,
        due_at=job.due_at,
        sent_at=now if _is_success(status) else None,
    )


def _start(jobs: list[_Job]) -> None:
    threading.Thread(target=_run, args=(jobs,), daemon=True, name="business-os-banking-sandbox").start()


def _run(jobs: list[_Job]) -> None:
    """The thread's body. Nothing may escape it: there is nobody to catch it but the console."""
    try:
        _deliver_all(jobs)
    except ImproperlyConfigured as error:
        logger.error("Sandbox: callbacks were not sent. %s", error)
    except Exception as error:  # noqa: BLE001
        # The database of a finished test, or an interpreter that is shutting down.
        logger.debug("Sandbox: gave up on callbacks. %s", error)
    finally:
        _close_connections()


def _deliver_all(jobs: list[_Job]) -> None:
    waiting = list(jobs)
    while waiting:
        # A stable sort: callbacks that are due together keep the order of the scenario.
        waiting.sort(key=lambda job: job.due_at)
        job = waiting.pop(0)
        sleep(max(0.0, (job.due_at - timezone.now()).total_seconds()))
        if not _patiently(partial(_is_waiting, job)):
            continue
        now = timezone.now()
        status = _try(job, now, post)
        _patiently(partial(_save, job, now, status))
        if not _is_success(status) and job.attempts <= len(BACKOFF):
            waiting.append(job)
        sleep(PACE if waiting else 0)


def _is_waiting(job: _Job) -> bool:
    # Gone with a test's clean-up, or delivered meanwhile by deliver_due.
    return SandboxDelivery.objects.filter(reference=job.reference, sent_at=None).exists()


def _patiently(action: Callable[[], T]) -> T:
    """Do it, again for a while if the database is busy: SQLite locks whole files and tables."""
    for _ in range(20):
        try:
            return action()
        except DatabaseError:
            sleep(0.1)
    return action()


def _close_connections() -> None:
    for database in connections.all(initialized_only=True):
        raw = database.connection
        database.close()
        # Django keeps an in-memory SQLite open. This handle is the thread's own, and closing it
        # leaves the others as they are.
        if raw is not None and database.connection is raw:
            raw.close()
            database.connection = None
