"""The pages build without a warning, offline, and hold nothing that they should not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, text

pytestmark = pytest.mark.long


def test_they_build_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in PAGES:
        assert (tmp_path / "html" / f"{page.stem}.html").exists()


def test_every_page_is_in_the_contents() -> None:
    listed = set(re.findall(r"^([a-z-]+)$", text("index.md"), re.MULTILINE))
    assert listed >= {page.stem for page in PAGES} - {"index"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_names_a_directory_of_somebodys_machine(page: Path) -> None:
    assert not re.search(r"/(home|Users|work|root|tmp)/", text(page.name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_of_the_checkout_exist(page: Path) -> None:
    named = re.findall(r"`((?:business_os_banking|tests|docs|example_project)/[\w./]*)`", text(page.name))
    # A template is named as it is loaded, which looks like a path.
    roots = (ROOT, ROOT / "business_os_banking" / "templates")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_commands_that_are_named_exist() -> None:
    commands = ROOT / "business_os_banking" / "management" / "commands"
    known = {path.stem for path in commands.glob("banking_*.py")}
    named = {name for page in PAGES for name in re.findall(r"`(banking_[a-z]+)\b", text(page.name))}
    others = {
        "banking_settings",
        "banking_connect",
        "banking_status",
        "banking_wording",
        "banking_session",
        "banking_actions",
        "banking_upstream",  # the fixture
        # cookies
        "banking_starter",
        "banking_visitor",
        "banking_link",
        # blocks of templates
        "banking_page",
        "banking_title",
        "banking_head",
        "banking_messages",
        "banking_content",
    }
    assert named - others <= known


def test_the_quick_start_is_that_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^<!-- site: .+ -->\n(```\w+\n.*?^```)$", readme, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert block in text("quickstart.md"), block
