"""What becomes of held successes that nobody answers for: one reminder, and an end."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from business_os_banking import conf
from business_os_banking.exceptions import let_through
from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.held import bank_of, walk
from business_os_banking.facts.record import record
from business_os_banking.facts.report import held_reminder
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.flows.answer import look_again, refuse_in_silence
from business_os_banking.models import BankingConnection, batches
from business_os_banking.models.clocks import is_past
from business_os_banking.vocabulary import HeldReason

logger = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
_SO_MANY: Final = 5  # of one pair of banks within a day: no five people mean another bank at once


def settle_questions(now: datetime) -> tuple[int, int]:
    """Remind of questions that half their time is over for, and refuse what nobody has answered in time.

    Return how many were reminded of and refused. Of another bank it stays a question, unless the site has learnt since
    that it is the same one: the old link works meanwhile.
    """
    time = timedelta(days=conf.settings.held_days)
    reminded = refused = 0
    for batch in batches.of_rows(
        BankingConnection.objects.filter(held_at__isnull=False).select_related("held_session")
    ):
        for connection in batch:
            try:
                reminded += _remind(connection, now, time / 2)
                if is_past(connection.held_at, now - time):
                    refused += refuse_in_silence(connection)
                elif connection.held_reason == HeldReason.OTHER_BANK:
                    look_again(connection)
            except Exception as error:
                let_through(error)
                logger.exception("The question of connection %s could not be settled", connection.reference)
    return reminded, refused


def _remind(connection: BankingConnection, now: datetime, after: timedelta) -> int:
    session = connection.held_session
    if session is None or not connection.held_reason or not is_past(connection.held_at, now - after):
        return 0
    session.connection = connection
    return int(record(held_reminder(session, now)).deliveries == 1)


def likely_same_banks(now: datetime) -> list[tuple[str, str]]:
    """Return pairs of bank codes of which five renewals or more were held within a day: one bank, it seems, renamed."""
    rows = BankingConnection.objects.filter(held_reason=HeldReason.OTHER_BANK, held_at__gte=now - _DAY)
    pairs: Counter[tuple[str, str]] = Counter()
    for batch in batches.of_rows(rows):
        for connection in batch:
            state = from_json(connection.state)
            successes = walk(state, is_same_bank)
            if successes.current and successes.question:
                old = bank_of(state, successes.current)
                new = bank_of(state, successes.question.success)
                pairs[(old.code or old.name, new.code or new.name)] += 1
    return sorted(pair for pair, count in pairs.items() if count >= _SO_MANY)
