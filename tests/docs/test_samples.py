"""Every Python sample runs, in the context that the comment before it names."""

from __future__ import annotations

import builtins
import importlib
import inspect
import os
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Final
from unittest import mock

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path, reverse
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.adapter import BankingAdapter
from business_os_banking.checks.settings import TAG
from business_os_banking.flows.reconcile import Result
from business_os_banking.models import (
    BankingConnection,
    BankingConnectionQuerySet,
    ConnectionEvent,
    ConnectSession,
)
from business_os_banking.sandbox import urls as sandbox_urls
from business_os_banking.upstream import http
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected
from tests import callbacks
from tests.docs.pages import Sample, samples
from tests.settings import BUSINESS_OS_BANKING
from tests.upstream.fake import Upstream

MOST_NOT_RUN: Final = 2
Names = dict[str, Any]
Context = Callable[[Sample, pytest.FixtureRequest], None]


def run(sample: Sample, **given: Any) -> Names:
    """Execute the sample and return the names that it leaves behind."""
    module = types.ModuleType("sample")
    vars(module).update(given)
    code = compile("\n" * (sample.line - 1) + sample.code, f"docs/{sample.page}", "exec")
    with mock.patch.dict(sys.modules, sample=module):
        exec(code, vars(module))
    return {name: value for name, value in vars(module).items() if name not in vars(builtins)}


@pytest.fixture
def office() -> Iterator[mock.MagicMock]:
    """What samples import from ``shop``: an app of the site's own, of which nothing is known."""
    shop = mock.MagicMock()
    stand_ins = {"shop": shop, "shop.models": shop.models, "shop.tasks": shop.tasks}
    with mock.patch.dict(sys.modules, stand_ins):
        yield shop


@pytest.fixture
def receivers() -> Iterator[None]:
    """Receivers that a sample connects are gone afterwards."""
    own = [item for item in vars(signals).values() if isinstance(item, Signal)]
    before = [list(signal.receivers) for signal in own]
    yield
    for signal, kept in zip(own, before, strict=True):
        signal.receivers = kept
        signal.sender_receivers_cache.clear()


def plain(sample: Sample, request: pytest.FixtureRequest) -> None:
    registered = dict(admin.site._registry)
    try:
        run(sample)
    finally:
        admin.site._registry = registered


def settings(sample: Sample, request: pytest.FixtureRequest) -> None:
    environment = {"BUSINESS_OS_API_KEY": "key", "BUSINESS_OS_WEBHOOK_SECRETS": "a-long-random-secret"}
    with mock.patch.dict(os.environ, environment):
        made = run(sample, INSTALLED_APPS=[])
    # LOGGING has its own test, in tests/privacy; Django 6.1 would log by it from here on.
    elsewhere = {"INSTALLED_APPS", "LOGGING"}
    chosen = {name: value for name, value in made.items() if name.isupper() and name not in elsewhere}
    assert set(made["INSTALLED_APPS"]) <= {"business_os_banking", "business_os_banking.sandbox"}
    # The suite's DEBUG is off, where the sandbox does not run and a SQLite database should lock early.
    with override_settings(**{"DEBUG": True, **chosen}):
        assert run_checks(tags=[TAG], include_deployment_checks=True) == []


def urls(sample: Sample, request: pytest.FixtureRequest) -> None:
    made = run(sample, urlpatterns=[], path=path)
    included = made["urlpatterns"][0]
    is_sandbox = included.urlconf_module is sandbox_urls
    conf = types.ModuleType("sample_urls")
    others = [path("banking/", include("business_os_banking.urls"))] if is_sandbox else []
    conf.urlpatterns = [*made["urlpatterns"], *others]  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, sample_urls=conf), override_settings(ROOT_URLCONF="sample_urls"):
        name = "business_os_banking_sandbox:connect" if is_sandbox else "business_os_banking:webhook"
        expected = "/sandbox/connect" if is_sandbox else "/banking/webhook/"
        assert reverse(name) == expected


def models_(sample: Sample, request: pytest.FixtureRequest) -> None:
    installed: Any = request.getfixturevalue("settings").INSTALLED_APPS
    with override_settings(INSTALLED_APPS=[*installed, "tests.docs"]):
        try:
            made = run(sample, __name__="tests.docs.models")
            own = [item for item in made.values() if _is_model(item)]
            related = [
                field.related_model for item in own for field in item._meta.fields if field.is_relation
            ]
            problems = [problem for item in own for problem in item.check()]
        finally:
            apps.all_models["docs"].clear()
    apps.clear_cache()
    assert related == [BankingConnection]
    assert not problems


def _is_model(item: Any) -> bool:
    return (
        isinstance(item, type) and issubclass(item, models.Model) and item.__module__ == "tests.docs.models"
    )


def adapter(sample: Sample, request: pytest.FixtureRequest) -> None:
    office: mock.MagicMock = request.getfixturevalue("office")
    user: Any = request.getfixturevalue("user")
    keys = mock.Mock(api_key="key-of-the-tenant", secret="secret-of-the-tenant")
    office.models.BankingKeys.objects.filter.side_effect = lambda alias: mock.Mock(
        first=lambda: keys if alias == "org-7" else None
    )
    user.is_staff, user.organisation_id = True, 7
    made = run(sample)
    (found,) = [item for item in made.values() if _is_adapter(item)]
    _keeps_its_promises(found(), _request(user))
    stranger: Any = AnonymousUser()
    stranger.organisation_id = 7
    assert not found().can_connect(_request(stranger))
    assert not found().visible_connections(_request(stranger)).exists()


def _is_adapter(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, BankingAdapter) and item is not BankingAdapter


def _request(user: Any) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = user
    return request


def _keeps_its_promises(adapter: BankingAdapter, request: HttpRequest) -> None:
    owner: Any
    owner, tenant = adapter.get_owner(request)
    mine = BankingConnection.objects.create(user=owner, tenant=tenant)
    BankingConnection.objects.create(tenant="another")
    session = ConnectSession.objects.create(connection=mine)
    assert adapter.can_connect(request) is True
    visible = adapter.visible_connections(request)
    assert isinstance(visible, BankingConnectionQuerySet)
    assert list(visible) == [mine]
    alias = adapter.get_account(request)
    assert adapter.get_credentials(alias, None).alias == alias
    with pytest.raises(ImproperlyConfigured):
        adapter.get_credentials("no-such-account", None)
    assert isinstance(adapter.get_email(request), str)
    assert not {"session", "pending_token"} & set(adapter.get_custom_fields(request, None))
    assert str(session.reference) in adapter.get_return_to(request, session)
    assert adapter.get_next_url(request, session).startswith("/")


def receiver(sample: Sample, request: pytest.FixtureRequest) -> None:
    office: mock.MagicMock = request.getfixturevalue("office")
    request.getfixturevalue("receivers")
    capture = request.getfixturevalue("django_capture_on_commit_callbacks")
    user: User = request.getfixturevalue("user")
    made = run(sample)  # kept: signals hold their receivers weakly
    connection = BankingConnection.objects.create(user=user)
    token = "6bd3ae09-7ac9-4b5f-a31a-5e2b1a6a9a11"
    ConnectSession.objects.create(connection=connection, status="open", pending_token=token)
    with capture(execute=True):
        answer = Client().post(
            reverse("business_os_banking:webhook"),
            callbacks.raw(callbacks.success(token)),
            content_type="application/json",
            headers={"X-Webhook-Secret": callbacks.SECRET},
        )
    assert answer.status_code == 200
    assert ConnectionEvent.objects.get().announced_at is not None
    assert "shop" not in sample.code or office.mock_calls, made


def view(sample: Sample, request: pytest.FixtureRequest) -> None:
    upstream: Upstream = request.getfixturevalue("upstream")
    request.getfixturevalue("office")
    user: User = request.getfixturevalue("user")
    company = mock.Mock(bank=None)
    company.get_absolute_url.return_value = "/companies/1/"
    made = run(sample)
    own = next(item for item in made.values() if getattr(item, "__module__", "") == "sample")
    posted = RequestFactory().post("/")
    posted.user = user
    with mock.patch.dict(
        inspect.unwrap(own).__globals__, get_object_or_404=lambda *_args, **_values: company
    ):
        answer: HttpResponse = own(posted, pk=1)
        assert answer["Location"] == upstream.answers[0]["connect_url"]
        session = ConnectSession.objects.get()
        assert company.bank == session.connection
        assert session.next_url == "/companies/1/"
        company.bank, company.get_absolute_url.return_value = None, "/companies/2/"
        upstream.connect_answers(status=402)
        answer = own(posted, pk=1)
    assert "/return/" in answer["Location"]


def connection(sample: Sample, request: pytest.FixtureRequest) -> None:
    user: User = request.getfixturevalue("user")
    given = BankingConnection.objects.create(user=user)
    run(sample, connection=given)
    given.refresh_from_db()
    assert given.metadata


def _decorator(function: Any = None, **_options: Any) -> Any:
    """Stand in for what makes a function a task: used as it is, or called first."""
    return function or _decorator


def task(sample: Sample, request: pytest.FixtureRequest) -> None:
    queues = {
        "celery": mock.Mock(shared_task=_decorator),
        "django_tasks": mock.Mock(task=_decorator),
    }
    with mock.patch.dict(sys.modules, queues):
        made = run(sample)
    own = [item for item in made.values() if getattr(item, "__module__", "") == "sample"]
    returned = [item() for item in own]
    assert [set(counts) for counts in returned if counts] == [{item.name for item in fields(Result)}]


def verifier(sample: Sample, request: pytest.FixtureRequest) -> None:
    from business_os_banking import conf

    made = run(sample)
    (found,) = [item for item in made.values() if getattr(item, "__module__", "") == "sample"]
    assert issubclass(found, Verifier)
    for headers in ({}, {"X-Business-OS-Signature": "é"}, {"X-Business-OS-Signature": "00"}):
        delivery = Delivery(body=b"\xff", headers=headers, received_at=timezone.now())
        with pytest.raises(WebhookRejected):
            found(conf.account()).verify(delivery)


class _Result(unittest.TestResult):
    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - its name in unittest
        # The client keeps its connection open. The live server's thread at the other end must be done before the
        # class ends, from when on that thread may not touch a database in memory any more.
        http.close_kept()
        super().stopTest(test)


def testcase(sample: Sample, request: pytest.FixtureRequest) -> None:
    made = run(sample)
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    for item in made.values():
        if isinstance(item, type) and issubclass(item, unittest.TestCase) and item.__module__ == "sample":
            suite.addTests(loader.loadTestsFromTestCase(item))
    result = _Result()
    # The runner looks the module of each class up, for its setUpModule.
    with mock.patch.dict(sys.modules, sample=types.ModuleType("sample")):
        suite.run(result)
    problems = [trace for _case, trace in [*result.errors, *result.failures]]
    assert not problems, "\n".join(problems)
    assert result.testsRun


testcase.__test__ = False  # type: ignore[attr-defined]


def api(sample: Sample, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("upstream")
    client = Client()
    client.force_login(request.getfixturevalue("user"))
    run(sample, client=client)


def schema(sample: Sample, request: pytest.FixtureRequest) -> None:
    client = Client()
    client.force_login(request.getfixturevalue("user"))
    conf = types.ModuleType("sample_urls")
    with override_settings(REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}):
        # Its views read that setting when they are imported, and what a sample imports is undone with the sample.
        importlib.import_module("drf_spectacular.views")
        importlib.import_module("business_os_banking.api.schema")
        included = [path("banking/", include("business_os_banking.urls"))]
        conf.urlpatterns = run(sample, urlpatterns=included, path=path)["urlpatterns"]  # type: ignore[attr-defined]
        with mock.patch.dict(sys.modules, sample_urls=conf), override_settings(ROOT_URLCONF="sample_urls"):
            answer = client.get("/schema/")
    assert answer.status_code == 200
    assert b"bank_connection_create" in answer.content


CONTEXTS: Final[dict[str, Context]] = {
    "plain": plain,
    "settings": settings,
    "urls": urls,
    "models": models_,
    "adapter": adapter,
    "receiver": receiver,
    "view": view,
    "connection": connection,
    "verifier": verifier,
    "task": task,
    "testcase": testcase,
    "api": api,
    "schema": schema,
}
_ALL: Final = samples()


_RUN: Final = [sample for sample in _ALL if not sample.reason]


@pytest.mark.parametrize("sample", [item for item in _RUN if item.context != "testcase"], ids=str)
@pytest.mark.django_db
def test_the_sample_runs(sample: Sample, request: pytest.FixtureRequest) -> None:
    assert sample.context in CONTEXTS, f"{sample} names no context"
    CONTEXTS[sample.context](sample, request)


# They make their own transactions, or do without.
@pytest.mark.parametrize("sample", [item for item in _RUN if item.context == "testcase"], ids=str)
@pytest.mark.django_db(transaction=True)
def test_the_test_cases_pass(sample: Sample, request: pytest.FixtureRequest) -> None:
    testcase(sample, request)


def test_few_samples_are_not_run() -> None:
    assert len([sample for sample in _ALL if sample.reason]) <= MOST_NOT_RUN


def test_the_accounts_of_the_suite_are_as_the_samples_expect() -> None:
    assert BUSINESS_OS_BANKING["ACCOUNTS"]["default"]["WEBHOOK_SECRETS"] == [callbacks.SECRET]
