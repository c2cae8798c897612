"""An operator, and rows as the flows leave them."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

MODELS = ("bankingconnection", "connectsession", "connectionevent")


def list_url(model: str) -> str:
    return reverse(f"admin:business_os_banking_{model}_changelist")


def page_url(row: Any, page: str = "change") -> str:
    return reverse(f"admin:business_os_banking_{row._meta.model_name}_{page}", args=[row.pk])


def make_connection(user: User | None = None, status: str = "active", **values: Any) -> BankingConnection:
    if status != "pending":
        now = timezone.now()
        values = {
            "provider_name": "Sparkasse",
            "country_code": "DE",
            "upstream_id": uuid.uuid4().hex,
            "connected_at": now,
            "last_success_at": now,
            "consent_expires_at": now + timedelta(days=90),
            **values,
        }
    return BankingConnection.objects.create(user=user, status=status, **values)


def make_session(connection: BankingConnection, status: str = "open", **values: Any) -> ConnectSession:
    values = {"pending_token": uuid.uuid4(), "expires_at": timezone.now(), **values}
    return ConnectSession.objects.create(connection=connection, status=status, **values)


def make_event(
    connection: BankingConnection | None, session: ConnectSession | None = None, **values: Any
) -> ConnectionEvent:
    now = timezone.now()
    values = {
        "source": "webhook",
        "kind": "succeeded",
        "outcome": "applied",
        "occurred_at": now,
        "received_at": now,
        "digest": uuid.uuid4().hex,
        **values,
    }
    return ConnectionEvent.objects.create(connection=connection, session=session, **values)


def staff(*permissions: str) -> Client:
    """Return the browser of a member of staff who has these permissions and no others."""
    found = [Permission.objects.get(codename=codename) for codename in permissions]
    user = get_user_model().objects.create_user(uuid.uuid4().hex, is_staff=True)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


@pytest.fixture
def owner(db: None) -> User:
    return get_user_model().objects.create_user("ingrid", email="ingrid@mustermann.example")


@pytest.fixture
def rows(owner: User) -> tuple[BankingConnection, ConnectSession, ConnectionEvent]:
    connection = make_connection(owner)
    session = make_session(connection, "succeeded", upstream_id=connection.upstream_id)
    return connection, session, make_event(connection, session, upstream_id=connection.upstream_id)
