"""Reminding before a consent ends: once for each step, never for what was renewed or disconnected."""

from __future__ import annotations

from datetime import datetime, timedelta

from business_os_banking import conf
from business_os_banking.facts.record import record
from business_os_banking.facts.report import Report, expiring
from business_os_banking.models import BankingConnection, ConnectionEvent, batches


def remind(now: datetime) -> int:
    """Announce ``consent_expiring`` for each consent that has come to a step; return how many were announced.

    The steps are ``CONSENT_REMINDER_DAYS`` (14, 7 and 1) before the end. A step that was missed is not made up
    for: only the latest one that has come counts. The event that each leaves in the log is what makes it happen
    once, even with two jobs at the same time.
    """
    due = BankingConnection.objects.active().filter(
        consent_expires_at__gt=now,
        consent_expires_at__lte=now + timedelta(days=max(conf.settings.consent_reminder_days, default=0)),
    )
    count = 0
    for batch in batches.of_rows(due.only("pk", "account", "reference", "consent_expires_at")):
        reports = {report.digest: report for row in batch if (report := _report(row, now))}
        recorded = ConnectionEvent.objects.filter(digest__in=list(reports)).values_list("digest", flat=True)
        for digest in set(reports) - set(recorded):
            count += record(reports[digest]).deliveries == 1
    return count


def _report(connection: BankingConnection, now: datetime) -> Report | None:
    assert connection.consent_expires_at is not None  # noqa: S101 - the query asked for those that have one
    left = connection.consent_expires_at - now
    steps = [days for days in conf.settings.consent_reminder_days if left <= timedelta(days=days)]
    if not steps:
        return None
    return expiring(connection, min(steps), now)
