"""The example project: its settings, its pages, and the whole way to a bank and back."""

import re
import socket
import subprocess
import sys
import time

import pytest
import requests

from tests.example.conftest import MANAGE, Project
from tests.packaging.server import Browser, comes_back

pytestmark = pytest.mark.long

SECONDS_TO_SUCCEED = 20
# Looking for a session starts a minute after its browser came back.
SECONDS_TO_BE_FOUND = 150
NOTE = "is connected. Account movements can be booked from now on."


def check_page(answer: requests.Response, status: int = 200) -> str:
    """Return the page's text, having seen that it keeps to the site's Content-Security-Policy."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    text = answer.text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", text)
    for address in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', text):
        assert address.startswith("/"), address
    return text


def client_pages(browser: Browser) -> list[str]:
    """Return the addresses of the clients' pages, in the order of the dashboard."""
    found = re.findall(r'<h2><a href="(/clients/\d+/)">', check_page(browser.get("/")))
    assert len(found) == 3
    return found


def through_the_bank(browser: Browser, page: str, bank: str) -> str:
    """Press the button on *page*, log in at *bank*, allow, come back, and return the landing page's address."""
    answer = browser.submit(page, {"next": page}, action="/banking/connect/")
    assert answer.status_code == 303, answer.text
    widget = answer.headers["Location"]
    assert widget.startswith(f"{browser.origin}/sandbox/connect?token=")
    login = {"action": "login", "username": "username", "password": "secret"}
    for step in ({"action": "choose", "bank": bank}, login):
        check_page(browser.get(widget))
        assert browser.submit(widget, step).status_code == 303
    answer = browser.submit(widget, {"action": "allow"})
    assert answer.status_code == 303
    return comes_back(browser, answer.headers["Location"])


def wait_for_note(browser: Browser, page: str) -> str:
    """Return the client's page once it shows the note; receivers are told just after the commit."""
    deadline = time.monotonic() + 5
    while NOTE not in (text := check_page(browser.get(page))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return text


def wait_for_success(browser: Browser, landing: str, seconds: float = SECONDS_TO_SUCCEED) -> None:
    reference = re.search(r"/banking/return/([0-9a-f-]+)/", landing)
    assert reference is not None
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = browser.get(f"/banking/sessions/{reference[1]}/status/").json()
        if status["status"] == "succeeded":
            assert status["connection_status"] == "active"
            return
        time.sleep(0.2)
    raise AssertionError(f"still {status} after {seconds} seconds")


def test_checks_are_silent(project: Project) -> None:
    assert "no issues (0 silenced)" in project.manage("check", "--fail-level=WARNING")
    project.manage("makemigrations", "--check", "--dry-run")


def test_a_key_switches_from_the_sandbox_to_the_real_api(project: Project) -> None:
    code = (
        "from django.apps import apps; from django.conf import settings; from django.urls import resolve; "
        "from business_os_banking import conf; account = conf.account(); "
        "print(apps.is_installed('business_os_banking.sandbox'), settings.DEBUG, account.base_url); "
        "print(account.api_key, account.api_key.open(), account.webhook_secrets, account.connect_url_hosts); "
        "resolve('/sandbox/connect')"
    )
    with pytest.raises(AssertionError) as failed:
        project.manage(
            "shell", "-c", code, BUSINESS_OS_API_KEY="real", BUSINESS_OS_WEBHOOK_SECRETS="a, b", DEBUG="false"
        )
    output = str(failed.value)
    assert "False False https://api.business-os.de" in output
    assert "*** real (***, ***) ('saltedge.com', '.saltedge.com')" in output
    assert "Resolver404" in output


def test_without_debug_the_demo_does_not_start(project: Project) -> None:
    with pytest.raises(AssertionError, match="known to everybody"):
        project.manage("demo", "--skip-checks", DEBUG="false")


def test_a_real_site_must_set_its_secret_key(project: Project) -> None:
    with pytest.raises(AssertionError, match="Set the environment variable SECRET_KEY"):
        project.manage("check", SECRET_KEY="", DEBUG="false", BUSINESS_OS_API_KEY="real")


def test_a_port_that_is_taken_is_said_before_anything_else(project: Project, demo: Browser) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = {**project.environment, "PORT": port}
        command = [sys.executable, str(MANAGE), "demo"]
        done = subprocess.run(
            command, cwd=project.directory, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert done.stdout == ""


def test_everything_of_the_site_needs_a_login(demo: Browser) -> None:
    stranger = Browser(demo.origin)
    for path in ("/", "/clients/1/", "/banking/", "/banking/connect/"):
        answer = stranger.get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/login/")
    check_page(stranger.get("/login/"))


def test_pages_keep_to_the_policy_and_wear_the_sites_look(demo: Browser) -> None:
    for path in ("/", "/banking/", "/banking/connect/"):
        text = check_page(demo.get(path))
        assert "site/site.css" in text
        assert "Kontor &amp; Klar" in text
    for path in ("site/site.css", "business_os_banking/banking.css", "business_os_banking/banking.js"):
        assert demo.get(f"/static/{path}").status_code == 200
    assert "business_os_banking/banking.js" in check_page(demo.get("/banking/"))


def test_the_whole_way_to_the_bank_and_back(demo: Browser) -> None:
    page = client_pages(demo)[0]
    landing = through_the_bank(demo, page, "succeed")
    check_page(demo.get(landing))
    wait_for_success(demo, landing)
    text = check_page(demo.get(landing))
    assert 'data-status="succeeded"' in text
    assert f'href="{page}"' in text
    # Under no-referrer browsers do not say where a form comes from, and Django would refuse it.
    assert "<form" not in text
    text = wait_for_note(demo, page)
    assert text.count(NOTE) == 1
    assert '<span class="pill" data-tone="good">' in text
    assert NOTE in check_page(demo.get("/"))
    details = re.search(r'href="(/banking/connections/[0-9a-f-]+/)"', text)
    assert details is not None
    check_page(demo.get(details[1]))
    check_page(demo.get(f"{details[1]}disconnect/"))


def test_three_successes_leave_one_note(demo: Browser) -> None:
    page = client_pages(demo)[1]
    wait_for_success(demo, through_the_bank(demo, page, "webhook_thrice"))
    time.sleep(1)  # the other two follow within half a second
    assert check_page(demo.get(page)).count(NOTE) == 1


@pytest.mark.timeout(
    300
)  # it is looked for a minute after the browser came back, and the machine may be busy
def test_what_no_webhook_tells_is_found_by_itself(fresh_demo: Browser) -> None:
    """Nobody runs `banking_reconcile` here but the server: it finds the success, and the name of the bank."""
    landing = through_the_bank(fresh_demo, "/banking/", "webhook_never")
    wait_for_success(fresh_demo, landing, SECONDS_TO_BE_FOUND)
    assert "Stille Bank" in check_page(fresh_demo.get("/banking/"))


def test_only_the_server_runs_reconcile(project: Project) -> None:
    code = "import threading; print('threads', *(thread.name for thread in threading.enumerate()))"
    assert "threads MainThread\n" in project.manage("shell", "-c", code)


def test_with_a_key_the_server_leaves_it_to_the_operator(project: Project) -> None:
    code = """
from unittest.mock import patch
from example_project.books.management.commands.runserver import Command
with patch("example_project.books.reconciling.start") as start, patch(
    "django.core.management.commands.runserver.Command.on_bind"
):
    Command().on_bind(8000)
print("started", start.call_count)
"""

    def started(**variables: str) -> int:
        said = project.manage("shell", "-c", code, **variables)
        found = re.search(r"^started (\d)$", said, re.MULTILINE)
        assert found is not None, said
        return int(found[1])

    assert started() == 1
    assert started(RECONCILE_SECONDS="0") == 0
    assert started(BUSINESS_OS_API_KEY="real", BUSINESS_OS_WEBHOOK_SECRETS="a") == 0


def test_a_client_of_somebody_else_is_never_linked(demo: Browser) -> None:
    page = client_pages(demo)[2]
    other = Browser(demo.origin)
    other.log_in("/login/", "admin", "admin")
    # The admin owns no clients, and so has no page with a button for this one.
    assert other.get(page).status_code == 404
    answer = other.submit("/banking/connect/", {"next": page})
    widget = answer.headers["Location"]
    for step in (
        {"action": "choose", "bank": "succeed"},
        {"action": "login", "username": "username", "password": "secret"},
    ):
        other.submit(widget, step)
    wait_for_success(other, comes_back(other, other.submit(widget, {"action": "allow"}).headers["Location"]))
    assert "No bank is connected." in check_page(demo.get(page))


def test_cancelling_leads_back_with_a_way_on(demo: Browser) -> None:
    page = client_pages(demo)[2]
    answer = demo.submit(page, {"next": page}, action="/banking/connect/")
    answer = demo.submit(answer.headers["Location"], {"action": "cancel"})
    assert answer.status_code == 303
    check_page(demo.get(comes_back(demo, answer.headers["Location"])))
    assert "No bank is connected." in check_page(demo.get(page))
