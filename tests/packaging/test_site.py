"""The wheel in a bare site, set up by the README and driven against an independent fake of Business OS."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.packaging.conftest import Site
from tests.packaging.server import Browser, comes_back, free_port, serving
from tests.packaging.upstream import FakeUpstream, fake_upstream, signed, success

pytestmark = pytest.mark.packaging

WHSEC = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes !!!").decode()
WAYS = ["address", "header", "bearer", "basic", "hmac hex", "hmac base64", "standard webhooks"]


@dataclass(frozen=True)
class Running:
    browser: Browser
    upstream: FakeUpstream
    api_key: str
    secret: str

    def post(self, address: str, body: bytes, headers: dict[str, str]) -> int:
        """Deliver a webhook, as somebody without any cookie."""
        http = Browser(self.browser.origin).http
        url = f"{self.browser.origin}/banking/webhook/{address}"
        sent = {"Content-Type": "application/json", **headers}
        return http.post(url, data=body, headers=sent, timeout=30, allow_redirects=False).status_code


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[Running]:
    port = free_port()
    secret = site.environment["BUSINESS_OS_WEBHOOK_SECRETS"]
    account = {"DJANGO_SUPERUSER_PASSWORD": "pw"}
    owner = Site(site.python, site.directory, {**site.environment, **account})
    owner.manage("createsuperuser", "--noinput", "--username=eva", "--email=eva@kunde.example")
    with fake_upstream() as upstream:
        env = {
            **site.environment,
            "BUSINESS_OS_BASE_URL": upstream.url,
            "BUSINESS_OS_WEBHOOK_SECRETS": f"{secret},{WHSEC}",
        }
        command = [str(site.python), "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
        with serving(command, cwd=site.directory, env=env, port=port) as origin:
            browser = Browser(origin)
            browser.log_in("/admin/login/", "eva", "pw")
            yield Running(browser, upstream, site.environment["BUSINESS_OS_API_KEY"], secret)


def test_the_site_uses_the_wheel_and_not_the_checkout(site: Site) -> None:
    code = "import business_os_banking.web.views as module; print(module.__file__)"
    found = Path(site.manage("shell", "--no-imports", "-c", code).strip())
    assert found.is_relative_to(site.python.parents[1])


def test_no_migration_is_missing(site: Site) -> None:
    site.manage("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize("way", WAYS)
def test_from_the_button_to_the_active_connection(running: Running, way: str) -> None:
    connect(running, way)


def connect(running: Running, way: str) -> None:
    """Go from the button to the active connection, with a webhook that is proved in this *way*."""
    browser = running.browser
    answer = browser.submit("/banking/connect/", {"next": "/banking/"})
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith("https://www.saltedge.com/connect?token=")

    call = running.upstream.calls[-1]
    assert call["path"] == "/v2/banking/connect?api=partner"
    assert call["headers"]["x-api-key"] == running.api_key
    assert "business-os-banking" in call["headers"]["user-agent"]
    assert call["body"]["email"] == "eva@kunde.example"
    assert call["body"]["scopes"] == ["accounts", "holder_info", "transactions"]
    return_to = urlsplit(call["body"]["return_to"])
    assert return_to.path.startswith("/banking/return/")

    # The browser comes back before the webhook; the address without the key is for anybody.
    landing = comes_back(browser, return_to.path)
    page = Browser(browser.origin).get(landing)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store, private"
    reference = landing.rstrip("/").rsplit("/", 1)[1]
    status = f"/banking/sessions/{reference}/status/"
    assert browser.get(status).json()["status"] == "open"

    connection_id = str(1_000_000_000_000_000_000 + len(running.upstream.calls))
    body = success(call, connection_id)
    address, headers = signed(way, body, running.secret, WHSEC)
    assert running.post(address, body, headers) == 200
    told = browser.get(status).json()
    assert (told["status"], told["connection_status"], told["final"]) == ("succeeded", "active", True)
    # A redelivery is welcome, and changes nothing.
    assert running.post(address, body, headers) == 200
    assert browser.get(status).json() == told

    assert 'data-status="active"' in browser.get("/banking/").text
    found = browser.get(f"/admin/business_os_banking/bankingconnection/?q={connection_id}")
    assert found.status_code == 200
    assert "1 bank connection" in found.text


def test_every_admin_page_opens_and_shows_no_secret(running: Running) -> None:
    connect(running, "header")
    for model in ("bankingconnection", "connectsession", "connectionevent"):
        path = f"/admin/business_os_banking/{model}/"
        text = running.browser.get(path).text
        assert running.browser.get(path).status_code == 200
        links = [part.split('"')[0] for part in text.split(f'href="{path}')[1:]]
        rows = [link for link in links if link.endswith("/change/") or "/change/?" in link]
        assert rows, path
        for row in rows[:3]:
            answer = running.browser.get(path + row.replace("&amp;", "&"))
            assert answer.status_code == 200
            assert running.api_key not in answer.text
            assert running.secret not in answer.text
            for call in running.upstream.calls:
                assert call["token"] not in answer.text


def test_strangers_are_turned_away(running: Running) -> None:
    body = json.dumps({"data": {"connection_id": "1", "stage": "finish"}, "meta": {}}).encode()
    assert running.post("", body, {}) == 403
    assert running.post("", body, {"X-Webhook-Secret": "wrong"}) == 403
    assert running.post("default/wrong/", body, {}) == 403
    assert Browser(running.browser.origin).get("/banking/").status_code == 302
