"""A bank that is connected already becomes an offer to renew the connection that is known."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from business_os_banking.flows import connect
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.models import BankingConnection, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db


def known(user: User, link: str) -> BankingConnection:
    return BankingConnection.objects.create(
        user=user, status="active", upstream_id=link, connected_at=timezone.now()
    )


def refused(user: User, **more: str) -> ConnectSession:
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    body = callbacks.raw(callbacks.fail(session.pending_token, "ConnectionDuplicated", **more))
    headers = {"X-Webhook-Secret": SECRET}
    assert Client().post("/banking/webhook/", body, "application/json", headers=headers).status_code == 200
    session.refresh_from_db()
    return session


def test_the_only_one_is_the_one(upstream: Upstream, user: User, other_user: User) -> None:
    known(other_user, "999")
    connection = known(user, "777")
    session = refused(user)
    assert known_connection(session) == connection
    page = Client().get(f"/banking/return/{session.reference}/").content.decode()
    on = f"/banking/sessions/{session.reference}/retry/"
    assert f'href="{on}">Renew that connection' in page
    owner, stranger = Client(), Client()
    owner.force_login(user)
    stranger.force_login(other_user)
    assert owner.get(on)["Location"] == f"/banking/connections/{connection.reference}/renew/"
    assert stranger.get(on).status_code == 404


def test_that_of_another_tenant_or_account_is_another_owners(upstream: Upstream, user: User) -> None:
    elsewhere = known(user, "777")
    BankingConnection.objects.filter(pk=elsewhere.pk).update(tenant="north")
    assert known_connection(refused(user)) is None
    assert known_connection(refused(user, duplicated_connection_id="777")) is None
    BankingConnection.objects.filter(pk=elsewhere.pk).update(tenant="", account="south")
    assert known_connection(refused(user)) is None


def test_the_upstream_may_say_which(upstream: Upstream, user: User, other_user: User) -> None:
    known(user, "777")
    connection = known(user, "888")
    foreign = known(other_user, "999")
    assert known_connection(refused(user, duplicated_connection_id="888")) == connection
    assert known_connection(refused(user, duplicated_connection_id=foreign.upstream_id)) is None


def test_one_that_has_ended_is_not_offered(upstream: Upstream, user: User) -> None:
    ended = known(user, "777")
    BankingConnection.objects.filter(pk=ended.pk).update(status="disconnected", ended_by="owner")
    assert known_connection(refused(user)) is None
    assert known_connection(refused(user, duplicated_connection_id="777")) is None
    living = known(user, "888")
    assert known_connection(refused(user)) == living


def test_where_it_is_not_clear_the_list_is_the_way(upstream: Upstream, user: User) -> None:
    known(user, "777")
    known(user, "888")
    session = refused(user)
    assert known_connection(session) is None
    page = Client().get(f"/banking/return/{session.reference}/").content.decode()
    assert re.search(r" hidden>Renew that connection<", page)
    assert re.search(r'data-when="attention" href="/banking/">See your connections<', page)


def test_other_failures_offer_no_such_thing(upstream: Upstream, user: User) -> None:
    known(user, "777")
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    assert known_connection(session) is None


def test_it_is_offered_too_where_the_api_itself_refuses(
    upstream: Upstream, client: Client, user: User
) -> None:
    connection = known(user, "777")
    upstream.connect_answers(409, {"error": {"class": "ConnectionDuplicated"}})
    client.force_login(user)
    page = client.post("/banking/connect/", {})
    assert page.status_code == 503
    assert f"/banking/connections/{connection.reference}/renew/" in page.content.decode()
