"""Sends callbacks and makes changes on its own: in a thread, or before a response leaves."""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import sleep
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from . import changes, conf, deliveries
from .deliveries import Job
from .models import SandboxChange, SandboxDelivery

logger = logging.getLogger("business_os_banking.sandbox")

# Seconds between two callbacks of one thread, so that a person sees the stages go by.
PACE = 0.15

T = TypeVar("T")
Work = Job | SandboxChange


def schedule(rows: Sequence[SandboxDelivery], planned: Sequence[SandboxChange] = ()) -> None:
    """Send these callbacks and make these changes after the transaction, in the background; see ``DELIVERY``."""
    work: list[Work] = [*map(deliveries.job_of, rows), *planned]
    if work and conf.settings.delivery == "thread":
        transaction.on_commit(lambda: _start(work))


def send_at_once(rows: Sequence[SandboxDelivery]) -> None:
    """Send these when the transaction is committed, before anything else goes on.

    With ``ATOMIC_REQUESTS`` that is after the view and still before the response leaves. What does not get
    through is tried again as any other callback.
    """
    jobs = [deliveries.job_of(row) for row in rows]
    transaction.on_commit(lambda: _send_at_once(jobs))


def _send_at_once(jobs: list[Job]) -> None:
    undelivered: list[Work] = []
    for job in jobs:
        now = timezone.now()
        try:
            status = deliveries.attempt(job, now, deliveries.post)
        except ImproperlyConfigured as error:
            _cannot_sign(error)
            return
        deliveries.save(job, now, status)
        if not deliveries.is_success(status):
            undelivered.append(job)
    if undelivered and conf.settings.delivery == "thread":
        _start(undelivered)


def _start(work: list[Work]) -> None:
    threading.Thread(target=_run, args=(work,), daemon=True, name="business-os-banking-sandbox").start()


def _run(work: list[Work]) -> None:
    """The thread's target. No exception may escape it: the console alone would show it."""
    try:
        _do_all(work)
    except ImproperlyConfigured as error:
        _cannot_sign(error)
    except Exception as error:  # noqa: BLE001
        # The database of a finished test, or an interpreter that is shutting down.
        logger.debug("Sandbox: gave up on callbacks. %s", error)
    finally:
        _close_connections()


def _cannot_sign(error: ImproperlyConfigured) -> None:
    logger.error("Sandbox: callbacks were not sent. %s", error)


def _do_all(work: list[Work]) -> None:
    waiting = list(work)
    while waiting:
        # A stable sort: callbacks that are due together keep the order of the scenario.
        waiting.sort(key=lambda item: item.due_at)
        item = waiting.pop(0)
        sleep(max(0.0, (item.due_at - timezone.now()).total_seconds()))
        if isinstance(item, SandboxChange):
            rows = _retry_if_busy(partial(changes.happen, item))
            waiting += [deliveries.job_of(row) for row in rows]
        elif _retry_if_busy(partial(_is_waiting, item)):
            waiting += _send(item)
            sleep(PACE if waiting else 0)


def _send(job: Job) -> list[Job]:
    """Try once. Returns the job if it is to be tried again, else nothing."""
    now = timezone.now()
    status = deliveries.attempt(job, now, deliveries.post)
    _retry_if_busy(partial(deliveries.save, job, now, status))
    is_done = deliveries.is_success(status) or job.attempts > len(deliveries.BACKOFF)
    return [] if is_done else [job]


def _is_waiting(job: Job) -> bool:
    # Gone with a test's clean-up, or delivered meanwhile by deliver_due.
    return SandboxDelivery.objects.filter(reference=job.reference, sent_at=None).exists()


def _retry_if_busy(action: Callable[[], T]) -> T:
    """Return the result of *action*, tried again for a while if the database is busy: SQLite locks whole tables."""
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
