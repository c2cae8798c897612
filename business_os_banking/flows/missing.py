"""What a whole reading of the list did not show: gone, or not concluded, because it may have been the wrong list."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_noop as _

from business_os_banking.facts.report import missed
from business_os_banking.flows import learning
from business_os_banking.flows.pages import record_safely
from business_os_banking.flows.reading import Reading
from business_os_banking.flows.remove import note_unlisted
from business_os_banking.models import AccountState, BankingConnection, batches
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_within
from business_os_banking.vocabulary import LIVING_STATUSES

logger = logging.getLogger(__name__)

_BETWEEN_READINGS: Final = timedelta(hours=1)
# A list that lacks more links than these is more likely the wrong list than a bad day.
_FEW, _SHARE = 2, 0.2


def note_missing(
    alias: str, state: AccountState, reading: Reading, started: datetime, *, pages: int, seen: int
) -> None:
    """Note which links of ours a whole reading lacked that *started* then, took *pages* and *seen* of ours.

    Two readings, an hour apart at least, that lack one say it is gone. What was linked since the reading began has
    never been seen, and is not missing.
    """
    known = BankingConnection.objects.filter(account=alias, status__in=LIVING_STATUSES, upstream_id__gt="")
    # What a wrong clock wrote that lies ahead has not been seen.
    lacking = known.filter(Q(seen_at__lt=started) | Q(seen_at__gt=reading.moment() + CLOCKS_DIFFER))
    count = lacking.count()
    key = learning.key_of(reading.client(alias).account)
    is_another_key = learning.known(state, "key", started) not in {None, key}
    is_suspicious = is_another_key or _lacks_many(count, known) or _is_mixed(state, pages, started)
    if seen:
        learning.learn(state, "key", key, reading.moment())
    if not is_suspicious and (seen or not count):
        note_unlisted(alias, learning.keys_of(reading.client(alias).account), started, reading.moment())
    if not count:
        return
    if is_suspicious or not seen:
        reading.tell(
            _("the list lacks connections that are known (%(count)d of them); is it the right key?"),
            person=True,
            count=count,
        )
        logger.error("Account %s: %s Nothing is concluded from it.", alias, reading.problem)
        if not is_suspicious:
            _ask_for_each(lacking, started)
        return
    for batch in batches.of_rows(
        lacking.only("pk", "account", "reference", "upstream_id", "missing_since", "removal_guessed_at")
    ):
        for row in batch:
            _miss(row, reading, started)


def _lacks_many(count: int, known: QuerySet[BankingConnection]) -> bool:
    return count > _FEW and count > _SHARE * known.filter(seen_at__isnull=False).count()


def _is_mixed(state: AccountState, pages: int, started: datetime) -> bool:
    """Whether rows may have moved from a page that was still to come to one that had been read."""
    return pages > 1 and learning.known(state, "order", started) == "mixed"


def _ask_for_each(lacking: QuerySet[BankingConnection], started: datetime) -> None:
    """Have the links of a site with one or two read by their ids: it has no others to tell the right list by."""
    pks = list(lacking.values_list("pk", flat=True)[: _FEW + 1])
    rows = BankingConnection.objects.filter(pk__in=pks)
    rows.filter(missing_since=None).update(missing_since=started)
    rows.filter(removal_guessed_at=None).update(read_due_at=started)


def _miss(row: BankingConnection, reading: Reading, started: datetime) -> None:
    # Somebody has said so before, if only by the look of it: the list bears it out.
    is_borne_out = row.removal_guessed_at is not None
    if row.missing_since is None and not is_borne_out:
        BankingConnection.objects.filter(pk=row.pk).update(missing_since=started)
    elif is_borne_out or not is_within(row.missing_since, started, _BETWEEN_READINGS):
        # As of when it began: what is heard of the link since is the later word.
        reading.facts += record_safely(missed(row, started))
