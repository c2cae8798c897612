"""The tables: when reconcile ran, when the last webhook came, what waits and what failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from business_os_banking import conf
from business_os_banking.doctor.findings import Finding, finding
from business_os_banking.flows import learning, silence
from business_os_banking.flows.reading import LONGEST_WAIT
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)
from business_os_banking.models.clocks import is_waiting, is_within
from business_os_banking.vocabulary import LIVING_STATUSES, Outcome

_RUN_TIMEOUT: Final = timedelta(minutes=30)  # five are right; a run may take some
_WEBHOOK_TIMEOUT: Final = timedelta(hours=1)
_RECENT: Final = timedelta(days=7)
_ANNOUNCE_TIMEOUT: Final = timedelta(minutes=15)
_MAX_COUNT: Final = 1_000  # nothing is counted further


def examine_records(alias: str, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the rows of the account *alias* as of *now* (aware, UTC)."""
    state = AccountState.objects.filter(alias=alias).first() or AccountState(alias=alias)
    yield from _reconcile(state, now)
    yield from _webhooks(state, now)
    yield from _reading(state, now)
    yield from _events(alias, now)
    working = BankingConnection.objects.filter(account=alias, status__in=LIVING_STATUSES, upstream_id="")
    if count := _count(working):
        yield finding(
            "ids-unknown", f"The provider's id of {count} connection(s) is not known.", account=alias
        )
    if count := _count(Removal.objects.filter(account=alias).stuck(now)):
        yield finding(
            "removals-stuck",
            f"{count} removal(s) at the provider are not proved after a week.",
            account=alias,
        )
    if count := _count(BankingConnection.objects.filter(account=alias).without_user()):
        yield finding(
            "users-deleted", f"{count} living connection(s) belong to nobody any more.", account=alias
        )


def figures_of(alias: str, now: datetime) -> dict[str, Any]:
    """Return the figures behind the examination, ready for JSON: times in ISO 8601 (UTC), ages in seconds."""
    state = AccountState.objects.filter(alias=alias).first() or AccountState(alias=alias)
    last = _last_webhook(alias)
    return {
        "last_webhook_at": last.isoformat() if last else None,
        "last_webhook_age": round((now - last).total_seconds()) if last else None,
        "reconciled_at": state.reconciled_at.isoformat() if state.reconciled_at else None,
        "read_at": state.read_at.isoformat() if state.read_at else None,
        "learnt": {name: state.learnt[name] for name in learning.SHOWN if name in state.learnt},
        "whole_reading_days": learning.days_of_a_whole_reading(state),
        "whole_reading_since": state.sweep_started_at.isoformat() if state.sweep_started_at else None,
        "credits": str(state.credits) if state.credits is not None else None,
        "events_failed": _count(_failed(alias)),
        "events_unmatched": _count(_unmatched(alias)),
        "events_untold": _count(_unannounced(alias, now)),
    }


def _reconcile(state: AccountState, now: datetime) -> Iterator[Finding]:
    if state.reconciled_at is None:
        what = "banking_reconcile has never run."
    elif not is_within(state.reconciled_at, now, _RUN_TIMEOUT):
        what = f"banking_reconcile has not run since {state.reconciled_at:%Y-%m-%d %H:%M} UTC."
    else:
        return
    yield finding("reconcile-stopped", what, account=state.alias)


def _webhooks(state: AccountState, now: datetime) -> Iterator[Finding]:
    alias = state.alias
    if state.silence:
        what = f"{silence.in_english(state.silence)}, since {state.silent_since:%Y-%m-%d %H:%M} UTC."
        yield finding("silence", what, account=alias, advice=silence.ADVICE.get(state.silence, ""))
        return
    if not silence.wants_webhooks(alias):
        if state.list_missing_at is not None:
            yield finding(
                "nothing-is-heard",
                "There is neither a webhook secret nor a connection list to read.",
                account=alias,
                variable=conf.variable_name(alias, "WEBHOOK_SECRETS"),
            )
        return
    last = _last_webhook(alias)
    returned = ConnectSession.objects.filter(
        connection__account=alias, returned_at__lt=now - _WEBHOOK_TIMEOUT
    )
    returned = returned.filter(returned_at__gt=last + _WEBHOOK_TIMEOUT) if last else returned
    if count := _count(returned):
        since = f"The last webhook came at {last:%Y-%m-%d %H:%M} UTC" if last else "No webhook has ever come"
        yield finding(
            "webhooks-quiet", f"{since}, and {count} session(s) came back from the bank since.", account=alias
        )


def _reading(state: AccountState, now: datetime) -> Iterator[Finding]:
    if state.paused_until is not None and is_waiting(state.paused_until, now, LONGEST_WAIT):
        what = f"Reading back is paused until {state.paused_until:%Y-%m-%d %H:%M} UTC, after trouble."
        yield finding("reading-paused", what, account=state.alias)
    if state.reads_on == now.date() and state.reads >= conf.settings.reads_per_day:
        yield finding("reads-used-up", "Today's budget for reads is used up.", account=state.alias)
    if state.credits is not None and state.credits <= 0:
        yield finding("credits-used-up", f"The credits left are {state.credits}.", account=state.alias)


def _events(alias: str, now: datetime) -> Iterator[Finding]:
    unmatched = _unmatched(alias).filter(received_at__gte=now - _RECENT)
    waiting, contradicting = unmatched.filter(note=""), unmatched.filter(note__gt="")
    unusable = ConnectionEvent.objects.filter(account=alias, outcome=Outcome.FAILED, note__gt="")
    for code, rows, clause in (
        ("events-failed", _failed(alias), "could not be applied"),
        ("events-unmatched", waiting, "of the last seven days match nothing"),
        ("events-contradict", contradicting, "of the last seven days contradict themselves or what is known"),
        (
            "events-unusable",
            unusable.filter(received_at__gte=now - _RECENT),
            "of the last seven days name a connection by an id that cannot be used",
        ),
        ("events-untold", _unannounced(alias, now), "have not been heard by every receiver"),
    ):
        if count := _count(rows):
            yield finding(code, f"{count} event(s) {clause}.", account=alias)


def _failed(alias: str) -> QuerySet[ConnectionEvent]:
    """Return what is applied again; what has no usable id never is."""
    return ConnectionEvent.objects.filter(account=alias, outcome=Outcome.FAILED, note="")


def _unmatched(alias: str) -> QuerySet[ConnectionEvent]:
    return ConnectionEvent.objects.unmatched().filter(account=alias)


def _unannounced(alias: str, now: datetime) -> QuerySet[ConnectionEvent]:
    return ConnectionEvent.objects.unannounced().filter(
        account=alias, received_at__lt=now - _ANNOUNCE_TIMEOUT
    )


def _last_webhook(alias: str) -> datetime | None:
    return (
        ConnectionEvent.objects.webhooks(alias).order_by("-pk").values_list("received_at", flat=True).first()
    )


def _count(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:_MAX_COUNT].count()
