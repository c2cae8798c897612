"""Off in production, public elsewhere, and clear about its settings."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from business_os_banking.sandbox.checks import check_sandbox
from business_os_banking.sandbox.models import (
    SandboxBank,
    SandboxConnection,
    SandboxDelivery,
    SandboxSession,
    new_id,
)

from .conftest import API, Api, Configure

PATHS = [
    f"{API}/connect",
    f"{API}/connections",
    f"{API}/connections/1",
    f"{API}/accounts/1",
    "/sandbox/connect",
    "/sandbox/connect/finished",
]


def ids() -> list[str | None]:
    return [found.id for found in check_sandbox()]


@pytest.mark.parametrize("path", PATHS)
def test_off_without_debug(path: str, configure: Configure, settings: Any) -> None:
    settings.DEBUG = False
    configure(ALLOW_WITHOUT_DEBUG=False)
    answer = Client().get(path)
    assert answer.status_code == 503
    assert answer["Content-Type"].startswith("text/plain")
    assert "ALLOW_WITHOUT_DEBUG" in answer.content.decode()
    assert ids() == ["business_os_banking_sandbox.E001"]


def test_on_with_debug(configure: Configure, settings: Any) -> None:
    settings.DEBUG = True
    configure(ALLOW_WITHOUT_DEBUG=False)
    assert ids() == []
    assert Client().get(f"{API}/connections").status_code == 401


def test_no_setting_is_needed(db: None, settings: Any) -> None:
    del settings.BUSINESS_OS_SANDBOX
    settings.DEBUG = True
    assert ids() == []
    assert Api("sandbox").post({}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_nobody_has_to_log_in(db: None, path: str, settings: Any) -> None:
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert Client().get(path).status_code in (401, 404, 405)


@pytest.mark.parametrize(
    "wrong",
    [
        {"API_KEY": "x"},
        {"API_KEYS": "sandbox"},
        {"WEBHOOK_SIGNING": "rsa"},
        {"DELIVERY": "celery"},
        {"SESSION_MINUTES": True},
        {"SESSION_MINUTES": 0},
        {"PAGE_SIZE": "10"},
        {"ALLOW_WITHOUT_DEBUG": 1},
        {"EARLY_WEBHOOK": "yes"},
        {"SLOW_SECONDS": -1},
        {"AFTERMATH_SECONDS": float("nan")},
        {"LIST_MISSING": 410},
        {"LIST_MISSING": True},
        {"LIST_OF": "everybody"},
        {"LIST_ORDER": "random"},
        {"LIST_GROWS": -1},
        {"LIST_GROWS": True},
        {"LIST_CIRCLES": 1},
        {"FROM_ID": "excluded"},
        {"BY_ID_MISSING": 410},
        {"TROUBLE": "html_503"},
        {"TROUBLE_CALLS": -1},
        {"TROUBLE_CALLS": 1.5},
        {"TROUBLE_SECONDS": "long"},
    ],
)
def test_mistakes_are_told(configure: Configure, wrong: dict[str, object]) -> None:
    configure(**wrong)
    assert ids() == ["business_os_banking_sandbox.E002"]


def test_not_a_dict(settings: Any) -> None:
    settings.BUSINESS_OS_SANDBOX = "x"
    assert ids() == ["business_os_banking_sandbox.E002"]


@pytest.mark.parametrize("signing", ["hmac", "standard_webhooks", "salt_edge"])
def test_a_signature_needs_a_secret(configure: Configure, signing: str) -> None:
    configure(WEBHOOK_SIGNING=signing)
    assert ids() == ["business_os_banking_sandbox.E003"]
    configure(WEBHOOK_SECRET="s", WEBHOOK_PRIVATE_KEY="p")
    assert ids() == []


@pytest.mark.django_db  # Django 6.1 has checks of its own that ask the database
def test_the_check_is_bound(configure: Configure, settings: Any) -> None:
    configure(ALLOW_WITHOUT_DEBUG=False)
    with pytest.raises(Exception, match=r"business_os_banking_sandbox\.E001"):
        call_command("check")


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_no_migration_is_missing(settings: Any, field: str) -> None:
    settings.DEFAULT_AUTO_FIELD = field
    call_command("makemigrations", "business_os_banking_sandbox", check=True, dry_run=True)


def test_rows_have_names() -> None:
    for row in (SandboxSession(), SandboxConnection(), SandboxDelivery(), SandboxBank(provider_code="a_xf")):
        assert str(row)


def test_ids_have_nineteen_digits() -> None:
    assert {len(new_id()) for _ in range(50)} == {19}
