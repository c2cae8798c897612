"""The fake API answers as Business OS would, and refuses what it would refuse."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from business_os_banking.sandbox import payloads, simulate
from business_os_banking.sandbox.models import SandboxSession

from .conftest import API, Api, Configure, Inbox

FULL = {
    "email": "info@mustermann.de",
    "return_to": "https://app.example.com/close",
    "scopes": ["accounts", "holder_info", "transactions"],
    "custom_fields": {"session": "abc"},
}


def test_connect_answers_flat(api: Api) -> None:
    answer = api.post(FULL)
    assert answer.status_code == 200
    data = answer.json()
    assert set(data) == {"connect_url", "expires_at", "owner_user_id", "pending_token"}
    url = urlsplit(data["connect_url"])
    assert (url.scheme, url.netloc, url.path) == ("http", "testserver", "/sandbox/connect")
    assert len(parse_qs(url.query)["token"][0]) > 40
    assert uuid.UUID(data["pending_token"]).version == 4
    assert data["expires_at"].endswith("Z")
    left = datetime.fromisoformat(data["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left < timedelta(minutes=61)
    assert "no-store" in answer["Cache-Control"]


def test_owner_depends_on_the_key_alone(api: Api) -> None:
    owners = [api.post(FULL).json()["owner_user_id"], api.post({}).json()["owner_user_id"]]
    assert owners[0] == owners[1]
    assert Api("key-b").post({}).json()["owner_user_id"] != owners[0]


def test_every_field_has_a_default(api: Api) -> None:
    session = SandboxSession.objects.get(pending_token=api.post({}).json()["pending_token"])
    assert (session.api, session.email, session.return_to) == ("partner", "", "")
    assert session.scopes == ["accounts", "holder_info", "transactions"]
    assert session.custom_fields == {}


def test_session_minutes(api: Api, configure: Configure) -> None:
    configure(SESSION_MINUTES=5)
    session = api.session()
    assert timedelta(minutes=4) < session.expires_at - session.created_at < timedelta(minutes=6)


def test_customer_is_the_same_for_the_same_address(api: Api) -> None:
    first, again = api.session(email="a@b.de"), api.session(email="A@b.de")
    assert first.customer_id == again.customer_id
    assert len(first.customer_id) == 13
    assert api.session().customer_id != api.session().customer_id
    assert len(api.session("?api=openbanking", email="a@b.de").customer_id) == 19


@pytest.mark.parametrize("key", ["", "wrong", "key-a "[:4], "schlüssel"])
def test_wrong_key(db: None, key: str) -> None:
    client = Client()
    headers = {"x-api-key": key} if key else {}
    for method, path in [
        ("post", "/connect"),
        ("get", "/connections"),
        ("delete", "/connections/1"),
        ("get", "/accounts/1"),
    ]:
        answer = getattr(client, method)(API + path, headers=headers)
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert error["class"] == "ApiKeyNotFound"
        assert error["documentation_url"] is None
        assert error["message"]


def test_an_empty_key_in_the_settings_lets_nobody_in(db: None, configure: Configure) -> None:
    configure(API_KEYS=[""])
    assert Api("").post({}).status_code == 401


def test_other_methods(api: Api) -> None:
    assert api.get("/accounts/1").status_code == 404
    assert Client().post(f"{API}/connections/1")["Allow"] == "GET, DELETE"
    answer = api.get("/connect")
    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert answer.json()["error"]["class"] == "MethodNotAllowed"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"custom_fields": {"a": NaN}}',
        b'{"custom_fields": {"a": 1e999}}',
        b'{"custom_fields": {"a": "\\u0000"}}',
        b'{"email": "\\ud800@example.com"}',
        b"[" * 100_000,
    ],
)
def test_not_json(api: Api, raw: bytes) -> None:
    answer = api.post(raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["class"] == "WrongRequestFormat"


def test_a_backslash_before_u0000_is_no_nul(api: Api) -> None:
    assert api.session(custom_fields={"a": "\\u0000"}).custom_fields == {"a": "\\u0000"}


def test_wrong_content_type(api: Api) -> None:
    assert api.post("{}", content_type="text/plain").status_code == 400


@pytest.mark.parametrize(
    ("body", "field", "error_class"),
    [
        ([], "", "WrongRequestFormat"),
        ("text", "", "WrongRequestFormat"),
        (None, "", "WrongRequestFormat"),
        ({"e_mail": "a@b.de"}, "e_mail", "WrongRequestFormat"),
        ({"email": 1}, "email", "EmailInvalid"),
        ({"email": None}, "email", "EmailInvalid"),
        ({"email": ""}, "email", "EmailInvalid"),
        ({"email": "nobody"}, "email", "EmailInvalid"),
        ({"return_to": 1}, "return_to", "ReturnURLInvalid"),
        ({"return_to": None}, "return_to", "ReturnURLInvalid"),
        ({"return_to": ""}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "/close"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "//a.de/close"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https:///close"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "javascript:alert(1)"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "ftp://a.de/"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://a.de/a b"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://a.de/\r\nX: y"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://a.de/ü"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://[a.de/"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://a.de:x/"}, "return_to", "ReturnURLInvalid"),
        ({"return_to": "https://a.de/" + "x" * 2028}, "return_to", "ReturnURLTooLong"),
        ({"scopes": "accounts"}, "scopes", "WrongRequestFormat"),
        ({"scopes": None}, "scopes", "WrongRequestFormat"),
        ({"scopes": [1]}, "scopes", "WrongRequestFormat"),
        ({"scopes": []}, "scopes", "AispConsentScopesNotAllowed"),
        ({"scopes": ["accounts", "payments"]}, "scopes", "AispConsentScopesNotAllowed"),
        ({"scopes": ["accounts", "accounts"]}, "scopes", "AispConsentScopesNotAllowed"),
        ({"custom_fields": []}, "custom_fields", "CustomFieldsFormatInvalid"),
        ({"custom_fields": None}, "custom_fields", "CustomFieldsFormatInvalid"),
        ({"custom_fields": {"pending_token": "x"}}, "custom_fields", "CustomFieldsFormatInvalid"),
        ({"custom_fields": {"a": "x" * 1017}}, "custom_fields", "CustomFieldsSizeTooBig"),
        ({"custom_fields": {"a": "ü" * 509}}, "custom_fields", "CustomFieldsSizeTooBig"),
    ],
)
def test_invalid(api: Api, body: object, field: str, error_class: str) -> None:
    answer = api.post(json.dumps(body))
    assert answer.status_code == 422
    data = answer.json()
    assert data["error"]["class"] == error_class
    assert [error["field"] for error in data["errors"]] == [field]
    assert data["errors"][0]["message"] == data["error"]["message"]
    assert not SandboxSession.objects.exists()


def test_the_limits_themselves_pass(api: Api) -> None:
    session = api.session(return_to="https://a.de/" + "x" * 2027, custom_fields={"a": "x" * 1016})
    assert len(session.return_to) == 2040


@pytest.mark.parametrize("query", ["?api=", "?api=Partner", "?api=v6"])
def test_unknown_api(api: Api, query: str) -> None:
    answer = api.post({}, query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "api"


def test_all_problems_are_told(api: Api) -> None:
    errors = api.post({"email": 1, "scopes": 1, "x": 1}, "?api=x").json()["errors"]
    assert [error["field"] for error in errors] == ["api", "x", "email", "scopes"]


def finished(api: Api, scenario: str = "succeed", /, **body: object) -> Any:
    session = api.session(**body)
    simulate.finish(session.token, scenario)
    session.refresh_from_db()
    return session.connection


def test_list_shows_connections_with_their_custom_fields(api: Api) -> None:
    connection = finished(api, email="a@b.de", custom_fields={"session": "s"}, scopes=["accounts"])
    data = api.get("/connections").json()
    assert data["meta"] == {"next_id": None, "next_page": None}
    [row] = data["data"]
    assert row["id"] == connection.connection_id
    assert row["id"].isdigit()
    assert len(row["id"]) == 19
    assert row["status"] == "active"
    assert (row["provider_code"], row["provider_name"]) == ("demobank_xf", "Demobank")
    assert row["country_code"] == "XF"
    assert row["customer_identifier"] == "a@b.de"
    assert row["owner_user_id"] == str(connection.session.owner_user_id)
    attempt = row["last_attempt"]
    token = str(connection.session.pending_token)
    assert attempt["custom_fields"] == {"session": "s", "pending_token": token}
    assert attempt["fetch_scopes"] == ["accounts", "balance"]
    assert attempt["last_stage"]["name"] == "finish"
    assert row["last_consent_id"] == attempt["consent_id"]


def test_list_is_paged_by_next_id(api: Api, configure: Configure) -> None:
    configure(PAGE_SIZE=2)
    ids = [finished(api).connection_id for _ in range(3)]
    first = api.get("/connections").json()
    assert [row["id"] for row in first["data"]] == ids[:2]
    assert first["meta"]["next_id"] == ids[2]
    assert first["meta"]["next_page"] == f"/api/v6/connections?from_id={ids[2]}"
    second = api.get(f"/connections?from_id={ids[2]}").json()
    assert [row["id"] for row in second["data"]] == ids[2:]
    assert second["meta"]["next_id"] is None
    assert len(api.get("/connections?from_id=1").json()["data"]) == 2


@pytest.mark.parametrize("from_id", ["x", "-1", "1" * 20, "%00", "%D9%A1"])
def test_list_refuses_a_wrong_from_id(api: Api, from_id: str) -> None:
    assert api.get(f"/connections?from_id={from_id}").status_code == 422


def test_each_key_sees_only_its_own(api: Api) -> None:
    connection = finished(api)
    other = Api("key-b")
    assert other.get("/connections").json()["data"] == []
    assert other.get(f"/accounts/{connection.account_id}").status_code == 404
    assert other.delete(f"/connections/{connection.connection_id}").status_code == 404
    assert other.get(f"/connections/{connection.connection_id}").status_code == 404


def test_one_connection_is_as_the_list_shows_it(api: Api) -> None:
    connection = finished(api)
    one = api.get(f"/connections/{connection.connection_id}").json()["data"]
    assert [one] == api.get("/connections").json()["data"]
    assert one["status"] == "active"
    simulate.switch_bank("demobank_xf", active=False)
    assert api.get(f"/connections/{connection.connection_id}").json()["data"]["status"] == "disabled"
    simulate.remove(connection)
    answer = api.get(f"/connections/{connection.connection_id}")
    assert (answer.status_code, answer.json()["error"]["class"]) == (404, "ConnectionNotFound")


def test_delete(api: Api, inbox: Inbox) -> None:
    connection = finished(api, "webhook_never")
    answer = api.delete(f"/connections/{connection.connection_id}")
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {
            "connection_id": connection.connection_id,
            "customer_id": connection.session.customer_id,
            "removed": True,
        }
    }
    assert inbox.deliver() == 1
    [body] = inbox.bodies
    assert set(body["data"]) == {"connection_id", "customer_id", "custom_fields"}
    assert body["data"]["connection_id"] == connection.connection_id
    assert inbox.got[0][0] == "http://testserver/banking/webhook/"
    assert api.get("/connections").json()["data"] == []
    again = api.delete(f"/connections/{connection.connection_id}")
    assert again.status_code == 404
    assert again.json()["error"]["class"] == "ConnectionNotFound"


@pytest.mark.parametrize("unknown", ["1", "x", "%00", "1" * 25])
def test_delete_unknown(api: Api, unknown: str) -> None:
    assert api.delete(f"/connections/{unknown}").status_code == 404


def test_account(api: Api) -> None:
    connection = finished(api)
    data = api.get(f"/accounts/{connection.account_id}").json()["data"]
    assert data == api.get(f"/accounts/{connection.connection_id}").json()["data"]
    assert data["id"] == connection.account_id
    assert data["nature"] == "account"
    assert isinstance(data["balance"], float)
    assert data["currency_code"] == "EUR"
    assert data["extra"]["holder_name"]
    assert data["extra"]["transactions_count"] == {"posted": 12, "pending": 1}
    digits = "".join(str(int(sign, 36)) for sign in data["extra"]["iban"][4:] + "XF")
    assert int(digits + data["extra"]["iban"][2:4]) % 97 == 1


def test_account_shows_what_the_scopes_allow(api: Api) -> None:
    connection = finished(api, scopes=["accounts"])
    extra = api.get(f"/accounts/{connection.account_id}").json()["data"]["extra"]
    assert set(extra) == {"iban"}
    answer = api.get("/accounts/1")
    assert answer.status_code == 404
    assert answer.json()["error"]["class"] == "AccountNotFound"


def test_a_known_iban() -> None:
    assert payloads.iban("DE", "370400440532013000") == "DE89370400440532013000"
