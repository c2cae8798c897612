"""A real browser, a real server on a real socket, and the sandbox as upstream."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client, override_settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django import DjangoDbBlocker
from pytest_django.live_server_helper import LiveServer

from tests.browser.database import file_instead_of_memory
from tests.browser.gallery import ANSWERS, Scene
from tests.browser.middleware import traffic
from tests.browser.watch import watch

HOST = "books.example"
WEBHOOK_SECRET = "whsec_dGVzdHMgb25seSwgbm90IGEgc2VjcmV0"
API_KEY = "browser-tests"
PATIENCE = 30_000  # milliseconds; generous, since the machine may be busy with other things
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Configure = Callable[..., None]
NewContext = Callable[..., BrowserContext]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> str:
    """The path of Chromium. Only a machine without one skips these tests."""
    named = os.environ.get("CHROMIUM")
    for candidate in (named, "/usr/bin/chromium", "chromium"):
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    pytest.skip("there is no Chromium")


@pytest.fixture(scope="package")
def database(
    chromium: str,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    with django_db_blocker.unblock(), file_instead_of_memory(tmp_path_factory.mktemp("database")):
        yield


@pytest.fixture(scope="package")
def live_server(database: None) -> Iterator[LiveServer]:
    """As pytest-django's, with a middleware of ours, which the server loads when it starts."""
    ours = ("tests.browser.middleware.counted", "tests.browser.middleware.strict_policies")
    with override_settings(MIDDLEWARE=[*ours, *django_settings.MIDDLEWARE]):
        server = LiveServer("127.0.0.1")
    yield server
    server.stop()


@pytest.fixture(scope="package")
def browser(chromium: str, live_server: LiveServer) -> Iterator[Browser]:
    # To browsers, the bank and the site are two sites, as they are in life: the address books.example leads
    # to the live server, and the sandbox is met at 127.0.0.1.
    port = urlsplit(live_server.url).port
    flags = [
        *FLAGS,
        f"--host-resolver-rules=MAP {HOST}:80 127.0.0.1:{port}",
        # As it would be over https; else some headers, and what they break, have no effect.
        f"--unsafely-treat-insecure-origin-as-secure=http://{HOST}",
    ]
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's synchronous interface keeps an event loop running in this thread, and Django then
        # takes every query of a test for one that would block that loop. It is ours, and nothing waits in it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=PATIENCE)
        chromium_ = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield chromium_
        chromium_.close()
        # While that loop runs, Django keeps this thread's connections in another place, where the next loop
        # would find those to a database that is gone by then.
        for alias in connections:
            connections[alias].close()
            del connections[alias]


@dataclass(frozen=True)
class Site:
    """The site with the app, as its visitors reach it, and the bank behind it."""

    url: str
    sandbox_url: str
    webhook_url: str
    configure: Configure
    configure_upstream: Configure
    configure_sandbox: Configure

    hold_webhooks = staticmethod(traffic.hold_webhooks)
    let_webhooks_pass = staticmethod(traffic.let_webhooks_pass)


@pytest.fixture
def site(live_server: LiveServer, settings: Any) -> Iterator[Site]:
    def configure(**values: object) -> None:
        settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **values}

    def upstream(**values: object) -> None:
        account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], **values}
        configure(ACCOUNTS={"default": account})

    def sandbox(**values: object) -> None:
        settings.BUSINESS_OS_SANDBOX = {**settings.BUSINESS_OS_SANDBOX, **values}

    settings.ROOT_URLCONF = "tests.browser.urls"
    settings.ALLOWED_HOSTS = [HOST, "127.0.0.1"]
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {}}}
    settings.BUSINESS_OS_SANDBOX = {"ALLOW_WITHOUT_DEBUG": True, "DELIVERY": "thread"}
    sandbox_url = f"{live_server.url}/sandbox"
    webhook_url = f"{live_server.url}/banking/webhook/"
    upstream(
        API_KEY=API_KEY,
        BASE_URL=sandbox_url,
        CONNECT_URL_HOSTS=["127.0.0.1", "localhost"],
        WEBHOOK_SECRETS=[WEBHOOK_SECRET],
        WEBHOOK_VERIFIERS=["business_os_banking.webhooks.verifiers.StandardWebhooks"],
    )
    sandbox(
        API_KEYS=[API_KEY],
        WEBHOOK_SIGNING="standard_webhooks",
        WEBHOOK_SECRET=WEBHOOK_SECRET,
        WEBHOOK_URL=webhook_url,
        LATE_SECONDS=3,
    )
    yield Site(f"http://{HOST}", sandbox_url, webhook_url, configure, upstream, sandbox)
    traffic.let_webhooks_pass()
    _wait_for_the_sandbox()
    traffic.wait_until_idle()


def _wait_for_the_sandbox() -> None:
    """Let callbacks arrive that are still on their way: they belong to this test and not to the next one."""
    for thread in threading.enumerate():
        if thread.name == "business-os-banking-sandbox":
            thread.join(PATIENCE / 1000)
            assert not thread.is_alive(), "the sandbox goes on sending"


@pytest.fixture
def ada(live_server: LiveServer) -> User:
    return get_user_model().objects.create_user("ada", email="ada@kunde.example", password="secret")


@pytest.fixture
def new_context(browser: Browser, site: Site) -> Iterator[NewContext]:
    """Make a browser window of its own, logged in as *user*, with the options of Playwright's contexts.

    At the end, whatever the browser complained of in any of them fails the test, except for pages with a
    status that the test *expects*, and for what the test has *complained* of to a list of its own.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(
        user: User | None = None,
        *,
        expects: Collection[int] = (),
        complained: list[str] | None = None,
        **options: Any,
    ) -> BrowserContext:
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        watch(context, complaints if complained is None else complained, expects)
        if user is not None:
            log_in(context, user, site)
        return context

    yield make
    for context in contexts:
        context.close()
    assert not complaints, complaints


def log_in(context: BrowserContext, user: User, site: Site) -> None:
    client = Client()
    client.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": site.url}])


@pytest.fixture
def page(new_context: NewContext, ada: User) -> Page:
    """A page of Ada, who is logged in."""
    return new_context(ada).new_page()


@pytest.fixture
def bypass_csp() -> bool:
    return False


@pytest.fixture
def scene(new_context: NewContext, live_server: LiveServer, site: Site, bypass_csp: bool) -> Scene:
    """What the scenes of the gallery work with."""
    user = User.objects.create_superuser("ada", email="ada@kunde.example", password="secret")
    # Still: what turns would be at another place on each picture.
    context = new_context(user, expects=ANSWERS, reduced_motion="reduce", bypass_csp=bypass_csp)
    page = context.new_page()
    return Scene(page, site, user)
