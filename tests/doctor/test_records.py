"""What the tables tell: each fault is named."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from business_os_banking.flows.silence import ADVICE
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent, ConnectSession
from tests.deeds import to_be_removed


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def event(**values: Any) -> ConnectionEvent:
    received = values.pop("received_at", timezone.now())
    return ConnectionEvent.objects.create(
        **{
            "source": "webhook",
            "kind": "succeeded",
            "digest": uuid.uuid4().hex,
            "outcome": "applied",
            "occurred_at": received,
            "received_at": received,
            "announced_at": timezone.now(),
            **values,
        }
    )


def comes_back(when: datetime) -> ConnectSession:
    return ConnectSession.objects.create(connection=BankingConnection.objects.create(), returned_at=when)


def state(**values: Any) -> None:
    AccountState.objects.update(**values)


def listless(settings: Any) -> None:
    state(list_missing_at=timezone.now())
    account = settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, "WEBHOOK_SECRETS": []}}}


def connection() -> BankingConnection:
    return BankingConnection.objects.create(status="disconnected")


FAULTS: dict[str, Any] = {
    "reconcile-stopped": lambda _: state(reconciled_at=ago(hours=1)),
    "silence": lambda _: state(silence="no_webhooks", silent_since=ago(hours=1)),
    "webhooks-quiet": lambda _: (event(received_at=ago(days=2)), comes_back(ago(hours=2))),
    "nothing-is-heard": listless,
    "reading-paused": lambda _: state(paused_until=ago(hours=-1)),
    "reads-used-up": lambda _: state(reads_on=timezone.now().astimezone(UTC).date(), reads=200),
    "credits-used-up": lambda _: state(credits=0),
    "events-failed": lambda _: event(outcome="failed"),
    "events-unmatched": lambda _: event(outcome="unmatched"),
    "events-contradict": lambda _: event(outcome="unmatched", note="The body names 2 different tokens."),
    "events-untold": lambda _: event(announced_at=None, received_at=ago(hours=1)),
    "users-deleted": lambda _: BankingConnection.objects.create(status="active", upstream_id="777"),
    "removals-stuck": lambda _: to_be_removed(connection(), days=8),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_planted_fault_is_named(site: Any, findings: Any, code: str) -> None:
    FAULTS[code](site)
    expected = {code, "W001"} if code == "nothing-is-heard" else {code}
    assert findings() == expected


HARMLESS: dict[str, Any] = {
    "an event of long ago that matched nothing": lambda _: event(
        outcome="unmatched", received_at=ago(days=8)
    ),
    "a webhook of this minute that is still being told": lambda _: event(announced_at=None),
    "a webhook after the return": lambda _: (comes_back(ago(hours=3)), event(received_at=ago(hours=3))),
    "a return of this minute": lambda _: comes_back(ago(minutes=1)),
    "reads of yesterday": lambda _: state(reads_on=ago(days=1).date(), reads=200),
    "a pause that is over": lambda _: state(paused_until=ago(hours=1)),
    "a list that is missing where webhooks come": lambda _: state(list_missing_at=ago(hours=1)),
    "a removal that is tried again": lambda _: to_be_removed(connection(), days=1),
    "events of another account": lambda _: event(outcome="failed", account="elsewhere"),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_harmless_is_not_named(site: Any, findings: Any, what: str) -> None:
    HARMLESS[what](site)
    assert findings("--account", "default") == set()


def test_reconcile_has_never_run(site: Any, doctor: Any) -> None:
    AccountState.objects.all().delete()
    assert "has never run" in doctor()["reconcile-stopped"]["what"]


def test_no_webhook_has_ever_come(site: Any, doctor: Any) -> None:
    comes_back(ago(hours=2))
    event(kind="self_test")
    assert "No webhook has ever come" in doctor()["webhooks-quiet"]["what"]


@pytest.mark.parametrize("silence", ADVICE)
def test_the_alarm_is_in_english_with_its_advice(site: Any, doctor: Any, silence: str) -> None:
    state(silence=silence, silent_since=ago(hours=1))
    with translation.override("de"):
        finding = doctor()["silence"]
    assert "ebhook" in finding["what"]
    assert "trifft ein" not in finding["what"]
    assert "treffen ein" not in finding["what"]
    assert finding["fix"] == ADVICE[silence]


def test_the_figures_are_there_for_other_programs(site: Any, plain_doctor: Any) -> None:
    state(credits=12)
    event(received_at=ago(hours=1))
    event(outcome="failed")
    code, text = plain_doctor("--json")
    figures = json.loads(text)["accounts"]["default"]
    assert code == 1
    assert figures["last_webhook_age"] in range(10)
    assert (figures["credits"], figures["events_failed"], figures["events_unmatched"]) == ("12.00", 1, 0)
    assert datetime.fromisoformat(figures["reconciled_at"]) <= timezone.now()
