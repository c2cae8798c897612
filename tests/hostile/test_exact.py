"""Two ids that differ in case alone are two ids, on MariaDB as well, which thinks otherwise unless it is told."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, TestCase

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows import connect
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    SessionLink,
)
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db
LATER = "2026-02-01T00:00:00Z"


def post(body: dict[str, Any], url: str = "/banking/webhook/") -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = Client(headers={"X-Webhook-Secret": SECRET}).post(
            url, callbacks.raw(body), "application/json"
        )
    assert answer.status_code == 200


def start(user: User, account: str = "default") -> ConnectSession:
    return connect.start(
        owner=(user, ""), return_to=lambda s: "https://site.example/", account=connect.account_of(account)
    )


def statuses() -> list[str]:
    return list(BankingConnection.objects.order_by("pk").values_list("status", flat=True))


def test_a_fact_of_a_link_is_not_filed_under_another_in_other_letters(upstream: Upstream, user: User) -> None:
    post(callbacks.success(start(user).pending_token, "AbC-1"))
    for other in ("abc-1", "ABC-1", "AbC-1-", "AbC-"):
        post(callbacks.destroy(None, other, time=LATER))
        post(callbacks.success(None, other))
    assert set(ConnectionEvent.objects.filter(kind="removed").values_list("outcome", flat=True)) == {
        "unmatched"
    }
    assert statuses() == ["active"]
    post(callbacks.destroy(None, "AbC-1", time=LATER))
    assert statuses() == ["disconnected"]


def test_links_in_other_letters_belong_to_other_people(
    upstream: Upstream, user: User, other_user: User
) -> None:
    for owner, link in ((user, "link"), (other_user, "LINK")):
        post(callbacks.success(start(owner).pending_token, link))
    assert statuses() == ["active", "active"]
    post(callbacks.destroy(None, "LINK", time=LATER))
    assert statuses() == ["active", "disconnected"]
    assert list(rebuild(check=True)) == []


def test_what_waits_for_a_link_is_not_adopted_by_another(upstream: Upstream, user: User) -> None:
    post(callbacks.destroy(None, "LINK", time=LATER))
    post(callbacks.success(start(user).pending_token, "link"))
    assert statuses() == ["active"]


def test_a_session_may_name_two_links_that_differ_in_their_letters(upstream: Upstream, user: User) -> None:
    token = start(user).pending_token
    for link in ("a-link", "A-LINK", "A-link"):
        post(callbacks.notify(token, connection_id=link))
    named = {*ConnectSession.objects.values_list("upstream_id", flat=True)}
    named |= {*SessionLink.objects.values_list("upstream_id", flat=True)}
    assert named == {"a-link", "A-LINK", "A-link"}


def test_a_bank_in_other_letters_is_another_bank(upstream: Upstream, user: User) -> None:
    post(callbacks.success(start(user).pending_token, "1", provider_code="bank_xf"))
    for code in ("BANK_XF", "Bank_xf", "bank_x"):
        post(
            {
                "data": {"provider_code": code, "provider_status": "inactive"},
                "meta": {"version": "6", "time": LATER},
            }
        )
    assert statuses() == ["active"]
    post(
        {
            "data": {"provider_code": "bank_xf", "provider_status": "inactive"},
            "meta": {"version": "6", "time": LATER},
        }
    )
    assert statuses() == ["inactive"]


def test_accounts_in_other_letters_are_other_accounts(upstream: Upstream, user: User, settings: Any) -> None:
    account = settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"berlin": account, "Berlin": account}}
    body = callbacks.success(start(user, "berlin").pending_token)
    post(body, "/banking/webhook/Berlin/")
    assert statuses() == ["pending"]
    post(body, "/banking/webhook/berlin/")
    assert statuses() == ["active"]
    made = [AccountState.objects.get_or_create(alias=alias)[1] for alias in ("berlin", "Berlin", "berlin")]
    assert made == [True, True, False]


def test_a_tenant_in_other_letters_is_another_tenant(user: User) -> None:
    for tenant in ("acme", "Acme", "acme ", "açme"):
        BankingConnection.objects.create(tenant=tenant)
    for tenant in ("acme", "Acme", "acme ", "açme", "ACME"):
        found = BankingConnection.objects.filter(tenant=tenant)
        assert [row.tenant for row in found] == ([tenant] if tenant != "ACME" else [])


def test_the_connection_to_renew_is_the_one_that_was_named(upstream: Upstream, user: User) -> None:
    post(callbacks.success(start(user).pending_token, "LINK"))
    for named, found in (("link", None), ("LINK", BankingConnection.objects.get())):
        session = start(user)
        body = callbacks.fail(session.pending_token, "ConnectionDuplicated", duplicated_connection_id=named)
        post(body)
        session.refresh_from_db()
        assert known_connection(session) == found


def test_a_token_is_the_same_in_either_case(upstream: Upstream, user: User) -> None:
    body = callbacks.success(str(start(user).pending_token).upper())
    post(body)
    assert statuses() == ["active"]


def test_a_name_of_a_bank_may_hold_any_character(upstream: Upstream, user: User) -> None:
    name = "Bänk 😀 \U0001d400 銀行"
    post(callbacks.success(start(user).pending_token, "1", provider_name=name))
    assert BankingConnection.objects.get().provider_name == name
