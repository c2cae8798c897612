"""The wheel, built once, and a bare site that it is installed in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.server import clean_environment, run

ROOT = Path(__file__).resolve().parents[2]


def readme_block(name: str) -> str:
    """Return the fenced block of the README that is marked ``<!-- site: name -->``."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"<!-- site: {re.escape(name)} -->\n```\w+\n(.*?)```\n", readme, re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks for {name}"
    return str(found[0])


@dataclass(frozen=True)
class Site:
    """A fresh environment with the wheel in it, and a project that was set up as the README says."""

    python: Path
    directory: Path
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        command = [str(self.python), "manage.py", *arguments]
        return run(command, cwd=self.directory, env=self.environment)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with what is published: the archive of the sources, and the wheel that was built from it."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    run(command, cwd=target, env=clean_environment())
    return target


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and with everything else that this one has but our checkout."""
    venv = tmp_path_factory.mktemp("venv")
    env, home = clean_environment(), venv.parent
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], cwd=home, env=env)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--no-index", str(wheel)], cwd=home, env=env)
    # The dependencies are borrowed, so that no network is needed. Files ending in .pth are not read in a
    # directory that is borrowed like this, and so the editable install of the checkout stays out.
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run([str(python), "-c", code], cwd=home, env=env).strip())
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    code = "import business_os_banking; print(business_os_banking.__file__)"
    found = run([str(python), "-c", code], cwd=home, env=env).strip()
    assert Path(found).is_relative_to(venv), found
    return python


@pytest.fixture(scope="session")
def site(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """``django-admin startproject``, and then the README word for word."""
    directory = tmp_path_factory.mktemp("site")
    path = f"{environment.parent}{os.pathsep}{os.environ['PATH']}"
    env = clean_environment(PATH=path)
    run([str(environment), "-m", "django", "startproject", "bare", "."], cwd=directory, env=env)
    for name in ("settings.py", "urls.py"):
        with (directory / "bare" / name).open("a", encoding="utf-8") as file:
            file.write("\n" + readme_block(name))
    # The shell block is run as it stands; what it exports is what the server runs with later on.
    script = readme_block("shell") + "\nenv -0 >environment\n"
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    exported = (directory / "environment").read_text().rstrip("\0").split("\0")
    made = Site(environment, directory, dict(item.split("=", 1) for item in exported))
    assert "no issues" in made.manage("check", "--fail-level=WARNING")
    return made
