"""Hundreds of random journeys, their news dropped, doubled, delayed and shuffled: in the end all is as it should be.

The seed is printed when a run fails; ``BANKING_CHAOS_SEED=… pytest tests/chaos`` plays the same run again.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import BASE_URL, Upstream, row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.long]
JOURNEYS = 300


@dataclass
class World:
    """The bank's side: what it has decided, and what it still has to tell."""

    chance: random.Random
    upstream: Upstream
    clock: datetime = datetime(2026, 11, 1, 8, tzinfo=UTC)
    letters: list[bytes] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    yes: set[int] = field(default_factory=set)  # sessions to which the bank said yes
    told_bad: set[int] = field(default_factory=set)  # sessions and connections of which something bad is true
    gone: set[str] = field(default_factory=set)
    links: dict[int, str] = field(default_factory=dict)  # the link of each session that the bank said yes to

    def tick(self) -> str:
        self.clock += timedelta(seconds=self.chance.randint(1, 90))
        return self.clock.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def write(self, body: dict[str, Any]) -> None:
        """Put a callback into the post: lost now and then, or sent more than once."""
        copies = self.chance.choices([0, 1, 2, 3], [2, 6, 1, 1])[0]
        self.letters += [callbacks.raw(body)] * copies

    def deliver(self, share: float = 0.5) -> None:
        self.chance.shuffle(self.letters)
        now, self.letters = split(self.letters, share)
        for letter in now:
            answer = Client().post(
                "/banking/webhook/", letter, "application/json", headers={"X-Webhook-Secret": SECRET}
            )
            assert answer.status_code == 200

    def list_rows(self) -> None:
        self.upstream.lists(*self.rows.values())

    def visit(self, session: ConnectSession) -> None:
        """Let the customer fill in the widget, in one of the ways that people and banks have."""
        token, link = session.pending_token, str(self.chance.randint(10**17, 10**18))
        if self.chance.random() < 0.15:
            return  # closed the tab
        self.write(callbacks.notify(token, "start", connection_id=link, time=self.tick()))
        while self.chance.random() < 0.3:
            self.write(callbacks.fail(token, time=self.tick()))
            self.told_bad.add(session.pk)
        if self.chance.random() < 0.2:
            self.write(callbacks.fail(token, "ProviderAccessNotGranted", time=self.tick()))
            self.told_bad.add(session.pk)
            return
        at = self.tick()
        self.yes.add(session.pk)
        self.links[session.pk] = link
        self.rows[link] = row(link, token=token, attempt={"success_at": at}, updated_at=at)
        for _ in range(self.chance.randint(1, 3)):
            self.write(callbacks.success(token if self.chance.random() < 0.8 else None, link, time=at))
            at = self.tick()


def split(letters: list[bytes], share: float) -> tuple[list[bytes], list[bytes]]:
    cut = round(len(letters) * share)
    return letters[:cut], letters[cut:]


def look(session: ConnectSession, world: World) -> None:
    """Open the session's page, and make sure that it tells nobody of a failure that is none."""
    page = Client().get(f"/banking/return/{session.reference}/")
    assert page.status_code == 200
    status = Client().get(f"/banking/sessions/{session.reference}/status/").json()
    if status["status"] in {"failed", "cancelled"}:
        assert session.pk in world.told_bad
    connection = BankingConnection.objects.get(pk=session.connection_id)
    if status["connection_status"] == "disconnected":
        assert connection.ended_by == "owner" or connection.upstream_id in world.gone


def test_chaos(upstream: Upstream, user: User) -> None:
    seed = int(os.environ.get("BANKING_CHAOS_SEED", random.SystemRandom().randint(0, 10**9)))
    print(f"BANKING_CHAOS_SEED={seed}")  # noqa: T201 - pytest shows it when the run fails
    world = World(random.Random(seed), upstream)
    chance = world.chance
    upstream.mock.add_callback(
        responses.DELETE,
        re.compile(BASE_URL + "/v2/banking/connections/.*"),
        lambda request: (chance.choice([200, 200, 404, 503]), {}, "{}"),
    )
    sessions: list[ConnectSession] = []
    ended: set[int] = set()
    later = timezone.now()
    for number in range(JOURNEYS):
        old = chance.choice(sessions).connection if sessions and chance.random() < 0.3 else None
        renewable = old is not None and old.pk not in ended
        session = connect.start(
            owner=(user, ""),
            return_to=lambda s: "https://site.example/",
            connection=old if renewable else None,
            next_url=f"/{number}/",
        )
        sessions.append(session)
        world.visit(session)
        world.deliver(chance.random())
        look(chance.choice(sessions), world)
        if chance.random() < 0.05:
            victim = chance.choice(sessions).connection
            disconnect(BankingConnection.objects.get(pk=victim.pk))
            ended.add(victim.pk)
        if chance.random() < 0.05 and world.rows:
            link = chance.choice(sorted(world.rows))
            world.gone.add(link)
            del world.rows[link]
            world.write(callbacks.destroy(None, link, time=world.tick()))
        if chance.random() < 0.1:
            world.list_rows()
            later += timedelta(minutes=chance.randint(0, 30))
            reconcile(later)
        look(chance.choice(sessions), world)
    world.deliver(1)
    world.list_rows()
    # What webhooks never told is found by reading; what was read away (removed meanwhile) was told by nobody. A day
    # later, since a session that has failed waits for nothing, and the list is read once a day then.
    reconcile(max(later, timezone.now()) + timedelta(hours=25))
    for session in sessions:
        session.refresh_from_db()
        if world.links.get(session.pk) in world.rows:
            assert session.status == "succeeded"
        if session.status == "succeeded":
            assert session.pk in world.yes
            assert session.upstream_id == world.links[session.pk]
        look(session, world)
    assert list(rebuild(check=True)) == []
    assert not ConnectionEvent.objects.filter(outcome="failed").exists()
