"""What a developer meets on a site of their own: shadowed pages, a webhook in a language, a frame without room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path, re_path

from business_os_banking.checks import site

OURS = path("banking/", include("business_os_banking.urls"))


def page(*_: Any, **__: Any) -> HttpResponse:
    return HttpResponse("a page of the site")


@pytest.fixture
def urls(request: pytest.FixtureRequest) -> Iterator[str]:
    module = ModuleType("urls_of_a_site")
    module.urlpatterns = request.param  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    with override_settings(ROOT_URLCONF=module.__name__):
        yield module.__name__
    del sys.modules[module.__name__]


SHADOWING = {
    "flatpages": [path("<path:url>", page), OURS],
    "a single-page app": [re_path(r"^.*$", page), OURS],
    "a CMS": [re_path(r"^((?:[\w\-]+/)*)$", page, name="wagtail_serve"), OURS],
    "included": [path("", include([path("<path:url>", page)])), OURS],
    "the API alone": [path("banking/api/<path:rest>", page), OURS],
    "the return page alone": [path("banking/return/<path:rest>", page), OURS],
    "the webhook alone": [path("banking/webhook/", page), OURS],
}


@pytest.mark.parametrize("urls", SHADOWING.values(), ids=SHADOWING, indirect=True)
def test_what_stands_before_our_pages_is_told(urls: str) -> None:
    (message,) = site.check_urls()
    assert message.id == "business_os_banking.W003"
    assert "before" in (message.hint or "")


@pytest.mark.parametrize(
    "urls",
    [
        [OURS],
        [OURS, path("<path:url>", page)],
        [OURS, re_path(r"^.*$", page)],
        [path("", page), path("about/", page), OURS],
        [path("pay/", include("business_os_banking.urls"))],
    ],
    indirect=True,
)
def test_what_stands_behind_them_is_not(urls: str) -> None:
    assert list(site.check_urls()) == []


@pytest.mark.parametrize("prefix", [True, False])
def test_a_webhook_whose_address_depends_on_a_language(prefix: bool) -> None:
    module = ModuleType("urls_in_languages")
    module.urlpatterns = i18n_patterns(OURS, prefix_default_language=prefix)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        with override_settings(ROOT_URLCONF=module.__name__):
            assert [message.id for message in site.check_urls()] == ["business_os_banking.W015"]
    finally:
        del sys.modules[module.__name__]


def with_frame(settings: Any, frame: str, **others: str) -> None:
    (engine,) = settings.TEMPLATES
    texts = {
        "business_os_banking/base.html": frame,
        **{f"{name}.html": text for name, text in others.items()},
    }
    loaders = [
        ("django.template.loaders.locmem.Loader", texts),
        "django.template.loaders.app_directories.Loader",
    ]
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}]


FRAME = '{% extends "site.html" %}{% block content %}{% block banking_page %}{% endblock %}{% endblock %}'


@pytest.mark.parametrize(
    ("frame", "base", "is_lost"),
    [
        (FRAME, "<main>{% block content %}{% endblock %}</main>", False),
        (FRAME, "<main>{% block main %}{% endblock %}</main>", True),  # the site has no such block
        ("<main></main>", "", True),
        (
            '{% extends "site.html" %}{% block content %}{% endblock %}',
            "{% block content %}{% endblock %}",
            True,
        ),
        (FRAME, "{% block content %}{% endblock %}{% if request.session.x %}{% endif %}", False),
        ('{% extends "nowhere.html" %}', "", False),  # reported by who renders it
    ],
)
def test_a_frame_without_room_for_the_page(settings: Any, frame: str, base: str, is_lost: bool) -> None:
    with_frame(settings, frame, site=base)
    assert [message.id for message in site.check_frame()] == ["business_os_banking.W016"] * is_lost


def test_the_frame_of_the_documentation_shows_a_page(settings: Any, db: None) -> None:
    with_frame(settings, FRAME, site="<nav></nav><main>{% block content %}{% endblock %}</main>")
    assert list(site.check_frame()) == []
    html = Client().get("/banking/return/00000000-0000-0000-0000-000000000001/").content.decode()
    assert html.startswith("<nav></nav><main>")
    assert all(part in html for part in ("We cannot find this attempt", "banking.css", "banking.js"))
