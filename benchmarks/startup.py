"""What the app adds to the start of a bare Django site: time, memory, and what is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.tables import show

ROUNDS = 7
HEAVY = (
    "requests",
    "rest_framework",
    "cryptography",
    "business_os_banking.sandbox",
    "drf_spectacular",
    "segno",
)
SITE = """
import json, sys, time, types
start = time.perf_counter()
import django
from django.conf import settings
from django.urls import get_resolver, include, path
urls = types.ModuleType("site_urls")
sys.modules["site_urls"] = urls
settings.configure(
    SECRET_KEY="benchmarks",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *APPS],
    BUSINESS_OS_BANKING={"ACCOUNTS": {"default": {"API_KEY": "benchmarks"}}},
    ROOT_URLCONF="site_urls",
    USE_TZ=True,
)
django.setup()
urls.urlpatterns = [path("banking/", include(one)) for one in URLS]
get_resolver().url_patterns
taken = 1000 * (time.perf_counter() - start)
from benchmarks import memory
print(json.dumps([taken, memory.now(), [name for name in HEAVY if name in sys.modules]]))
"""


def run() -> None:
    sites: dict[str, tuple[list[str], list[str]]] = {
        "a bare Django site": ([], []),
        "with the app installed": (["business_os_banking"], []),
        "with its URLs included": (["business_os_banking"], ["business_os_banking.urls"]),
    }
    found: dict[str, list[Any]] = {name: [] for name in sites}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # a site compiles its modules once
    for _ in range(ROUNDS):
        for name, (apps, urls) in sites.items():
            code = f"APPS, URLS, HEAVY = {apps!r}, {urls!r}, {HEAVY!r}\n{SITE}"
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=True)
            found[name].append(json.loads(done.stdout))
    show(
        ("", "ms", "MB", "of what is heavy"),
        (
            (
                name,
                median(one[0] for one in some),
                median(one[1] for one in some),
                ", ".join(some[0][2]) or "nothing",
            )
            for name, some in found.items()
        ),
    )
