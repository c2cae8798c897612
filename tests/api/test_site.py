"""Whatever a site has set for its own API, this one stays as it is described; and needs nothing of the site."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from rest_framework.pagination import PageNumberPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from tests.api.conftest import CONNECTIONS, Page, a_connection, a_session, error_of, url_of
from tests.upstream.fake import Upstream

HERE = __name__


class Shouting(JSONRenderer):
    """What renderers that rename keys do."""

    media_type = "application/json"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return super().render(
            {str(key).upper(): value for key, value in (data or {}).items()}, *args, **kwargs
        )


class Pages(PageNumberPagination):
    page_size = 1


def broken(error: Exception, context: Any) -> Response:
    return Response({"oops": True}, status=299)


HOSTS: dict[str, dict[str, Any]] = {
    "renderers": {"DEFAULT_RENDERER_CLASSES": [f"{HERE}.Shouting"]},
    "browsable": {
        "DEFAULT_RENDERER_CLASSES": [
            "rest_framework.renderers.BrowsableAPIRenderer",
            "rest_framework.renderers.JSONRenderer",
        ]
    },
    "parsers": {"DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"]},
    "pagination": {"DEFAULT_PAGINATION_CLASS": f"{HERE}.Pages", "PAGE_SIZE": 1},
    "exceptions": {"EXCEPTION_HANDLER": f"{HERE}.broken"},
    "filters": {"DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter"]},
    "namespace versions": {
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
        "ALLOWED_VERSIONS": ["v1"],
        "DEFAULT_VERSION": "v1",
    },
    "header versions": {
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
        "ALLOWED_VERSIONS": ["v9"],
        "DEFAULT_VERSION": None,
    },
    "negotiation": {"URL_FORMAT_OVERRIDE": "status"},
    "times": {"DATETIME_FORMAT": "%s", "DATETIME_INPUT_FORMATS": ["%d.%m.%Y"]},
    "names": {"NON_FIELD_ERRORS_KEY": "allgemein"},
    "metadata": {"DEFAULT_METADATA_CLASS": None},
    "nobody": {"UNAUTHENTICATED_USER": None},
    "tests": {"TEST_REQUEST_DEFAULT_FORMAT": "json"},
}


def everything(page: Page, user: User) -> list[tuple[int, Any]]:
    """Return statuses and bodies of answers of every kind, without what is new each time."""
    session = a_session(a_connection(user), expires_at="2026-11-01T10:00:00Z")
    answers = [
        page.get(CONNECTIONS, {"expires_before": "2030-01-01T00:00:00Z", "status": "active"}),
        page.get(url_of(session)),
        page.create({"api": "nonsense"}),
        page.create([]),
        page.get(CONNECTIONS, Accept="text/html"),
        page.get(CONNECTIONS, {"page_size": "0"}),
        Page().get(CONNECTIONS),
        page.client.options(CONNECTIONS),
        page.get(f"{CONNECTIONS}nothing/"),
    ]
    changing = [str(session.reference), str(session.connection.reference)]
    session.connection.delete()
    return [(answer.status_code, _without(answer, changing)) for answer in answers]


def _without(answer: Any, changing: list[str]) -> str:
    text: str = answer.content.decode()
    for reference in changing:
        text = text.replace(reference, "…")
    for name in ("created_at", "updated_at", "connected_at", "consent_expires_at"):
        head, found, tail = text.partition(f'"{name}":"20')
        while found and tail[20:25]:
            text = head + tail[tail.index('"') + 1 :]
            head, found, tail = text.partition(f'"{name}":"20')
    return text


@pytest.mark.parametrize("host", HOSTS)
def test_a_sites_settings_change_nothing(host: str, page: Page, user: User, upstream: Upstream) -> None:
    plain = everything(page, user)
    assert [status for status, _body in plain] == [200, 200, 400, 400, 406, 400, 403, 405, 404]
    with override_settings(REST_FRAMEWORK=HOSTS[host]):
        assert everything(page, user) == plain


def test_the_sites_own_handler_is_left_to_the_site(page: Page, settings: Any) -> None:
    """A fault of ours is Django's to report, as on every page."""
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": "nowhere.Adapter"}
    page.client.raise_request_exception = False
    assert page.get(CONNECTIONS).status_code == 500


def test_an_outsiders_host_is_refused_as_on_every_page(page: Page) -> None:
    assert page.get(CONNECTIONS, Host="evil.example").status_code == 400


def test_it_needs_no_further_app_and_is_not_imported_before_it_is_used() -> None:
    code = (
        "import django, sys; django.setup(); from django.conf import settings; "
        "assert 'rest_framework' not in settings.INSTALLED_APPS; "
        "early = [name for name in sys.modules if name.startswith(('rest_framework', 'drf_spectacular'))]; "
        "assert not early, early; "
        "from django.urls import reverse; print(reverse('business_os_banking:api:connection-list')); "
        "assert 'drf_spectacular' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == CONNECTIONS


def test_errors_have_one_shape_without_debug(page: Page, settings: Any) -> None:
    for debug in (True, False):
        settings.DEBUG = debug
        error_of(page.get(f"{CONNECTIONS}nothing/"), 404)
