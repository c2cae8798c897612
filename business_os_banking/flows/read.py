"""Reading back: what the upstream's list of connections says, as facts through the one door.

Needed, because whether webhooks ever come is not documented. Reads may cost credits, so they are counted against
a daily budget, and planned: sessions that wait come first, everything else once in a while.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_noop as _

from business_os_banking import conf
from business_os_banking.adapter import credentials_of
from business_os_banking.exceptions import BusinessOSError, NotFound, RateLimited
from business_os_banking.facts.interpret import report_of
from business_os_banking.facts.lookup import Name, known, names_of
from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, missed, seen
from business_os_banking.flows.by_id import due_by_id, read_by_id, settle
from business_os_banking.flows.reading import JITTER, LONGEST_WAIT, Reading, pause, take_from_budget
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    batches,
)
from business_os_banking.models.clocks import CLOCKS_DIFFER, is_due, is_waiting, is_within
from business_os_banking.upstream.client import BusinessOSClient
from business_os_banking.upstream.objects import ConnectionObject
from business_os_banking.vocabulary import ConnectionStatus, EndedBy, Kind

logger = logging.getLogger(__name__)

_BETWEEN_READINGS: Final = timedelta(hours=1)
# By hand: somebody waits for the answer, and each page may cost a credit.
_BETWEEN_ASKING: Final = timedelta(minutes=1)
_PAGES_BY_HAND: Final = 10
# A list that lacks more links than these is more likely the wrong list than a bad day.
_FEW, _SHARE = 2, 0.2


def read_account(alias: str, now: datetime, *, by_hand: bool = False) -> Reading:
    """Read the list of the account *alias*, if it is due, and record what it says; never raises for the upstream.

    *by_hand* an operator wants it now: then it is due once a minute, and no more than ten pages are read.
    """
    state, _new = AccountState.objects.get_or_create(alias=alias)
    reading = Reading()
    reading.reason, reading.about = _paused(state, now)
    if reading.reason:
        return reading
    if by_hand and not _may_ask(state, now):
        reading.reason = _("it was asked for less than a minute ago")
        return reading
    try:
        read_by_id(alias, state, reading, now)
        if _lacks_list(state, now):
            reading.reason = _("the upstream has no such list")
            return reading
        if not (by_hand or list_is_due(alias, now)):
            return reading
        _read_pages(alias, state, reading, now, most=_PAGES_BY_HAND if by_hand else None)
    except NotFound:
        _list_is_missing(alias, state, now)
        reading.reason = _("the upstream has no such list")
    except ImproperlyConfigured as error:
        reading.reason = str(error)
        reading.needs_a_person = True
    except BusinessOSError as error:
        pause(state, error, now)
        reading.reason = str(error)
        reading.needs_a_person = not isinstance(error, RateLimited) and error.status in {401, 402, 403}
    else:
        AccountState.objects.filter(pk=state.pk).update(
            troubles=0,
            paused_until=None,
            list_missing_at=None,
            **({"read_at": now, "list_wanted_at": None} if reading.complete else {}),
        )
        if reading.complete:
            _note_missing(alias, reading, now)
    return reading


def account_is_due(alias: str, now: datetime) -> bool:
    """Return whether anything of the account *alias* is to be read at *now*. Reads nothing upstream, writes nothing."""
    state = AccountState.objects.filter(alias=alias).first() or AccountState(alias=alias)
    return not _paused(state, now)[0] and (due_by_id(alias, now).exists() or list_is_due(alias, now))


def list_is_due(alias: str, now: datetime) -> bool:
    """Return whether the list of the account *alias* is to be read at *now*.

    It is where a session waits for news, or the last complete reading is ``READ_EVERY_HOURS`` old, and the list
    exists and no pause after trouble is on. Whether today's budget is used up is found when a page is asked for.
    """
    state = AccountState.objects.filter(alias=alias).first() or AccountState(alias=alias)
    if _paused(state, now)[0] or _lacks_list(state, now):
        return False
    if state.list_wanted_at is not None:
        return True
    if ConnectSession.objects.waiting().filter(connection__account=alias).exists():
        return True
    if not BankingConnection.objects.living().filter(account=alias).exclude(upstream_id="").exists():
        return False
    hours = conf.settings.read_every_hours * random.uniform(1 - JITTER, 1)  # noqa: S311 - spreads load
    return not is_within(state.read_at, now, timedelta(hours=hours))


def _lacks_list(state: AccountState, now: datetime) -> bool:
    """Whether the upstream has no list, as far as is known; it is tried again after a day."""
    return is_within(state.list_missing_at, now, timedelta(days=1))


def _paused(state: AccountState, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return why nothing must be read yet, whoever asks, with its parameters; ``""`` if it may be."""
    if state.paused_until is not None and is_waiting(state.paused_until, now, LONGEST_WAIT):
        time = f"{state.paused_until:%Y-%m-%d %H:%M}"
        return _("paused until %(time)s UTC after trouble"), {"time": time}
    return "", {}


def _may_ask(state: AccountState, now: datetime) -> bool:
    """Note that it is asked for by hand; return whether nobody has just done so. Safe with two at once."""
    long_ago = is_due("asked_at", now - _BETWEEN_ASKING, _BETWEEN_ASKING + CLOCKS_DIFFER)
    return bool(AccountState.objects.filter(long_ago, pk=state.pk).update(asked_at=now))


def _read_pages(
    alias: str, state: AccountState, reading: Reading, now: datetime, *, most: int | None = None
) -> None:
    client = BusinessOSClient(credentials_of(alias))
    from_id = ""
    followed: set[str] = set()
    while True:
        if not take_from_budget(state, now):
            reading.reason = _("today's budget for reads (READS_PER_DAY) is used up")
            return
        page = client.list_connections_page(from_id)
        reading.pages += 1
        if page.credits is not None:
            AccountState.objects.filter(pk=state.pk).update(credits=page.credits, credits_at=now)
        for start in range(0, len(page.rows), batches.SIZE):
            rows = page.rows[start : start + batches.SIZE]
            reading.facts += _record_rows(alias, rows, now)
            settle(alias, rows, reading, now)
        reading.seen.update(row.id for row in page.rows if row.id)
        if not page.next_id or page.next_id in followed:
            reading.complete = not page.next_id  # pages that lead in a circle are no whole list
            return
        if reading.pages == most:
            reading.reason = _("only the first %(count)d pages were read; banking_reconcile reads them all")
            reading.about = {"count": most}
            return
        from_id = page.next_id
        followed.add(from_id)


def _record_rows(alias: str, rows: Iterable[ConnectionObject], now: datetime) -> int:
    reports = {report.digest: report for row in rows if _says_something(report := report_of(row, alias, now))}
    recorded = set(ConnectionEvent.objects.filter(digest__in=list(reports)).values_list("digest", flat=True))
    facts = 0
    for report in _ours([report for digest, report in reports.items() if digest not in recorded]):
        try:
            record(report)
        except Exception:
            # Kept as failed, to be applied again; the rows after it must not suffer for it.
            logger.exception("Account %s: what the list says of a connection could not be applied", alias)
        else:
            facts += 1
    return facts


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
    return [report for report in reports if matchable & names[report.digest]]


def _note_missing(alias: str, reading: Reading, now: datetime) -> None:
    """Note which known links the list lacks. Two readings, an hour apart at least, that lack one say it is gone;
    and since it may have been the wrong list, one that has it again says that it is not."""
    known = BankingConnection.objects.filter(account=alias, connected_at__isnull=False).exclude(
        upstream_id=""
    )
    known = known.exclude(ended_by__in=(EndedBy.OWNER, EndedBy.OPERATOR))
    rows = list(
        known.only(
            "pk", "account", "reference", "upstream_id", "status", "missing_since", "removal_guessed_at"
        )
    )
    alive = [row for row in rows if row.status in {ConnectionStatus.ACTIVE, ConnectionStatus.INACTIVE}]
    lacking = [row for row in alive if row.upstream_id not in reading.seen]
    is_suspicious = len(lacking) > _FEW and len(lacking) > _SHARE * len(alive)
    if is_suspicious or (lacking and not reading.seen):
        reading.reason = _(
            "the list lacks connections that are known (%(count)d of them); is it the right key?"
        )
        reading.about = {"count": len(lacking)}
        reading.needs_a_person = True
        logger.error("Account %s: %s Nothing is concluded from it.", alias, reading.problem)
        return
    BankingConnection.objects.filter(
        pk__in=[row.pk for row in rows if row.upstream_id in reading.seen]
    ).exclude(missing_since=None, removal_guessed_at=None).update(missing_since=None, removal_guessed_at=None)
    for row in rows:
        if row.upstream_id in reading.seen and row.status == ConnectionStatus.DISCONNECTED:
            record(seen(row, now))
            reading.facts += 1
    for row in lacking:
        if row.removal_guessed_at is not None:
            # Somebody has said so before, if only by the look of it: the list bears it out.
            record(missed(row, now))
            reading.facts += 1
        elif row.missing_since is None:
            BankingConnection.objects.filter(pk=row.pk).update(missing_since=now)
        elif not is_within(row.missing_since, now, _BETWEEN_READINGS):
            record(missed(row, now))
            reading.facts += 1


def _list_is_missing(alias: str, state: AccountState, now: datetime) -> None:
    if state.list_missing_at is None:
        logger.warning(
            "Account %s: the upstream has no list of connections at CONNECTIONS_PATH, so nothing can be read back; "
            "webhooks alone will tell. Tried again once a day.",
            alias,
        )
    AccountState.objects.filter(pk=state.pk).update(list_missing_at=now, list_wanted_at=None)
