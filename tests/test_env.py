"""The settings from environment variables."""

from __future__ import annotations

import io
import os
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from business_os_banking import conf
from business_os_banking.conf import table
from business_os_banking.env import banking_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BUSINESS_OS_")]:
        monkeypatch.delenv(name)


def settings_from(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    for name, value in variables.items():
        monkeypatch.setenv(f"BUSINESS_OS_{name}", value)
    return banking_settings()


NOT_IN_THE_ENVIRONMENT = {"SALTEDGE_PUBLIC_KEYS"}  # whole PEM files; they are no secrets


def test_without_variables_there_is_an_account_without_a_key() -> None:
    assert banking_settings() == {"ACCOUNTS": {"default": {}}}
    with override_settings(BUSINESS_OS_BANKING=banking_settings()):
        assert conf.account() == conf.make_account("default", {})


def test_every_variable_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings_from(
        monkeypatch,
        API_KEY="key",
        WEBHOOK_SECRETS="new,old",
        BASE_URL="http://127.0.0.1:8000/sandbox",
        API="openbanking",
        SCOPES="accounts,transactions",
        CONNECT_URL_HOSTS="localhost,.saltedge.com",
        WEBHOOK_VERIFIERS="business_os_banking.webhooks.verifiers.SharedSecret",
        WEBHOOK_SIGNATURE_HEADER="X-Business-OS-Signature",
        SALTEDGE_CALLBACK_URLS="https://a.example/w/,https://b.example/w/",
        SALTEDGE_CUSTOMER_IDS="1,2",
        TIMEOUT="1.5,10",
        CONNECT_PATH="/v3/connect",
        CONNECTIONS_PATH="/v3/connections",
        CONNECTION_PATH="/v3/connections/{id}",
        ACCOUNT_PATH="/v3/accounts/{id}",
    )
    assert values == {
        "ACCOUNTS": {
            "default": {
                "API_KEY": "key",
                "WEBHOOK_SECRETS": ["new", "old"],
                "BASE_URL": "http://127.0.0.1:8000/sandbox",
                "API": "openbanking",
                "SCOPES": ["accounts", "transactions"],
                "CONNECT_URL_HOSTS": ["localhost", ".saltedge.com"],
                "WEBHOOK_VERIFIERS": ["business_os_banking.webhooks.verifiers.SharedSecret"],
                "WEBHOOK_SIGNATURE_HEADER": "X-Business-OS-Signature",
                "SALTEDGE_CALLBACK_URLS": ["https://a.example/w/", "https://b.example/w/"],
                "SALTEDGE_CUSTOMER_IDS": ["1", "2"],
                "TIMEOUT": (1.5, 10.0),
                "CONNECT_PATH": "/v3/connect",
                "CONNECTIONS_PATH": "/v3/connections",
                "CONNECTION_PATH": "/v3/connections/{id}",
                "ACCOUNT_PATH": "/v3/accounts/{id}",
            }
        }
    }
    assert set(values["ACCOUNTS"]["default"]) == set(table.ACCOUNT) - NOT_IN_THE_ENVIRONMENT


def test_variables_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings_from(monkeypatch, SITE_URL=" https://bank.example ", ADAPTER="site.Adapter")
    assert values == {
        "ACCOUNTS": {"default": {}},
        "SITE_URL": "https://bank.example",
        "ADAPTER": "site.Adapter",
    }


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings_from(
        monkeypatch, API_KEY="", WEBHOOK_SECRETS=" , ", BASE_URL=" ", TIMEOUT="", SITE_URL="", ACCOUNTS=""
    )
    assert values == {"ACCOUNTS": {"default": {}}}


def test_blanks_around_a_value_are_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings_from(monkeypatch, API_KEY=" key\n", WEBHOOK_SECRETS=" new , old ,", TIMEOUT=" 2 , 3 ")
    assert values["ACCOUNTS"]["default"] == {
        "API_KEY": "key",
        "WEBHOOK_SECRETS": ["new", "old"],
        "TIMEOUT": (2.0, 3.0),
    }


def test_one_number_is_both_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(BUSINESS_OS_BANKING=settings_from(monkeypatch, TIMEOUT="7")):
        assert conf.account().timeout == (7.0, 7.0)


@pytest.mark.parametrize("value", ["soon", "1,2,3", "3;20", "1,x", "0,20", "nan"])
def test_a_malformed_timeout_names_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="BUSINESS_OS_TIMEOUT must be"):
        settings_from(monkeypatch, TIMEOUT=value)
    with pytest.raises(ImproperlyConfigured, match="BUSINESS_OS_BIG_BANK_TIMEOUT must be"):
        settings_from(monkeypatch, ACCOUNTS="big-bank", BIG_BANK_TIMEOUT=value)


def test_several_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings_from(
        monkeypatch,
        ACCOUNTS="default, big-bank",
        API_KEY="one",
        BIG_BANK_API_KEY="two",
        BIG_BANK_API="openbanking",
    )
    assert values == {
        "ACCOUNTS": {"default": {"API_KEY": "one"}, "big-bank": {"API_KEY": "two", "API": "openbanking"}}
    }
    with override_settings(BUSINESS_OS_BANKING=values):
        assert conf.account("big-bank").api_key == "two"


def test_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUSINESS_OS_SITE_URL", "https://bank.example")
    assert banking_settings(SITE_URL=None, STALE_DAYS=3) == {
        "ACCOUNTS": {"default": {}},
        "SITE_URL": None,
        "STALE_DAYS": 3,
    }


def test_a_site_may_bring_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environ.Env, "ENVIRON", {})
    own = environ.Env()
    own.read_env(io.StringIO("BUSINESS_OS_API_KEY=from-file\nBUSINESS_OS_WEBHOOK_SECRETS='a, b'\n"))
    assert banking_settings(own) == {
        "ACCOUNTS": {"default": {"API_KEY": "from-file", "WEBHOOK_SECRETS": ["a", "b"]}}
    }
