"""Every scenario, walked through by a person with a browser."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from business_os_banking.sandbox.models import SandboxConnection, SandboxDelivery, SandboxSession
from business_os_banking.sandbox.scenarios import SCENARIOS

from .conftest import Api, Configure, Inbox, Person, query_of

NOTIFIES = ["start", "connect", "fetch_accounts", "fetch_transactions", "finish_fetching"]


def walk(session: SandboxSession, slug: str) -> Any:
    """Choose a bank, log in and allow; returns the last answer."""
    person = Person(session)
    assert person.choose(slug).status_code == 303
    assert person.log_in().status_code == 303
    return person.do("allow")


def test_succeed(api: Api, inbox: Inbox) -> None:
    session = api.session(custom_fields={"session": "s"})
    answer = walk(session, "succeed")
    connection = SandboxConnection.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == (f"https://shop.test/back?state=1&connection_id={connection.connection_id}")
    assert inbox.deliver() == 6
    assert inbox.kinds == [*NOTIFIES, "finish"]
    for url, _, headers in inbox.got:
        assert url == "http://testserver/banking/webhook/"
        assert headers["Content-Type"] == "application/json"
    for body in inbox.bodies:
        assert body["meta"]["version"] == "6"
        data = body["data"]
        assert set(data) == {"connection_id", "customer_id", "custom_fields", "stage"}
        assert data["connection_id"] == connection.connection_id
        assert data["custom_fields"] == {
            "session": "s",
            "pending_token": str(session.pending_token),
        }
    assert inbox.deliver() == 0


def test_times_are_iso_milliseconds_and_strictly_increasing(api: Api, inbox: Inbox) -> None:
    walk(api.session(), "webhook_thrice")
    inbox.deliver()
    times = [body["meta"]["time"] for body in inbox.bodies]
    assert all(len(time) == 24 and time.endswith("Z") for time in times)
    assert times == sorted(set(times))


def test_wrong_login_then_succeed(api: Api, inbox: Inbox) -> None:
    person = Person(api.session())
    person.choose("wrong_login")
    refused = person.log_in()
    assert refused.status_code == 200
    assert "did not accept" in refused.content.decode()
    inbox.deliver()
    [fail] = inbox.bodies
    assert fail["data"]["error_class"] == "InvalidCredentials"
    assert "connection_id" not in fail["data"]
    assert person.log_in()["Location"] == person.path
    assert "connection_id" in query_of(person.do("allow")["Location"])
    inbox.deliver()
    assert inbox.kinds == ["InvalidCredentials", *NOTIFIES, "finish"]
    times = [body["meta"]["time"] for body in inbox.bodies]
    assert times == sorted(set(times))


def test_a_wrong_login_at_any_bank(api: Api, inbox: Inbox) -> None:
    person = Person(api.session())
    person.choose("succeed")
    page = person.log_in("<me>", "wrong").content.decode()
    assert "&lt;me&gt;" in page
    assert 'value="wrong"' not in page
    assert person.log_in("username", "wrong").status_code == 200
    inbox.deliver()
    assert inbox.kinds == ["InvalidCredentials"] * 2
    assert person.log_in().status_code == 303


@pytest.mark.parametrize(
    ("slug", "error_class"),
    [("cancel", "ProviderAccessNotGranted"), ("bank_trouble", "ProviderUnavailable")],
)
def test_the_bank_fails(api: Api, inbox: Inbox, slug: str, error_class: str) -> None:
    person = Person(api.session())
    person.choose(slug)
    answer = person.log_in()
    assert answer["Location"] == f"https://shop.test/back?state=1&error_class={error_class}"
    inbox.deliver()
    [body] = inbox.bodies
    assert body["data"]["error_class"] == error_class
    assert body["data"]["error_message"]
    assert set(body["data"]) == {"customer_id", "custom_fields", "error_class", "error_message"}
    assert not SandboxConnection.objects.exists()


@pytest.mark.parametrize("step", ["choose", "login", "consent"])
def test_cancel_is_on_every_page(api: Api, inbox: Inbox, step: str) -> None:
    person = Person(api.session())
    if step != "choose":
        person.choose("succeed")
    if step == "consent":
        person.log_in()
    assert "Cancel and return to shop.test" in person.look().content.decode()
    answer = person.do("cancel")
    assert query_of(answer["Location"]) == "state=1&error_class=ProviderAccessNotGranted"
    inbox.deliver()
    assert inbox.kinds == ["ProviderAccessNotGranted"]


def test_refuse(api: Api, inbox: Inbox) -> None:
    person = Person(api.session())
    person.choose("succeed")
    person.log_in()
    answer = person.do("refuse")
    assert query_of(answer["Location"]) == "state=1&error_class=ProviderAccessNotGranted"
    inbox.deliver()
    assert inbox.kinds == ["ProviderAccessNotGranted"]


def test_vanish(api: Api, inbox: Inbox) -> None:
    session = api.session()
    answer = walk(session, "vanish")
    assert answer["Location"] == f"/sandbox/connect/finished?token={session.token}"
    page = Client().get(answer["Location"])
    assert page.status_code == 200
    assert "You may close this window" in page.content.decode()
    inbox.deliver()
    assert inbox.kinds[-1] == "finish"


def test_no_return_to(api: Api) -> None:
    answer = api.post({})
    session = SandboxSession.objects.get(pending_token=answer.json()["pending_token"])
    person = Person(session)
    assert "Cancel</button>" in person.look().content.decode()
    assert urlsplit(person.do("cancel")["Location"]).path == "/sandbox/connect/finished"


def test_webhook_twice_is_a_redelivery(api: Api, inbox: Inbox) -> None:
    walk(api.session(), "webhook_twice")
    inbox.deliver()
    assert inbox.kinds == [*NOTIFIES, "finish", "finish"]
    assert inbox.got[-1][1] == inbox.got[-2][1]


def test_webhook_thrice_is_three_callbacks(api: Api, inbox: Inbox) -> None:
    walk(api.session(), "webhook_thrice")
    inbox.deliver()
    assert inbox.kinds == [*NOTIFIES, "finish", "finish", "finish"]
    bodies = inbox.bodies[-3:]
    assert bodies[0]["data"] == bodies[1]["data"] == bodies[2]["data"]
    assert len({body["meta"]["time"] for body in bodies}) == 3


def test_webhook_late(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(LATE_SECONDS=60)
    walk(api.session(), "webhook_late")
    assert inbox.deliver() == 0
    assert inbox.deliver(now=timezone.now() + timedelta(seconds=59)) == 0
    assert inbox.deliver(now=timezone.now() + timedelta(seconds=61)) == 6


def test_webhook_never(api: Api, inbox: Inbox) -> None:
    answer = walk(api.session(), "webhook_never")
    assert "connection_id" in query_of(answer["Location"])
    assert not SandboxDelivery.objects.exists()
    assert len(api.get("/connections").json()["data"]) == 1


def test_out_of_order(api: Api, inbox: Inbox) -> None:
    walk(api.session(), "out_of_order")
    inbox.deliver()
    assert inbox.kinds == ["finish", *NOTIFIES]
    times = [body["meta"]["time"] for body in inbox.bodies]
    assert times[0] == max(times)


@pytest.mark.parametrize("slug", ["openbanking_card", "openbanking_neobank"])
def test_openbanking(api: Api, slug: str) -> None:
    walk(api.session("?api=openbanking"), slug)
    assert SandboxConnection.objects.get().provider_code == SCENARIOS[slug].provider_code


@pytest.mark.parametrize("which", ["partner", "openbanking"])
def test_only_the_banks_of_the_sessions_api(api: Api, which: str) -> None:
    person = Person(api.session(f"?api={which}"))
    page = person.look().content.decode()
    for scenario in SCENARIOS.values():
        assert (f'name="bank" value="{scenario.slug}"' in page) == (scenario.api == which)
        assert scenario.provider_code.endswith("_xf")
        assert scenario.country_code == "XF"
    other = next(scenario for scenario in SCENARIOS.values() if scenario.api != which)
    person.choose(other.slug)
    assert "Choose your bank" in person.look().content.decode()


def test_consent_lists_the_scopes_in_words(api: Api) -> None:
    person = Person(api.session(scopes=["accounts", "transactions"], email="a@b.de"))
    person.choose("succeed")
    person.log_in()
    page = person.look().content.decode()
    assert "Your accounts" in page
    assert "Your transactions" in page
    assert "Who you are" not in page
    assert "a@b.de" in page


def test_change_bank(api: Api) -> None:
    person = Person(api.session())
    person.choose("wrong_login")
    person.log_in()
    person.do("back")
    assert "Choose your bank" in person.look().content.decode()
    person.choose("wrong_login")
    assert person.log_in().status_code == 200


@pytest.mark.parametrize("action", ["allow", "refuse", "login", "", "other"])
def test_a_form_of_another_step_changes_nothing(api: Api, action: str) -> None:
    person = Person(api.session())
    person.choose("succeed")
    person.do("back")
    answer = person.do(action, username="username", password="secret")
    assert answer["Location"] == person.path
    assert "Choose your bank" in person.look().content.decode()
    person.choose("succeed")
    if action != "login":
        assert person.do(action)["Location"] == person.path
        assert "Log in to Demobank" in person.look().content.decode()


def test_used(api: Api) -> None:
    session = api.session()
    back = walk(session, "succeed")["Location"]
    page = Client().get(f"/sandbox/connect?token={session.token}")
    assert page.status_code == 410
    text = page.content.decode()
    assert "has been used" in text
    assert back.replace("&", "&amp;") in text
    assert Client().get(f"/sandbox/connect/finished?token={session.token}").status_code == 410


def test_of_two_clicks_one_counts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    session = api.session()
    person = Person(session)
    person.choose("succeed")
    person.log_in()
    # Both requests have read the session as open.
    monkeypatch.setattr(SandboxSession, "is_over", lambda self, now: False)
    assert person.do("allow").status_code == 303
    assert person.do("allow").status_code == 410
    assert person.do("cancel").status_code == 410
    assert SandboxConnection.objects.count() == 1
    assert SandboxDelivery.objects.count() == 6


def test_expired(api: Api) -> None:
    session = api.session()
    person = Person(session)
    person.look()
    SandboxSession.objects.update(expires_at=timezone.now())
    page = person.do("cancel")
    assert page.status_code == 410
    assert "has run out" in page.content.decode()
    assert 'href="https://shop.test/back?state=1"' in page.content.decode()
    assert not SandboxDelivery.objects.exists()


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=%00"])
@pytest.mark.parametrize("path", ["connect", "connect/finished"])
def test_unknown(db: None, path: str, query: str) -> None:
    page = Client().get(f"/sandbox/{path}{query}")
    assert page.status_code == 404
    assert "not known" in page.content.decode()


def test_finished_is_for_finished_sessions(api: Api) -> None:
    session = api.session()
    page = Client().get(f"/sandbox/connect/finished?token={session.token}")
    assert page.status_code == 303
    assert page["Location"] == f"/sandbox/connect?token={session.token}"


def test_forms_need_a_csrf_token(api: Api, settings: Any) -> None:
    session = api.session()
    client = Client(enforce_csrf_checks=True)
    path = f"/sandbox/connect?token={session.token}"
    assert client.post(path, {"action": "cancel"}).status_code == 403
    # Also where the site has left the middleware out.
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert Client(enforce_csrf_checks=True).post(path, {"action": "cancel"}).status_code == 403


def test_pages_are_private_and_carry_nothing_inline(api: Api) -> None:
    person = Person(api.session())
    pages = [person.look()]
    person.choose("succeed")
    pages += [person.look(), person.log_in("x", "y")]
    person.log_in()
    pages += [person.look()]
    person.do("cancel")
    pages += [person.look()]
    for page in pages:
        text = page.content.decode()
        assert text.count("<h1>") == 1
        assert "not a real bank" in text
        assert "<script" not in text
        assert "<style" not in text
        assert "style=" not in text
        assert "no-store" in page["Cache-Control"]
        assert page["Referrer-Policy"] == "same-origin"


def test_a_long_return_to_is_long_enough_for_no_redirect_class(api: Api) -> None:
    person = Person(api.session(return_to="https://a.de/" + "x" * 2027))
    location = person.do("cancel")["Location"]
    assert len(location) > 2048


def test_fragment_stays_at_the_end(api: Api) -> None:
    person = Person(api.session(return_to="https://a.de/?a=%20b&a=+#end"))
    assert person.do("cancel")["Location"] == (
        "https://a.de/?a=%20b&a=+&error_class=ProviderAccessNotGranted#end"
    )


def test_configured_webhook_url(api: Api, inbox: Inbox, configure: Configure) -> None:
    configure(WEBHOOK_URL="https://hooks.test/in")
    walk(api.session(), "succeed")
    inbox.deliver()
    assert {url for url, _, _ in inbox.got} == {"https://hooks.test/in"}


def test_without_a_webhook_nothing_is_sent(api: Api, inbox: Inbox, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.sandbox.urls_without_webhook"
    session = api.session()
    assert "connection_id" in query_of(walk(session, "succeed")["Location"])
    assert inbox.deliver() == 0
    assert session.webhook_url == ""


def test_return_to_is_kept_as_written(api: Api) -> None:
    session = api.session(return_to="https://shop.test/back")
    query = parse_qs(query_of(walk(session, "succeed")["Location"]))
    assert list(query) == ["connection_id"]
