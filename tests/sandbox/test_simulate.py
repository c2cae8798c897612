"""The short cuts do what the widget does."""

import json
from datetime import UTC, datetime

import pytest

from business_os_banking.sandbox import simulate
from business_os_banking.sandbox.models import SandboxConnection, SandboxSession
from business_os_banking.sandbox.outcomes import SessionOverError
from business_os_banking.sandbox.scenarios import SCENARIOS

from .conftest import Api, Inbox, query_of


@pytest.mark.parametrize("slug", list(SCENARIOS))
def test_every_scenario(api: Api, inbox: Inbox, slug: str) -> None:
    scenario = SCENARIOS[slug]
    url = simulate.finish(api.session().token, slug)
    assert bool(url) == scenario.returns
    if scenario.returns:
        name = "error_class" if scenario.error_class else "connection_id"
        assert f"state=1&{name}=" in query_of(url)
    assert SandboxConnection.objects.exists() == (not scenario.error_class)
    assert SandboxSession.objects.get().error_class == scenario.error_class


def test_wrong_login_sends_its_fail_first(api: Api, inbox: Inbox) -> None:
    simulate.finish(api.session().token, "wrong_login")
    inbox.deliver()
    assert inbox.kinds[0] == "InvalidCredentials"
    assert inbox.kinds[-1] == "finish"


def test_a_session_is_found_by_url_and_tokens(api: Api) -> None:
    connect_url = api.post({}).json()["connect_url"]
    session = SandboxSession.objects.get()
    for text in (connect_url, session.token, str(session.pending_token)):
        assert simulate.find_session(text) == session
    for text in ("x", "00000000-0000-4000-8000-000000000000", "z" * 36):
        with pytest.raises(SandboxSession.DoesNotExist):
            simulate.find_session(text)


def test_a_session_ends_once(api: Api) -> None:
    session = api.session()
    simulate.finish(session.token)
    with pytest.raises(SessionOverError):
        simulate.finish(session.token)
    with pytest.raises(KeyError):
        simulate.finish(session.token, "unknown")


def test_callback_bodies(api: Api) -> None:
    session = api.session(custom_fields={"a": 1})
    ids = {
        "customer_id": session.customer_id,
        "custom_fields": {"a": 1, "pending_token": str(session.pending_token)},
    }
    at = datetime(2025, 1, 25, 10, 40, 47, 965_999, UTC)

    def data(kind: str, **given: str) -> object:
        body = json.loads(simulate.callback_body(session, kind, time=at, **given))
        assert body["meta"] == {"version": "6", "time": "2025-01-25T10:40:47.965Z"}
        return body["data"]

    assert data("success") == {**ids, "stage": "finish"}
    assert data("fail", error_class="X") == {**ids, "error_class": "X"}
    simulate.finish(session.token)
    session = SandboxSession.objects.get()
    link = {"connection_id": session.connection.connection_id}
    assert data("success") == {**ids, **link, "stage": "finish"}
    assert data("notify", stage="start") == {**ids, **link, "stage": "start"}
    assert data("fail", error_class="X") == {**ids, "error_class": "X"}
    assert data("fail", connection_id="1") == {**ids, "connection_id": "1"}
    assert data("destroy") == {**ids, **link}
    assert data("provider", provider_code="a_xf", provider_status="inactive") == {
        "provider_code": "a_xf",
        "provider_status": "inactive",
    }
    assert data("consent", consent_status="revoked") == {
        "customer_id": session.customer_id,
        **link,
        "consent_status": "revoked",
    }
    with pytest.raises(ValueError, match="Unknown kind"):
        simulate.callback_body(session, "payment")
