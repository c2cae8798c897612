"""One page of the list: asked for, and used for everything that is on it, whoever has paid for it.

Its rows become facts dated at the start of the request, and all of it is committed before the next page is asked for,
so whoever is killed resumes there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from business_os_banking.exceptions import InvalidRequest, NotFound, let_through
from business_os_banking.facts.interpret import report_of
from business_os_banking.facts.lookup import Name, known, names_of
from business_os_banking.facts.record import record
from business_os_banking.facts.removals import is_of_the_erased, names_of_the_erased
from business_os_banking.facts.report import Report, digest_of, seen
from business_os_banking.flows import learning
from business_os_banking.flows.budget import Share
from business_os_banking.flows.reading import Reading
from business_os_banking.flows.settling import settle
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, Removal, batches
from business_os_banking.upstream.objects import ConnectionObject
from business_os_banking.vocabulary import ENDED_HERE, LIVING_STATUSES, ConnectionStatus, Kind

logger = logging.getLogger(__name__)

_ANCHORS: Final = 8
_NO_SUCH_START: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_AT_ODDS: Final = {
    Kind.SUCCEEDED: ConnectionStatus.INACTIVE,
    Kind.FAILED: ConnectionStatus.ACTIVE,
    Kind.CONSENT_ENDED: ConnectionStatus.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page came to. ``living`` is how many living connections of ours are on it.

    ``begins_again`` is whether it is the beginning of the list, although another place was asked for;
    ``shows_seen`` is whether it has a row of ours that had been seen before.
    """

    start: str
    next_id: str
    ids: frozenset[str]
    living: int
    begins_again: bool
    shows_seen: bool


def read_page(
    alias: str,
    state: AccountState,
    reading: Reading,
    share: Share,
    start: str = "",
    not_before: datetime | None = None,
) -> Page | None:
    """Read the page at *start* and use all that is on it; ``None`` where the list has no such place.

    Facts are dated *not_before* a moment, should a clock have been set back since. Raises `Exhausted`,
    `BusinessOSError`, and of these `NotFound` only where there is no list at all.
    """
    client = reading.client(alias)
    reading.spend(state, share)
    at = max(reading.moment(), not_before or reading.now)
    try:
        page = client.list_connections_page(start)
    except (NotFound, InvalidRequest) as error:
        if not start or (isinstance(error, InvalidRequest) and error.status not in _NO_SUCH_START):
            raise
        return None
    reading.pages += 1
    _note_answer(state, page.credits, at)
    first, known_first = next((row.id for row in page.rows if row.id), ""), state.first_id
    ids = frozenset(row.id for row in page.rows if row.id)
    shows_seen, living = False, 0
    for begin in range(0, len(page.rows), batches.SIZE):
        rows = page.rows[begin : begin + batches.SIZE]
        reading.facts += _record_rows(alias, rows, at)
        settle(alias, rows, reading, at)
        alive, some_seen = mark_seen(alias, [row.id for row in rows if row.id], reading, at)
        living, shows_seen = living + alive, shows_seen or some_seen
    learning.note_order(state, page.rows, at)
    if not start:
        store(state, first_id=learning.digest_of(first) if first else "")
    begins_again = bool(start and first) and learning.digest_of(first) == known_first and start != first
    return Page(start, page.next_id, ids, living, begins_again, shows_seen)


def mark_seen(alias: str, ids: Sequence[str], reading: Reading, at: datetime) -> tuple[int, bool]:
    """Note that the upstream has the links *ids*; what was called gone without our doing is there after all.

    Returns how many living ones are ours, and whether one of them had been seen before.
    """
    key = learning.key_of(reading.client(alias).account)
    for removal in Removal.objects.unsettled().filter(account=alias, upstream_id__in=ids):
        known_to = sorted({*removal.known_to, key})
        Removal.objects.filter(pk=removal.pk).update(shown_at=at, unlisted_at=None, known_to=known_to)
    ours = BankingConnection.objects.filter(account=alias, upstream_id__in=ids)
    columns = ("pk", "account", "reference", "upstream_id", "status", "ended_by", "seen_at")
    rows = list(ours.only(*columns))
    if not rows:
        return 0, False
    for row in rows:
        if row.status == ConnectionStatus.DISCONNECTED and row.ended_by not in ENDED_HERE:
            reading.facts += record_safely(seen(row, at))
    # By what they are now: a row may have got another link since.
    ours.update(seen_at=at, seen_by=key)
    ours.filter(Q(missing_since__isnull=False) | Q(removal_guessed_at__lte=at)).update(
        missing_since=None, removal_guessed_at=None
    )
    return sum(row.status in LIVING_STATUSES for row in rows), any(row.seen_at for row in rows)


def record_safely(report: Report) -> int:
    """Record *report*; return 1, or 0 if it could not be applied: the rows after it must not suffer for it."""
    try:
        record(report)
    except Exception as error:
        let_through(error)
        # Kept as failed, to be applied again.
        logger.exception(
            "Account %s: what the list says of a connection could not be applied", report.account
        )
        return 0
    return 1


def push_anchor(state: AccountState, *starts: str) -> None:
    """Keep where the last pages of the list begin."""
    with transaction.atomic():
        # As they are now: one of them may have been forgotten since this reading began.
        kept = AccountState.objects.select_for_update().get(pk=state.pk).anchors
        new = [start for start in starts if not is_of_the_erased(state.alias, start)]
        anchors = ([anchor for anchor in kept if anchor not in new] + new)[-_ANCHORS:]
        if anchors != kept:
            store(state, anchors=anchors)


def store(state: AccountState, **values: Any) -> None:
    """Write *values* into the row of *state*, and into *state*."""
    AccountState.objects.filter(pk=state.pk).update(**values)
    for name, value in values.items():
        setattr(state, name, value)


def _note_answer(state: AccountState, credits_left: Any, at: datetime) -> None:
    if credits_left is not None:
        store(state, credits=credits_left, credits_at=at)
    if state.list_missing_at is not None:
        logger.warning("Account %s: the upstream has a list of connections again", state.alias)
        store(state, list_missing_at=None)


def _record_rows(alias: str, rows: Sequence[ConnectionObject], at: datetime) -> int:
    reports = {report.digest: report for row in rows if _says_something(report := report_of(row, alias, at))}
    recorded = set(ConnectionEvent.objects.filter(digest__in=list(reports)).values_list("digest", flat=True))
    new = [report for digest, report in reports.items() if digest not in recorded]
    new += _so_again(alias, [report for digest, report in reports.items() if digest in recorded])
    return sum(record_safely(report) for report in _ours(new))


def _so_again(alias: str, reports: Sequence[Report]) -> list[Report]:
    """Return those of *reports*, all recorded before, that tell no time and are at odds with how their links stand.

    Without a time, what the list shows is so when it is read. Only what would change something is a new fact: else each
    reading would leave an event for each row.
    """
    timeless = {report.fact.link: report for report in reports if report.fact.at == report.received_at}
    rows = BankingConnection.objects.filter(account=alias, upstream_id__in=timeless)
    again = []
    for link, status in rows.values_list("upstream_id", "status"):
        report = timeless[link]
        if _AT_ODDS.get(report.fact.kind) == status and not report.fact.link_works:
            again.append(replace(report, digest=digest_of(report.digest, report.received_at.isoformat())))
    return again


def _says_something(report: Report) -> bool:
    return report.fact.kind is not Kind.UNKNOWN


def _ours(reports: list[Report]) -> list[Report]:
    """Leave out what concerns nobody here: the key may belong to an organisation with other systems."""
    names: dict[str, set[Name]] = {}
    for report in reports:
        # By its link as well where it names a session: if that is unknown, the event waits for it.
        by_link: set[Name] = {("link", report.account, report.fact.link)} if report.fact.link else set()
        names[report.digest] = names_of(report) | by_link
    matchable = known({name for some in names.values() for name in some})
    matchable |= names_of_the_erased({name for some in names.values() for name in some} - matchable)
    return [report for report in reports if matchable & names[report.digest]]
