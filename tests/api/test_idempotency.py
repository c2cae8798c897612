"""The same key again: the same answer, whatever has happened since, and never a second session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from business_os_banking.adapter import BankingAdapter
from business_os_banking.flows.prune import prune
from business_os_banking.models import BankingConnection, ConnectSession
from tests import callbacks
from tests.api.conftest import Page, a_connection, error_of, url_of
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


class OnlyOne(BankingAdapter):
    def can_connect(self, request: Any, connection: BankingConnection | None = None) -> bool:
        return super().can_connect(request, connection) and not self.visible_connections(request).exists()


class ByTenant(BankingAdapter):
    """Both people belong to one office, and each of its connections is everybody's."""

    def get_owner(self, request: Any) -> Any:
        return (request.user if request.user.is_authenticated else None), request.headers.get("X-Office", "")


def adapted(settings: Any, adapter: type[BankingAdapter]) -> None:
    path = f"{__name__}.{adapter.__name__}"
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": path}


def tell(page: Page, body: dict[str, Any]) -> None:
    headers = {"X-Webhook-Secret": SECRET}
    page.client.post("/banking/webhook/", callbacks.raw(body), "application/json", headers=headers)


def test_the_same_key_answers_with_the_same_session(page: Page, upstream: Upstream) -> None:
    first = page.create({"next": "/books/"}, Idempotency_Key=KEY)
    again = page.create({"next": "/books/"}, Idempotency_Key=f'"{KEY}"')  # quoted, as the standard writes it
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len(upstream.calls("POST")) == 1


def test_another_key_is_another_intention(page: Page, upstream: Upstream) -> None:
    references = {page.create(Idempotency_Key=key).json()["reference"] for key in ("a", "b")}
    references.add(page.create().json()["reference"])
    assert len(references) == 3


def test_the_answer_outlives_the_session(page: Page, upstream: Upstream) -> None:
    first = page.create(Idempotency_Key=KEY).json()
    token = ConnectSession.objects.get().pending_token
    tell(page, callbacks.success(token))
    again = page.create(Idempotency_Key=KEY)
    assert again.status_code == 201
    session = again.json()["session"]
    assert session["reference"] == first["session"]["reference"]
    assert (session["status"], session["connect_url"], again.json()["status"]) == (
        "succeeded",
        None,
        "active",
    )
    assert len(upstream.calls("POST")) == 1


@pytest.mark.parametrize(
    "change", [{"api": "openbanking"}, {"scopes": ["accounts"]}, {"next": "/elsewhere/"}]
)
def test_the_key_with_another_request_is_refused(
    page: Page, upstream: Upstream, change: dict[str, Any]
) -> None:
    page.create(Idempotency_Key=KEY)
    error = error_of(page.create(change, Idempotency_Key=KEY), 422)
    assert error["class"] == "KeyReused"
    assert len(upstream.calls("POST")) == 1


def test_the_key_of_a_create_is_refused_for_a_renewal(page: Page, upstream: Upstream) -> None:
    page.create(Idempotency_Key=KEY)
    renew = url_of(BankingConnection.objects.get(), "renew/")
    assert error_of(page.post(renew, Idempotency_Key=KEY), 422)["class"] == "KeyReused"


def test_renewals_have_keys_too(page: Page, upstream: Upstream, user: User) -> None:
    connection = a_connection(user)
    answers = [page.post(url_of(connection, "renew/"), Idempotency_Key=KEY).json() for _ in range(2)]
    assert answers[0]["session"] == answers[1]["session"]
    # What ended since does not change what the key has made.
    page.post(url_of(connection, "disconnect/"))
    assert page.post(url_of(connection, "renew/"), Idempotency_Key=KEY).status_code == 201
    assert page.post(url_of(connection, "renew/"), Idempotency_Key="another").status_code == 409


def test_a_failure_is_an_answer_as_well(page: Page, upstream: Upstream) -> None:
    upstream.connect_answers(status=402, body={})
    first = error_of(page.create(Idempotency_Key=KEY), 503)
    upstream.connect_answers(body={})
    again = error_of(page.create(Idempotency_Key=KEY), 503)
    assert again == first
    assert first["class"] == "OutOfCredits"
    assert len(upstream.calls("POST")) == 1


def test_one_persons_key_is_nothing_to_another(page: Page, upstream: Upstream, other_user: User) -> None:
    mine = page.create(Idempotency_Key=KEY).json()
    theirs = Page(other_user).create(Idempotency_Key=KEY).json()
    assert mine["reference"] != theirs["reference"]
    assert BankingConnection.objects.get(reference=theirs["reference"]).user == other_user


def test_a_tenants_key_is_nothing_to_another_tenant(page: Page, upstream: Upstream, settings: Any) -> None:
    adapted(settings, ByTenant)
    references = {
        page.create(Idempotency_Key=KEY, X_Office=office).json()["reference"]
        for office in ("north", "south", "north")
    }
    assert len(references) == 2


def test_a_repetition_is_counted_for_itself_and_not_asked_the_adapter(
    page: Page, upstream: Upstream, settings: Any
) -> None:
    adapted(settings, OnlyOne)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "CONNECTS_PER_HOUR": 2}
    assert [page.create(Idempotency_Key=KEY).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert page.create(Idempotency_Key="another").status_code == 403


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, {"error": {"class": "RateLimitExceeded"}}), (402, {"error": {"class": "NoCredits"}}), (503, {})],
)
def test_a_repetition_of_what_failed_has_its_reason(
    page: Page, upstream: Upstream, status: int, body: dict[str, Any]
) -> None:
    upstream.connect_answers(status, body, headers={"Retry-After": "120"})
    first, again = page.create(Idempotency_Key=KEY), page.create(Idempotency_Key=KEY)
    assert len(upstream.calls("POST")) == 1
    assert (again.status_code, again.json()["error"]) == (first.status_code, first.json()["error"])
    assert 100 < int(again.headers.get("Retry-After", 120)) <= 120
    assert ("Retry-After" in again.headers) == ("Retry-After" in first.headers)


@pytest.mark.parametrize("key", ["", '""', '"', "a b", "ä", "x" * 256, "tab\there", 'in"side'])
def test_a_key_that_cannot_be_one_is_refused(page: Page, upstream: Upstream, key: str) -> None:
    error = error_of(page.create(Idempotency_Key=key), 400)
    assert list(error["fields"]) == ["Idempotency-Key"]
    assert upstream.calls("POST") == []


def test_a_key_may_be_long(page: Page, upstream: Upstream) -> None:
    assert page.create(Idempotency_Key="x" * 255).status_code == 201


def test_a_worker_that_died_is_not_waited_for(page: Page, upstream: Upstream) -> None:
    page.create(Idempotency_Key=KEY)
    ConnectSession.objects.update(
        status="created", pending_token=None, connect_url="", created_at=timezone.now() - timedelta(minutes=5)
    )
    assert error_of(page.create(Idempotency_Key=KEY), 503)["class"] == "TimedOut"


def test_the_key_is_kept_as_a_digest_and_as_long_as_a_payload(page: Page, upstream: Upstream) -> None:
    first = page.create(Idempotency_Key=KEY).json()
    session = ConnectSession.objects.get()
    assert session.idempotency_key
    assert KEY not in session.idempotency_key
    tell(page, callbacks.success(session.pending_token))
    ConnectSession.objects.update(email="", custom_fields={})
    prune()
    assert page.create(Idempotency_Key=KEY).json()["reference"] == first["reference"]
    assert prune(timezone.now() + timedelta(days=31)).sessions == 1
    assert ConnectSession.objects.filter(idempotency_key=None, idempotency_request="").count() == 1
    assert page.create(Idempotency_Key=KEY).json()["reference"] != first["reference"]


def test_the_clean_up_command_says_how_many(page: Page, upstream: Upstream, capsys: Any) -> None:
    page.create(Idempotency_Key=KEY)
    tell(page, callbacks.success(ConnectSession.objects.get().pending_token))
    ConnectSession.objects.update(created_at=timezone.now() - timedelta(days=31))
    call_command("banking_prune")
    assert ConnectSession.objects.get().idempotency_key is None
