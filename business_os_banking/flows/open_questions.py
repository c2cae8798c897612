"""What becomes of held successes that nobody answers for: one reminder, and an end."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from business_os_banking import conf
from business_os_banking.exceptions import let_through
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.held import bank_of, walk
from business_os_banking.facts.record import record
from business_os_banking.facts.report import held_reminder, refused_success
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.models import BankingConnection, ConnectionEvent, batches
from business_os_banking.vocabulary import HeldReason, Source

logger = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
_SO_MANY: Final = 5  # of one pair of banks within a day: no five people mean another bank at once


def settle_questions(now: datetime) -> tuple[int, int]:
    """Remind of questions that half their time is over for, and refuse what nobody has answered for in time.

    Return how many were reminded of and refused. Of another bank it stays a question: the old link works meanwhile.
    """
    time = timedelta(days=conf.settings.held_days)
    reminded = refused = 0
    for batch in batches.of_rows(_asked(now - time / 2).select_related("held_session")):
        for connection in batch:
            session = connection.held_session
            if session is None or connection.held_at is None:
                continue
            session.connection = connection
            try:
                if connection.held_at > now - time:
                    reminded += _is_new(record(held_reminder(session, now)))
                elif connection.held_reason != HeldReason.OTHER_BANK:
                    refused += _is_new(record(refused_success(session, "", Source.SWEEP, now)))
            except Exception as error:
                let_through(error)
                logger.exception("The question of connection %s could not be settled", connection.reference)
    return reminded, refused


def likely_same_banks(now: datetime) -> list[tuple[str, str]]:
    """Return pairs of bank codes of which five renewals or more were held within a day: one bank, it seems, renamed."""
    rows = BankingConnection.objects.filter(held_reason=HeldReason.OTHER_BANK, held_at__gte=now - _DAY)
    pairs: Counter[tuple[str, str]] = Counter()
    for batch in batches.of_rows(rows):
        for connection in batch:
            state = from_json(connection.state)
            successes = walk(state, is_same_bank)
            if successes.current and successes.question:
                old, new = bank_of(state, successes.current), bank_of(state, successes.question)
                pairs[(old.code or old.name, new.code or new.name)] += 1
    return sorted(pair for pair, count in pairs.items() if count >= _SO_MANY)


def _asked(before: datetime) -> QuerySet[BankingConnection]:
    return BankingConnection.objects.held().filter(held_at__lte=before)


def _is_new(event: ConnectionEvent) -> bool:
    return event.deliveries == 1
