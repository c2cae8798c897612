"""Limits: on a person's attempts, and on the noise of strangers; never on Business OS itself."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client

from business_os_banking import signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.guards import throttle
from business_os_banking.models import BankingConnection
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream.fake import Upstream

URL = "/banking/webhook/"


def limit(settings: Any, **limits: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **limits}


Clock = Callable[[int], None]


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock, at a full hour or so many seconds after it: windows follow it."""
    # The next one: the database's cache asks another clock, which goes on, and must not find its keys too old.
    start = (int(time.time()) // 3600 + 1) * 3600

    def at(seconds: int) -> None:
        monkeypatch.setattr(time, "time", lambda: float(start + seconds))

    at(0)
    return at


@pytest.fixture(
    params=["locmem.LocMemCache", "filebased.FileBasedCache", "db.DatabaseCache", "redis.RedisCache"]
)
def any_cache(request: pytest.FixtureRequest, settings: Any, tmp_path: Path, db: None) -> None:
    """One of Django's caches, whose keys live for ever unless told otherwise."""
    use_cache(settings, request.param, tmp_path)
    if request.param.startswith("db."):
        from django.core.management import call_command

        call_command("createcachetable", "throttle_test", verbosity=0)


def use_cache(settings: Any, backend: str, directory: Path) -> None:
    location = {"filebased": str(directory), "redis": "redis://127.0.0.1:6379/", "db": "throttle_test"}
    settings.CACHES = {
        "default": {
            "BACKEND": f"django.core.cache.backends.{backend}",
            "LOCATION": location.get(backend.partition(".")[0], ""),
            "TIMEOUT": None,
            "KEY_PREFIX": uuid.uuid4().hex,
        }
    }
    if backend.startswith("redis."):
        import redis

        try:
            cache.get("answers")
        except redis.exceptions.RedisError:
            pytest.skip("there is no Redis")


def hang_up() -> None:
    """Close what this thread has opened to Redis; Django leaves that to the end of the process."""
    if "redis" in django_settings.CACHES["default"]["BACKEND"]:
        for pool in cache._cache._pools.values():  # type: ignore[attr-defined]
            pool.disconnect()


@pytest.fixture(autouse=True)
def _hang_up(settings: Any) -> Iterator[None]:
    yield
    hang_up()


def test_it_counts_by_name_and_person_until_the_limit(any_cache: None) -> None:
    assert [throttle.within("a", "1", 2, 60) for _ in range(4)] == [True, True, False, False]
    assert throttle.within("a", "2", 2, 60)
    assert throttle.within("b", "1", 2, 60)


def test_each_window_begins_anew(any_cache: None, at: Clock) -> None:
    """Some caches let a key live on, for ever even, each time that it is counted up."""
    for start in (0, 60, 3600):
        at(start)
        assert [throttle.within("a", "1", 2, 60) for _ in range(3)] == [True, True, False]
        assert throttle.seconds_left(60) == 60
        at(start + 59)
        assert not throttle.within("a", "1", 2, 60)
        assert throttle.seconds_left(60) == 1


@pytest.mark.parametrize(
    "who", ["", " ", "ada lovelace", "ada\n", "é", "x" * 1000, "2001:db8::1%eth0", "\x7f"]
)
def test_no_name_is_too_strange_for_a_cache(who: str, caplog: pytest.LogCaptureFixture) -> None:
    """Django warns of keys that memcached refuses, and here a warning is an error."""
    assert [throttle.within("a", who, 1, 60) for _ in range(2)] == [True, False]
    assert caplog.text == ""


def test_of_fifty_at_once_exactly_so_many_get_through(settings: Any, tmp_path: Path) -> None:
    use_cache(settings, "redis.RedisCache", tmp_path)

    def ask(_number: int) -> bool:
        try:
            return throttle.within("connect", "ada", 20, 3600)
        finally:
            hang_up()

    with ThreadPoolExecutor(50) as crowd:
        assert sum(crowd.map(ask, range(50))) == 20


def test_zero_is_no_limit() -> None:
    assert all(throttle.within("a", "1", 0, 60) for _ in range(5))


@pytest.mark.parametrize(
    "backend",
    [
        "django.core.cache.backends.dummy.DummyCache",
        "django.core.cache.backends.redis.RedisCache",
        "no.such.Cache",
    ],
)
def test_a_cache_that_does_not_work_limits_nobody(
    settings: Any, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Port 9 (discard) is closed everywhere.
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:9/"}}
    assert all(throttle.within("a", "1", 1, 60) for _ in range(3))
    # The dummy is a choice; of the others somebody should hear.
    broken = "dummy" not in backend
    assert caplog.text.count("The cache does not answer, so the limit on a holds nobody") == 3 * broken


def test_a_person_can_start_so_many_sessions_an_hour(
    upstream: Upstream, client: Client, user: Any, settings: Any, at: Clock
) -> None:
    limit(settings, CONNECTS_PER_HOUR=2)
    client.force_login(user)
    answers = [client.post("/banking/connect/", {"next": f"/{number}/"}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert "That was a lot of tries" in answers[2].content.decode()
    assert 'href="/banking/"' in answers[2].content.decode()
    assert answers[2]["Retry-After"] == "3600"
    assert len(upstream.calls("POST")) == 2
    at(3599)
    assert client.post("/banking/connect/", {"next": "/4/"})["Retry-After"] == "1"
    at(3600)
    assert client.post("/banking/connect/", {"next": "/4/"}).status_code == 303
    limit(settings, CONNECTS_PER_HOUR=0)
    assert client.post("/banking/connect/", {"next": "/5/"}).status_code == 303


def test_renewing_counts_too_and_looking_does_not(
    upstream: Upstream, client: Client, user: Any, other_user: Any, settings: Any
) -> None:
    limit(settings, CONNECTS_PER_HOUR=1)
    client.force_login(user)
    connection = BankingConnection.objects.create(user=user)
    renew = f"/banking/connections/{connection.reference}/renew/"
    for url in (renew, "/banking/connect/", "/banking/"):
        assert client.get(url).status_code == 200
    assert client.post("/banking/connect/", {}).status_code == 303
    refused = client.post(renew, {})
    assert (refused.status_code, "Retry-After" in refused) == (429, True)
    assert client.get(renew).status_code == 200
    client.force_login(other_user)
    assert client.post("/banking/connect/", {}).status_code == 303


def post(secret: str, url: str = URL, address: str = "203.0.113.7") -> Any:
    body = callbacks.raw(callbacks.success())
    headers = {"X-Webhook-Secret": secret}
    return Client(REMOTE_ADDR=address).post(url, body, "application/json", headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize(("url", "status"), [(URL, 403), (f"{URL}nowhere/", 403), (f"{URL}berlin/", 503)])
def test_a_flood_of_strangers_fills_no_log_and_keeps_nobody_out(
    settings: Any, caplog: pytest.LogCaptureFixture, url: str, status: int
) -> None:
    accounts = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"], "berlin": {"API_KEY": "key"}}
    limit(settings, REJECTED_WEBHOOKS_PER_MINUTE=3, ACCOUNTS=accounts)
    heard = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs)

    signals.webhook_rejected.connect(receiver)
    try:
        with caplog.at_level(logging.WARNING, "business_os_banking"):
            answers = [post("wrong", url) for _ in range(5)]
    finally:
        signals.webhook_rejected.disconnect(receiver)
    assert [answer.status_code for answer in answers] == [status, status, status, 429, 429]
    assert [answer.get("Retry-After") for answer in answers] == [None, None, None, "60", "60"]
    assert caplog.text.count("rejected") == len(heard) == 3
    assert post(SECRET).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("addresses", "kept"),
    [
        (["203.0.113.7", "203.0.113.8"], 2),
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:DB8:1:2::1"], 1),
        (["2001:db8:1:2::1", "2001:db8:1:3::1"], 2),
        (["::ffff:203.0.113.7", "::ffff:203.0.113.8"], 2),
        (["", "no address", "fe80::1%eth0"], 3),
    ],
)
def test_strangers_are_told_apart_by_their_network(
    settings: Any, caplog: pytest.LogCaptureFixture, addresses: list[str], kept: int
) -> None:
    """Of IPv6 everybody has 2**64 addresses: one for each line that a log can hold."""
    limit(settings, REJECTED_WEBHOOKS_PER_MINUTE=1)
    statuses = [post("wrong", address=address).status_code for address in addresses]
    assert statuses.count(403) == kept
    assert statuses[0] == 403


@pytest.mark.django_db
def test_all_refusals_are_logged_where_that_is_wanted(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    limit(settings, REJECTED_WEBHOOKS_PER_MINUTE=0)
    assert {post("wrong").status_code for _ in range(70)} == {403}
    assert caplog.text.count("rejected") == 70


class ByTenant(BankingAdapter):
    """A site whose connections belong to organisations alone."""

    def get_owner(self, request: Any) -> Any:
        return None, request.user.get_username()


def test_where_tenants_own_connections_each_is_counted_on_its_own(
    upstream: Upstream, user: Any, other_user: Any, settings: Any
) -> None:
    limit(settings, CONNECTS_PER_HOUR=1, ADAPTER=f"{__name__}.ByTenant")
    answers = []
    for person in (user, other_user):
        client = Client()
        client.force_login(person)
        answers += [client.post("/banking/connect/", {"next": f"/{n}/"}).status_code for n in range(2)]
    assert answers == [303, 429, 303, 429]
