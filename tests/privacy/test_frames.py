"""What a report of an error shows, which prints every local variable of every frame: no key, secret, token or address.

The frames are looked at wherever somebody else's code, a database or the network can fail or be interrupted; those of
the libraries that speak HTTP and SQL are looked at, too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection as database
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils.functional import LazyObject

from business_os_banking import conf, signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf.secret import Secret, Token
from business_os_banking.flows import invite
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream import http
from business_os_banking.upstream.client import BusinessOSClient
from tests.upstream.server import GOOD, KEY, TOKEN, Exchange, Server, serve

pytestmark = pytest.mark.django_db(transaction=True)

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"the secret of these tests alone").decode()
WIDGET = "https://www.saltedge.com/connect?token=MARKER-OF-THE-WIDGET"
ANSWER = {**GOOD, "connect_url": WIDGET, "expires_at": "2999-01-01T00:00:00Z"}
MARKERS = {
    "key": KEY,
    "secret": WEBHOOK_SECRET,
    "secret, encoded": WEBHOOK_SECRET.encode().hex(),
    "token": TOKEN,
    "token, in digits": UUID(TOKEN).hex,
    "widget": "MARKER-OF-THE-WIDGET",
}


# To show one of these is to ask the database, of which this may be called.
LAZY = (QuerySet, Prefetch, LazyObject)


def leaks(frame: FrameType | None) -> Iterator[tuple[str, ...]]:
    """Yield what the variables of *frame*, and of all that have called it, show; not those of the tests."""
    while frame:
        path = frame.f_code.co_filename
        if not any(part in path for part in ("/tests/", "/_pytest/", "/xdist/", "django/test/client.py")):
            for name, value in list(frame.f_locals.items()):
                shown = "" if issubclass(type(value), LAZY) else repr(value)
                yield from (
                    (path[-45:], frame.f_code.co_name, name, what)
                    for what, marker in MARKERS.items()
                    if marker in shown
                )
        frame = frame.f_back


class Watch:
    def __init__(self) -> None:
        self.leaks: set[tuple[str, ...]] = set()
        self.places: list[str] = []

    def look(self, place: str, frame: FrameType | None) -> None:
        self.places.append(place)
        self.leaks.update((place, *leak) for leak in leaks(frame))

    def statement(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.look("statement", sys._getframe())
        return execute(sql, *rest)

    def receiver(self, **_: Any) -> None:
        self.look("receiver", sys._getframe())
        raise RuntimeError("a receiver of the site's")


WATCH = Watch()


class Adapter(BankingAdapter):
    def get_custom_fields(self, request: HttpRequest, connection: BankingConnection | None) -> dict[str, Any]:
        WATCH.look("hook", sys._getframe())
        return {}

    def get_return_to(self, request: HttpRequest, session: ConnectSession) -> str:
        WATCH.look("hook", sys._getframe())
        return super().get_return_to(request, session)

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        WATCH.look("hook", sys._getframe())
        return super().get_credentials(alias, connection)


def look_at_others(exchange: Exchange) -> None:
    """Look at who waits for this answer, and give it."""
    time.sleep(0.05)  # until it does wait
    here = sys._getframe()
    for frame in sys._current_frames().values():
        if frame is not here:
            WATCH.look("call", frame)
    exchange.answer(ANSWER if exchange.command == "POST" else {"removed": True, "id": "111"})


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    script = Server(behave=look_at_others)
    stop = serve(script)
    account = {
        "API_KEY": KEY,
        "WEBHOOK_SECRETS": [WEBHOOK_SECRET],
        "BASE_URL": script.url,
        "TIMEOUT": (2, 5),
    }
    setting = {"ACCOUNTS": {"default": account}, "ADAPTER": f"{__name__}.Adapter"}
    del account
    with override_settings(BUSINESS_OS_BANKING=setting):
        del setting
        yield script
    http.close_kept()
    stop()


@pytest.fixture
def watch() -> Iterator[Watch]:
    WATCH.leaks, WATCH.places = set(), []
    receivers = [signals.event_recorded, signals.connection_activated, signals.connect_session_started]
    for each in receivers:
        each.connect(WATCH.receiver)
    with database.execute_wrapper(WATCH.statement):
        yield WATCH
    for each in receivers:
        each.disconnect(WATCH.receiver)


def body_of(session: ConnectSession, second: int) -> bytes:
    data = {
        "connection_id": "111",
        "customer_id": "1",
        "custom_fields": {"pending_token": TOKEN, "session": str(session.reference)},
        "stage": "finish",
    }
    meta = {"version": "6", "time": f"2026-11-30T10:00:{second:02}Z"}
    return json.dumps({"data": data, "meta": meta}).encode()


def signed(body: bytes) -> dict[str, str]:
    return {"X-Signature": hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()}


SENDERS: list[Callable[[bytes], tuple[str, dict[str, str]]]] = [
    lambda body: (f"/banking/webhook/default/{WEBHOOK_SECRET}/", {}),
    lambda body: ("/banking/webhook/", {"X-Webhook-Secret": WEBHOOK_SECRET}),
    lambda body: ("/banking/webhook/", {"Authorization": f"Bearer {WEBHOOK_SECRET}"}),
    lambda body: ("/banking/webhook/", signed(body)),
]


def test_a_whole_life(upstream: Server, watch: Watch) -> None:
    user = get_user_model().objects.create_user("anna", "anna@bank.example", "pw")
    client = Client(raise_request_exception=False)
    client.force_login(user)
    assert client.post(reverse("business_os_banking:connect"))["Location"] == WIDGET
    session = ConnectSession.objects.get()
    client.get(reverse("business_os_banking:return", args=[session.reference]))
    for second, sender in enumerate(SENDERS):
        body = body_of(session, second)
        path, headers = sender(body)
        sent = Client().post(path, body, content_type="application/json", headers=headers)
        assert sent.status_code == 200
    assert Client().post("/banking/webhook/default/no/", b"{}", "application/json").status_code == 403
    connection = BankingConnection.objects.get()
    assert connection.status == "active"
    link = reverse("business_os_banking:invitation", args=[invite.create(connection)])
    assert Client().post(link).status_code in {303, 503}
    client.post(reverse("business_os_banking:connection-disconnect", args=[connection.reference]))
    call_command("banking_reconcile", verbosity=0)
    assert {"statement", "receiver", "hook", "call"} <= set(watch.places)
    assert {seen.method for seen in upstream.seen} >= {"POST", "DELETE"}
    assert not watch.leaks


class SoftTimeLimitExceeded(Exception):
    """As Celery's: no error of a connection, raised by a signal wherever the task happens to be."""


def interrupt(*_: Any) -> None:
    raise SoftTimeLimitExceeded


def frames_of(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def test_a_time_limit_in_the_middle_of_a_call(upstream: Server) -> None:
    upstream.behave = lambda exchange: time.sleep(0.6)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(SoftTimeLimitExceeded) as caught:
            BusinessOSClient().delete_connection("111")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    frames = list(frames_of(caught.value.__traceback__))
    assert any("urllib3" in frame.f_code.co_filename for frame in frames)
    assert not [leak for frame in frames for leak in leaks(frame)]


def test_reprs() -> None:
    secret, token = Secret("of-nobody"), Token(TOKEN)
    assert [repr(secret), str(secret), f"{secret}"] == ["***"] * 3
    assert [repr(token), repr(secret.open()), repr([token, secret, secret.open()])] == [
        "***",
        "***",
        "[***, ***, ***]",
    ]
    assert (secret.open(), str(token), token) == ("of-nobody", TOKEN, UUID(TOKEN))


def test_secrets_are_compared_by_their_texts() -> None:
    assert Secret("a") == Secret("a") == "a"
    assert Secret("a") != Secret("b")
    assert Secret("ü") != "u"
    assert Secret("a") != 1
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert [bool(Secret("")), bool(Secret("a"))] == [False, True]
