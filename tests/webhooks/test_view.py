"""The endpoint as its callers meet it: the right answer to everybody, and nothing of a stranger's is kept."""

from __future__ import annotations

import io
import json
import logging
import uuid
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import OperationalError, transaction
from django.test import Client
from django.urls import reverse

from business_os_banking import conf, signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.facts.record import apply
from business_os_banking.flows import connect
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream
from tests.webhooks.test_saltedge import PRIVATE, pem, signed

pytestmark = pytest.mark.django_db
URL = "/banking/webhook/"


@pytest.fixture
def session(upstream: Upstream, user: User) -> ConnectSession:
    return connect.start(owner=(user, ""), return_to=lambda s: f"https://site.example/return/{s.reference}/")


def post(body: Any, url: str = URL, secret: str | None = SECRET, client: Client | None = None) -> int:
    content = body if isinstance(body, bytes) else callbacks.raw(body)
    headers = {"X-Webhook-Secret": secret} if secret else {}
    client = client or Client(enforce_csrf_checks=True)
    response = client.post(url, content, content_type="application/json", headers=headers)
    assert response.content == b""
    return response.status_code


def test_a_success_brings_the_connection_to_life(session: ConnectSession) -> None:
    assert post(callbacks.success(session.pending_token)) == 200
    session.refresh_from_db()
    connection = BankingConnection.objects.get()
    assert (session.status, session.connect_url) == ("succeeded", "")
    assert (connection.status, connection.upstream_id) == ("active", "111222333444555666")
    event = ConnectionEvent.objects.get(source="webhook")
    assert (event.outcome, event.session, event.connection) == ("applied", session, connection)


def test_it_takes_four_statements_in_one_transaction(
    session: ConnectSession, django_assert_num_queries: Any
) -> None:
    # A look before it; the test's own transaction makes ours a savepoint.
    with django_assert_num_queries(7) as captured:
        assert post(callbacks.success(session.pending_token)) == 200
    statements = [query["sql"].split()[0] for query in captured.captured_queries]
    inside = statements[statements.index("SAVEPOINT") + 1 : statements.index("RELEASE")]
    assert inside == ["SELECT", "UPDATE", "UPDATE", "INSERT"]


@pytest.mark.parametrize("append_slash", [True, False])
@pytest.mark.parametrize("end", ["/", ""])
@pytest.mark.parametrize(
    "url", [f"/banking/webhook/default/{SECRET}", "/banking/webhook/default", "/banking/webhook"]
)
def test_each_form_of_the_address_works(
    session: ConnectSession, settings: Any, url: str, end: str, append_slash: bool
) -> None:
    """Without the slash, Django would answer with a redirect, and what was posted would be lost."""
    settings.APPEND_SLASH = append_slash
    in_url = SECRET in url
    url += end
    assert post(callbacks.success(session.pending_token), url, secret=None if in_url else SECRET) == 200
    assert BankingConnection.objects.get().status == "active"


def test_the_same_delivery_again_changes_nothing(session: ConnectSession) -> None:
    body = callbacks.success(session.pending_token)
    assert [post(body) for _ in range(3)] == [200, 200, 200]
    event = ConnectionEvent.objects.get(source="webhook")
    assert (event.deliveries, event.outcome) == (3, "applied")


def test_an_old_delivery_under_another_header_changes_nothing(session: ConnectSession) -> None:
    body = callbacks.raw(
        {"event": "success", "connection_id": "7", "pending_token": str(session.pending_token)}
    )
    for name in ("X-Nothing", "X-Event", "X-Event-Type", "X-Event-Name"):
        headers = {"X-Webhook-Secret": SECRET, name: "connection.destroyed"}
        assert Client().post(URL, body, "application/json", headers=headers).status_code == 200
    assert BankingConnection.objects.get().status == "active"
    assert ConnectionEvent.objects.get(source="webhook").deliveries == 4


def test_an_unknown_token_is_kept_and_answered_200(upstream: Upstream) -> None:
    assert post(callbacks.success(uuid.uuid4())) == 200
    event = ConnectionEvent.objects.get()
    assert (event.outcome, event.connection, event.session) == ("unmatched", None, None)


def test_the_address_that_the_site_names_has_its_slash() -> None:
    assert reverse("business_os_banking:webhook") == URL
    assert reverse("business_os_banking:webhook", args=["berlin"]) == f"{URL}berlin/"
    assert reverse("business_os_banking:webhook", args=["berlin", "s3cret"]) == f"{URL}berlin/s3cret/"


# --- strangers ---


@pytest.mark.parametrize("secret", [None, "wrong", SECRET + "x", SECRET[:-1], "é"])
def test_without_a_secret_nothing_happens(
    session: ConnectSession,
    secret: str | None,
    django_assert_num_queries: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs)

    signals.webhook_rejected.connect(receiver)
    try:
        with django_assert_num_queries(0), caplog.at_level(logging.DEBUG):
            assert post(callbacks.success(session.pending_token), secret=secret) == 403
    finally:
        signals.webhook_rejected.disconnect(receiver)
    assert not ConnectionEvent.objects.filter(source="webhook").exists()
    assert [(item["account"], bool(item["reason"])) for item in heard] == [("default", True)]
    assert "rejected" in caplog.text
    assert SECRET not in caplog.text
    assert str(session.pending_token) not in caplog.text


def test_ten_megabytes_are_not_read(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert post(b"x" * 10_000_000) == 413
        assert post(b"x" * 65_537, secret=None) == 413


def test_the_size_limit_is_exact(session: ConnectSession, settings: Any) -> None:
    body = callbacks.raw(callbacks.success(session.pending_token))
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "WEBHOOK_MAX_BYTES": len(body)}
    assert post(body) == 200
    assert post(body + b" ") == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[1, 2]", b'"text"', b"\xff\xfe", b"<html></html>", b"[" * 50_000, b'{"a":' * 9_000],
)
def test_what_is_no_json_object_is_answered_400(body: bytes) -> None:
    assert post(body) == 400
    assert not ConnectionEvent.objects.exists()


def test_two_tokens_in_one_body_change_nothing(session: ConnectSession) -> None:
    body = callbacks.success(session.pending_token)
    body["pending_token"] = str(uuid.uuid4())
    assert post(body) == 200
    session.refresh_from_db()
    assert session.status == "open"
    event = ConnectionEvent.objects.get(source="webhook")
    assert event.outcome == "unmatched"
    assert "different tokens" in event.note


def test_a_body_with_two_tokens_is_not_filed_by_its_link_later_either(session: ConnectSession) -> None:
    assert post(callbacks.success(session.pending_token, "777", time="2026-01-25T10:00:00Z")) == 200
    body = callbacks.fail(session.pending_token, connection_id="777", time="2026-01-26T10:00:00Z")
    body["pending_token"] = str(uuid.uuid4())
    assert [post(body), post(body)] == [200, 200]
    event = ConnectionEvent.objects.get(kind="failed")
    assert apply(event).outcome == "unmatched"
    assert BankingConnection.objects.get().status == "active"
    assert "different tokens" in event.note


def test_a_token_and_a_key_of_two_sessions_change_nothing(
    session: ConnectSession, upstream: Upstream, other_user: User
) -> None:
    other = connect.start(owner=(other_user, ""), return_to=lambda s: "https://site.example/")
    body = callbacks.success(session.pending_token, session=other.reference)
    assert post(body) == 200
    assert set(ConnectSession.objects.values_list("status", flat=True)) == {"open"}


def test_a_key_of_ours_with_a_foreign_token_changes_nothing(session: ConnectSession) -> None:
    assert post(callbacks.success(uuid.uuid4(), session=session.reference)) == 200
    session.refresh_from_db()
    assert session.status == "open"


def test_the_connection_of_another_owner_cannot_be_taken(
    session: ConnectSession, upstream: Upstream, other_user: User
) -> None:
    other = connect.start(owner=(other_user, ""), return_to=lambda s: "https://site.example/")
    assert post(callbacks.success(other.pending_token, "777")) == 200
    assert post(callbacks.success(session.pending_token, "777")) == 200
    session.refresh_from_db()
    assert session.status == "open"
    assert BankingConnection.objects.get(upstream_id="777").user == other_user
    assert "another owner" in ConnectionEvent.objects.get(outcome="unmatched").note


@pytest.mark.parametrize(("tenant", "outcome"), [("acme", "applied"), ("", "unmatched")])
def test_of_what_nobody_owns_a_tenant_owns_its_own(
    upstream: Upstream, session: ConnectSession, tenant: str, outcome: str
) -> None:
    first, second = (
        connect.start(owner=(None, tenant), return_to=lambda s: "https://site.example/") for _ in range(2)
    )
    assert post(callbacks.success(first.pending_token, "777")) == 200
    assert post(callbacks.success(second.pending_token, "777")) == 200
    assert ConnectionEvent.objects.filter(source="webhook").latest("pk").outcome == outcome


def test_an_event_of_one_account_never_touches_another(session: ConnectSession, settings: Any) -> None:
    accounts = settings.BUSINESS_OS_BANKING["ACCOUNTS"]
    settings.BUSINESS_OS_BANKING = {
        "ACCOUNTS": {**accounts, "berlin": {**accounts["default"], "WEBHOOK_SECRETS": ["berlin-secret"]}}
    }
    body = callbacks.success(session.pending_token)
    assert post(body, "/banking/webhook/berlin/", "berlin-secret") == 200
    assert post(body, "/banking/webhook/", "berlin-secret") == 403
    session.refresh_from_db()
    assert session.status == "open"
    assert ConnectionEvent.objects.get(source="webhook").outcome == "unmatched"


def test_django_logs_no_path_with_a_secret(session: ConnectSession, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert post(b"not json", f"/banking/webhook/default/{SECRET}/", secret=None) == 400
        assert post(b"x" * 70_000, f"/banking/webhook/default/{SECRET}/", secret=None) == 413
        assert post(b"{}", "/banking/webhook/default/a-wrong-secret/", secret=None) == 403
    assert SECRET not in caplog.text
    assert "a-wrong-secret" not in caplog.text


@pytest.mark.parametrize("method", ["get", "put", "options"])
def test_a_wrong_method_is_not_logged_with_the_secret(method: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        response = getattr(Client(), method)(f"/banking/webhook/default/{SECRET}/")
    assert (response.status_code, response["Allow"], response.content) == (405, "POST, HEAD", b"")
    assert SECRET not in caplog.text


def test_a_secret_in_the_place_of_the_account_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs)

    signals.webhook_rejected.connect(receiver)
    try:
        with caplog.at_level(logging.DEBUG):
            assert post(callbacks.success(), f"/banking/webhook/{SECRET}/") == 403
    finally:
        signals.webhook_rejected.disconnect(receiver)
    assert "there is no such account" in caplog.text
    assert SECRET not in caplog.text + str(heard)


class HangsUp(io.RawIOBase):
    """The body of a sender that goes away in the middle."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise ConnectionResetError


class AdapterWithoutItsDatabase(BankingAdapter):
    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        raise OperationalError("the database of the keys is away")


@pytest.mark.parametrize("fault", ["sender", "adapter"])
def test_what_cannot_be_answered_is_not_logged_with_the_secret(
    fault: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    more: dict[str, Any] = {"wsgi.input": HangsUp()} if fault == "sender" else {}
    if fault == "adapter":
        adapter = f"{__name__}.AdapterWithoutItsDatabase"
        settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": adapter}
    settings.ADMINS = [("Admin", "a@site.example")] if django.VERSION < (6, 0) else ["a@site.example"]
    body = callbacks.raw(callbacks.success())
    with caplog.at_level(logging.DEBUG):
        response = Client().post(f"/banking/webhook/default/{SECRET}/", body, "application/json", **more)
    assert response.status_code == (400 if fault == "sender" else 503)
    assert "rejected: " in caplog.text
    assert SECRET not in caplog.text
    assert mail.outbox == []


def test_a_length_beyond_all_reckoning_is_too_large() -> None:
    response = Client().post(URL, b"{}", "application/json", CONTENT_LENGTH="9" * 5000)
    assert response.status_code == 413


# --- set-up ---


def test_only_post_and_head_are_answered() -> None:
    response = Client().get(URL)
    assert (response.status_code, response["Allow"]) == (405, "POST, HEAD")


@pytest.mark.parametrize(
    "path", [URL, "/banking/webhook/default/a-wrong-secret/", "/banking/webhook/nowhere/"]
)
def test_head_is_answered_and_does_nothing(path: str, django_assert_num_queries: Any) -> None:
    """Some senders ask whether there is anybody before they store an address: it gives away nothing."""
    with django_assert_num_queries(0):
        response = Client(headers={"X-Webhook-Secret": SECRET}).head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert not ConnectionEvent.objects.exists()


def test_strangers_cannot_tell_an_account_from_none() -> None:
    headers = {"X-Webhook-Secret": "a guess"}
    answers = [
        Client(headers=headers).post(f"/banking/webhook/{alias}/", b"{}", "application/json")
        for alias in ("default", "nowhere")
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].headers.keys() == answers[1].headers.keys()
    assert answers[0].content == answers[1].content == b""


@pytest.mark.parametrize(
    "wrong",
    [{"ADAPTER": "no.such.Adapter"}, {"ACCOUNTS": {"default": {"TIMEOUT": "soon"}}}]
    + [{"ACCOUNTS": {"default": {"WEBHOOK_SECRETS": ["x"], "WEBHOOK_VERIFIERS": ["no.such.Verifier"]}}}],
)
def test_settings_that_are_not_right_let_the_sender_try_again(settings: Any, wrong: dict[str, Any]) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **wrong}
    assert post(callbacks.success()) == 503


@pytest.mark.parametrize("missing", ["WEBHOOK_SECRETS", "WEBHOOK_VERIFIERS"])
def test_without_a_configured_way_to_prove_it_nobody_is_believed(settings: Any, missing: str) -> None:
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], missing: []}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    assert post(callbacks.success()) == 503
    assert not ConnectionEvent.objects.exists()


def test_salt_edge_itself_may_be_the_sender(session: ConnectSession, settings: Any) -> None:
    url = "https://site.example/banking/webhook/"
    account = {
        **settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"],
        "WEBHOOK_SECRETS": [],
        "WEBHOOK_VERIFIERS": ["business_os_banking.webhooks.verifiers.SaltEdgeSignature"],
        "SALTEDGE_CALLBACK_URLS": [url],
        "SALTEDGE_PUBLIC_KEYS": {"7.0": pem(PRIVATE)},
    }
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}
    body = callbacks.raw(callbacks.success(session.pending_token))
    answers = [
        Client().post(URL, content, content_type="application/json", headers=signed(body, url)).status_code
        for content in (body + b" ", body)
    ]
    assert answers == [403, 200]
    assert BankingConnection.objects.get().status == "active"


def test_it_works_behind_middleware_that_demands_a_login(session: ConnectSession, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert post(callbacks.success(session.pending_token)) == 200
    assert BankingConnection.objects.get().status == "active"


@pytest.mark.django_db(transaction=True)
def test_our_own_fault_is_kept_answered_500_and_mended_by_a_redelivery(
    upstream: Upstream, user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(transaction.get_connection().settings_dict, "ATOMIC_REQUESTS", True)
    session = connect.start(owner=(user, ""), return_to=lambda s: "https://site.example/")
    connection = BankingConnection.objects.get()
    # A state that cannot be read: the kind of fault that a bug of ours would be.
    BankingConnection.objects.filter(pk=connection.pk).update(state={"links": {"A": "broken"}})
    body = callbacks.success(session.pending_token)
    assert post(body, client=Client(raise_request_exception=False)) == 500
    event = ConnectionEvent.objects.get(source="webhook")
    assert (event.outcome, event.kind) == ("failed", "succeeded")
    assert post(body, client=Client(raise_request_exception=False)) == 500
    assert "could not be kept" not in caplog.text
    BankingConnection.objects.filter(pk=connection.pk).update(state=connection.state)
    assert post(body) == 200
    event.refresh_from_db()
    assert (event.outcome, event.deliveries) == ("applied", 3)
    assert BankingConnection.objects.get().status == "active"
    assert not transaction.get_connection().in_atomic_block


def test_the_log_of_a_fault_holds_no_body(session: ConnectSession, caplog: pytest.LogCaptureFixture) -> None:
    BankingConnection.objects.update(state={"links": {"A": "broken"}})
    body = callbacks.fail(session.pending_token)
    assert post(body) == 500
    assert "could not be applied" in caplog.text
    assert "ada@kunde.example" not in caplog.text
    assert json.dumps(ConnectionEvent.objects.get(source="webhook").payload).count("ada") == 0
