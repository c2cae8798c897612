"""From outside, through a running site: each fault is named, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.utils import timezone

from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf import make_account
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent
from business_os_banking.webhooks.verifiers import Verifier
from tests.doctor.conftest import BusinessOS, Serve
from tests.doctor.faults import EmptyAnswer
from tests.upstream.server import Server
from tests.upstream.server import serve as serve_script
from tests.upstream.test_wire import free_port


class LostAdapter(BankingAdapter):
    def get_return_to(self, request: Any, session: Any) -> str:
        raise LookupError("this site cannot say where it is")


class ForeignVerifier(Verifier):
    """Accepts what somebody else signs; nothing can be signed for it here."""


def test_a_healthy_site_is_silent(serve: Serve, plain_doctor: Any) -> None:
    address = serve()
    assert plain_doctor("--url", address) == (0, "")
    # One for each verifier that has a secret of its kind, and none of them in anybody's way.
    events = ConnectionEvent.objects.filter(kind="self_test")
    assert {(event.outcome, event.source, event.deliveries) for event in events} == {
        ("no_change", "webhook", 1)
    }
    assert events.count() == 3
    assert {event.payload["return_to"].startswith(f"{address}/banking/return/") for event in events} == {True}


def test_a_site_may_be_known_by_its_setting(serve: Serve, site: Any, plain_doctor: Any) -> None:
    site.BUSINESS_OS_BANKING = {**site.BUSINESS_OS_BANKING, "SITE_URL": serve()}
    assert plain_doctor() == (0, "")


@pytest.mark.parametrize(
    ("middleware", "code", "says"),
    [
        ("login_wall", "webhook-behind-login", "/login/"),
        ("basic_authentication", "webhook-behind-login", "401"),
        ("StrictCSRF", "webhook-csrf", "403"),
        ("firewall", "webhook-blocked", "403"),
        ("moved", "webhook-redirected", "https://www.shop.example/banking/webhook/default/"),
        ("out_of_order", "webhook-broken", "502"),
        ("without_headers_of_its_own", "webhook-refused", "SharedSecret"),
        ("another_host", "return-wrong", "http://internal.example"),
        ("another_scheme", "return-wrong", "https://"),
        ("login_wall_around_the_return", "return-unreachable", "/banking/return/"),
    ],
)
def test_what_stands_in_front_is_named(
    serve: Serve, site: Any, doctor: Any, middleware: str, code: str, says: str
) -> None:
    site.ALLOWED_HOSTS = [*site.ALLOWED_HOSTS, "internal.example"]
    found = doctor("--url", serve(middleware))
    assert set(found) == {code}
    assert says in found[code]["what"]
    assert "?" not in found[code]["what"]
    assert found[code]["account"] == "default"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "webhook-refused"),
        (404, "webhook-unknown-account"),
        (429, "webhook-throttled"),
        (503, "webhook-unready"),
        (500, "webhook-broken"),
    ],
)
def test_a_site_that_runs_with_other_settings_is_named(
    serve: Serve, doctor: Any, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.setattr(EmptyAnswer, "status", status)
    assert set(doctor("--url", serve("EmptyAnswer"))) == {code}


def test_a_wrong_prefix_is_named(serve: Serve, doctor: Any) -> None:
    found = doctor("--url", f"{serve()}/shop")
    assert set(found) == {"webhook-not-found"}
    assert "/banking/webhook/default/" in found["webhook-not-found"]["fix"]


def the_cms(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse("<h1>Our pages</h1>", status=405 if request.method == "POST" else 404)


# A catch-all of the site's stands before the app's addresses.
urlpatterns = [re_path("^.*$", the_cms), path("banking/", include("business_os_banking.urls"))]


def test_a_catch_all_before_the_webhook_is_named(serve: Serve, site: Any, doctor: Any) -> None:
    site.ROOT_URLCONF = __name__
    found = doctor("--url", serve())
    assert {"W003"} < set(found)
    assert "answers /banking/webhook/" in found["W003"]["what"]
    assert "before any pattern" in found["W003"]["fix"]


def test_an_address_where_nobody_answers_is_named(serve: Serve, doctor: Any) -> None:
    assert set(doctor("--url", f"http://127.0.0.1:{free_port()}")) == {"site-unreachable"}


def test_an_untrusted_certificate_is_named(site: Any, doctor: Any, tls_server: Server) -> None:
    assert set(doctor("--url", tls_server.url)) == {"site-tls"}


def test_the_address_of_another_site_is_named(site: Any, doctor: Any, tls_server: Server) -> None:
    other = Server()
    other.behave = lambda exchange: exchange.answer(b"Thank you!")
    stop = serve_script(other)
    try:
        assert set(doctor("--url", other.url)) == {"webhook-lost"}
    finally:
        stop()


def test_a_host_that_django_refuses_is_named(site: Any, doctor: Any) -> None:
    for url in ("https://www.shop.example", "https://[2001:db8::1]"):
        found = doctor("--url", url)
        assert set(found) == {"host-not-allowed"}
        assert "ALLOWED_HOSTS" in found["host-not-allowed"]["fix"]


def test_plain_http_is_named(site: Any, doctor: Any) -> None:
    site.ALLOWED_HOSTS = ["nowhere.invalid"]
    assert set(doctor("--url", "http://nowhere.invalid")) == {"webhook-plain-http", "site-unreachable"}


def test_an_adapter_that_knows_no_way_back_is_named(
    serve: Serve, site: Any, doctor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.BUSINESS_OS_BANKING = {
        **site.BUSINESS_OS_BANKING,
        "ADAPTER": "tests.doctor.test_public.LostAdapter",
    }
    found = doctor("--url", serve())
    assert set(found) == {"return-wrong"}
    assert "cannot be made" in found["return-wrong"]["what"]
    assert "this site cannot say where it is" in caplog.text


class OtherName(BankingAdapter):
    def get_credentials(self, alias: str, connection: Any) -> Any:
        return super().get_credentials("default", connection)


class NoKey(BankingAdapter):
    def get_credentials(self, alias: str, connection: Any) -> Any:
        return make_account(alias, {})


class Broken(BankingAdapter):
    def get_credentials(self, alias: str, connection: Any) -> Any:
        raise LookupError("a text that nobody should see")


@pytest.mark.parametrize("adapter", [OtherName, NoKey, Broken])
def test_an_adapter_whose_accounts_cannot_be_used_is_named(site: Any, doctor: Any, adapter: type) -> None:
    BankingConnection.objects.create(account="org-7")
    AccountState.objects.create(alias="org-7", reconciled_at=timezone.now())
    site.BUSINESS_OS_BANKING = {"ADAPTER": f"{__name__}.{adapter.__name__}"}
    found = doctor("--account", "org-7")
    assert set(found) == {"account-unusable", "public-url-unknown"}
    assert found["account-unusable"]["account"] == "org-7"
    assert "nobody should see" not in str(found)


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (lambda exchange: exchange.answer(b"", status=520), "webhook-broken"),
        (lambda exchange: exchange.answer(b"", status=302, Location="http://["), "site-unreachable"),
        (lambda exchange: exchange.answer(b"x", Content_Encoding="gzip"), "webhook-lost"),
        (lambda exchange: exchange.answer(b"x", status=405), "webhook-blocked"),
        (lambda exchange: exchange.answer(b"x", status=410), "webhook-not-found"),
        (lambda exchange: exchange.hang_up(), "site-unreachable"),
    ],
)
def test_no_answer_makes_it_raise(site: Any, doctor: Any, behave: Any, code: str) -> None:
    other = Server()
    other.behave = behave
    stop = serve_script(other)
    try:
        assert set(doctor("--url", other.url)) == {code}
    finally:
        stop()


def test_a_secret_that_no_header_can_hold_is_named(serve: Serve, site: Any, doctor: Any) -> None:
    account = site.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    secrets = {"WEBHOOK_SECRETS": ["a-secret-with-a-euro-\u20ac-in-it"]}
    site.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, **secrets}}}
    assert set(doctor("--url", serve())) == {"secret-unsendable"}


def test_what_only_somebody_else_can_sign_is_not_tested(serve: Serve, site: Any, plain_doctor: Any) -> None:
    account = site.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    ours = ["tests.doctor.test_public.ForeignVerifier"]
    site.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {**account, "WEBHOOK_VERIFIERS": ours}}}
    assert plain_doctor("--url", serve()) == (0, "")
    assert not ConnectionEvent.objects.exists()


def test_each_account_is_examined(serve: Serve, site: Any, doctor: Any, business_os: BusinessOS) -> None:
    account = site.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]
    berlin = {**account, "API_KEY": "of-somebody-else", "WEBHOOK_SECRETS": ["another-secret-of-berlin"]}
    site.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account, "berlin": berlin}}
    address = serve()
    found = doctor("--url", address)
    assert {(code, item["account"]) for code, item in found.items()} == {
        ("key-refused", "berlin"),
        ("reconcile-stopped", "berlin"),
    }
    assert "BUSINESS_OS_BERLIN_API_KEY" in found["key-refused"]["fix"]
    assert doctor("--url", address, "--account", "default") == {}
    assert set(ConnectionEvent.objects.values_list("account", flat=True)) == {"default", "berlin"}
