"""Remove: a step at the provider that is tracked, from the request until something proves that it was done."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotFound,
    NotReachable,
    OutOfCredits,
    RateLimited,
    Refused,
)
from business_os_banking.facts.record import record
from business_os_banking.facts.removals import links_to_remove
from business_os_banking.facts.report import removed
from business_os_banking.facts.retries import retried
from business_os_banking.facts.rows import state_of
from business_os_banking.facts.unneeded import is_removed
from business_os_banking.flows import learning
from business_os_banking.flows.learning import keys_of
from business_os_banking.models import BankingConnection, ConnectSession, Removal, RemovalQuerySet, batches
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due
from business_os_banking.models.leases import is_free, take
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.vocabulary import ENDED_HERE, Evidence

logger = logging.getLogger(__name__)

_LEASE: Final = timedelta(seconds=90)  # longer than a call takes
_AGAIN: Final = timedelta(minutes=10)  # after a 2xx that proves nothing
_LONGEST_WAIT: Final = timedelta(hours=24)
_BETWEEN_READINGS: Final = timedelta(hours=1)
# Nothing was sent, or it was refused: whatever the list shows afterwards, our request is no part of it.
_NOTHING_DONE: Final = (
    ImproperlyConfigured,
    InvalidRequest,
    NotReachable,
    OutOfCredits,
    RateLimited,
    Refused,
)


class _Answer(NamedTuple):
    """What the provider answered. ``may_be_done`` is whether it may have carried it out, ``says_done`` whether it looks
    as if it had; ``why`` it is no proof is for the log."""

    is_proof: bool
    may_be_done: bool
    says_done: bool = False
    why: str = ""


def due_removals(now: datetime) -> RemovalQuerySet:
    """Return the removals that are to be tried at *now*, or looked at again, the longest waiting first."""
    is_to_be_tried = is_due("next_at", now, _LONGEST_WAIT + CLOCKS_DIFFER)
    rows = Removal.objects.unsettled().filter(is_to_be_tried, is_free(now))
    return rows.order_by(F("next_at").asc(nulls_first=True), "pk")


def remove_upstream(connection: BankingConnection) -> bool:
    """Remove at the provider what *connection* no longer needs; return whether there is nothing left to do."""
    removals = connection.removals.all().unsettled().order_by("pk")
    results = [remove(removal) for removal in removals]
    return False not in results


def remove(removal: Removal, now: datetime | None = None) -> bool | None:
    """Have one upstream connection removed; return whether that is proved now, `None` if it is not to be asked for.

    Raises nothing that a call may raise: what failed is logged, and tried again later.
    """
    now = now or timezone.now()
    row = retried(_claim, removal, now)
    if row is None:
        return None
    try:
        answer = _ask(row)
    except Exception:
        _postpone(row, now, _Answer(is_proof=False, may_be_done=True))
        raise
    if answer.is_proof:
        settle(row, Evidence.SAID, now)
        return True
    logger.warning("%s of %s is not proved yet: %s", row, _whose(row), answer.why)
    _postpone(row, now, answer)
    return False


def settle(removal: Removal, evidence: Evidence, now: datetime, reason: str = "") -> bool:
    """Note what proves *removal*, and tell its connection, if that still exists; return whether it was noted.

    Only the provider's own word settles it while a living connection stands on the link: that one would end with it.
    """
    return retried(_settle, removal, evidence, now, reason)


def _settle(removal: Removal, evidence: Evidence, now: datetime, reason: str) -> bool:
    with transaction.atomic():
        if evidence is not Evidence.SAID and _is_in_use(removal):
            return False
        connection = BankingConnection.objects.filter(pk=removal.connection_id or 0).first()
        if connection is not None:
            # It locks whoever shares the link, in order.
            record(removed(connection, removal.upstream_id, now, removal.requested_at))
            # Somebody may have erased it while that waited for its lock.
            connection = BankingConnection.objects.select_for_update().filter(pk=connection.pk).first()
        Removal.objects.filter(pk=removal.pk, settled_at=None).update(
            evidence=evidence.value, reason=reason, settled_at=now, left_at=None, leased_until=None
        )
        if connection is None:
            learning.forget_in_list(removal.account, {removal.upstream_id})
            Removal.objects.filter(pk=removal.pk).update(upstream_id="")
    return True


def note_unlisted(alias: str, keys: set[str], started: datetime, now: datetime) -> None:
    """Settle the removals of *alias* that two whole readings lacked, an hour apart, after they were asked for.

    *keys* are the digests of the key that read, and *started* is when the reading began that has just ended.
    """
    lacking = Removal.objects.due().filter(account=alias, asked_at__lt=started)
    for removal in batches.each(lacking):
        is_shown = removal.shown_at is not None and removal.shown_at >= started
        if keys.isdisjoint(removal.known_to) or is_shown:
            continue
        if removal.unlisted_at is None or removal.unlisted_at > now:
            Removal.objects.filter(pk=removal.pk).update(unlisted_at=started)
        elif started - removal.unlisted_at >= _BETWEEN_READINGS:
            settle(removal, Evidence.UNLISTED, now)


def _claim(removal: Removal, now: datetime) -> Removal | None:
    """Return *removal* for this worker alone, as it is now; `None` if it is not to be asked for.

    The connection and who else stands on the link are read again under their lock: since the removal was asked for,
    its link may have become current.
    """
    with transaction.atomic():
        connection = _locked_connection(removal)
        row = next(iter(take(Removal.objects.filter(pk=removal.pk, settled_at=None), 1, _LEASE, now)), None)
        if row is None:
            return None
        row.connection = connection
        this = Removal.objects.filter(pk=row.pk)
        if _is_in_use(row):
            # Looked at again each day: it is no failure, and counts as no try.
            this.update(left_at=row.left_at or now, next_at=now + _LONGEST_WAIT, tries=0, leased_until=None)
            return None
        if connection is not None and not _is_wanted(row, connection, now):
            this.update(leased_until=None)
            return None
        if row.left_at is not None:
            this.update(left_at=None, requested_at=now)
        return row


def _locked_connection(removal: Removal) -> BankingConnection | None:
    if removal.connection_id is None:
        return None
    return BankingConnection.objects.select_for_update().filter(pk=removal.connection_id).first()


def _is_in_use(row: Removal) -> bool:
    """Whether anybody stands on the link, whoever it is, or is at the bank with it: removing it would cut them off."""
    # One that the provider's word has ended may come back, unless our own removal has.
    standing = BankingConnection.objects.filter(account=row.account, upstream_id=row.upstream_id)
    for connection in standing.exclude(ended_by__in=ENDED_HERE):
        link = state_of(connection).links.get(row.upstream_id)
        if link is None or not is_removed(link):
            return True
    held = BankingConnection.objects.held().filter(account=row.account, held_link=row.upstream_id)
    if held.exists():
        return True
    named = Q(upstream_id=row.upstream_id) | Q(links__upstream_id=row.upstream_id)
    waiting = ConnectSession.objects.waiting().filter(named, connection__account=row.account)
    return waiting.exclude(connection__ended_by__in=ENDED_HERE).exists()


def _is_wanted(row: Removal, connection: BankingConnection, now: datetime) -> bool:
    """Whether the state of *connection* still wants it removed. If nothing does any more, the row goes."""
    state = state_of(connection)
    link = state.links.get(row.upstream_id)
    if link is not None and link.last_removed_at is not None and is_removed(link):
        _settle(row, Evidence.SAID, link.last_removed_at, "")  # somebody was killed between the two
        return False
    links = links_to_remove(state)
    if row.upstream_id not in links:
        _hand_over(row, connection)
        return False
    not_before = links[row.upstream_id]
    if not_before is not None and not_before > now:
        Removal.objects.filter(pk=row.pk).update(next_at=min(not_before, now + _LONGEST_WAIT))
        return False
    return True


def _hand_over(row: Removal, connection: BankingConnection) -> None:
    """Let another ended connection that has had the link ask for its removal instead; without one, nobody does."""
    named = Q(sessions__upstream_id=row.upstream_id) | Q(sessions__links__upstream_id=row.upstream_id)
    ended = BankingConnection.objects.filter(account=row.account, ended_by__in=ENDED_HERE)
    other = (
        ended.filter(named | Q(upstream_id=row.upstream_id)).exclude(pk=connection.pk).order_by("pk").first()
    )
    if other is None:
        row.delete()
    else:
        Removal.objects.filter(pk=row.pk).update(connection=other, next_at=None)


def _ask(row: Removal) -> _Answer:
    try:
        account = credentials_of(row.account, row.connection)
        if BusinessOSClient(account).delete_connection(row.upstream_id):
            return _Answer(is_proof=True, may_be_done=True)
        why = "the answer does not say that it was removed"
        return _Answer(is_proof=False, may_be_done=True, says_done=True, why=why)
    except NotFound as error:
        # 405 tells of the path. 404 and 410 are no proof from a proxy, nor where the key never saw it.
        is_said = error.from_api and error.status != HTTPStatus.METHOD_NOT_ALLOWED
        if is_said and not keys_of(account).isdisjoint(row.known_to):
            return _Answer(is_proof=True, may_be_done=True)
        return _Answer(is_proof=False, may_be_done=is_said, says_done=is_said, why=str(error))
    except _NOTHING_DONE as error:
        return _Answer(is_proof=False, may_be_done=False, why=str(error))
    except BusinessOSError as error:
        return _Answer(is_proof=False, may_be_done=True, why=str(error))


def _postpone(row: Removal, now: datetime, answer: _Answer) -> None:
    wait = min(timedelta(minutes=2 ** min(row.tries, 16)), _LONGEST_WAIT)
    if answer.says_done:
        wait = max(wait, _AGAIN)
    asked_at = row.asked_at or (now if answer.may_be_done else None)
    Removal.objects.filter(pk=row.pk).update(
        tries=row.tries + 1, next_at=now + wait, leased_until=None, asked_at=asked_at
    )


def _whose(row: Removal) -> str:
    return f"connection {row.connection.reference}" if row.connection else "an erased connection"
