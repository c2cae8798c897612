"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connection
from django.test import Client
from django.test.testcases import LiveServerThread
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from business_os_banking.upstream import http
from tests.upstream.fake import Upstream

pytest_plugins = ["business_os_banking.testing.plugin"]

# Deadlines and generation speed tell about the machine, not about the code.
hypothesis_settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
hypothesis_settings.load_profile("suite")


class PromptServer(ThreadedWSGIServer):
    """A live server that ends when it is told to, and not up to half a second later."""

    def serve_forever(self, poll_interval: float = 0.01) -> None:
        super().serve_forever(poll_interval)


LiveServerThread.server_class = PromptServer


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where everything must run, a skip is a failure: CI sets BANKING_REQUIRE_ALL."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("BANKING_REQUIRE_ALL"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave some tests to other runs of the same suite: see the markers in pyproject.toml."""
    vendor = settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[-1]
    left_out = {
        "sqlite3": {"server_database", "postgresql"},
        "postgresql": {"once"},
        "mysql": {"once", "postgresql"},
    }[vendor]
    elsewhere = [item for item in items if left_out & {marker.name for marker in item.iter_markers()}]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """Neither counts in the cache nor the language of the last request may reach from one test into another."""
    cache.clear()
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture
def calls_in_transactions(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Have Django run each request in a transaction; for each call to the API, whether it was made in one."""
    in_transactions: list[bool] = []
    send = http.send

    def noting(*args: Any, **options: Any) -> Any:
        in_transactions.append(connection.in_atomic_block)
        return send(*args, **options)

    monkeypatch.setattr(http, "send", noting)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    return in_transactions


@pytest.fixture
def user(db: None) -> User:
    return get_user_model().objects.create_user("ada", email="ada@kunde.example", password="secret")


@pytest.fixture
def other_user(db: None) -> User:
    return get_user_model().objects.create_user("bob", email="bob@kunde.example", password="secret")


@pytest.fixture
def web(user: User) -> Client:
    """A browser that is logged in as *user*; CSRF is enforced, as it is on a real site."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Business OS as `responses` plays it: by default, every connect call opens a session."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Upstream(mock)
