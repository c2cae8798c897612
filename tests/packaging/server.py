"""A site in a process of its own, and a person with a browser in front of it. Used by tests/example too."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urljoin

import requests

START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would configure the site or measure its coverage."""
    prefixes = ("BUSINESS_OS_", "COV_", "COVERAGE_", "DJANGO_", "DATABASE_URL", "PYTHON", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {**kept, **variables}


def run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """Run to the end and return the output; fail with that output."""
    done = subprocess.run(
        command, cwd=cwd, env=dict(env), text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@contextmanager
def serving(
    command: list[str], *, cwd: Path, env: Mapping[str, str], port: int, ends_with: tuple[int, ...] = (0,)
) -> Iterator[str]:
    """Run a server until the end of the block; give its origin. Ctrl-C must end it well."""
    log = cwd / f"server-{port}.log"
    origin = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        # A suite that was started in the background ignores SIGINT, and its children would too.
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
    try:
        _wait_for(port, process, log)
        yield origin
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert code in ends_with, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"The server did not start:\n{log.read_text()}")


class Browser:
    """Cookies, and forms sent with the CSRF token of the page that they stand on. Follows no redirect."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str) -> requests.Response:
        return self.http.get(urljoin(self.origin, path), timeout=30, allow_redirects=False)

    def submit(self, page: str, data: Mapping[str, str], *, action: str = "") -> requests.Response:
        """Fill in the form on *page* and send it to *action*, by default the page itself."""
        url = urljoin(self.origin, page)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(page).text)
        assert token is not None, f"no form on {page}"
        return self.http.post(
            urljoin(url, action) if action else url,
            data={"csrfmiddlewaretoken": token[1], **data},
            headers={"Referer": url},
            timeout=30,
            allow_redirects=False,
        )

    def log_in(self, path: str, username: str, password: str) -> None:
        answer = self.submit(path, {"username": username, "password": password, "next": "/"})
        assert answer.status_code == 302, answer.text


def comes_back(browser: Browser, return_to: str) -> str:
    """Open the address that the bank leads back to, and return where that leads: the same, without the key."""
    answer = browser.get(return_to)
    assert answer.status_code == 303
    landing = answer.headers["Location"]
    assert re.fullmatch(r"/banking/return/[0-9a-f-]+/(\?.*)?", landing), landing
    return landing
