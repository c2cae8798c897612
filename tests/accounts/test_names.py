"""Names that look alike are other names, on every database: MariaDB, left to itself, thinks otherwise."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection as database
from django.db import models
from django.test import Client
from django.utils import timezone

from business_os_banking.adapter import BankingAdapter
from business_os_banking.flows.erase import erase
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import (
    AccountState,
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
    SessionLink,
)
from business_os_banking.models.fields import ExactCharField
from tests import callbacks
from tests.accounts.conftest import account, post
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "acme"
LOOK_ALIKES = ["Acme", "ACME", "acme ", "acme\t", "ácme", "ａcme"]  # noqa: RUF001 - a full-width letter
BY_NAME = {
    BankingConnection: {"tenant", "account", "upstream_id", "provider_code", "held_link"},
    ConnectSession: {"upstream_id"},
    SessionLink: {"upstream_id"},
    ConnectionEvent: {"account", "upstream_id", "provider_code", "digest"},
    Removal: {"account", "upstream_id", "digest"},
    AccountState: {"alias", "first_id", "sweep_cursor", "sweep_mark"},
}


class NameIsTenant(BankingAdapter):
    """A person's last name is their tenant."""

    def get_owner(self, request: Any) -> Any:
        return request.user, request.user.last_name


@pytest.fixture
def row(user: User) -> dict[type[models.Model], Any]:
    """A row of every table, with the same name wherever one stands."""
    connection = BankingConnection.objects.create(
        user=user, status="active", **dict.fromkeys(BY_NAME[BankingConnection], NAME)
    )
    session = ConnectSession.objects.create(
        connection=connection, **dict.fromkeys(BY_NAME[ConnectSession], NAME)
    )
    now = timezone.now()
    return {
        BankingConnection: connection,
        ConnectSession: session,
        SessionLink: SessionLink.objects.create(session=session, upstream_id=NAME),
        ConnectionEvent: ConnectionEvent.objects.create(
            occurred_at=now, received_at=now, **dict.fromkeys(BY_NAME[ConnectionEvent], NAME)
        ),
        Removal: Removal.objects.create(**dict.fromkeys(BY_NAME[Removal], NAME)),
        AccountState: AccountState.objects.create(**dict.fromkeys(BY_NAME[AccountState], NAME)),
    }


def test_every_text_that_is_looked_up_is_compared_exactly() -> None:
    found = {
        model: {field.name for field in model._meta.fields if isinstance(field, ExactCharField)}
        for model in apps.get_app_config("business_os_banking").get_models()
    }
    assert found == BY_NAME


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_no_look_alike_is_found(row: dict[type[models.Model], Any], name: str) -> None:
    for model, fields in BY_NAME.items():
        for field in fields:
            rows = model._default_manager
            assert list(rows.filter(**{field: NAME})) == [row[model]]
            assert list(rows.filter(**{f"{field}__in": [name]})) == []
            assert list(rows.exclude(**{field: name})) == [row[model]]


@pytest.mark.parametrize("tenant", LOOK_ALIKES)
def test_no_tenant_sees_what_another_has(settings: Any, user: User, web: Client, tenant: str) -> None:
    """That would be the rows of strangers, not merely a wrong list."""
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "ADAPTER": "tests.accounts.test_names.NameIsTenant",
    }
    theirs = BankingConnection.objects.create(user=user, tenant=NAME, provider_name="Acme Bank")
    seen = {}
    for name in (NAME, tenant):
        User.objects.filter(pk=user.pk).update(last_name=name)
        pages = [web.get("/banking/"), web.get(theirs.get_absolute_url())]
        seen[name] = [page.status_code for page in pages], ["Acme Bank" in page.text for page in pages]
    assert seen == {NAME: ([200, 200], [True, True]), tenant: ([200, 404], [False, False])}
    assert list(BankingConnection.objects.owned_by(user, tenant)) == []
    assert erase(tenant=tenant, upstream=False).connections == 0
    assert erase(tenant=NAME, upstream=False).connections == 1


@pytest.mark.parametrize("alias", ["Acme", "ACME"])
def test_no_account_hears_what_is_said_to_another(
    settings: Any, upstream: Upstream, user: User, alias: str
) -> None:
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {name: account(name) for name in (NAME, alias)}}
    theirs = BankingConnection.objects.create(
        user=user, account=NAME, status="active", upstream_id="777", provider_code="demobank_xf"
    )
    session = ConnectSession.objects.create(connection=theirs, pending_token=uuid.uuid4())
    change = {"data": {"provider_code": "demobank_xf", "provider_status": "inactive"}, "meta": {}}
    for body in (callbacks.destroy(None, "777"), callbacks.success(session.pending_token), change):
        assert post(alias, body) == 200
    theirs.refresh_from_db()
    session.refresh_from_db()
    assert (theirs.status, session.status) == ("active", "created")
    assert not ConnectionEvent.objects.exclude(account=alias, connection=None).exists()


def test_each_account_is_read_and_counted_on_its_own(settings: Any, upstream: Upstream, user: User) -> None:
    """Those that only connections name are found one after the other, and must not hide each other."""
    aliases = ["Acme", "acme", "acmé"]
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}, "ADAPTER": "tests.accounts.test_names.AnyAccount"}
    for alias in aliases:
        BankingConnection.objects.create(user=user, account=alias, status="active", upstream_id="777")
    upstream.lists({"id": "777", "status": "active"})
    assert reconcile().read_pages == len(aliases)
    assert sorted(AccountState.objects.values_list("alias", "reads")) == [(alias, 1) for alias in aliases]


class AnyAccount(BankingAdapter):
    def get_credentials(self, alias: str, connection: Any) -> Any:
        from business_os_banking.conf import make_account

        return make_account(alias, account("any"))


@pytest.mark.parametrize("link", ["Abc", "abc ", "ABC"])
def test_no_link_is_taken_for_another(upstream: Upstream, user: User, link: str) -> None:
    imported = BankingConnection.objects.create(user=user, status="active", upstream_id="abc")
    body = callbacks.raw(callbacks.destroy(None, link))
    answer = Client().post(
        "/banking/webhook/", body, "application/json", headers={"X-Webhook-Secret": callbacks.SECRET}
    )
    assert answer.status_code == 200
    imported.refresh_from_db()
    assert imported.status == "active"


@pytest.mark.server_database
def test_the_sites_own_columns_can_still_be_compared_with_ours(user: User) -> None:
    """A site may join its own texts to ours, and those have the collation of its database."""
    BankingConnection.objects.create(user=user, tenant=user.username)
    assert BankingConnection.objects.filter(tenant=models.F("user__username")).exists()
    assert database.vendor in {"postgresql", "mysql"}
