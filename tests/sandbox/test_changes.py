"""What happens to connections later: in the callbacks, and just so in the list."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from business_os_banking.sandbox import background, changes, simulate
from business_os_banking.sandbox.behaviour import Group
from business_os_banking.sandbox.models import (
    SandboxChange,
    SandboxConnection,
    SandboxDelivery,
    SandboxSession,
)
from business_os_banking.sandbox.scenarios import SCENARIOS

from .conftest import Api, Configure, Inbox, Person
from .listener import Listener, wait_for_threads

pytestmark = pytest.mark.long

NOTIFIES = ["start", "connect", "fetch_accounts", "fetch_transactions", "finish_fetching"]


def connected(api: Api, scenario: str = "succeed", url: str = "https://shop.test/hook") -> SandboxConnection:
    session = api.session()
    simulate.finish(session.token, scenario, webhook_url=url)
    return SandboxConnection.objects.get(session=session)


def listed(api: Api) -> Any:
    """The only connection of the list."""
    [row] = api.get("/connections").json()["data"]
    return row


def in_seconds(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds)


def time_of(body: Any) -> str:
    """The time of a callback as the list would show it."""
    return str(body["meta"]["time"])[:19] + "Z"


# --- slow ---


def test_slow(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(SLOW_SECONDS=60)
    connected(api, "slow")
    row = listed(api)
    assert (row["status"], row["last_success_at"], row["next_refresh_possible_at"]) == ("active", None, None)
    attempt = row["last_attempt"]
    assert (attempt["finished"], attempt["success_at"], attempt["fail_at"]) == (False, None, None)
    assert inbox.deliver() == 0
    for number, stage in enumerate([*NOTIFIES, "finish"], 1):
        assert inbox.deliver(now=in_seconds(10 * number + 1)) == 1
        assert inbox.kinds[-1] == listed(api)["last_attempt"]["last_stage"]["name"] == stage
    row = listed(api)
    assert row["last_success_at"] == row["last_attempt"]["success_at"] == time_of(inbox.bodies[-1])
    assert row["last_attempt"]["finished"]
    times = [body["meta"]["time"] for body in inbox.bodies]
    assert times == sorted(set(times))


def test_slow_in_no_time(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(SLOW_SECONDS=0)
    connected(api, "slow")
    assert inbox.deliver() == 6
    assert inbox.kinds == [*NOTIFIES, "finish"]


# --- the consent ends ---


@pytest.mark.parametrize(
    ("how", "error_class", "reason"),
    [("expired", "ConsentExpired", "expired"), ("revoked", "ConsentRevoked", "provider")],
)
def test_end_consent(api: Api, inbox: Inbox, how: str, error_class: str, reason: str) -> None:
    connection = connected(api, "webhook_never")
    before = listed(api)
    simulate.end_consent(connection, how)
    inbox.deliver()
    [body] = inbox.bodies
    assert body["data"] == {
        "connection_id": connection.connection_id,
        "customer_id": connection.session.customer_id,
        "consent_status": how,
        "reason": reason,
    }
    row = listed(api)
    assert row["status"] == "inactive"
    assert row["next_refresh_possible_at"] is None
    attempt = row["last_attempt"]
    assert (attempt["fail_at"], attempt["fail_error_class"]) == (time_of(body), error_class)
    assert attempt["fail_message"]
    assert attempt["success_at"] is None
    assert row["updated_at"] == attempt["fail_at"] > row["last_success_at"] == before["last_success_at"]
    assert attempt["custom_fields"] == before["last_attempt"]["custom_fields"]
    assert not [key for key in {*row, *attempt} if "expires" in key]
    simulate.end_consent(connection)
    assert inbox.deliver() == 0, "a consent ends once"


def test_consent_ends_by_itself(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=30)
    connected(api, "consent_ends")
    assert inbox.deliver(now=in_seconds(29)) == 6
    assert listed(api)["status"] == "active"
    assert inbox.deliver(now=in_seconds(31)) == 1
    assert inbox.bodies[-1]["data"]["consent_status"] == "expired"
    assert listed(api)["status"] == "inactive"
    assert not SandboxChange.objects.exists()


def test_which_connection(api: Api) -> None:
    connection = connected(api)
    token = str(connection.session.pending_token)
    for which in (connection, connection.connection_id, connection.session.token, token):
        simulate.end_consent(which)
    with pytest.raises(SandboxSession.DoesNotExist):
        simulate.end_consent("unknown")
    with pytest.raises(SandboxConnection.DoesNotExist):
        simulate.remove(api.session().token)
    with pytest.raises(ValueError, match="consent_denied"):
        simulate.end_consent(connection, "denied")


# --- removed ---


def test_remove(api: Api, inbox: Inbox) -> None:
    connection = connected(api, "webhook_never")
    simulate.remove(connection)
    simulate.remove(connection)
    simulate.end_consent(connection)
    assert inbox.deliver() == 1
    assert inbox.kinds == ["destroy"]
    assert api.get("/connections").json()["data"] == []
    assert api.delete(f"/connections/{connection.connection_id}").status_code == 404


def test_removed_by_itself(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=30)
    connected(api, "removed")
    inbox.deliver()
    listed(api)
    assert inbox.deliver(now=in_seconds(31)) == 1
    assert inbox.kinds[-1] == "destroy"
    assert api.get("/connections").json()["data"] == []


def test_what_is_gone_does_not_change(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(SLOW_SECONDS=30, AFTERMATH_SECONDS=30)
    for scenario in ("slow", "consent_ends"):
        api.delete(f"/connections/{connected(api, scenario).connection_id}")
    inbox.deliver()
    assert inbox.deliver(now=in_seconds(61)) == 0
    assert not SandboxChange.objects.exists()


# --- a bank is switched off ---


def test_switch_bank(api: Api, inbox: Inbox) -> None:
    here, there = connected(api), connected(api, url="https://other.test/hook")
    ended = connected(api)
    simulate.end_consent(ended)
    simulate.remove(connected(api))
    connected(api, "webhook_twice")
    inbox.deliver()
    inbox.got.clear()

    simulate.switch_bank("demobank_xf", active=False)
    simulate.switch_bank("demobank_xf", active=False)
    assert inbox.deliver() == 2, "each site is told, and told once"
    assert {url for url, _, _ in inbox.got} == {"https://shop.test/hook", "https://other.test/hook"}
    for body in inbox.bodies:
        assert body["data"] == {"provider_code": "demobank_xf", "provider_status": "inactive"}
    rows = api.get("/connections").json()["data"]
    assert [row["status"] for row in rows] == ["disabled", "disabled", "disabled", "active"]
    assert rows[0]["updated_at"] == time_of(inbox.bodies[0]) > rows[0]["last_success_at"]
    inbox.got.clear()

    simulate.switch_bank("demobank_xf", active=True)
    inbox.deliver()
    provider = [body for body in inbox.bodies if "provider_status" in body["data"]]
    assert [body["data"]["provider_status"] for body in provider] == ["active", "active"]
    refreshed = [body for body in inbox.bodies if body not in provider]
    assert [body["data"]["connection_id"] for body in refreshed] == [here.connection_id, there.connection_id]
    rows = api.get("/connections").json()["data"]
    assert [row["status"] for row in rows] == ["active", "active", "inactive", "active"]
    assert rows[0]["last_success_at"] == time_of(refreshed[0]) == time_of(provider[0])


def test_nobody_logs_in_while_a_bank_is_off(api: Api, inbox: Inbox) -> None:
    simulate.switch_bank("demobank_xf", active=True)
    simulate.switch_bank("demobank_xf", active=False)
    assert inbox.deliver() == 0, "nobody has a connection there"
    person = Person(api.session())
    person.choose("succeed")
    assert person.log_in()["Location"].endswith("error_class=ProviderInactive")
    assert "error_class=ProviderInactive" in simulate.finish(api.session().token)
    inbox.deliver()
    assert inbox.kinds == ["ProviderInactive"] * 2
    simulate.switch_bank("demobank_xf", active=True)
    assert "connection_id" in simulate.finish(api.session().token)


def test_switched_off_by_itself_and_on(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(AFTERMATH_SECONDS=30)
    connected(api, "switched_off")
    inbox.deliver()
    assert inbox.deliver(now=in_seconds(31)) == 1
    assert listed(api)["status"] == "disabled"
    assert inbox.deliver(now=in_seconds(61)) == 2
    assert inbox.kinds[-1] == "finish"
    assert listed(api)["status"] == "active"


# --- when and how ---


def test_later_is_later_in_whole_seconds(api: Api, inbox: Inbox) -> None:
    connection = connected(api)
    simulate.switch_bank("demobank_xf", active=False)
    simulate.switch_bank("demobank_xf", active=True)
    simulate.end_consent(connection)
    inbox.deliver()
    times = [time_of(body) for body in inbox.bodies[5:]]
    success, off, on, refreshed, ended = times
    assert success < off < on == refreshed < ended


def test_changes_happen_without_a_webhook(
    api: Api, inbox: Inbox, configure: Configure, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.sandbox.urls_without_webhook"
    configure(AFTERMATH_SECONDS=30)
    connected(api, "consent_ends", url="")
    assert inbox.deliver(now=in_seconds(31)) == 0
    assert listed(api)["status"] == "inactive"


def test_a_change_happens_once(api: Api, configure: Configure) -> None:
    connected(api, "consent_ends")
    change = SandboxChange.objects.get()
    assert str(change).startswith("consent_expired of ")
    assert len(changes.happen(change)) == 1
    assert changes.happen(change) == []


def test_by_hand_nothing_leaves_and_nothing_happens(
    api: Api, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(background, "_start", never)
    configure(SLOW_SECONDS=0, AFTERMATH_SECONDS=0)
    for scenario in SCENARIOS:
        simulate.finish(api.session().token, scenario)
    assert not SandboxDelivery.objects.exclude(attempts=0).exists()
    assert not SandboxConnection.objects.exclude(removed_at=None, error_class="").exists()
    assert SandboxChange.objects.count() == 6 + 1 + 2 + 1


@pytest.mark.django_db(transaction=True)
def test_on_their_own(configure: Configure, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PACE", 0)
    configure(DELIVERY="thread", WEBHOOK_URL=listener.url, SLOW_SECONDS=0.3, AFTERMATH_SECONDS=0.3)
    api = Api()
    connected(api, "slow")
    wait_for_threads()
    assert [json.loads(body)["data"]["stage"] for body, _ in listener.got] == [*NOTIFIES, "finish"]
    listener.got.clear()
    connected(api, "switched_off")
    wait_for_threads()
    said = [json.loads(body)["data"].get("provider_status", "") for body, _ in listener.got]
    assert said == [""] * 6 + ["inactive", "active", ""]


# --- before the answer ---


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("delivery", ["manual", "thread"])
def test_early(configure: Configure, listener: Listener, delivery: str) -> None:
    configure(EARLY_WEBHOOK=True, WEBHOOK_URL=listener.url, DELIVERY=delivery)
    session = Api().session()
    assert len(listener.got) == 6
    assert json.loads(listener.got[-1][0])["data"]["stage"] == "finish"
    assert not SandboxDelivery.objects.filter(sent_at=None).exists()
    wait_for_threads()
    assert len(listener.got) == 6
    assert session.ended_url.startswith("https://shop.test/back?state=1&connection_id=")
    assert session.connection.succeeded_at is not None
    assert "has been used" in Person(session).look().content.decode()


@pytest.mark.django_db(transaction=True)
def test_early_and_refused_at_first(
    configure: Configure, listener: Listener, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("business_os_banking.sandbox.deliveries.BACKOFF", (0.1, 0.1, 0.1))
    configure(EARLY_WEBHOOK=True, WEBHOOK_URL=listener.url)
    listener.statuses = [500] * 6
    api = Api()
    api.session()
    assert inbox.deliver(now=in_seconds(1)) == 6
    configure(DELIVERY="thread")
    listener.statuses = [500] * 6
    api.session()
    wait_for_threads()
    assert len(listener.got) == 6 + 6 + 6
    assert not SandboxDelivery.objects.filter(sent_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_early_and_not_signed(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    configure(EARLY_WEBHOOK=True, WEBHOOK_SIGNING="hmac", WEBHOOK_URL="https://shop.test/hook")
    with caplog.at_level(logging.ERROR):
        Api().session()
    assert "WEBHOOK_SECRET" in caplog.text
    with pytest.raises(ImproperlyConfigured):
        simulate.deliver_due()


# --- the picker ---


@pytest.mark.parametrize("which", ["partner", "openbanking"])
def test_banks_stand_under_headings(api: Api, which: str) -> None:
    page = Person(api.session(f"?api={which}")).look().content.decode()
    mine = [scenario for scenario in SCENARIOS.values() if scenario.api == which]
    for group in Group:
        here = [scenario.slug for scenario in mine if scenario.group == group]
        assert (f'<h2 id="group-{group.value}">' in page) == bool(here)
        if here:
            section = page.partition(f'<h2 id="group-{group.value}">{group.label}</h2>')[2].partition("<h2")[
                0
            ]
            assert section.count('name="bank"') == len(here)
            assert all(f'value="{slug}"' in section for slug in here)
