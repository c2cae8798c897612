"""The example under the servers that sites use: the same site, and nothing that blocks an event loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.example.conftest import MANAGE, Project, project_in
from tests.example.test_project import client_pages, through_the_bank, wait_for_note, wait_for_success
from tests.packaging.server import Browser, serving

pytestmark = pytest.mark.long

ASGI, WSGI = "example_project.asgi:application", "example_project.wsgi:application"
ROOT = str(Path(MANAGE).parent)
HOST = "127.0.0.1"
# Of each server: how it is started on a port, and how it ends when it is sent SIGINT.
SERVERS = {
    "uvicorn": ("uvicorn", ASGI, "--app-dir", ROOT, "--host", HOST, "--port", "{port}", "--lifespan", "off"),
    "daphne": ("daphne", "-b", HOST, "-p", "{port}", ASGI),
    "gunicorn with threads": ("gunicorn", "--chdir", ROOT, "-b", HOST + ":{port}", "--threads", "4", WSGI),
    "gunicorn with gevent": ("gunicorn", "--chdir", ROOT, "-b", HOST + ":{port}", "-k", "gevent", WSGI),
}
# Having stopped in good order, uvicorn ends by the signal that it was sent.
BY_SIGINT = -2


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    project: Project = project_in(tmp_path_factory.mktemp("server"))
    project.manage("migrate", "--verbosity=0")
    project.manage("demo")
    command = [sys.executable, "-m", *(part.format(port=project.port) for part in SERVERS[request.param])]
    environment = {**project.environment, "PYTHONPATH": ROOT}
    with serving(
        command, cwd=project.directory, env=environment, port=project.port, ends_with=(0, BY_SIGINT)
    ) as origin:
        browser = Browser(origin)
        browser.log_in("/login/", "demo", "demo")
        yield browser


def test_the_whole_way_to_a_bank_and_back(server: Browser) -> None:
    """The site is its own upstream here: pressing the button, it calls itself over HTTP, in one process. Were its event
    loop to wait for the answer, nobody would be there to give it."""
    page = client_pages(server)[0]
    landing = through_the_bank(server, page, "succeed")
    # As anybody, without any cookie.
    assert Browser(server.origin).get(landing).status_code == 200
    wait_for_success(server, landing)
    assert "is connected." in wait_for_note(server, page)


def test_strangers_are_answered_as_by_any_other(server: Browser) -> None:
    def status(method: str, **sent: Any) -> int:
        # A connection each: after a body that was not read, a server closes it.
        http = Browser(server.origin).http
        return int(http.request(method, f"{server.origin}/banking/webhook/", timeout=30, **sent).status_code)

    assert status("POST", data=b"{}") == 403
    assert status("POST", data=b"x" * 70_000) == 413
    assert status("GET") == 405
    # In chunks, which the ASGI servers put together.
    assert status("POST", data=iter([b"{", b"}"])) == 403
