"""Limits: on a person's attempts, and on the noise of strangers; never on Business OS itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from business_os_banking import throttle
from tests import callbacks
from tests.callbacks import SECRET
from tests.upstream import Upstream

URL = "/banking/webhook/"


def limit(settings: Any, **limits: int) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **limits}


def test_it_counts_by_name_and_person_until_the_limit() -> None:
    assert [throttle.within("a", "1", 2, 60) for _ in range(4)] == [True, True, False, False]
    assert throttle.within("a", "2", 2, 60)
    assert throttle.within("b", "1", 2, 60)


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
def test_a_cache_that_does_not_work_limits_nobody(settings: Any, backend: str) -> None:
    # Port 9 (discard) is closed everywhere.
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:9/"}}
    try:
        assert all(throttle.within("a", "1", 1, 60) for _ in range(3))
    finally:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def test_a_person_can_start_so_many_sessions_an_hour(
    upstream: Upstream, client: Client, user: Any, settings: Any
) -> None:
    limit(settings, CONNECTS_PER_HOUR=2)
    client.force_login(user)
    answers = [client.post("/banking/connect/", {"next": f"/{number}/"}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [303, 303, 429]
    assert "That was a lot of tries" in answers[2].content.decode()
    assert len(upstream.calls("POST")) == 2
    limit(settings, CONNECTS_PER_HOUR=0)
    assert client.post("/banking/connect/", {"next": "/4/"}).status_code == 303


@pytest.mark.django_db
def test_a_flood_of_strangers_fills_no_log_and_keeps_nobody_out(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    limit(settings, REJECTED_WEBHOOKS_PER_MINUTE=3)
    body = callbacks.raw(callbacks.success())

    def post(secret: str) -> int:
        headers = {"X-Webhook-Secret": secret}
        return Client().post(URL, body, "application/json", headers=headers).status_code

    with caplog.at_level(logging.WARNING, "business_os_banking"):
        assert [post("wrong") for _ in range(5)] == [403, 403, 403, 429, 429]
    assert caplog.text.count("rejected") == 3
    assert post(SECRET) == 200
