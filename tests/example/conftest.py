"""The example project as `make demo` runs it, on a database of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.server import Browser, clean_environment, free_port, run, serving

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


@dataclass(frozen=True)
class Project:
    """The project with its own settings, in processes of its own."""

    directory: Path
    port: int
    environment: dict[str, str]

    def manage(self, *arguments: str, **variables: str) -> str:
        env = {**self.environment, **variables}
        return run([sys.executable, str(MANAGE), *arguments], cwd=self.directory, env=env)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project_in(tmp_path_factory.mktemp("example"))


def project_in(directory: Path) -> Project:
    port = free_port()
    # Variables win over a developer's .env, empty ones too.
    environment = clean_environment(
        ALLOWED_HOSTS="127.0.0.1",
        BUSINESS_OS_API_KEY="",
        DATABASE_URL=f"sqlite:///{directory / 'db.sqlite3'}",
        DEBUG="true",
        LANGUAGE_CODE="en",
        PORT=str(port),
        RECONCILE_SECONDS="3",
        SECRET_KEY="example-tests",
    )
    return Project(directory, port, environment)


@pytest.fixture(scope="session")
def demo(project: Project) -> Iterator[Browser]:
    with running(project) as browser:
        yield browser


@pytest.fixture
def fresh_demo(tmp_path: Path) -> Iterator[Browser]:
    """A demo of its own, for what the sessions of other tests would keep waiting."""
    with running(project_in(tmp_path)) as browser:
        yield browser


@contextmanager
def running(project: Project) -> Iterator[Browser]:
    """Run the demo, and yield a browser in which the tax adviser is logged in."""
    project.manage("migrate", "--verbosity=0")
    # Twice: what is there already must not be in the way.
    assert "Log in    demo / demo" in project.manage("demo")
    project.manage("demo")
    command = [sys.executable, str(MANAGE), "runserver", "--noreload", f"127.0.0.1:{project.port}"]
    env = project.environment
    with serving(command, cwd=project.directory, env=env, port=project.port) as origin:
        browser = Browser(origin)
        browser.log_in("/login/", "demo", "demo")
        yield browser
