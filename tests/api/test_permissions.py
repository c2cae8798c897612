"""Who may do what: every route with every method, for everybody; and what a site's settings change about it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.template import Context, RequestContext, Template
from django.test import Client, RequestFactory, override_settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.throttling import UserRateThrottle

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.api.urls import urlpatterns
from business_os_banking.models import BankingConnection
from business_os_banking.testing import make_connection
from tests.api.conftest import API, CONNECTIONS, Page, a_connection, a_session, error_of, url_of
from tests.upstream.fake import Upstream

HERE = __name__
# Operation: method, path, and the status for the owner, another person, and nobody.
ROUTES: dict[str, tuple[str, str, int, int, int]] = {
    "list": ("get", "connections/", 200, 200, 403),
    "create": ("post", "connections/", 201, 201, 403),
    "detail": ("get", "connections/{connection}/", 200, 404, 403),
    "renew": ("post", "connections/{connection}/renew/", 201, 404, 403),
    "disconnect": ("post", "connections/{connection}/disconnect/", 200, 404, 403),
    "answer": ("post", "connections/{connection}/answer/", 400, 404, 403),
    "session": ("get", "sessions/{session}/", 200, 404, 403),
    "finish": ("post", "sessions/{session}/finish/", 400, 404, 403),
}
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")


class ByOffice(BankingAdapter):
    def get_owner(self, request: Any) -> Any:
        return (request.user if request.user.is_authenticated else None), getattr(request, "office", "")


class Office(BaseAuthentication):
    """A token names the person and the office."""

    def authenticate(self, request: Any) -> Any:
        token = request.headers.get("Authorization", "")
        if not token:
            return None
        name, _, office = token.removeprefix("Office ").partition("@")
        user = User.objects.filter(username=name).first()
        if user is None:
            raise AuthenticationFailed
        request._request.office = office
        return user, token

    def authenticate_header(self, request: Any) -> str:
        return "Office"


class Locked(BasePermission):
    message = "The building is locked."

    def has_permission(self, request: Any, view: Any) -> bool:
        return False


class OncePerHour(UserRateThrottle):
    rate = "1/hour"


def setting(settings: Any, **values: Any) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **values}


@pytest.fixture
def rows(user: User) -> dict[str, str]:
    connection = a_connection(user)
    return {"connection": str(connection.reference), "session": str(a_session(connection).reference)}


def send(page: Page, method: str, path: str, **headers: str) -> Any:
    headers = {"X-CSRFToken": "a" * 32, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return page.client.generic(method.upper(), API + path, headers=headers)


def test_the_table_has_every_route() -> None:
    named = {str(pattern.name) for pattern in urlpatterns if pattern.name}
    assert len(named) == len({path for _method, path, *_ in ROUTES.values()})
    assert tuple(ROUTES) == conf.API_OPERATIONS


@pytest.mark.parametrize("operation", ROUTES)
def test_who_may_do_what(
    operation: str, rows: dict[str, str], page: Page, other_user: User, upstream: Upstream, db: None
) -> None:
    method, path, to_owner, to_other, to_nobody = ROUTES[operation]
    staff = User.objects.create_superuser("root", password="x")
    place = path.format(**rows)
    assert send(Page(), method, place).status_code == to_nobody
    assert send(Page(other_user), method, place).status_code == to_other
    assert send(Page(staff), method, place).status_code == to_other
    assert send(page, method, place).status_code == to_owner
    listed = Page(other_user).get(CONNECTIONS).json()["results"]
    assert rows["connection"] not in [row["reference"] for row in listed]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", sorted({path for _method, path, *_ in ROUTES.values()}))
def test_methods_that_a_route_lacks(path: str, method: str, rows: dict[str, str], page: Page) -> None:
    known = {found for found, place, *_ in ROUTES.values() if place == path}
    if "get" in known:
        known.add("head")
    if method not in known:
        answer = send(page, method, path.format(**rows))
        assert answer.status_code == 405
        assert {name.lower() for name in answer["Allow"].split(", ")} == known
        assert send(Page(), method, path.format(**rows)).status_code == 403


def test_nobody_is_told_to_sign_in(db: None) -> None:
    error = error_of(Page().get(CONNECTIONS), 403)
    assert (error["class"], error["title"]) == ("NotAuthenticated", "Please sign in")


@pytest.mark.parametrize("action", ["", "renew", "disconnect"])
def test_without_a_csrf_token_nothing_is_done(
    page: Page, user: User, upstream: Upstream, action: str
) -> None:
    connection = a_connection(user)
    url = url_of(connection, f"{action}/") if action else CONNECTIONS
    error = error_of(page.client.post(url, content_type="application/json"), 403)
    assert error["class"] == "PermissionDenied"
    assert "CSRF" in error["message"]
    assert upstream.calls("POST") == []
    connection.refresh_from_db()
    assert connection.status == "active"


@pytest.mark.parametrize("operation", ROUTES)
def test_another_tenant_of_the_same_person(
    operation: str, user: User, upstream: Upstream, settings: Any
) -> None:
    setting(settings, ADAPTER=f"{HERE}.ByOffice", API_AUTHENTICATION_CLASSES=[f"{HERE}.Office"])
    connection = a_connection(user, tenant="north")
    rows = {"connection": str(connection.reference), "session": str(a_session(connection).reference)}
    method, path, to_owner, to_other, _ = ROUTES[operation]
    nobody = Page()
    answers = [
        send(nobody, method, path.format(**rows), Authorization=f"Office ada@{office}")
        for office in ("south", "north")
    ]
    assert [answer.status_code for answer in answers] == [to_other, to_owner]
    if operation == "create":
        assert set(BankingConnection.objects.values_list("tenant", flat=True)) == {"north", "south"}


def test_a_token_is_enough_and_needs_no_csrf(user: User, upstream: Upstream, settings: Any) -> None:
    setting(settings, API_AUTHENTICATION_CLASSES=[f"{HERE}.Office"])
    nobody = Page()
    assert send(nobody, "post", "connections/", Authorization="Office ada", X_CSRFToken="").status_code == 201
    answer = nobody.get(CONNECTIONS)
    assert error_of(answer, 401)["class"] == "NotAuthenticated"
    assert answer["WWW-Authenticate"] == "Office"
    assert error_of(nobody.get(CONNECTIONS, Authorization="Office x"), 401)["class"] == "AuthenticationFailed"
    # The session's cookie does not count any more.
    error_of(Page(user).get(CONNECTIONS), 401)


def test_the_sites_own_classes_hold_where_nothing_is_set(page: Page, user: User) -> None:
    with override_settings(REST_FRAMEWORK={"DEFAULT_PERMISSION_CLASSES": [f"{HERE}.Locked"]}):
        error = error_of(page.get(CONNECTIONS), 403)
    assert (error["class"], error["message"]) == ("PermissionDenied", "The building is locked.")
    with override_settings(
        REST_FRAMEWORK={"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"]}
    ):
        error_of(Page().get(CONNECTIONS), 403)
    with override_settings(REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [f"{HERE}.Office"]}):
        assert Page().get(CONNECTIONS, Authorization="Office ada").status_code == 200
    with override_settings(REST_FRAMEWORK={"DEFAULT_THROTTLE_CLASSES": [f"{HERE}.OncePerHour"]}):
        assert page.get(CONNECTIONS).status_code == 200
        answer = page.get(CONNECTIONS)
        assert error_of(answer, 429)["class"] == "Throttled"
        assert answer.json()["error"]["next_step"] == "Please wait a moment, and try again."
        assert int(answer["Retry-After"]) > 0


def test_settings_may_be_of_one_operation(page: Page, user: User, upstream: Upstream, settings: Any) -> None:
    setting(settings, API_PERMISSION_CLASSES={"disconnect": [f"{HERE}.Locked"]})
    connection = a_connection(user)
    error_of(page.post(url_of(connection, "disconnect/")), 403)
    assert page.get(url_of(connection)).status_code == 200
    error_of(Page().get(url_of(connection)), 403)
    setting(settings, API_THROTTLE_CLASSES={"create": [f"{HERE}.OncePerHour"]})
    assert [page.create().status_code for _ in range(2)] == [201, 429]
    assert page.get(CONNECTIONS).status_code == 200


def test_a_site_that_lets_anybody_in_lets_nobody_see_or_begin(
    rows: dict[str, str], user: User, upstream: Upstream, settings: Any
) -> None:
    setting(settings, API_PERMISSION_CLASSES=[])
    nobody = Page()
    assert nobody.get(CONNECTIONS).json()["results"] == []
    for operation, (method, path, *_) in ROUTES.items():
        status = {"list": 200, "create": 403}.get(operation, 404)
        assert send(nobody, method, path.format(**rows), Idempotency_Key="x").status_code == status
    assert upstream.calls("POST") == []


def test_permissions_that_ask_for_a_model_find_one(page: Page, user: User) -> None:
    classes = ["rest_framework.permissions.DjangoModelPermissions"]
    with override_settings(REST_FRAMEWORK={"DEFAULT_PERMISSION_CLASSES": classes}):
        assert page.get(CONNECTIONS).status_code == 200
        error_of(page.create(), 403)


def test_login_required_everywhere_does_not_lead_programs_to_a_form(db: None, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    error_of(Page().get(CONNECTIONS), 403)
    error_of(Page().get(f"{API}nothing/"), 404)


class NoRenewals(BankingAdapter):
    """A site on which nobody may connect a bank at the moment."""

    def can_connect(self, request: HttpRequest, connection: BankingConnection | None = None) -> bool:
        return False


def test_nothing_offers_a_renewal_that_the_page_would_refuse(user: User, settings: Any) -> None:
    connection = make_connection(user, status="inactive")
    renew = f"/banking/connections/{connection.reference}/renew/"
    client = Client()
    client.force_login(user)
    url = f"/banking/api/connections/{connection.reference}/"
    assert client.get(url).json()["can_renew"] is True
    assert renew in client.get("/banking/").content.decode()
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "ADAPTER": "tests.api.test_permissions.NoRenewals",
    }
    assert client.get(renew).status_code == 403
    assert client.get(url).json()["can_renew"] is False
    assert client.get("/banking/api/connections/").json()["results"][0]["can_renew"] is False
    assert renew not in client.get("/banking/").content.decode()
    request = RequestFactory().get("/")
    request.user = user
    page = Template(
        "{% load business_os_banking %}{% banking_actions connection as actions %}{{ actions|length }}"
    )
    assert page.render(RequestContext(request, {"connection": connection})) == "1"
    assert page.render(Context({"connection": connection})) == "2"
