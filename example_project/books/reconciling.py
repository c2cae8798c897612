"""The demo's stand-in for cron: `banking_reconcile` beside the server, in a thread of the same process.

A real site has cron or a queue for it. A demo has neither, and without it nobody would learn what webhooks do not say:
the names of the banks, and the success at a bank that sends no webhook.
"""

import logging
import threading
from time import sleep
from typing import Any

from django.conf import settings
from django.db import connections

from business_os_banking.tasks import banking_reconcile

logger = logging.getLogger(__name__)

THREAD = "demo-banking-reconcile"


def start() -> None:
    """Run it every RECONCILE_SECONDS from now on, for as long as the process lives."""
    # A daemon, so that Ctrl-C ends the server at once. A run may be killed at any moment: the next one goes on.
    threading.Thread(target=_run_for_ever, name=THREAD, daemon=True).start()


def _run_for_ever() -> None:
    logger.info("banking_reconcile runs by itself here, every %g seconds.", settings.RECONCILE_SECONDS)
    known: list[str] = []
    while True:
        known = run(known)
        sleep(settings.RECONCILE_SECONDS)


def run(known: list[str]) -> list[str]:
    """Run it once and log what it did. Returns its problems; those in *known* have been logged before."""
    try:
        result = banking_reconcile()
    except Exception:
        # As under cron: a run that failed does not keep the next one from starting.
        logger.exception("banking_reconcile failed")
        return known
    finally:
        # Opened by this thread, which no request ends for.
        connections.close_all()
    if done := _in_words(result):
        logger.info("banking_reconcile: %s", done)
    problems: list[str] = result["problems"]
    for problem in problems:
        if problem not in known:
            logger.warning("banking_reconcile: %s", problem)
    return problems


def _in_words(result: dict[str, Any]) -> str:
    """Return what was done, of each how much; empty if it was nothing."""
    counts = {name: value for name, value in result.items() if type(value) is int and value}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items())
