"""The callbacks that a scenario sends, in order, and the changes that it makes later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from . import callbacks, conf
from .behaviour import Scenario
from .models import SandboxChange, SandboxConnection, SandboxDelivery, SandboxSession


def failure(session: SandboxSession, error_class: str, error_message: str) -> list[SandboxDelivery]:
    """Store the fail callback. It names no connection: none came to exist."""
    text = callbacks.body(session, "fail", error_class=error_class, error_message=error_message)
    return callbacks.store(session, [text])


def success(
    connection: SandboxConnection, scenario: Scenario
) -> tuple[list[SandboxDelivery], list[SandboxChange]]:
    """Store the callbacks that the bank sends after a consent, and the changes that follow later."""
    succeeds_at = timezone.now()
    rows: list[SandboxDelivery] = []
    changes: list[SandboxChange] = []
    if scenario.slow:
        stages = (*callbacks.STAGES, callbacks.FINISH)
        changes = _later(connection, stages, succeeds_at, conf.settings.slow_seconds / len(stages))
        succeeds_at = changes[-1].due_at
    else:
        rows = _at_once(connection, scenario)
    changes += _later(connection, scenario.aftermath, succeeds_at, conf.settings.aftermath_seconds)
    return rows, changes


def _at_once(connection: SandboxConnection, scenario: Scenario) -> list[SandboxDelivery]:
    """Take the connection through all stages; scenarios differ in the callbacks that are stored for it."""
    session, connection_id = connection.session, connection.connection_id
    notifies = [
        callbacks.body(session, "notify", connection_id=connection_id, stage=stage)
        for stage in callbacks.STAGES
    ]
    connection.succeeded_at = callbacks.next_time(session)
    connection.updated_at = connection.succeeded_at
    connection.stage = callbacks.FINISH
    connection.save()
    if scenario.silent:
        return []
    successes = [callbacks.body(session, "success", connection.succeeded_at, connection_id=connection_id)]
    for _ in range(1, scenario.successes):
        text = successes[0]
        if not scenario.repeats_bytes:
            text = callbacks.body(session, "success", connection_id=connection_id)
        successes.append(text)
    texts = [*successes, *notifies] if scenario.success_first else [*notifies, *successes]
    return callbacks.store(session, texts, timezone.now() + _delay(scenario))


def _delay(scenario: Scenario) -> timedelta:
    if scenario.day_late:
        return timedelta(days=1)
    return timedelta(seconds=conf.settings.late_seconds if scenario.late else 0)


def _later(
    connection: SandboxConnection, steps: Sequence[str], start: datetime, seconds: float
) -> list[SandboxChange]:
    return [
        SandboxChange.objects.create(
            connection=connection, what=step, due_at=start + timedelta(seconds=seconds * number)
        )
        for number, step in enumerate(steps, 1)
    ]
