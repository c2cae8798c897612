"""The settings accessor: live, typed, with defaults, and with errors that name key and variable."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.conf import addresses, table
from business_os_banking.conf.secret import Secret


def account(**values: Any) -> conf.Account:
    return conf.make_account("default", {"API_KEY": "key", **values})


NUMBERS = {
    "session_minutes": 60,
    "expiry_grace_minutes": 15,
    "expiring_soon_days": 14,
    "stale_days": 7,
    "webhook_max_bytes": 65_536,
}


@override_settings(BUSINESS_OS_BANKING={})
def test_what_is_left_out_has_its_default() -> None:
    assert {name: getattr(conf.settings, name) for name in NUMBERS} == NUMBERS
    assert conf.settings.accounts == {}
    assert conf.settings.adapter == "business_os_banking.adapter.BankingAdapter"
    assert conf.settings.site_url is None
    assert conf.settings.email_from_form is False


@override_settings(BUSINESS_OS_BANKING={})
def test_every_default_can_be_used() -> None:
    for name in table.SITE:
        getattr(conf.settings, name.lower())
    assert conf.make_account("default", {}) == conf.Account(alias="default")


def test_settings_cannot_be_written() -> None:
    """A value that somebody left there would win over the site's from then on."""
    with pytest.raises(AttributeError):
        conf.settings.stale_days = 1  # type: ignore[misc]


def test_settings_are_read_when_they_are_asked_for() -> None:
    for minutes in (5, 7.5):
        with override_settings(BUSINESS_OS_BANKING={"SESSION_MINUTES": minutes}):
            assert conf.settings.session_minutes == minutes
    with override_settings(BUSINESS_OS_BANKING={"ACCOUNTS": {"default": {"API_KEY": "other"}}}):
        assert conf.account().api_key == "other"


@override_settings(BUSINESS_OS_BANKING={"ADAPTER": "site.Adapter", "EMAIL_FROM_FORM": True})
def test_what_is_given_wins() -> None:
    assert conf.settings.adapter == "site.Adapter"
    assert conf.settings.email_from_form is True


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        (None, None),
        ("", None),
        ("https://bank.example", "https://bank.example"),
        ("http://x:80/", "http://x:80"),
    ],
)
def test_the_site_url_is_an_origin(value: str | None, origin: str | None) -> None:
    with override_settings(BUSINESS_OS_BANKING={"SITE_URL": value}):
        assert conf.settings.site_url == origin


NO_NUMBERS = [0, -1, "60", None, True, float("nan"), [1]]
NO_DURATIONS = [*NO_NUMBERS, float("inf"), 10**400, 100_001]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("session_minutes", "stale_days") for value in NO_DURATIONS]
    + [
        (name, value)
        for name in ("webhook_max_bytes", "reads_per_day")
        for value in (*NO_NUMBERS, 0.5, 200.0)
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_number_that_is_none_is_named(name: str, value: Any) -> None:
    with (
        override_settings(BUSINESS_OS_BANKING={name.upper(): value}),
        pytest.raises(
            ImproperlyConfigured, match=rf'BUSINESS_OS_BANKING\["{name.upper()}"\] must be a (whole )?number'
        ),
    ):
        getattr(conf.settings, name)


@pytest.mark.parametrize(
    "name", [name for name in table.SITE if name.endswith(("_DAYS", "_HOURS", "_MINUTES"))]
)
def test_the_longest_time_can_be_counted_back_and_forth(name: str) -> None:
    longest = [100_000] if name == "CONSENT_REMINDER_DAYS" else 100_000
    with override_settings(BUSINESS_OS_BANKING={name: longest}):
        assert getattr(conf.settings, name.lower())
    assert timezone.now() - timedelta(days=100_000) < timezone.now() + timedelta(days=100_000)


def test_a_missing_setting_says_what_to_add() -> None:
    with override_settings():
        from django.conf import settings

        del settings.BUSINESS_OS_BANKING
        with pytest.raises(
            ImproperlyConfigured, match=r"BUSINESS_OS_BANKING is missing.*banking_settings\(\)"
        ):
            conf.account()


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (None, "is missing"),
        ([], "must be a dict, not list"),
        ({"ACCOUNTS": []}, r'\["ACCOUNTS"\] must be a dict of dicts'),
        ({"ACCOUNTS": {"default": "key"}}, r'\["ACCOUNTS"\]\["default"\] must be a dict'),
        ({}, r'no account "default" \(there are: none\)\. Set BUSINESS_OS_API_KEY'),
        ({"ACCOUNTS": {"b": {}, 1: {}}}, r'no account "default" \(there are: 1, b\)'),
    ],
)
def test_a_malformed_setting_is_told(setting: Any, problem: str) -> None:
    with override_settings(BUSINESS_OS_BANKING=setting), pytest.raises(ImproperlyConfigured, match=problem):
        conf.account()


# --- Accounts --------------------------------------------------------------------------------------------


def test_an_account_has_the_defaults_of_the_documentation() -> None:
    assert account() == conf.Account(
        alias="default",
        api_key=Secret("key"),
        webhook_secrets=(),
        base_url="https://api.business-os.de",
        api="partner",
        scopes=("accounts", "holder_info", "transactions"),
        connect_url_hosts=("saltedge.com", ".saltedge.com"),
        webhook_verifiers=(
            "business_os_banking.webhooks.verifiers.SharedSecret",
            "business_os_banking.webhooks.verifiers.HMACSignature",
            "business_os_banking.webhooks.verifiers.StandardWebhooks",
        ),
        webhook_signature_header="X-Signature",
        saltedge_callback_urls=(),
        saltedge_public_keys={},
        timeout=(3.05, 20.0),
        connect_path="/v2/banking/connect",
        connections_path="/v2/banking/connections",
        connection_path="/v2/banking/connections/{id}",
        account_path="/v2/banking/accounts/{id}",
    )


ACCOUNTS = {"default": {"API_KEY": "one"}, "berlin": {"API_KEY": "two", "API": "openbanking"}}


@override_settings(BUSINESS_OS_BANKING={"ACCOUNTS": ACCOUNTS})
def test_several_accounts() -> None:
    assert conf.account().api_key == "one"
    assert conf.account("berlin").api_key == "two"
    assert (conf.account().api, conf.account("berlin").api) == ("partner", "openbanking")
    with pytest.raises(
        ImproperlyConfigured,
        match=r'no account "paris" \(there are: berlin, default\).*BUSINESS_OS_PARIS_API_KEY',
    ):
        conf.account("paris")


def test_secrets_stay_out_of_repr() -> None:
    text = repr(account(API_KEY="geheim-1", WEBHOOK_SECRETS=["geheim-2"]))
    assert "geheim" not in text
    assert "https://api.business-os.de" in text


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"BASE_URL": "http://127.0.0.1:8000/sandbox/"}, "base_url", "http://127.0.0.1:8000/sandbox"),
        ({"WEBHOOK_SECRETS": ("a", "", "b")}, "webhook_secrets", ("a", "b")),
        ({"SCOPES": ["accounts"]}, "scopes", ("accounts",)),
        ({"TIMEOUT": 5}, "timeout", (5.0, 5.0)),
        ({"TIMEOUT": [0.5, 2]}, "timeout", (0.5, 2.0)),
        ({"TIMEOUT": [3]}, "timeout", (3.0, 3.0)),
        ({"API_KEY": ""}, "api_key", ""),
        # What os.environ.get("…") gives where there is no such variable.
        ({"API_KEY": None}, "api_key", ""),
        ({"WEBHOOK_SECRETS": None}, "webhook_secrets", ()),
    ],
    ids=str,
)
def test_what_an_account_makes_of_its_values(values: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(account(**values), field) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("API_KEY", b"key"),
        ("WEBHOOK_SECRETS", "secret"),
        ("WEBHOOK_SECRETS", [b"secret"]),
        ("BASE_URL", None),
        ("API", 1),
        ("SCOPES", {"accounts"}),
        ("CONNECT_URL_HOSTS", "saltedge.com"),
        ("WEBHOOK_VERIFIERS", [str]),
        ("WEBHOOK_SIGNATURE_HEADER", None),
        ("TIMEOUT", None),
        ("TIMEOUT", "3,20"),
        ("TIMEOUT", ()),
        ("TIMEOUT", 1e9),
        ("TIMEOUT", (1, 2, 3)),
        ("TIMEOUT", (0, 20)),
        ("TIMEOUT", (3, -1)),
        ("TIMEOUT", True),
        ("TIMEOUT", (3, float("inf"))),
        ("TIMEOUT", (3, "20")),
        ("CONNECT_PATH", None),
        ("CONNECTIONS_PATH", 1),
        ("CONNECTION_PATH", []),
    ],
)
def test_a_malformed_value_names_key_and_variable(key: str, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        conf.make_account("big-bank", {"API_KEY": "key", key: value})
    assert f'BUSINESS_OS_BANKING["ACCOUNTS"]["big-bank"]["{key}"] must ' in str(error.value)
    assert f"(in the environment: BUSINESS_OS_BIG_BANK_{key})" in str(error.value)


def test_an_account_without_a_key_is_good_for_webhooks_and_not_for_calls() -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        conf.require_usable(account(API_KEY=""))
    assert 'BUSINESS_OS_BANKING["ACCOUNTS"]["default"]["API_KEY"] is empty' in str(error.value)
    assert "BUSINESS_OS_API_KEY" in str(error.value)
    assert "app.business-os.de" in str(error.value)
    conf.require_usable(account())


@pytest.mark.parametrize(
    "key", ["geheim\n", " geheim", "ge heim", "geheim\x00", "gehéim", "geheim\r\nX-Evil: 1"]
)
def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="BUSINESS_OS_API_KEY") as error:
        conf.require_usable(account(API_KEY=key))
    assert "heim" not in str(error.value)


def test_which_variable_holds_a_key() -> None:
    assert conf.variable_name(None, "SITE_URL") == "BUSINESS_OS_SITE_URL"
    assert conf.variable_name("default", "API_KEY") == "BUSINESS_OS_API_KEY"
    assert conf.variable_name("big-bank", "API_KEY") == "BUSINESS_OS_BIG_BANK_API_KEY"


SECRET = "geheim-und-lang"


@pytest.mark.parametrize(
    "setting",
    [
        [SECRET],
        {"ACCOUNTS": [SECRET]},
        {"ACCOUNTS": {"default": SECRET}},
        {"ACCOUNTS": {"default": {"API_KEY": [SECRET]}}},
        {"ACCOUNTS": {"default": {"API_KEY": SECRET, "TIMEOUT": 0}}},
        {"ACCOUNTS": {"berlin": {"API_KEY": SECRET}}},
        {"ACCOUNTS": {"default": {"API_KEY": f"{SECRET} "}}},
        {"ACCOUNTS": {"default": {"API_KEY": SECRET, "WEBHOOK_SECRETS": [f" {SECRET}"]}}},
    ],
    ids=lambda setting: str(setting).replace(SECRET, "…"),
)
def test_no_report_of_an_error_shows_a_secret(setting: Any) -> None:
    """Reports show the local variables of every frame."""
    with override_settings(BUSINESS_OS_BANKING=setting), pytest.raises(ImproperlyConfigured) as error:
        conf.require_usable(conf.account())
    assert error.value.__context__ is None
    frames = error.value.__traceback__
    assert frames
    assert frames.tb_next  # ours; the first one is that of this test
    report = traceback.TracebackException(type(error.value), error.value, frames.tb_next, capture_locals=True)
    assert SECRET not in "".join(report.format())


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("::", False),
        ("2130706433", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, is_loopback: bool) -> None:
    assert addresses.is_loopback(host) is is_loopback
