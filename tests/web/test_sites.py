"""The whole journey on every kind of site: how a site is set up and where it stands changes nothing of it."""

import json
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from django.conf import settings as django_settings
from django.core.handlers.wsgi import get_script_name
from django.db import transaction
from django.test.utils import override_script_prefix

from business_os_banking.conf.secret import Secret
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

from .conftest import Browser, Upstream, a_connection, a_session, soup

pytestmark = pytest.mark.long

ROOT: Final = Path(__file__).resolve().parents[2]
ALL: Final = tuple(django_settings.MIDDLEWARE)
SECRET: Final = "test-webhook-secret"
PUBLIC: Final = "https://www.example.com"
DELETE: Final = "https://api.business-os.test/v2/banking/connections/"


@dataclass(frozen=True, kw_only=True)
class Site:
    """How a site is set up, and how its visitors reach it."""

    settings: dict[str, Any] = field(default_factory=dict)
    banking: dict[str, Any] = field(default_factory=dict)
    origin: str = "http://testserver"
    script_name: str = ""  # what the server takes off the path
    path: str = "/banking"
    headers: dict[str, str] = field(default_factory=dict)  # what the proxy adds
    atomic: bool = False
    next_url: str = "/books/"

    @property
    def home(self) -> str:
        return f"{self.script_name}{self.path}/"


def proxied(**headers: str) -> dict[str, str]:
    return {"host": "10.0.0.7:8000", "x-forwarded-for": "203.0.113.7", **headers}


SITES: Final = {
    "plain": Site(),
    "a login for everything": Site(
        settings={"MIDDLEWARE": [*ALL, "django.contrib.auth.middleware.LoginRequiredMiddleware"]}
    ),
    "a transaction around each request": Site(atomic=True),
    "no slash is appended": Site(settings={"APPEND_SLASH": False}),
    "below a path that the server takes off": Site(script_name="/shop"),
    "below a path that the settings name": Site(
        script_name="/shop",
        settings={"FORCE_SCRIPT_NAME": "/shop"},
        banking={"SITE_URL": "http://testserver"},
    ),
    "behind a proxy that Django knows of": Site(
        settings={
            "ALLOWED_HOSTS": ["www.example.com"],
            "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
            "USE_X_FORWARDED_HOST": True,
            "SECURE_SSL_REDIRECT": True,
            "SESSION_COOKIE_SECURE": True,
            "CSRF_COOKIE_SECURE": True,
        },
        origin=PUBLIC,
        headers=proxied(**{"x-forwarded-proto": "https", "x-forwarded-host": "www.example.com"}),
    ),
    "behind a proxy that only the setting names": Site(
        settings={"ALLOWED_HOSTS": ["10.0.0.7"], "CSRF_TRUSTED_ORIGINS": [PUBLIC]},
        banking={"SITE_URL": PUBLIC},
        origin=PUBLIC,
        headers=proxied(),
        next_url=f"{PUBLIC}/books/",
    ),
    "a language in every address": Site(
        settings={"ROOT_URLCONF": "tests.web.urls_in_languages", "LOGIN_URL": "login"}, path="/de/banking"
    ),
    "a cache around everything": Site(
        settings={
            "MIDDLEWARE": [
                "django.middleware.cache.UpdateCacheMiddleware",
                *ALL,
                "django.middleware.cache.FetchFromCacheMiddleware",
            ]
        }
    ),
    "nothing but sessions and users": Site(
        settings={
            "MIDDLEWARE": [
                name for name in ALL if name.endswith(("SessionMiddleware", "AuthenticationMiddleware"))
            ]
        }
    ),
    "no context processors": Site(
        settings={"TEMPLATES": [{**django_settings.TEMPLATES[0], "OPTIONS": {"context_processors": []}}]}
    ),
}


class Person(Browser):
    """Somebody with a browser, as the server sees what they send."""

    def __init__(self, site: Site) -> None:
        super().__init__(headers=site.headers)
        self.site = site

    def generic(self, method: str, path: Any, *args: Any, **kwargs: Any) -> Any:
        site = self.site
        path = str(path).removeprefix(site.origin)
        assert path.startswith(f"{site.script_name}/"), path
        if method == "POST":
            kwargs["HTTP_ORIGIN"] = site.origin
        # The path is forced where the server does not tell it. Django's own handler passes it on as this does.
        kwargs["SCRIPT_NAME"] = "" if "FORCE_SCRIPT_NAME" in site.settings else site.script_name
        with override_script_prefix(get_script_name(kwargs)):
            return super().generic(method, path.removeprefix(site.script_name), *args, **kwargs)

    def look(self, url: str, status: int = 200) -> BeautifulSoup:
        """Open a page, none of whose links leads out of the site."""
        answer = self.get(url)
        assert answer.status_code == status, url
        html = soup(answer)
        for link in html.select("[href], [src], [action], [data-status-url]"):
            for name in ("href", "src", "action", "data-status-url"):
                target = str(link.get(name, self.site.home))
                inside = target.startswith((self.site.home, "/static/", "?"))
                assert inside or target in {self.site.next_url, ""}, target
        return html


def link_to(html: BeautifulSoup, end: str) -> str:
    (found,) = {str(link["href"]) for link in html.select("a") if str(link["href"]).endswith(end)}
    return found


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Site:
    site: Site = SITES[request.param]
    for name, value in site.settings.items():
        setattr(settings, name, value)
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **site.banking}
    if site.atomic:
        monkeypatch.setitem(transaction.get_connection().settings_dict, "ATOMIC_REQUESTS", True)
    return site


@pytest.mark.django_db(transaction=True)
def test_the_journey(site: Site, eva: Any, upstream: Upstream) -> None:
    person, stranger = Person(site), Person(site)
    assert stranger.get(site.home).status_code == 302
    person.force_login(eva)

    # To the bank, from an empty list.
    connect = link_to(person.look(site.home), "/connect/")
    token = upstream.opens()
    answer = person.submit(connect, {"next": f"{site.origin}/books/"})
    assert (answer.status_code, urlsplit(answer["Location"]).hostname) == (303, "www.saltedge.com")
    return_to = json.loads(upstream.calls[0].body)["return_to"]
    session = ConnectSession.objects.get()
    page = f"{site.home}return/{session.reference}/"
    key = return_to.removeprefix(f"{site.origin}{page}").removesuffix("/")
    assert session.is_key(Secret(key))
    assert session.next_url == site.next_url

    # Back, before the webhook, to the address without the key, which anybody may open.
    back = person.get(f"{return_to}?upstream_id=111")
    assert (back.status_code, back["Location"]) == (303, f"{page}?upstream_id=111")
    landing = stranger.look(back["Location"])
    state = landing.select_one("[data-bank-return]")
    assert state is not None
    assert state["data-phase"] == "waiting"
    assert site.home in str(landing.select_one("noscript meta"))
    assert stranger.get(str(state["data-status-url"])).json()["status"] == "open"
    tell(stranger, token, "111", "2026-01-25T10:40:47.965Z")
    assert stranger.get(str(state["data-status-url"])).json()["status"] == "succeeded"
    done = stranger.look(page).select_one("[data-bank-return]")
    assert done is not None
    assert done["data-phase"] == "done"
    assert link_to(stranger.look(page), "/books/") == site.next_url

    # The list knows it, and it can be renewed.
    connection = BankingConnection.objects.get()
    (item,) = person.look(site.home).select(".bank-item")
    assert item["data-status"] == "active"
    renew = link_to(person.look(link_to(person.look(site.home), f"/{connection.reference}/")), "/renew/")
    person.look(renew)
    token = upstream.opens()
    assert person.submit(renew).status_code == 303
    tell(stranger, token, "222", "2026-07-25T10:40:47.965Z")
    connection.refresh_from_db()
    assert (connection.status, connection.upstream_id) == ("active", "222")

    # And ended.
    upstream.wire.delete(f"{DELETE}222", json={"data": {"removed": True}})
    upstream.wire.delete(f"{DELETE}111", json={"data": {"removed": True}})
    answer = person.submit(link_to(person.look(site.home), "/disconnect/"))
    assert (answer.status_code, answer["Location"]) == (303, site.home)
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by, connection.removal_due) == (
        "disconnected",
        "owner",
        False,
    )
    (item,) = person.look(site.home).select(".bank-item")
    assert item["data-status"] == "disconnected"
    assert BankingConnection.objects.count() == 1
    assert set(ConnectionEvent.objects.values_list("outcome", flat=True)) <= {"applied", "no_change"}


def tell(sender: Person, token: str, link: str, time: str) -> None:
    """Post a success to the webhook, at an address whose last slash was forgotten."""
    body = {
        "data": {"connection_id": link, "custom_fields": {"pending_token": token}, "stage": "finish"},
        "meta": {"version": "6", "time": time},
    }
    url = f"{sender.site.home}webhook/default/{SECRET}"
    assert sender.post(url, json.dumps(body), content_type="application/json").status_code == 200


@pytest.mark.once
def test_the_journey_of_users_of_the_sites_own_making() -> None:
    """Which model the users are is settled when a process starts, so this is another one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["--ds=tests.web.people.settings", f"{__file__}::test_the_journey[plain]"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_public_addresses_need_no_middleware_at_all(stranger: Browser, eva: Any, settings: Any) -> None:
    settings.MIDDLEWARE = []
    session = a_session(a_connection(eva, "pending"), pending_token=uuid.uuid4(), returned_at=None)
    page = stranger.get(f"/banking/return/{session.reference}/")
    assert "Checking with your bank" in page.content.decode()
    assert page["X-Frame-Options"] == "DENY"
    assert stranger.get(f"/banking/sessions/{session.reference}/status/").json()["status"] == "open"
    assert stranger.get("/banking/return/nonsense/").status_code == 404
    assert stranger.post("/banking/webhook/", b"{}", "application/json").status_code == 403
    body = {
        "data": {
            "connection_id": "111",
            "custom_fields": {"session": str(session.reference)},
            "stage": "finish",
        }
    }
    url = f"/banking/webhook/default/{SECRET}/"
    assert stranger.post(url, json.dumps(body), "application/json").status_code == 200


@pytest.mark.parametrize(("setting", "header"), [("DENY", "DENY"), ("sameorigin", "SAMEORIGIN")])
@pytest.mark.parametrize("middleware", [(), ALL])
def test_the_sites_own_setting_says_who_may_frame_the_pages(
    stranger: Browser, settings: Any, db: None, setting: str, header: str, middleware: tuple[str, ...]
) -> None:
    settings.MIDDLEWARE = list(middleware)
    settings.X_FRAME_OPTIONS = setting
    assert stranger.get("/banking/return/nonsense/")["X-Frame-Options"] == header


def test_a_stricter_policy_of_the_site_does_not_break_its_forms(
    browser: Browser, upstream: Upstream, settings: Any
) -> None:
    """With no-referrer, browsers call the origin of a form "null", and Django's CSRF protection refuses that."""
    settings.SECURE_REFERRER_POLICY = "no-referrer"
    assert browser.get("/banking/connect/")["Referrer-Policy"] == "same-origin"


def test_the_app_sends_no_content_security_policy_that_would_replace_the_sites(browser: Browser) -> None:
    assert "Content-Security-Policy" not in browser.get("/banking/connect/").headers
