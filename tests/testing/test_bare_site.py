"""A host's test file, written from the contract alone, in sites of several kinds: no environment, no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import samples

ROOT: Final = Path(__file__).resolve().parents[2]
HOST: Final = Path(__file__).parent / "bare" / "host.py"

pytestmark = [pytest.mark.once, pytest.mark.long]

MANAGE: Final = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", sys.argv.pop(1))
execute_from_command_line(sys.argv)
"""
URLS: Final = """
from django.contrib.auth.views import LoginView
from django.urls import include, path
urlpatterns = [path("login/", LoginView.as_view(), name="login"), path("money/", include("business_os_banking.urls"))]
"""
# What `startproject` makes, as far as the app needs it; and nothing of the app but its name.
SETTINGS: Final = """
SECRET_KEY = "of-a-bare-site"
USE_TZ = True
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "urls"
LOGIN_URL = "login"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages", "django.contrib.sessions",
    "django.contrib.staticfiles", "business_os_banking",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
"""
# A site that has changed whatever it may: users with other keys, a transaction around each request, a login and https
# for everything, accounts in the adapter, a verifier that signs nothing.
HARD: Final = """
from settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
AUTH_USER_MODEL = "shop.Person"
MIGRATION_MODULES = {"business_os_banking": None}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
TIME_ZONE = "Asia/Kathmandu"
LANGUAGE_CODE = "de"
BUSINESS_OS_BANKING = {"ADAPTER": "shop.banking.Adapter"}
"""
PERSON: Final = """
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models

class Person(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
"""
ADAPTER: Final = """
import hmac
from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import make_account
from business_os_banking.webhooks.verifiers import Verifier, WebhookRejected

class OnlyMine(Verifier):
    def verify(self, delivery):
        if not hmac.compare_digest(delivery.headers.get("X-Mine", "").encode(), self.secrets()[0].encode()):
            raise WebhookRejected("not mine")

class Adapter(BankingAdapter):
    def get_credentials(self, alias, connection):
        values = {"API_KEY": "kept-elsewhere", "WEBHOOK_SECRETS": ["kept-elsewhere-too"]}
        return make_account(alias, {**values, "WEBHOOK_VERIFIERS": ["shop.banking.OnlyMine"]})
"""

NO_NETWORK: Final = """
import socket

def refuse(*_):
    raise AssertionError("A test wanted to reach the network.")

socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The files of a bare site; its tests are still to be put there."""
    files = {
        "manage.py": MANAGE,
        "sitecustomize.py": NO_NETWORK,
        "urls.py": URLS,
        "settings.py": SETTINGS,
        "from_environment.py": "from settings import *\nfrom business_os_banking.env import banking_settings\n"
        "BUSINESS_OS_BANKING = banking_settings()\n",
        "with_the_line.py": "from settings import *\n" + line_of_the_docs(),
        "hard.py": HARD,
        "shop/__init__.py": "",
        "shop/models.py": PERSON,
        "shop/banking.py": ADAPTER,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def line_of_the_docs() -> str:
    """Return the one line that the docs give for test settings."""
    [sample] = [item for item in samples() if item.page == "testing.md" and item.context == "settings"]
    assert len(sample.code.splitlines()) == 1
    return sample.code


def run(site: Path, *arguments: str) -> str:
    """Run Python in the site with an environment that knows nothing but where the package is; return what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=site,
        env={"PYTHONPATH": f"{ROOT}:{site}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_pytest(site: Path, settings: str) -> str:
    others = ["-p", "no:randomly", "-p", "no:cacheprovider"]
    return run(site, "-m", "pytest", "-q", *others, f"--ds={settings}", f"--rootdir={site}")


def with_manage_py(site: Path, settings: str) -> str:
    return run(site, "manage.py", settings, "test")


@pytest.mark.parametrize("settings", ["settings", "from_environment", "with_the_line", "hard"])
def test_a_host_s_tests_pass_under_pytest(site: Path, settings: str) -> None:
    shutil.copy(HOST, site / "test_host.py")
    assert " passed" in with_pytest(site, settings)


def test_a_host_s_tests_pass_under_manage_py_test_with_the_line_of_the_docs(site: Path) -> None:
    shutil.copy(HOST, site / "test_host.py")
    assert "OK" in with_manage_py(site, "with_the_line")


@pytest.mark.parametrize("way", [with_pytest, with_manage_py])
def test_the_samples_of_the_page_are_good_test_files(site: Path, way: Callable[[Path, str], str]) -> None:
    """Under Django's runner those alone that are test cases."""
    for number, sample in enumerate(samples()):
        if (
            sample.page == "testing.md"
            and sample.context in {"testcase", "plain"}
            and "sandbox" not in sample.code
        ):
            (site / f"test_{number}.py").write_text(sample.code, encoding="utf-8")
    said = way(site, "with_the_line")
    assert " passed" in said or "OK" in said
