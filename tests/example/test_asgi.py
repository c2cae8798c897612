"""The example under uvicorn: the same site, and nothing that blocks its event loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example.conftest import MANAGE, Project, project_in
from tests.example.test_project import client_pages, through_the_bank, wait_for_note, wait_for_success
from tests.packaging.server import Browser, serving

pytestmark = pytest.mark.long

# Having stopped in good order, uvicorn ends by the signal that it was sent.
BY_SIGINT = -2


@pytest.fixture(scope="module")
def asgi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    project: Project = project_in(tmp_path_factory.mktemp("asgi"))
    project.manage("migrate", "--verbosity=0")
    project.manage("demo")
    root = str(Path(MANAGE).parent)
    command = [sys.executable, "-m", "uvicorn", "example_project.asgi:application", "--app-dir", root]
    command += ["--host", "127.0.0.1", "--port", str(project.port), "--lifespan", "off"]
    with serving(
        command, cwd=project.directory, env=project.environment, port=project.port, ends_with=(0, BY_SIGINT)
    ) as origin:
        browser = Browser(origin)
        browser.log_in("/login/", "demo", "demo")
        yield browser


def test_the_whole_way_to_a_bank_and_back(asgi: Browser) -> None:
    """The site is its own upstream here: pressing the button, it calls itself over HTTP, in one process. Were its event
    loop to wait for the answer, nobody would be there to give it."""
    page = client_pages(asgi)[0]
    landing = through_the_bank(asgi, page, "succeed")
    # As anybody, without any cookie.
    assert Browser(asgi.origin).get(landing).status_code == 200
    wait_for_success(asgi, landing)
    assert "is connected." in wait_for_note(asgi, page)


def test_strangers_are_answered_as_under_wsgi(asgi: Browser) -> None:
    http = Browser(asgi.origin).http
    url = f"{asgi.origin}/banking/webhook/"
    assert http.post(url, data=b"{}", timeout=30).status_code == 403
    assert http.post(url, data=b"x" * 70_000, timeout=30).status_code == 413
    assert http.get(url, timeout=30).status_code == 405
    # In chunks, which uvicorn puts together.
    assert http.post(url, data=iter([b"{", b"}"]), timeout=30).status_code == 403
