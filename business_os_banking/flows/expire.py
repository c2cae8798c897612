"""Sessions that ran out without a word: many at a time, since they come in crowds after an outage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.db import transaction

from business_os_banking import lifecycle, reports
from business_os_banking.flows import announce, columns, log, merging
from business_os_banking.models import ConnectionEvent, ConnectSession
from business_os_banking.projection import view_session
from business_os_banking.reports import Report
from business_os_banking.vocabulary import Outcome, SessionStatus


def expire(sessions: Sequence[ConnectSession], grace: timedelta) -> int:
    """Record that these sessions ran out, at their end plus *grace*, in one transaction; return how many did.

    Part of the door, for many facts that change one session each. One that has been heard of meanwhile is
    left alone, and so is one that a second job has expired at the same time.
    """
    with transaction.atomic():
        roots = {root.pk: root for root in merging.lock({session.connection_pk for session in sessions})}
        events = []
        for session in sessions:
            root = roots.get(session.connection_pk)
            if root is None or session.expires_at is None:
                continue
            old = columns.state_of(root)
            if str(session.reference) not in old.attempts:
                old |= columns.state_of_session(session)
            if view_session(old, str(session.reference)).status not in {
                SessionStatus.CREATED,
                SessionStatus.OPEN,
            }:
                continue
            report = reports.expired(session, session.expires_at + grace)
            new = lifecycle.merge(old, report.fact(str(session.reference)))
            due = merging.save(root, old, new, session=session.pk, named=str(session.reference))
            root.state = lifecycle.to_json(new)
            events.append(_event(report, session, due))
        ConnectionEvent.objects.bulk_create(events)
        for event in events:
            if event.announced_at is None:
                transaction.on_commit(partial(announce.announce, event), robust=True)
    return len(events)


def _event(report: Report, session: ConnectSession, due: list[announce.Announcement]) -> ConnectionEvent:
    event = log.to_event(report)
    event.connection_pk, event.session_id = session.connection_pk, session.pk
    event.outcome = Outcome.APPLIED.value
    merging.set_announcements(event, due)
    return event
