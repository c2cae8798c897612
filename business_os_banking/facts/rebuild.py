"""State, made anew from the log. What is stored should equal it; where it does not, something wrote around the door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from business_os_banking.facts import lifecycle, removals
from business_os_banking.facts.encoding import from_json, to_json
from business_os_banking.facts.events import fact_of
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.rows import connection_columns, session_columns
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.facts.status import view_connection
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, batches
from business_os_banking.vocabulary import Kind, Outcome

_BATCH: Final = 200
_TIME: Final = re.compile(r"(T\d\d:\d\d:\d\d)(?:\.(\d{3})\d{3})?(?=\+00:00)")
# Whoever has this address can finish the session, and differences are printed.
_NOT_SHOWN: Final = {"connect_url"}
_SETTLED_OUTCOMES: Final = (Outcome.APPLIED, Outcome.NO_CHANGE, Outcome.ORPHANED)


@dataclass(frozen=True, slots=True)
class Difference:
    """One column that is not what the log says."""

    row: str  # "connection <reference>" or "session <reference>"
    column: str
    stored: Any
    rebuilt: Any

    def __str__(self) -> str:
        return f"{self.row}: {self.column} is {self.stored!r}, the log says {self.rebuilt!r}"


def rebuild(*, check: bool = False) -> Iterator[Difference]:
    """Yield every difference between what is stored and what the log says; mend it unless *check*.

    Each connection is looked at under its own lock, so it can run beside live traffic.
    """
    for pk in (pk for pks in batches.of_keys(BankingConnection.objects.all()) for pk in pks):
        with transaction.atomic():
            connection = BankingConnection.objects.select_for_update().filter(pk=pk).first()
            if connection is not None:
                yield from _rebuild_one(connection, check=check)


def state_from_log(connection: BankingConnection) -> State:
    """Return what the recorded facts of *connection* add up to, on top of its baseline.

    The baseline is what no event tells: columns of rows that a site imported, and what pruned events had said.
    """
    state = from_json(connection.baseline)
    own = ConnectionEvent.objects.filter(connection=connection, outcome__in=_SETTLED_OUTCOMES)
    for event in batches.each(own.select_related("session"), _BATCH):
        state |= lifecycle.evidence(fact_of(event))
    named = {link for attempt in state.attempts.values() for link in attempt.named}
    links = named | {link for link in state.links if not link.startswith("?")}
    if links:
        shared = ConnectionEvent.objects.filter(upstream_id__in=links, outcome__in=_SETTLED_OUTCOMES)
        others = shared.filter(account=connection.account).exclude(connection=connection)
        for event in batches.each(others.select_related("session"), _BATCH):
            asserted = lifecycle.evidence(fact_of(event)).links.get(event.upstream_id)
            state |= State(links={event.upstream_id: asserted} if asserted else {})
    banks = {link.told().get("provider_code", "") for link in state.links.values()} - {""}
    changes = ConnectionEvent.objects.filter(
        account=connection.account, kind=Kind.PROVIDER_CHANGED, provider_code__in=banks
    )
    for event in batches.each(changes, _BATCH):
        state |= lifecycle.evidence(fact_of(event))
    return state


def _rebuild_one(connection: BankingConnection, *, check: bool) -> Iterator[Difference]:
    if not connection.state and not ConnectionEvent.objects.filter(connection=connection).exists():
        return  # a row that a site imported, of which no fact has spoken: its columns are all there is
    state = state_from_log(connection)
    wanted = connection_columns(state, connection)
    pairs = {name: (getattr(connection, name), value) for name, value in wanted.items()}
    # The stored state is compared as a state: how its JSON is written may differ between versions.
    pairs["state"] = (_comparable(from_json(connection.state)), _comparable(state))
    yield from _differences(f"connection {connection.reference}", pairs)
    for session in ConnectSession.objects.filter(connection=connection).order_by("pk"):
        reference = str(session.reference)
        if reference not in state.attempts:
            continue
        columns = session_columns(state, reference)
        session_pairs = {name: (getattr(session, name), value) for name, value in columns.items()}
        yield from _differences(f"session {reference}", session_pairs)
        if not check and any(stored != value for stored, value in session_pairs.values()):
            ConnectSession.objects.filter(pk=session.pk).update(**columns)
    if not check and any(stored != value for stored, value in pairs.values()):
        BankingConnection.objects.filter(pk=connection.pk).update(**wanted, updated_at=timezone.now())
        removals.ask(connection, state, timezone.now())


def _comparable(state: State) -> dict[str, Any]:
    """Return *state* as JSON, of its banks the current one alone: it hears of another when it comes to be there."""
    code = view_connection(state, is_same_bank).details.get("provider_code", "")
    return to_json(replace(state, banks={key: bank for key, bank in state.banks.items() if key == code}))


def _are_same(stored: Any, value: Any) -> bool:
    """Whether two values are the same but for what a JSON fixture (``dumpdata``) cuts off: it keeps milliseconds."""
    return bool(stored == value or _to_milliseconds(stored) == _to_milliseconds(value))


def _to_milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, dict):
        return {key: _to_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_milliseconds(item) for item in value]
    return _TIME.sub(lambda time: f"{time[1]}.{time[2] or '000'}", value) if isinstance(value, str) else value


def _differences(row: str, pairs: dict[str, tuple[Any, Any]]) -> Iterator[Difference]:
    for column, (stored, value) in pairs.items():
        if not _are_same(stored, value):
            yield Difference(row, column, "(not shown)" if column in _NOT_SHOWN else stored, value)
