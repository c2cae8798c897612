"""Explain: the timeline of a connection, one line a fact, in words that support can read out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from business_os_banking.facts import notes
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, batches
from business_os_banking.vocabulary import Outcome


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. ``at`` is when it happened, ``received_at`` when we heard of it (UTC)."""

    at: datetime
    received_at: datetime
    event: int
    source: str
    text: str
    effect: str
    session: str


def find(reference: UUID) -> BankingConnection | None:
    """Return the connection that *reference*, its own or that of one of its sessions, names."""
    connection = BankingConnection.objects.filter(reference=reference).first()
    if connection is not None:
        return connection
    session = ConnectSession.objects.filter(reference=reference).select_related("connection").first()
    return session.connection if session else None


def explain(connection: BankingConnection) -> Iterator[Entry]:
    """Yield what happened to *connection*, oldest first: every event of its own, of its links, and of its bank."""
    events, after = _events(connection).order_by("occurred_at", "pk"), Q()
    # By pages, since behind a pooler a cursor of the server's does not outlive its transaction.
    while page := list(events.filter(after)[: batches.SIZE]):
        yield from map(_entry, page)
        last = page[-1]
        after = Q(occurred_at__gt=last.occurred_at) | Q(occurred_at=last.occurred_at, pk__gt=last.pk)


def latest(connection: BankingConnection, most: int) -> list[Entry]:
    """Return the *most* latest entries of the same timeline, newest first, and no more."""
    return [_entry(event) for event in _events(connection).order_by("-occurred_at", "-pk")[:most]]


def _events(connection: BankingConnection) -> QuerySet[ConnectionEvent]:
    named = connection.sessions.values_list("upstream_id", "links__upstream_id")
    links = {link for pair in named for link in pair if link} | {connection.upstream_id}
    elsewhere = Q(upstream_id__in=links - {""})
    if connection.provider_code:
        elsewhere |= Q(provider_code=connection.provider_code)
    # What contradicts itself, or has no usable id, is filed under nothing.
    tokens = connection.sessions.exclude(pending_token=None).values("pending_token")
    elsewhere |= Q(note__gt="", pending_token__in=tokens)
    about = Q(connection=connection) | (elsewhere & Q(account=connection.account))
    return ConnectionEvent.objects.filter(about).select_related("session")


def _entry(event: ConnectionEvent) -> Entry:
    return Entry(
        at=event.occurred_at,
        received_at=event.received_at,
        event=event.pk,
        source=event.get_source_display(),
        text=_text(event),
        effect=_effect(event),
        session=str(event.session.reference) if event.session else "",
    )


def _text(event: ConnectionEvent) -> str:
    said = (event.assertions.get("reason", ""), event.payload.get("why", ""))
    words = [event.stage, event.error_class, *map(str, said)]
    extra = ", ".join(word for word in words if word)
    kind = str(event.get_kind_display())
    return f"{kind} ({extra})" if extra else kind


def _effect(event: ConnectionEvent) -> str:
    signals = [item["signal"] for item in event.announcements]
    due = [name for name in signals if name not in {"event_recorded", "event_unmatched"}]
    parts = [event.effect]
    if event.note:
        parts.append(notes.in_words(event.note))
    if event.by_hand:
        parts.append(_("matched by hand"))
    if due:
        parts.append(", ".join(due))
    if event.outcome == Outcome.NO_CHANGE and event.deliveries == 1 and not event.note:
        parts.append(_("what it says was known, or is outdone by something later"))
    if event.deliveries > 1:
        parts.append(_("received %(count)d times") % {"count": event.deliveries})
    if event.announced_at is None:
        parts.append(_("not heard by every receiver yet"))
    return "; ".join(parts)
