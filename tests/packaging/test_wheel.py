"""What is published, and what is not."""

import email
import tarfile
import zipfile
from pathlib import Path

import pytest

from business_os_banking import __version__
from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.packaging

PACKAGE = ROOT / "business_os_banking"


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_holds_every_file_of_the_package(names: set[str]) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours == {name for name in names if ".dist-info/" not in name}


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "templates/business_os_banking/base.html",
        "templates/business_os_banking/return.html",
        "templates/business_os_banking/_status_badge.html",
        "static/business_os_banking/banking.css",
        "static/business_os_banking/banking.js",
        "templatetags/business_os_banking.py",
        "migrations/0001_initial.py",
        "sandbox/migrations/0001_initial.py",
        "sandbox/templates/business_os_banking_sandbox/choose.html",
        "sandbox/static/business_os_banking_sandbox/widget.css",
    ],
)
def test_holds_what_a_site_needs_besides_modules(names: set[str], name: str) -> None:
    assert f"business_os_banking/{name}" in names


def test_every_translation_is_there_compiled(names: set[str]) -> None:
    sources = {name for name in names if name.endswith(".po")}
    assert {name.removesuffix(".po") + ".mo" for name in sources} <= names


def test_holds_nothing_else(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {"business_os_banking", f"django_business_os_banking-{__version__}.dist-info"}


def test_the_sources_are_the_package_and_what_it_takes_to_build_it(dist: Path, names: set[str]) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    top = f"django_business_os_banking-{__version__}/"
    assert all(member.isfile() and member.name.startswith(top) for member in members)
    package = {name for name in names if ".dist-info/" not in name}
    beside = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert {member.name.removeprefix(top) for member in members} == package | beside


def test_nothing_that_is_published_looks_like_a_leftover(names: set[str]) -> None:
    endings = {Path(name).suffix for name in names if ".dist-info/" not in name}
    assert endings <= {".py", ".typed", ".html", ".txt", ".css", ".js", ".svg", ".po", ".mo"}


def test_metadata(wheel: Path, names: set[str]) -> None:
    (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(zipfile.ZipFile(wheel).read(name))
    assert metadata["Name"] == "django-business-os-banking"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    required = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert sorted(text.split(">")[0] for text in required) == [
        "django",
        "django-environ",
        "djangorestframework",
        "requests",
    ]
    assert {"saltedge", "openapi", "mariadb", "qr", "dev"} <= set(metadata.get_all("Provides-Extra", []))
