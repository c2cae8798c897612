"""The names of events: by whole words, and only for connections and consents."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.vocabulary import Kind
from business_os_banking.webhooks.events import SELF_TEST, kind_of, words_of
from tests import callbacks
from tests.deeds import start
from tests.reading.world import LINK, OPEN, SUCCEEDED, ago, connected, latest, post, stands
from tests.upstream.fake import Upstream

NAMED = {
    Kind.SUCCEEDED: [
        *(
            "success",
            "SUCCESS",
            "connection.success",
            "connection_success",
            "ConnectionSuccess",
            "connectionSuccess",
        ),
        *(
            "ais.success",
            "callback-success",
            "bank connected",
            "connection.connected",
            "AISConnectionSuccess",
        ),
        *(
            "v6.connection.success",
            "webhooks/ais/success",
            "connect.success",
            "session.succeeded",
            "bos:success",
        ),
    ],
    Kind.FAILED: [
        "fail",
        "connection.failed",
        "CONNECTION_FAILURE",
        "ConnectionError",
        "ais.fail",
        "session.failed",
    ],
    Kind.PROGRESSED: ["notify", "connection.notify", "Notification", "ConnectionProgress"],
    Kind.REMOVED: [
        *("destroy", "connection.destroyed", "ConnectionDestroyed", "connection_deleted", "ais.destroy"),
        *("connection.removed", "connection.removal", "delete", "saltedge.connection.delete", "destroyed"),
        *(
            "business_os.connection.deleted",
            "banking.connection.removed",
            "login.deleted",
            "saltedge.destroy",
        ),
    ],
    Kind.CONSENT_ENDED: [
        *("consent.revoked", "ConsentExpired", "consent_withdrawn", "ais.consents.revoke", "consent.changes"),
    ],
    Kind.GUESSED_REMOVAL: ["connection.disconnected", "ConnectionDisconnect"],
    Kind.PROVIDER_CHANGED: ["provider.changes", "ProviderChanged", "provider_status", "providers.updated"],
}
# About something else, contradicting itself, or with a word that may turn it round.
NOT_BELIEVED = [
    *("not_successful", "connect.not_successful", "success_pending", "ConnectionNotDestroyed", "no.success"),
    *(
        "connection.delete_failed",
        "destroy.failed",
        "removal.success",
        "connection.not_removed",
        "success.undone",
    ),
    *("payment.success", "payments.failed", "PaymentSucceeded", "transfer.success", "refund.success"),
    *("transactions.deleted", "transaction_removed", "account.removed", "AccountDeleted", "user.deleted"),
    *("customer.destroyed", "apiKey.deleted", "invoice.removed", "lead.success", "document.deleted"),
    *("provider.removed", "provider.success", "consent.deleted", "consent.success", "connection.expired"),
    *("connection.will_be_deleted", "connection.deletion.scheduled.delete", "connection.deleted.undo"),
    # Of a removal: about what a connection has or does, or about no connection at all.
    *("session.deleted", "connect_session.deleted", "connection_session.destroyed", "attempt.deleted"),
    *(
        "connection.attempt.removed",
        "connection.status.removed",
        "connection.update.removed",
        "status.deleted",
    ),
    *(
        "webhook.deleted",
        "callback.removed",
        "data.deleted",
        "event.deleted",
        "api.removed",
        "partner.removed",
    ),
    *(
        "business.deleted",
        "os.removed",
        "bank.removed",
        "banking.connection.data.deleted",
        "webhook.destroyed",
    ),
    *("unsuccessful", "connection.undeleted", "UnDestroyed", "not.disconnected", "unrevoked"),
]
LEFT_TO_THE_BODY = [
    "",
    "connection",
    "connection.updated",
    "webhook",
    "connection.created",
    "update",
    "status",
    "ping",
]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMED.items() for name in names])
def test_a_name_that_is_known_whole(kind: Kind, name: str) -> None:
    assert kind_of([name]) is kind


@pytest.mark.parametrize("name", NOT_BELIEVED)
def test_a_name_that_is_not_believed(name: str) -> None:
    assert kind_of([name]) is Kind.UNKNOWN


@pytest.mark.parametrize("name", LEFT_TO_THE_BODY)
def test_a_name_that_leaves_it_to_the_body(name: str) -> None:
    assert kind_of([name]) is None


def test_pieces_under_several_keys_are_one_name() -> None:
    assert kind_of(["connection", "deleted"]) is Kind.REMOVED
    assert kind_of(["transaction", "deleted"]) is Kind.UNKNOWN
    assert kind_of(["success", "not"]) is Kind.UNKNOWN
    assert kind_of(["webhook", SELF_TEST]) is Kind.SELF_TEST


def test_words() -> None:
    assert words_of(["AISConnectionSuccess.v6", "api-key_deleted"]) == {
        *("ais", "connection", "success", "v", "6", "api", "key", "deleted")
    }


pytestmark = pytest.mark.django_db


def named(name: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    return {key: name, **body}


@pytest.mark.parametrize("key", ["type", "event", "event_type", "event_name", "action"])
@pytest.mark.parametrize("name", ["connection.success", "ConnectionSuccess", "ais_success"])
def test_a_success_by_its_name_alone(upstream: Upstream, user: User, key: str, name: str) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, connection_id=LINK, time=ago(minutes=1))
    assert post(named(name, key, body)) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize("name", NOT_BELIEVED)
def test_what_is_not_believed_connects_nobody(upstream: Upstream, user: User, name: str) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, connection_id=LINK, time=ago(minutes=1))
    assert post(named(name, "event", body)) == 200
    assert stands(session) == OPEN
    assert latest().kind == "unknown"
    assert latest().payload["event"]


@pytest.mark.parametrize("name", NOT_BELIEVED)
@pytest.mark.parametrize("where", ["body", pytest.param("header", marks=pytest.mark.long)])
def test_what_is_not_believed_disconnects_nobody(
    upstream: Upstream, user: User, name: str, where: str
) -> None:
    session = start(user)
    connected(session)
    body = callbacks.bare_destroy(None, LINK, time=ago(minutes=1))
    if where == "body":
        assert post(named(name, "type", body)) == 200
    else:
        assert post(body, HTTP_X_EVENT=name) == 200
    assert stands(session) == SUCCEEDED


@pytest.mark.parametrize("name", NAMED[Kind.REMOVED])
def test_a_removal_by_its_name(upstream: Upstream, user: User, name: str) -> None:
    session = start(user)
    connection = connected(session)
    assert post(named(name, "event", callbacks.bare_destroy(None, LINK, time=ago(minutes=1)))) == 200
    assert stands(session) == ("succeeded", "disconnected", "")
    # It is somebody's word: what says later that it works undoes it, and ending it still asks the provider.
    assert post(callbacks.success(None, LINK, time=ago(seconds=1))) == 200
    assert stands(session) == SUCCEEDED
    connection.refresh_from_db()
    assert connection.ended_by == ""


def test_a_removal_that_is_named_in_a_header_alone(upstream: Upstream, user: User) -> None:
    session = start(user)
    connected(session)
    body = callbacks.bare_destroy(None, LINK, time=ago(minutes=1))
    assert post(body, HTTP_X_EVENT_TYPE="connection.destroyed") == 200
    assert stands(session) == ("succeeded", "disconnected", "")


def test_what_only_looks_like_a_removal_changes_nothing_by_itself(upstream: Upstream, user: User) -> None:
    session = start(user)
    connection = connected(session)
    assert post(callbacks.bare_destroy(session.pending_token, LINK, time=ago(minutes=1))) == 200
    assert stands(session) == SUCCEEDED
    connection.refresh_from_db()
    assert connection.removal_guessed_at is not None
    assert connection.read_due_at is not None
    event = latest()
    assert (event.kind, str(event.get_kind_display())) == (
        "guessed_removal",
        "Perhaps removed at the provider",
    )
    assert not ConnectionEvent.objects.filter(kind="removed").exists()


@pytest.mark.parametrize("name", ["connection.failed", "ConnectionError", "fail"])
def test_a_failure_by_its_name_alone(upstream: Upstream, user: User, name: str) -> None:
    session = start(user)
    body = callbacks.body(token=session.pending_token, connection_id=LINK, time=ago(minutes=1))
    assert post(named(name, "event", body)) == 200
    assert stands(session)[:2] == ("failed", "pending")


@pytest.mark.parametrize(
    ("name", "reason"), [("consent.revoked", "consent_revoked"), ("ConsentExpired", "consent_expired")]
)
def test_the_end_of_a_consent_by_its_name_alone(
    upstream: Upstream, user: User, name: str, reason: str
) -> None:
    session = start(user)
    connected(session)
    body = callbacks.body(connection_id=LINK, time=ago(minutes=1))
    assert post(named(name, "event", body)) == 200
    assert stands(session) == ("succeeded", "inactive", reason)


@pytest.mark.parametrize(
    "status", ["active", "given", "not_revoked", "unexpired", "expires_soon", "will_expire", "revocable"]
)
def test_a_consent_of_which_nothing_bad_is_said(upstream: Upstream, user: User, status: str) -> None:
    session = start(user)
    connected(session)
    body = callbacks.body(connection_id=LINK, consent_status=status, time=ago(minutes=1))
    assert post(body) == 200
    assert stands(session) == SUCCEEDED
    assert BankingConnection.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *(
            ("expired", "consent_expired"),
            ("Expired", "consent_expired"),
            ("ConsentExpired", "consent_expired"),
        ),
        *(
            ("revoked", "consent_revoked"),
            ("revoked_by_user", "consent_revoked"),
            ("client", "consent_revoked"),
        ),
        ("AispConsentAlreadyRevoked", "consent_revoked"),
    ],
)
def test_a_consent_that_has_ended(upstream: Upstream, user: User, status: str, reason: str) -> None:
    session = start(user)
    connected(session)
    assert post(callbacks.body(connection_id=LINK, reason=status, time=ago(minutes=1))) == 200
    assert stands(session) == ("succeeded", "inactive", reason)
