from __future__ import annotations
from datetime import timedelta
from typing import Any
import pytest, responses, json
from django.db import transaction
from django.utils import timezone
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.erase import erase
from business_os_banking.flows import reconcile as rec
from business_os_banking.flows.remove import settle, remove, note_unlisted
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import *
from business_os_banking.models import AccountState
from business_os_banking.vocabulary import Evidence
from tests import callbacks
from tests.deeds import deliver, start
from tests.flows.paged import paged_upstream
from tests.flows.test_removals import connected, answers, SAID, NOT_THERE, post, run
from tests.upstream.fake import row
pytestmark = pytest.mark.django_db(transaction=True)

def test_byhand_left_kills_living(upstream, user):
    a, b = connected(user), connected(user)
    disconnect(a)
    r = Removal.objects.get()
    assert r.left_at
    settle(r, Evidence.BY_HAND, timezone.now(), "x")
    b.refresh_from_db()
    print("LIVING AFTER BY HAND", b.status, b.ended_by)
    assert b.status == "active"

def test_superseded_long_run(upstream, user, settings, monkeypatch):
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "DISCONNECT_SUPERSEDED": True}
    bank = {"provider_code": "demobank_xf"}
    now = timezone.now()
    s = start(user)
    deliver(callbacks.success(s.pending_token, "777", time=(now - timedelta(days=3)).isoformat(), **bank))
    renewal = start(user, connection=s.connection)
    answers(upstream, SAID)
    # renewal succeeds during a run that began 6 minutes ago
    deliver(callbacks.success(renewal.pending_token, "888", time=now.isoformat(), **bank))
    upstream.lists(row("777", **bank), row("888", **bank))
    result = reconcile(now - timedelta(minutes=6))
    print("REMOVED", result.removed, upstream.calls("DELETE"))
    assert upstream.calls("DELETE") == []

def test_erase_in_atomic(upstream, user):
    a = connected(user)
    answers(upstream, SAID)
    try:
        with transaction.atomic():
            erase(user=user)
            raise ValueError
    except ValueError: pass
    except RuntimeError as e: print("RT", e)
    a.refresh_from_db()
    print("STATUS", a.status, len(upstream.calls("DELETE")))
    assert not upstream.calls("DELETE")

def test_created_session(upstream, user):
    s = start(user)
    tok, ref = s.pending_token, s.reference
    ConnectSession.objects.filter(pk=s.pk).update(pending_token=None, status="created")
    ConnectionEvent.objects.all().delete()
    erase(user=user)
    b = callbacks.success(tok, "777", custom_fields={"session": str(ref)})
    assert post(b) == 200
    e = ConnectionEvent.objects.get()
    print("CREATED", e.outcome, e.upstream_id, e.pending_token, Removal.objects.values())
    assert e.upstream_id == ""

def test_reopened_keeps_unlisted(upstream, user):
    s = start(user)
    post(callbacks.success(s.pending_token, "777", time=timezone.now().isoformat()))
    answers(upstream, "", 204)
    erase(user=user)
    r = Removal.objects.get(of_session=False)
    t = timezone.now()
    key = set(r.known_to)
    note_unlisted("default", key, t + timedelta(hours=1), t + timedelta(hours=1))
    note_unlisted("default", key, t + timedelta(hours=3), t + timedelta(hours=3))
    r.refresh_from_db(); assert r.evidence == "unlisted"
    Removal.objects.filter(pk=r.pk).update(settled_at=t)  # so that a later success is in range
    assert post(callbacks.success(s.pending_token, "777", time=(t + timedelta(minutes=2)).isoformat())) == 200
    r.refresh_from_db(); assert r.settled_at is None
    note_unlisted("default", key, t + timedelta(hours=5), t + timedelta(hours=5))
    r.refresh_from_db()
    print("REOPENED", r.evidence, r.asked_at, r.unlisted_at)
    assert r.settled_at is None

def test_refused_counts_as_asked(upstream, user):
    a = connected(user)
    answers(upstream, {"error": {"class": "Forbidden"}}, 403)
    disconnect(a)
    assert Removal.objects.get().asked_at is None

def test_success_after_proof_for_kept(upstream, user):
    s = start(user)
    post(callbacks.success(s.pending_token, "777", time=timezone.now().isoformat()))
    answers(upstream, SAID)
    disconnect(s.connection)
    assert post(callbacks.success(s.pending_token, "777", time=(timezone.now() + timedelta(minutes=2)).isoformat())) == 200
    print("KEPT", Removal.objects.values("settled_at", "evidence"))
    assert Removal.objects.due().exists()

def test_settled_blocks_new(upstream, user):
    a = connected(user)
    answers(upstream, SAID)
    erase(user=user)
    assert not Removal.objects.due().exists()
    b = connected(user)  # same id again
    assert b.status == "active"
    n = len(upstream.calls("DELETE"))
    disconnect(b)
    print("BLOCK", Removal.objects.values("connection", "settled_at"), len(upstream.calls("DELETE")) - n)
    assert len(upstream.calls("DELETE")) > n

def test_upstream_false_webhooks(upstream, user):
    connected(user)
    erase(user=user, upstream=False)
    post(callbacks.notify(None, connection_id="777"))
    print("UF", ConnectionEvent.objects.values("upstream_id", "outcome"))
    assert not ConnectionEvent.objects.filter(upstream_id="777").exists()

def test_anchor_after_erase(user, settings):
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "READ_EVERY_HOURS": 2}
    with paged_upstream() as paged:
        other = connected(user, "100")
        from django.contrib.auth.models import User
        u2 = User.objects.create(username="u2")
        gone = connected(u2, "777")
        paged.size = 1
        paged.rows = [row("100"), row("777"), row("888")]
        run(1)
        erase(user=u2)
        print("A0", AccountState.objects.values_list("anchors", flat=True))
        run(4)
        print("A1", AccountState.objects.values_list("anchors", flat=True))
        r = Removal.objects.due().get()
        settle(r, Evidence.BY_HAND, timezone.now())
        paged.rows = [row("100"), row("888")]
        a = AccountState.objects.get().anchors
        print("A2", a)
        assert "777" not in a

def test_prune_null(upstream, user):
    from business_os_banking.flows.prune import prune
    s = start(user)
    post(callbacks.success(s.pending_token, "777", time=timezone.now().isoformat()))
    ConnectSession.objects.update(succeeded_at=None, status="failed")
    n = ConnectionEvent.objects.filter(kind="succeeded").count()
    ConnectionEvent.objects.update(announced_at=timezone.now(), received_at=timezone.now() - timedelta(days=3000 * 0 + 700))
    prune()
    print("PRUNE", n, ConnectionEvent.objects.values_list("kind", flat=True))

def test_waiting_session_named(upstream, user):
    a = connected(user)
    b = start(user, next_url="/b/")
    deliver(callbacks.notify(b.pending_token, connection_id="777"))
    answers(upstream, SAID)
    disconnect(a)
    b.refresh_from_db()
    print("NAMED", b.status, b.upstream_id, len(upstream.calls("DELETE")))
    assert not upstream.calls("DELETE")

def test_lease_in_past(upstream, user):
    a = connected(user)
    answers(upstream, "x", 502)
    disconnect(a)
    seen = []
    import business_os_banking.flows.remove as rm
    real = rm._ask
    def ask(row):
        seen.append(Removal.objects.get().leased_until - timezone.now())
        return real(row)
    rm._ask = ask
    try:
        Removal.objects.update(next_at=None)
        reconcile(timezone.now() - timedelta(minutes=3))
    finally:
        rm._ask = real
    print("LEASE", seen)
    assert seen[0] > timedelta(0)
