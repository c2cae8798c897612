"""Nothing that opens a door, and nobody's e-mail address, is on any page, or can be spelled out."""

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from business_os_banking.admin import display
from business_os_banking.models import BankingConnection
from tests.admin.conftest import (
    MODELS,
    list_url,
    make_connection,
    make_event,
    make_session,
    page_url,
)

TOKEN = uuid.UUID("5ec2e700-1111-4222-8333-444455556666")
MARKERS = {
    "owner's e-mail": "marker-owner@kunde.example",
    "session's e-mail": "marker-session@kunde.example",
    "user name that is an address": "marker-name@kunde.example",
    "pending token": str(TOKEN),
    "pending token in hex": TOKEN.hex,
    "connect address": "MARKERURLTOKEN",
    "value of a custom field": "MARKERCUSTOM",
    "state": "MARKERSTATE",
    "single flight": "MARKERFLIGHT",
    "next address": "MARKERNEXT",
    "token in a payload": "MARKERPAYLOADTOKEN",
    "address in a payload": "marker-payload@kunde.example",
    "digest": "MARKERDIGEST",
}


@pytest.fixture
def planted(db: None) -> Any:
    user = get_user_model().objects.create_user(
        MARKERS["user name that is an address"], email=MARKERS["owner's e-mail"]
    )
    connection = make_connection(user, state={"secret": MARKERS["state"]})
    session = make_session(
        connection,
        pending_token=TOKEN,
        email=MARKERS["session's e-mail"],
        connect_url=f"https://www.saltedge.com/connect?token={MARKERS['connect address']}",
        custom_fields={"cost_centre": MARKERS["value of a custom field"]},
        single_flight=MARKERS["single flight"],
        next_url=f"/books/?x={MARKERS['next address']}",
    )
    event = make_event(
        connection,
        session,
        pending_token=TOKEN,
        digest=MARKERS["digest"],
        payload={
            "event": "success",
            "pending_token": str(TOKEN),
            "data": [
                {"access_token": MARKERS["token in a payload"], "email": MARKERS["address in a payload"]},
            ],
            "custom_fields": {"a": MARKERS["value of a custom field"]},
            "connect_url": MARKERS["connect address"],
        },
        assertions={"details": {"secret": MARKERS["state"]}},
    )
    return connection, session, event


def assert_clean(content: bytes, where: str) -> None:
    for name, marker in MARKERS.items():
        assert marker.lower() not in content.decode().lower(), f"{name} on {where}"


def test_no_page_shows_a_secret(operator: Client, planted: Any) -> None:
    urls = [list_url(model) for model in MODELS]
    urls += [page_url(row, page) for row in planted for page in ("change", "history")]
    urls += [page_url(planted[0], "disconnect"), "/admin/", "/admin/business_os_banking/"]
    for url in urls:
        response = operator.get(url)
        assert response.status_code == 200
        assert_clean(response.content, url)


def test_no_page_shows_a_secret_after_a_mistake(operator: Client, planted: Any) -> None:
    response = operator.post(page_url(planted[0]), {"metadata": "no json"})
    assert response.status_code == 200
    assert_clean(response.content, "a form with a mistake")


def test_what_may_be_shown_is_there(operator: Client, planted: Any) -> None:
    _, session, event = planted
    shown = operator.get(page_url(session)).content.decode()
    for text in ("5ec2…", "m…@kunde.example", "cost_centre", "Yes, at www.saltedge.com"):
        assert text in shown
    assert "5ec2…" in operator.get(page_url(event)).content.decode()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "name", ["pending token", "session's e-mail", "owner's e-mail", "connect address", "digest"]
)
def test_no_secret_can_be_searched_for(operator: Client, planted: Any, model: str, name: str) -> None:
    response = operator.get(list_url(model), {"q": MARKERS[name]})
    assert response.status_code == 200
    assert b"result_list" not in response.content


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("connectsession", "pending_token__startswith=5"),
        ("connectsession", f"pending_token={TOKEN}"),
        ("connectsession", "email__startswith=m"),
        ("connectsession", "connect_url__contains=M"),
        ("connectsession", "custom_fields__cost_centre__startswith=M"),
        ("connectsession", "single_flight__startswith=M"),
        ("connectsession", "next_url__contains=M"),
        ("connectsession", "connection__state__contains=M"),
        ("connectsession", "events__pending_token__startswith=5"),
        ("bankingconnection", "state__secret__startswith=M"),
        ("bankingconnection", "sessions__email__startswith=m"),
        ("bankingconnection", "user__email__startswith=m"),
        ("bankingconnection", "user__password__startswith=m"),
        ("connectionevent", "payload__pending_token__startswith=5"),
        ("connectionevent", "pending_token__startswith=5"),
        ("connectionevent", "digest__startswith=M"),
        ("connectionevent", "session__email__startswith=m"),
        ("connectionevent", "assertions__contains=M"),
    ],
)
def test_no_secret_can_be_spelled_out_in_the_address(
    operator: Client, planted: Any, model: str, lookup: str
) -> None:
    assert operator.get(f"{list_url(model)}?{lookup}").status_code == 400


@pytest.mark.parametrize("field", ["pending_token", "email", "connect_url", "state"])
def test_no_secret_is_a_key_to_choose_by(operator: Client, planted: Any, field: str) -> None:
    assert operator.get(f"{list_url('connectsession')}?_to_field={field}").status_code == 400


def test_where_addresses_are_the_user_names_nobody_is_searched_for(
    operator: Client, planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = operator.get(list_url("bankingconnection"), {"q": MARKERS["user name that is an address"]})
    assert b"result_list" in found.content
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "username")
    found = operator.get(list_url("bankingconnection"), {"q": MARKERS["user name that is an address"]})
    assert b"result_list" not in found.content


def test_the_state_is_not_even_read_for_a_list(operator: Client, planted: Any) -> None:
    response = operator.get(list_url("bankingconnection"))
    [connection] = response.context["cl"].result_list
    assert isinstance(connection, BankingConnection)
    assert "state" in connection.get_deferred_fields()


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (None, ""),
        ("", ""),
        ("x", "…"),
        ("1234567", "…"),
        ("12345678", "12…"),
        ("123456789012345", "12…"),
        ("1234567890123456", "1234…"),
        (TOKEN, "5ec2…"),
    ],
)
def test_mask(secret: object, shown: str) -> None:
    assert display.mask(secret) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ingrid@mustermann.de", "i…@mustermann.de"),
        ("i@mustermann.de", "…@mustermann.de"),
        ('"a@b"@mustermann.de', '"…@mustermann.de'),
        ("no address", "no…"),
        ("", ""),
    ],
)
def test_mask_email(address: str, shown: str) -> None:
    assert display.mask_email(address) == shown


def test_markup_in_what_is_shown_stays_text(operator: Client) -> None:
    evil = "<script>alert(1)</script>"
    connection = make_connection(None, provider_name=evil, tenant=evil, metadata={"a": evil})
    session = make_session(
        connection, error_class=evil, custom_fields={evil: 1}, scopes=[evil], email=f"a@{evil}", stage=evil
    )
    event = make_event(connection, session, payload={evil: evil}, note=evil, error_class=evil)
    urls = [list_url(model) for model in MODELS] + [page_url(row) for row in (connection, session, event)]
    for url in [*urls, page_url(connection, "disconnect")]:
        assert evil not in operator.get(url).content.decode(), url
