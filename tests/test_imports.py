"""What a site imports because it has the app: nothing that is heavy before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

SITE = """
import sys, types
from django.conf import settings
from django.urls import get_resolver, include, path
urls = types.ModuleType("site_urls")
urls.urlpatterns = []
sys.modules["site_urls"] = urls
settings.configure(
    SECRET_KEY="a secret of a site",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "business_os_banking"],
    BUSINESS_OS_BANKING={"ACCOUNTS": {"default": {"API_KEY": "key"}}},
    ROOT_URLCONF="site_urls",
)
import django
django.setup()
if with_urls:
    urls.urlpatterns = [path("banking/", include("business_os_banking.urls"))]
    assert get_resolver().url_patterns[0].url_patterns
print(*sorted(name for name in sys.modules if name in heavy))
"""
NEVER = {
    "cryptography",
    "drf_spectacular",
    "segno",
    "business_os_banking.sandbox",
}
WITH_THE_PAGES = {"requests", "rest_framework"}


@pytest.mark.once
@pytest.mark.parametrize(("with_urls", "expected"), [(False, set()), (True, WITH_THE_PAGES)])
def test_a_site_imports_nothing_heavy_before_it_is_used(with_urls: bool, expected: set[str]) -> None:
    code = f"with_urls, heavy = {with_urls}, {NEVER | WITH_THE_PAGES}\n{SITE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected
