"""Prune and erase take with them what only points at what is forgotten, and nothing else."""

from __future__ import annotations

import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.utils import timezone

from business_os_banking.facts.rebuild import rebuild
from business_os_banking.flows.erase import erase
from business_os_banking.flows.prune import prune
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession, SessionLink
from tests import callbacks
from tests.deeds import deliver, start
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def over(session: ConnectSession) -> None:
    ConnectSession.objects.filter(pk=session.pk).update(expires_at=timezone.now())


# --- prune ---


@pytest.mark.parametrize("status", ["open", "created", "failed", "succeeded"])
def test_a_session_that_is_over_is_cleared_even_if_nobody_let_it_expire(
    upstream: Upstream, user: User, status: str
) -> None:
    session = start(user, email="ada@kunde.example", next_url="/books/?q=ada", custom_fields={"a": 1})
    ConnectSession.objects.update(status=status)
    assert prune(timezone.now() + timedelta(days=31)).sessions == 1
    session.refresh_from_db()
    kept = (session.email, session.custom_fields, session.next_url, session.connect_url)
    assert kept == ("", {}, "", "")
    assert session.pending_token
    assert prune(timezone.now() + timedelta(days=31)).sessions == 0


def test_a_session_that_may_still_be_used_is_left_alone(upstream: Upstream, user: User) -> None:
    session = start(user, email="ada@kunde.example", next_url="/books/")
    later = timezone.now() + timedelta(days=31)
    ConnectSession.objects.update(expires_at=later + timedelta(minutes=1))
    assert prune(later).sessions == 0
    before = session.connect_url
    session.refresh_from_db()
    assert (session.email, session.next_url, session.connect_url) == ("ada@kunde.example", "/books/", before)


# --- erase ---


@pytest.mark.parametrize("named_by", ["token", "key", "link", "further link", "imported link"])
def test_what_matched_nothing_goes_with_what_it_names(upstream: Upstream, user: User, named_by: str) -> None:
    session = start(user)
    connection = session.connection
    if named_by == "token":
        stray = deliver(callbacks.success(session.pending_token, session=uuid.uuid4()))
    elif named_by == "key":
        stray = deliver(callbacks.success(uuid.uuid4(), session=session.reference))
    else:
        stray = deliver(callbacks.success(uuid.uuid4(), "777"))
        if named_by == "link":
            ConnectSession.objects.update(upstream_id="777")
        elif named_by == "further link":
            SessionLink.objects.create(session=session, upstream_id="777")
        else:
            BankingConnection.objects.update(upstream_id="777")
    assert (stray.outcome, stray.connection) == ("unmatched", None)
    of_nobody = deliver(callbacks.success(uuid.uuid4(), "999"))
    over(session)
    assert erase(user=connection.user, upstream=False).connections == 1
    assert list(ConnectionEvent.objects.all()) == [of_nobody]


def test_what_is_said_of_a_bank_stays_without_whom_it_named(upstream: Upstream, user: User) -> None:
    session = start(user)
    change = {"provider_code": "bank_xf", "provider_status": "inactive", "connection_id": "777"}
    event = deliver(callbacks.body(token=session.pending_token, **change))
    over(session)
    erase(user=user)
    event.refresh_from_db()
    assert (event.provider_code, event.kind) == ("bank_xf", "provider_changed")
    assert (event.pending_token, event.upstream_id, event.payload) == (None, "", {})


def test_the_history_in_the_admin_goes_as_well(upstream: Upstream, user: User, other_user: User) -> None:
    sessions = [start(user), start(other_user)]
    models = ContentType.objects.get_for_models(BankingConnection, User)
    for model, pk in [(BankingConnection, session.connection_id) for session in sessions] + [(User, user.pk)]:
        LogEntry.objects.create(
            user=other_user, content_type=models[model], object_id=str(pk), object_repr="x", action_flag=2
        )
    over(sessions[0])
    erase(user=user)
    left = set(LogEntry.objects.values_list("content_type", "object_id"))
    assert left == {
        (models[BankingConnection].pk, str(sessions[1].connection_id)),
        (models[User].pk, str(user.pk)),
    }


def test_connections_whose_user_is_gone_can_be_erased(
    upstream: Upstream, user: User, other_user: User
) -> None:
    of_nobody, of_a_tenant, of_another, kept = (
        start(user),
        start(user, "a"),
        start(user, "b"),
        start(other_user),
    )
    user.delete()
    ConnectSession.objects.update(expires_at=timezone.now())
    left = {session.connection_id for session in (of_nobody, of_a_tenant, of_another, kept)}
    for options, gone in ((("--tenant", "a"), of_a_tenant), ((), of_nobody)):
        assert run("banking_erase", "--without-user", *options) == "1 connection erased\n"
        left -= {gone.connection_id}
        assert set(BankingConnection.objects.values_list("pk", flat=True)) == left


def test_a_user_is_named_or_is_not(user: User) -> None:
    with pytest.raises(CommandError, match="--without-user"):
        run("banking_erase", "--user", "ada", "--without-user")


# --- rebuild ---


def test_the_address_of_the_widget_is_not_printed(upstream: Upstream, user: User) -> None:
    session = start(user)
    deliver(callbacks.success(session.pending_token))
    ConnectSession.objects.update(connect_url="https://www.saltedge.com/connect?token=MARKER")
    differences = [str(difference) for difference in rebuild(check=True)]
    assert differences == [f"session {session.reference}: connect_url is '(not shown)', the log says ''"]
