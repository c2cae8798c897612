"""The system checks: each id for its mistake, and silence for a site that is set up."""

from __future__ import annotations

import inspect
import io
import logging
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.checks import database, deploy, rules, site
from business_os_banking.checks import settings as settings_checks
from business_os_banking.conf import accessor, kinds, table
from business_os_banking.webhooks.verifiers import Verifier

SECRET = "s3cret-that-no-message-repeats"
SALT_EDGE = "business_os_banking.webhooks.verifiers.SaltEdgeSignature"
HEALTHY: dict[str, Any] = {"API_KEY": "key-" + SECRET, "WEBHOOK_SECRETS": ["hook-" + SECRET]}


class OwnAdapter(BankingAdapter):
    """A site that keeps its credentials elsewhere."""

    def get_account(self, request: Any) -> str:
        return "berlin"

    def get_credentials(self, alias: str, connection: Any) -> conf.Account:
        return conf.make_account(alias, HEALTHY)


BRINGS_KEYS = {"ADAPTER": "tests.checks.test_checks.OwnAdapter"}


class OwnVerifier(Verifier):
    pass


def account(**values: Any) -> dict[str, Any]:
    """Return the setting with one account that is healthy but for *values*."""
    return {"ACCOUNTS": {"default": {**HEALTHY, **values}}}


def whole(**values: Any) -> dict[str, Any]:
    """Return the setting, healthy but for *values*."""
    return {**account(), **values}


def found(setting: Any, *, deploy: bool = False) -> list[str]:
    """Return the ids, without the label, that the checks give for a setting."""
    with override_settings(BUSINESS_OS_BANKING=setting):
        messages = run_checks(tags=[settings_checks.TAG], include_deployment_checks=deploy)
    for message in messages:
        assert message.hint
        assert SECRET not in message.msg + message.hint
    return [str(message.id).removeprefix("business_os_banking.") for message in messages]


def only_message(setting: Any) -> Any:
    with override_settings(BUSINESS_OS_BANKING=setting):
        (message,) = run_checks(tags=[settings_checks.TAG])
    return message


FAULTS: list[tuple[str, Any]] = [
    ("E001", None),
    ("E002", []),
    ("E002", "key"),
    ("E003", whole(ACOUNTS={})),
    ("E003", whole(API_KEY="x")),
    ("E003", whole(**{"": 1})),
    ("E004", {"ACCOUNTS": [HEALTHY]}),
    ("E004", {"ACCOUNTS": None}),
    ("E004", whole(ADAPTER=BankingAdapter)),
    ("E004", whole(SITE_URL=5)),
    ("E004", whole(SESSION_MINUTES="60")),
    ("E004", whole(EXPIRY_GRACE_MINUTES=None)),
    ("E004", whole(EXPIRING_SOON_DAYS=True)),
    ("E004", whole(STALE_DAYS=[7])),
    ("E004", whole(WEBHOOK_MAX_BYTES="64K")),
    ("E004", whole(DATABASE_PIPELINE="no")),
    ("E004", whole(DISCONNECT_SUPERSEDED="no")),
    ("E004", whole(CONSENT_MAILS=1)),
    ("E004", whole(READS_PER_DAY=0.5)),
    ("E004", whole(CONNECTS_PER_HOUR=-1)),
    ("E004", whole(CONSENT_REMINDER_DAYS=[14, 0])),
    ("E004", whole(EMAIL_FROM_FORM="no")),
    ("E004", whole(API_PERMISSION_CLASSES="rest_framework.permissions.IsAuthenticated")),
    ("E004", whole(API_PERMISSION_CLASSES={"lists": []})),
    ("E004", whole(API_THROTTLE_CLASSES={"create": None})),
    ("E004", whole(API_AUTHENTICATION_CLASSES=[BankingAdapter])),
    ("E004", whole(API_AUTHENTICATION_CLASSES="")),
    ("E037", whole(API_PERMISSION_CLASSES=["nowhere.Permission"])),
    ("E037", whole(API_PERMISSION_CLASSES={"create": ["business_os_banking.conf.SETTING"]})),
    ("E037", whole(API_THROTTLE_CLASSES=["rest_framework.permissions.IsAuthenticated"])),
    ("E037", whole(API_AUTHENTICATION_CLASSES=["rest_framework.throttling.UserRateThrottle"])),
    ("E005", whole(SESSION_MINUTES=0)),
    ("E005", whole(EXPIRY_GRACE_MINUTES=-1)),
    ("E005", whole(EXPIRING_SOON_DAYS=float("nan"))),
    ("E005", whole(STALE_DAYS=float("inf"))),
    ("E005", whole(EVENT_DAYS=100_001)),
    ("E005", whole(UNMATCHED_DAYS=0)),
    ("E005", whole(CONSENT_DAYS=0)),
    ("E005", whole(WEBHOOK_MAX_BYTES=0)),
    ("E006", whole(SITE_URL="bank.example")),
    ("E006", whole(SITE_URL="https://bank.example/banking/")),
    ("E006", whole(SITE_URL="https://bank.example?x=1")),
    ("E006", whole(SITE_URL=f"https://me:{SECRET}@bank.example")),
    ("E006", whole(SITE_URL="ftp://bank.example")),
    ("E006", whole(SITE_URL="https://[::1")),
    ("E007", whole(ADAPTER="nowhere.Adapter")),
    ("E007", whole(ADAPTER="Adapter")),
    ("E007", whole(ADAPTER="business_os_banking.adapter.Adaptor")),
    ("E008", whole(ADAPTER="business_os_banking.conf.Account")),
    ("E008", whole(ADAPTER="business_os_banking.adapter.get_adapter")),
    ("E010", {}),
    ("E010", {"ACCOUNTS": {}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, "büro": HEALTHY}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, "a/b": HEALTHY}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, "": HEALTHY}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, "a" * 65: HEALTHY}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, 1: HEALTHY}}),
    ("E011", {"ACCOUNTS": {"default": HEALTHY, "a" * 65: HEALTHY}}),
    ("E039", whole(RETURN_PROOF="always")),
    ("E004", whole(SAME_BANKS=[["a"]])),
    ("E004", whole(SAME_BANKS=["ab"])),
    ("E012", {"ACCOUNTS": {"default": "key"}}),
    ("E013", account(APIKEY="x")),
    ("E013", account(SITE_URL="x")),
    ("E013", account(base_url="https://x.example")),
    ("E014", account(API_KEY=5)),
    ("E014", account(WEBHOOK_SECRETS=SECRET)),
    ("E014", account(WEBHOOK_SECRETS=[5])),
    ("E014", account(BASE_URL=None)),
    ("E014", account(API=1)),
    ("E014", account(SCOPES="accounts")),
    ("E014", account(CONNECT_URL_HOSTS="saltedge.com")),
    ("E014", account(WEBHOOK_VERIFIERS=[Verifier])),
    ("E014", account(WEBHOOK_SIGNATURE_HEADER=None)),
    ("E014", account(TIMEOUT="3,20")),
    ("E014", account(CONNECT_PATH=1)),
    ("E014", account(CONNECTIONS_PATH=None)),
    ("E014", account(CONNECTION_PATH=())),
    ("E014", account(ACCOUNT_PATH=0)),
    ("E015", account(API_KEY="")),
    ("E015", account(API_KEY=None)),
    ("E015", {"ACCOUNTS": {"default": {"WEBHOOK_SECRETS": [SECRET]}}}),
    ("E016", account(API_KEY=f"{SECRET}\n")),
    ("E016", account(API_KEY=f" {SECRET}")),
    ("E016", account(API_KEY=f"{SECRET}ü")),
    ("E017", account(WEBHOOK_SECRETS=[f"whsec_{SECRET}!"])),
    ("E017", account(WEBHOOK_SECRETS=["whsec_"])),
    ("E018", account(BASE_URL="")),
    ("E018", account(BASE_URL="api.business-os.de")),
    ("E018", account(BASE_URL="ftp://api.business-os.de")),
    ("E018", account(BASE_URL="https://")),
    ("E018", account(BASE_URL="https://api.business-os.de?x=1")),
    ("E018", account(BASE_URL="https://api.business-os.de/#x")),
    ("E018", account(BASE_URL=f"https://me:{SECRET}@api.business-os.de")),
    ("E018", account(BASE_URL="https://api.business-os.de:port")),
    ("E018", account(BASE_URL="https://api.business-os.de\n")),
    ("E018", account(BASE_URL="https://api.business-os.de/../x")),
    ("E018", account(BASE_URL="https://api.business-os.de@evil.example")),
    ("E018", account(BASE_URL="https://api.business-os.de\\@evil.example")),
    ("E019", account(BASE_URL="http://api.business-os.de")),
    ("E019", account(BASE_URL="http://10.0.0.1:8000")),
    ("E019", account(BASE_URL="http://localhost.evil.example")),
    (
        "E019",
        {**BRINGS_KEYS, "ACCOUNTS": {"berlin": {**HEALTHY, "API_KEY": "", "BASE_URL": "http://x.example"}}},
    ),
    ("E020", account(API="partners")),
    ("E021", account(SCOPES=[])),
    ("E021", account(SCOPES=[""])),
    ("E022", account(SCOPES=["accounts", "holder"])),
    ("E023", account(CONNECT_URL_HOSTS=[])),
    ("E023", account(CONNECT_URL_HOSTS=[""])),
    ("E024", account(CONNECT_URL_HOSTS=["https://saltedge.com"])),
    ("E024", account(CONNECT_URL_HOSTS=["saltedge.com:443"])),
    ("E024", account(CONNECT_URL_HOSTS=["*.saltedge.com"])),
    ("E024", account(CONNECT_URL_HOSTS=["."])),
    ("E024", account(CONNECT_URL_HOSTS=["saltedge.com/"])),
    ("E024", account(CONNECT_URL_HOSTS=["söltedge.com"])),
    ("E024", account(CONNECT_URL_HOSTS=["2001:0db8::1"])),
    ("E024", account(CONNECT_URL_HOSTS=["127.1"])),
    ("E025", account(TIMEOUT=())),
    ("E025", account(TIMEOUT=(1, 2, 3))),
    ("E025", account(TIMEOUT=(0, 20))),
    ("E025", account(TIMEOUT=(3, None))),
    ("E025", account(TIMEOUT=-1)),
    ("E025", account(TIMEOUT=("3", "20"))),
    ("E026", account(WEBHOOK_VERIFIERS=[])),
    ("E026", account(WEBHOOK_VERIFIERS=[""])),
    ("E027", account(WEBHOOK_VERIFIERS=["business_os_banking.webhooks.verifiers.None"])),
    ("E027", account(WEBHOOK_VERIFIERS=["nowhere"])),
    ("E028", account(WEBHOOK_VERIFIERS=["business_os_banking.conf.Account"])),
    ("E028", account(WEBHOOK_VERIFIERS=["business_os_banking.webhooks.verifiers.Verifier"])),
    ("E029", account(WEBHOOK_SIGNATURE_HEADER="X Signature")),
    ("E029", account(WEBHOOK_SIGNATURE_HEADER="")),
    ("E031", account(SALTEDGE_CALLBACK_URLS=["site.example/webhook/"], WEBHOOK_VERIFIERS=[SALT_EDGE])),
    ("E032", account(SALTEDGE_PUBLIC_KEYS={"7.0": "nonsense"})),
    ("E030", account(CONNECT_PATH="v2/banking/connect")),
    ("E030", account(CONNECTION_PATH="/v2/banking/connections/")),
    ("E030", account(ACCOUNT_PATH="v2/banking/accounts/{id}")),
    ("E030", account(ACCOUNT_PATH="/v2/banking/accounts")),
    ("E030", account(CONNECTION_PATH="/v2/banking/connections/{id}/../x")),
    ("E030", account(CONNECT_PATH=".evil.example/")),
    ("E030", account(CONNECT_PATH="@evil.example/")),
    ("E030", account(CONNECT_PATH="//evil.example/")),
    ("E030", account(CONNECT_PATH="/connect?x=1")),
    ("E030", account(CONNECTIONS_PATH="/{id}")),
    ("E035", {"ACCOUNTS": {"default": HEALTHY, "berlin": HEALTHY, "Berlin": HEALTHY}}),
    ("E035", {"ACCOUNTS": {"default": HEALTHY, "DEFAULT": HEALTHY}}),
    ("E035", {"ACCOUNTS": {"default": HEALTHY, "org-7": HEALTHY, "org_7": HEALTHY}}),
    ("E038", account(WEBHOOK_SECRETS=[f"hook-{SECRET}\n"])),
    ("E038", account(WEBHOOK_SECRETS=[f" hook-{SECRET}"])),
    ("W006", whole(CONSENT_MAILS=True)),
    ("W012", account(SALTEDGE_CALLBACK_URLS=["https://site.example/webhook/"])),
    ("W001", account(WEBHOOK_SECRETS=[])),
    ("W001", account(WEBHOOK_SECRETS=None)),
    ("W001", account(WEBHOOK_SECRETS=[""])),
    ("W005", {"ACCOUNTS": {"berlin": HEALTHY}}),
]

HEALTHY_SETTINGS: list[Any] = [
    account(),
    whole(**{name: item.default for name, item in table.SITE.items() if name != "ACCOUNTS"}),
    account(**{name: item.default for name, item in table.ACCOUNT.items()} | HEALTHY),
    {"ACCOUNTS": {"default": HEALTHY, "berlin-2_x": {**HEALTHY, "WEBHOOK_SECRETS": ["berlin-" + SECRET]}}},
    whole(SITE_URL=""),
    whole(SITE_URL="https://bank.example/"),
    whole(SITE_URL="http://localhost:8000"),
    whole(SESSION_MINUTES=0.5),
    whole(ADAPTER="tests.checks.test_checks.OwnAdapter"),
    BRINGS_KEYS,
    {**BRINGS_KEYS, "ACCOUNTS": {"berlin": {**HEALTHY, "API_KEY": ""}}},
    account(BASE_URL="http://localhost:8000/sandbox"),
    account(BASE_URL="http://127.0.0.1:8000"),
    account(BASE_URL="http://[::1]:8000"),
    account(BASE_URL="https://api.business-os.de/"),
    account(API="openbanking", SCOPES=("accounts",)),
    account(CONNECT_URL_HOSTS=["2001:db8::1", ".saltedge.com", "SaltEdge.com"]),
    account(
        SALTEDGE_CALLBACK_URLS=["https://site.example/webhook/"],
        WEBHOOK_VERIFIERS=[SALT_EDGE],
        WEBHOOK_SECRETS=[],
    ),
    account(WEBHOOK_VERIFIERS=["tests.checks.test_checks.OwnVerifier"]),
    account(WEBHOOK_SECRETS=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "old-" + SECRET]),
    account(TIMEOUT=5),
    account(TIMEOUT=[0.5, 5]),
    account(TIMEOUT=[5]),
    account(BASE_URL="https://api.business-os.de/v9//"),
    account(WEBHOOK_SECRETS=["", "hook-" + SECRET]),
    whole(STALE_DAYS=100_000, CONSENT_DAYS=None, CONNECTS_PER_HOUR=0),
]


@pytest.mark.parametrize(("number", "setting"), FAULTS)
def test_a_planted_fault_gives_its_id_and_no_other(number: str, setting: Any) -> None:
    assert found(setting) == [number]


@pytest.mark.parametrize("setting", HEALTHY_SETTINGS)
def test_a_healthy_site_is_silent(setting: Any) -> None:
    assert found(setting, deploy=True) == []


def test_every_account_is_checked_and_every_mistake_is_told() -> None:
    broken = {**HEALTHY, "API": "x", "TIMEOUT": 0, "SCOPE": []}
    setting = {"ACCOUNTS": {"default": broken, "berlin": {}}, "STALE_DAYS": 0}
    assert found(setting) == ["E005", "E013", "E020", "E025", "E015", "W001"]


def test_a_missing_setting_is_one_message() -> None:
    with override_settings():
        from django.conf import settings

        del settings.BUSINESS_OS_BANKING
        assert [message.id for message in run_checks(tags=[settings_checks.TAG])] == [
            "business_os_banking.E001"
        ]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        (whole(ACOUNTS={}), 'Did you mean "ACCOUNTS"?'),
        (whole(adapter="x"), 'Did you mean "ADAPTER"?'),
        (account(APIKEY="x"), 'Did you mean "API_KEY"?'),
        (account(WEBHOOK_SECRET=["x"]), 'Did you mean "WEBHOOK_SECRETS"?'),
        (
            whole(API_KEY="x"),
            '"API_KEY" belongs in BUSINESS_OS_BANKING["ACCOUNTS"]["default"]: move it there.',
        ),
        (account(SITE_URL="x"), '"SITE_URL" belongs in BUSINESS_OS_BANKING: move it there.'),
        (account(zzz=1), f"Remove it. The keys are {', '.join(sorted(table.ACCOUNT))}."),
    ],
)
def test_an_unknown_key_comes_with_a_suggestion(setting: Any, hint: str) -> None:
    assert only_message(setting).hint == hint


@pytest.mark.parametrize(
    ("setting", "texts"),
    [
        (
            account(API_KEY=""),
            [
                'BUSINESS_OS_BANKING["ACCOUNTS"]["default"]["API_KEY"]',
                "BUSINESS_OS_API_KEY",
                "app.business-os.de",
            ],
        ),
        (
            {"ACCOUNTS": {"default": HEALTHY, "big-bank": {**HEALTHY, "API_KEY": ""}}},
            ['["ACCOUNTS"]["big-bank"]["API_KEY"]', "BUSINESS_OS_BIG_BANK_API_KEY"],
        ),
        (account(WEBHOOK_SECRETS=[]), ["BUSINESS_OS_WEBHOOK_SECRETS", "token_urlsafe"]),
        (account(TIMEOUT=0), ['"TIMEOUT": (3.05, 20)', "BUSINESS_OS_TIMEOUT"]),
        (account(SCOPES="accounts"), ['"SCOPES": ["accounts", "holder_info", "transactions"]', "not str"]),
        (whole(STALE_DAYS=0), ['BUSINESS_OS_BANKING["STALE_DAYS"]', '"STALE_DAYS": 7', "above 0"]),
        (whole(STALE_DAYS="7"), ['Write "STALE_DAYS": 7.', "not str"]),
        ({"ACCOUNTS": {"bü ro": HEALTHY, "default": HEALTHY}}, ['"b-ro"']),
    ],
)
def test_a_message_names_the_key_and_says_what_to_type(setting: Any, texts: list[str]) -> None:
    message = only_message(setting)
    for text in texts:
        assert text in f"{message.msg} {message.hint}"


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = account(
        SALTEDGE_CALLBACK_URLS=["https://site.example/webhook/"],
        WEBHOOK_VERIFIERS=[SALT_EDGE],
    )
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert found(setting) == ["E036"]


# --- before deployment only ---

DEPLOY_IDS = ("W007", "W008", "W009", "W010", "W011", "W013", "W014")


@pytest.mark.parametrize(
    ("number", "setting", "django"),
    [
        ("W007", account(), {"ALLOWED_HOSTS": ["*"]}),
        ("W008", whole(SITE_URL="http://bank.example"), {}),
        ("W014", whole(SITE_URL="https://www.bank.example"), {"SESSION_COOKIE_DOMAIN": ".bank.test"}),
        ("W014", whole(SITE_URL="https://www.bank.example"), {"ALLOWED_HOSTS": ["bank.example"]}),
        (
            "W014",
            whole(SITE_URL="https://bank.example"),
            {"ALLOWED_HOSTS": ["www.bank.example", "bank.example"]},
        ),
        (
            "W009",
            account(),
            {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}},
        ),
        (
            "W010",
            account(WEBHOOK_SECRETS=["the-secret-key-of-django"]),
            {"SECRET_KEY": "the-secret-key-of-django"},
        ),
        ("W010", account(WEBHOOK_SECRETS=[HEALTHY["API_KEY"]]), {}),
        ("W010", {"ACCOUNTS": {"default": HEALTHY, "berlin": {**HEALTHY, "API_KEY": "another"}}}, {}),
        ("W011", account(CONNECT_URL_HOSTS=["localhost"]), {}),
        ("W011", account(CONNECT_URL_HOSTS=["127.0.0.1"]), {}),
        ("W011", account(CONNECT_URL_HOSTS=[".com"]), {}),
    ],
)
def test_what_is_wrong_in_public_only(number: str, setting: Any, django: dict[str, Any]) -> None:
    with override_settings(**django):
        assert found(setting) == []
        assert found(setting, deploy=True) == [number]


def test_what_was_switched_off_on_purpose_is_not_told() -> None:
    dummy = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    with override_settings(CACHES=dummy):
        assert found(whole(CONNECTS_PER_HOUR=0, REJECTED_WEBHOOKS_PER_MINUTE=0), deploy=True) == []
    with override_settings(ALLOWED_HOSTS=["*"]):
        assert found(whole(SITE_URL="https://bank.example"), deploy=True) == []


@pytest.mark.parametrize("how", [{"level": logging.ERROR}, {"disabled": True}])
def test_a_log_that_drops_refusals(how: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("business_os_banking.webhooks.views")
    level = logger.level
    monkeypatch.setattr(logger, "disabled", how.get("disabled", False))
    logger.setLevel(how.get("level", level))
    try:
        assert found(account(), deploy=True) == ["W013"]
    finally:
        logger.setLevel(level)


def test_short_secrets_are_told_before_deployment_only() -> None:
    setting = account(WEBHOOK_SECRETS=["short", "whsec_c2hvcnQ=", "long-" + SECRET, ""])
    assert found(setting) == []
    assert found(setting, deploy=True) == ["W002", "W002"]
    assert found(account(WEBHOOK_SECRETS="short"), deploy=True) == ["E014"]
    for broken in (None, {"ACCOUNTS": None}, {"ACCOUNTS": {"default": None}}):
        assert "W002" not in found(broken, deploy=True)


@override_settings(ROOT_URLCONF="tests.upstream.no_urls")
def test_urls_that_are_not_included() -> None:
    message = only_message(account())
    assert message.id == "business_os_banking.W003"
    assert 'path("banking/", include("business_os_banking.urls"))' in message.hint
    assert "tests.upstream.no_urls" in message.hint


@pytest.mark.parametrize("urlconf", ["nowhere.urls", "tests.upstream.broken_urls", None, 5])
def test_a_broken_urlconf_is_left_to_django(urlconf: Any) -> None:
    with override_settings(ROOT_URLCONF=urlconf):
        assert list(site.check_urls()) == []


SQLITE = "django.db.backends.sqlite3"


@pytest.mark.parametrize(
    ("database", "debug", "ids"),
    [
        ({"ENGINE": SQLITE}, False, ["W004"]),
        ({"ENGINE": SQLITE, "OPTIONS": {}}, False, ["W004"]),
        ({"ENGINE": SQLITE, "OPTIONS": None}, False, ["W004"]),
        ({"ENGINE": SQLITE, "OPTIONS": {"transaction_mode": "DEFERRED"}}, False, ["W004"]),
        ({"ENGINE": "django.contrib.gis.db.backends.spatialite"}, False, ["W004"]),
        ({"ENGINE": SQLITE, "OPTIONS": {"transaction_mode": "IMMEDIATE"}}, False, []),
        ({"ENGINE": SQLITE, "OPTIONS": {"transaction_mode": "immediate"}}, False, []),
        ({"ENGINE": SQLITE, "OPTIONS": {"transaction_mode": "EXCLUSIVE"}}, False, []),
        ({"ENGINE": SQLITE}, True, []),
        ({"ENGINE": "django.db.backends.postgresql"}, False, []),
        ({}, False, []),
        (None, False, []),
    ],
)
def test_sqlite_must_lock_at_once(
    monkeypatch: pytest.MonkeyPatch, settings: Any, database: Any, debug: bool, ids: list[str]
) -> None:
    settings.DEBUG = debug
    # Not through override_settings: Django warns that connections would not notice.
    monkeypatch.setitem(settings.DATABASES, "default", database)
    messages = list(site.check_databases())
    assert [message.id for message in messages] == [f"business_os_banking.{number}" for number in ids]
    assert all('"transaction_mode": "IMMEDIATE"' in str(message.hint) for message in messages)


class ToTheBank:
    """A router as a site might have it."""

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "bank" if model._meta.app_label == "business_os_banking" else None


def test_the_tables_must_be_on_the_default_database(settings: Any) -> None:
    assert list(site.check_environment()) == []
    settings.DATABASE_ROUTERS = [ToTheBank()]
    assert [message.id for message in site.check_environment()] == ["business_os_banking.E034"]


class FromAReplica:
    """One that reads from either, as Django's documentation shows it; with *pinned*, with the line that is advised."""

    def __init__(self, *, pinned: bool) -> None:
        self.pinned = pinned

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        if self.pinned and model._meta.app_label == "business_os_banking":
            return "default"
        return random.choice(["default", "replica"])


def test_what_was_written_must_not_be_read_from_a_replica(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [FromAReplica(pinned=False)]
    [message] = site.check_environment()
    assert message.id == "business_os_banking.E034"
    assert "db_for_read" in str(message.hint)
    settings.DATABASE_ROUTERS = [FromAReplica(pinned=True)]
    assert list(site.check_environment()) == []


def test_times_must_be_aware(settings: Any) -> None:
    settings.USE_TZ = False
    assert [message.id for message in site.check_environment()] == ["business_os_banking.E033"]


def test_databases_that_are_no_dict_are_left_to_django(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "DATABASES", None)
    assert list(site.check_databases()) == []


@pytest.mark.django_db  # Django 6.1 has checks of its own that ask the database
def test_the_checks_are_bound() -> None:
    with override_settings(BUSINESS_OS_BANKING=account(API_KEY="")), pytest.raises(SystemCheckError) as error:
        call_command("check", stdout=io.StringIO(), stderr=io.StringIO())
    assert "business_os_banking.E015" in str(error.value)


@pytest.mark.django_db
def test_the_suite_itself_is_healthy() -> None:
    stderr = io.StringIO()
    call_command("check", stdout=io.StringIO(), stderr=stderr)
    assert stderr.getvalue() == ""


def test_each_id_has_one_meaning_and_is_tested() -> None:
    modules = (kinds, table, accessor, deploy, rules, settings_checks, site, database)
    ids = re.findall(r'"([EW]\d{3})"', "".join(map(inspect.getsource, modules)))
    repeated = {number for number in ids if ids.count(number) > 1}
    # Three kinds of numbers, two kinds of paths, three lists of classes, and a key that an adapter may bring.
    assert repeated == {"E005", "E015", "E030", "E037"}
    elsewhere = {"E033", "E034", "E036", "W002", "W003", "W004", "W015", "W016", "W017", "W018"}
    assert set(ids) == {number for number, _ in FAULTS} | elsewhere | set(DEPLOY_IDS)


# --- what a check accepts is what is used ---

# Errors of the checks that do not keep a value from being used, each with the reason.
BEYOND = {
    "E003": "an unknown key is not used: a site may go back to the version before",
    "E013": "an unknown key is not used: a site may go back to the version before",
    "E007": "an adapter is imported when it is needed",
    "E008": "an adapter is imported when it is needed",
    "E017": "such a secret is good for every other way of proving who one is",
    "E027": "verifiers are imported when a webhook arrives",
    "E028": "verifiers are imported when a webhook arrives",
    "E032": "keys are loaded when a webhook arrives that Salt Edge has signed",
    "E037": "classes are imported when the REST API is asked",
}
# Accounts are made one by one, so that a wrong one leaves the others alone.
OF_ACCOUNTS = {"E010", "E011", "E012", "E015", "E035"}
TEXTS = [
    *(
        "",
        " ",
        "/",
        "//",
        "?",
        ".",
        "x",
        "a b",
        "a\n",
        "ü",
        "\x00",
        "{id}",
        "partner",
        "openbanking",
        "accounts",
    ),
    *("/a", "/a/", "//a", "/../a", "/a?b", "/{id}", "/a/{id}/b", "{id}", "/ü", "X-Signature", "X Signature"),
    *(
        "https://x.example",
        "https://x.example/",
        "https://x.example//",
        "https://x.example/a",
        "http://x.example",
    ),
    *(
        "https://x.example?",
        "https://x.example?/",
        "https://me@x.example",
        "ftp://x.example",
        "http://localhost:8000",
    ),
    *(
        "saltedge.com",
        ".saltedge.com",
        "SaltEdge.com",
        "saltedge.com.",
        "saltedge.com:443",
        ".1",
        "127.1",
        "::1",
    ),
    *(
        "2001:db8::1",
        "2001:0db8::1",
        "[::1]",
        "::",
        ":::",
        "a" * 64,
        "whsec_",
        "whsec_eA==",
        " edge",
        "no",
        "60",
    ),
    *("business_os_banking.adapter.BankingAdapter", "business_os_banking.conf.SETTING", "nowhere.at.all"),
]
NUMBERS = [0, 1, -1, 0.5, 7.5, 200.0, 1e5, 100_001, 1e300, 10**400, float("nan"), float("inf"), True, False]
LISTS = [
    [],
    ["a", ""],
    [None],
    [0],
    [1],
    [True],
    [14, 0],
    [0.5],
    (1, 2),
    [1, 2, 3],
    (1, None),
    (3, 1e300),
    [[]],
]
ODD = [
    *(
        None,
        b"bytes",
        object(),
        {1},
        {},
        {"a": 1},
        {"create": []},
        {"create": None},
        {"never": []},
        {"": {}},
        {1: {}},
    ),
    *TEXTS,
    *NUMBERS,
    *LISTS,
    *([text] for text in TEXTS),
    *({"7.0": text} for text in TEXTS[:5]),
]


def errors(setting: Any) -> set[str]:
    """Return the ids of errors that keep a value of the setting from being used."""
    with override_settings(BUSINESS_OS_BANKING=setting):
        ids = {str(message.id)[-4:] for message in settings_checks.check_settings()}
    return {number for number in ids if number.startswith("E")} - BEYOND.keys()


def is_refused(use: Callable[[], Any]) -> bool:
    try:
        use()
    except ImproperlyConfigured:
        return True
    return False


@pytest.mark.parametrize("name", table.SITE)
def test_the_checks_accept_what_is_used_of_a_site_and_nothing_else(name: str) -> None:
    for value in ODD:
        setting = whole(**{name: value})
        told = errors(setting) - OF_ACCOUNTS
        with override_settings(BUSINESS_OS_BANKING=setting):
            assert is_refused(lambda: getattr(conf.settings, name.lower())) == bool(told), (value, told)


def use_account(values: dict[str, Any]) -> None:
    conf.require_usable(conf.make_account("default", values))


@pytest.mark.parametrize("name", table.ACCOUNT)
def test_the_checks_accept_what_is_used_of_an_account_and_nothing_else(name: str) -> None:
    for value in ODD:
        told = errors(account(**{name: value}))
        assert is_refused(lambda: use_account({**HEALTHY, name: value})) == bool(told), (value, told)  # noqa: B023


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.sampled_from(["http://[", "https://x:y", "a.b", "whsec_x", ".", "default"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def of_keys(keys: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(keys)), junk, max_size=4)


@given(junk | of_keys(table.SITE))
def test_no_setting_makes_the_checks_raise(setting: Any) -> None:
    with override_settings(BUSINESS_OS_BANKING=setting):
        run_checks(tags=[settings_checks.TAG], include_deployment_checks=True)


@given(of_keys(table.ACCOUNT))
def test_whatever_an_account_is_made_of(values: dict[str, Any]) -> None:
    assert is_refused(lambda: use_account(values)) == bool(errors({"ACCOUNTS": {"default": values}}))


@given(of_keys(table.SITE.keys() - {"ACCOUNTS"}))
def test_whatever_a_site_writes(values: dict[str, Any]) -> None:
    told = errors(values) - OF_ACCOUNTS
    with override_settings(BUSINESS_OS_BANKING=values):
        refused = [name for name in values if is_refused(lambda: getattr(conf.settings, name.lower()))]  # noqa: B023
    assert bool(refused) == bool(told)


@pytest.mark.django_db
def test_no_check_queries_the_database(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        run_checks(tags=[settings_checks.TAG], include_deployment_checks=True)
