"""A site that keeps the keys of its tenants in a table: the whole journey, each tenant with its own."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
)
from tests import callbacks
from tests.office.models import BankingKeys
from tests.upstream.fake import Upstream, row

pytestmark = pytest.mark.django_db(transaction=True)
ADAPTER = "tests.office.adapter.KeysPerTenant"


@pytest.fixture
def tenants(settings: Any, user: User, other_user: User) -> dict[str, Client]:
    """The browsers of two people, each the member of an organisation."""
    settings.BUSINESS_OS_BANKING = {"ADAPTER": ADAPTER}
    browsers = {}
    for name, person in (("7", user), ("8", other_user)):
        BankingKeys.objects.create(alias=f"org-{name}", api_key=f"key-{name}", secret=f"secret-of-{name}")
        person.groups.add(Group.objects.create(name=name))
        browsers[name] = Client(enforce_csrf_checks=True)
        browsers[name].force_login(person)
    return browsers


def submit(browser: Client, url: str) -> Any:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(url).text)
    assert found
    return browser.post(url, {"csrfmiddlewaretoken": found[1]})


def post(alias: str, body: dict[str, Any], secret: str) -> int:
    url = f"/banking/webhook/{alias}/"
    headers = {"X-Webhook-Secret": secret}
    return Client().post(url, callbacks.raw(body), "application/json", headers=headers).status_code


def session_of(name: str) -> ConnectSession:
    return ConnectSession.objects.select_related("connection").get(connection__tenant=name)


def test_each_tenant_goes_the_whole_way_with_its_own_keys(
    tenants: dict[str, Client], upstream: Upstream
) -> None:
    for name, browser in tenants.items():
        assert submit(browser, "/banking/connect/").status_code == 303
        assert session_of(name).connection.account == f"org-{name}"
    assert [call.headers["x-api-key"] for call in upstream.calls("POST")] == ["key-7", "key-8"]

    # A webhook for seven, and nothing but the reading of its list for eight.
    seven, eight = session_of("7"), session_of("8")
    body = callbacks.success(seven.pending_token, "777", time="2026-11-01T10:00:00Z")
    assert [post("org-8", body, "secret-of-7"), post("org-7", body, "secret-of-8")] == [403, 403]
    assert post("org-9", body, "secret-of-7") == 403
    assert post("org-7", body, "secret-of-7") == 200
    upstream.lists(row("777"), row("888", token=eight.pending_token))
    result = reconcile(timezone.now() + timedelta(minutes=11))
    assert result.problems == []
    assert result.read_pages == 3  # org-7's connection by its id and in the list, org-8's session in its list
    assert {call.headers["x-api-key"] for call in upstream.calls("GET")} == {"key-7", "key-8"}
    assert set(AccountState.objects.values_list("alias", flat=True)) == {"org-7", "org-8"}
    statuses = BankingConnection.objects.order_by("account").values_list("account", "upstream_id", "status")
    assert list(statuses) == [("org-7", "777", "active"), ("org-8", "888", "active")]

    for name, link in (("7", "777"), ("8", "888")):
        upstream.deletes(link)
        for other, browser in tenants.items():
            url = f"/banking/connections/{session_of(name).connection.reference}/disconnect/"
            if other == name:
                assert submit(browser, url).status_code == 303
            else:
                assert browser.get(url).status_code == 404
    assert [(call.headers["x-api-key"], str(call.url)[-3:]) for call in upstream.calls("DELETE")] == [
        ("key-7", "777"),
        ("key-8", "888"),
    ]
    assert set(BankingConnection.objects.values_list("status", flat=True)) == {"disconnected"}
    assert set(Removal.objects.values_list("evidence", flat=True)) == {"said"}


def test_a_tenant_whose_keys_are_gone_keeps_nobody_else_from_anything(
    tenants: dict[str, Client], upstream: Upstream
) -> None:
    for browser in tenants.values():
        submit(browser, "/banking/connect/")
    BankingKeys.objects.filter(alias="org-7").delete()
    eight = session_of("8")
    upstream.lists(row("888", token=eight.pending_token))
    result = reconcile(timezone.now() + timedelta(minutes=11))
    assert result.problems == ["org-7: There is no account org-7."]
    assert result.needs_a_person
    assert BankingConnection.objects.get(account="org-8").status == "active"
    assert tenants["7"].get("/banking/connect/").status_code == 503


@pytest.mark.parametrize("slip", ["OneNameForAll", "InCapitals"])
def test_credentials_of_another_name_are_refused_everywhere_and_loudly(
    tenants: dict[str, Client], upstream: Upstream, settings: Any, caplog: Any, slip: str
) -> None:
    browser = tenants["7"]
    submit(browser, "/banking/connect/")
    connection = BankingConnection.objects.get()
    assert post("org-7", callbacks.success(session_of("7").pending_token, "777"), "secret-of-7") == 200
    events = ConnectionEvent.objects.count()

    settings.BUSINESS_OS_BANKING = {"ADAPTER": f"tests.office.adapter.{slip}"}
    body = callbacks.destroy(None, "777")
    assert post("org-7", body, "secret-of-7") == 503
    assert post("org-8", body, "secret-of-8") == 503
    assert browser.get("/banking/connect/").status_code == 503
    assert ConnectionEvent.objects.count() == events
    assert caplog.text.count('It must return one of the same alias, to the letter: make_account("org-7"') == 2
    result = reconcile()
    assert result.needs_a_person
    assert 'get_credentials("org-7") of the adapter' in result.problems[0]
    caplog.clear()
    ended = disconnect(connection)
    assert (ended.status, ended.removal_due) == ("disconnected", True)
    assert "to the letter" in caplog.text
    assert [call.method for call in upstream.calls("POST")] == ["POST"]
    assert not upstream.calls("GET") + upstream.calls("DELETE")
