"""Verifiers and settings of the site's own that break: they accept nothing, and the log says what to mend."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from django.test import Client

from business_os_banking.webhooks.verifiers import Delivery, SharedSecret, Verifier
from tests import callbacks
from tests.callbacks import SECRET

URL = "/banking/webhook/"
NAMED = {"X-Webhook-Secret": SECRET}
BODY = callbacks.raw(callbacks.notify())
SHARED = "business_os_banking.webhooks.verifiers.SharedSecret"
ASKED: list[str] = []


class Breaks(Verifier):
    def verify(self, delivery: Delivery) -> None:
        raise KeyError(delivery.headers["X-Webhook-Secret"])


class Overflows(Verifier):
    def verify(self, delivery: Delivery) -> None:
        self.verify(delivery)


class CannotBeMade(Verifier):
    def __init__(self, account: Any) -> None:
        raise RuntimeError(f"no place for {account.webhook_secrets}")


class CannotTell(Verifier):
    def is_configured(self) -> bool:
        raise OSError(*self.account.webhook_secrets)


class Answers(Verifier):
    """What is written in a hurry: it answers instead of raising."""

    def verify(self, delivery: Delivery) -> bool:  # type: ignore[override]
        return delivery.headers.get("X-Webhook-Secret") == SECRET


class Remembers(SharedSecret):
    def verify(self, delivery: Delivery) -> None:
        ASKED.append(delivery.body.decode())
        super().verify(delivery)


def set_verifiers(settings: Any, *names: str) -> None:
    account = {**settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"], "WEBHOOK_VERIFIERS": list(names)}
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": account}}


def path(verifier: type[Verifier]) -> str:
    return f"{__name__}.{verifier.__name__}"


@pytest.mark.parametrize("verifier", [Breaks, Overflows, CannotBeMade, CannotTell, Answers])
@pytest.mark.parametrize("secret", [SECRET, "not-the-secret"])
def test_a_verifier_that_breaks_accepts_nothing_and_the_sender_tries_again(
    settings: Any, caplog: pytest.LogCaptureFixture, reasons: list[str], verifier: Any, secret: str
) -> None:
    set_verifiers(settings, path(verifier))
    with caplog.at_level(logging.DEBUG):
        answer = Client(headers={"X-Webhook-Secret": secret}).post(URL, BODY, "application/json")
    assert (answer.status_code, answer.content) == (503, b"")
    [reason] = reasons
    assert reason in caplog.text
    assert verifier is Answers or "test_own_verifiers.py, line " in reason
    assert SECRET not in caplog.text
    assert secret not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("verifier", [Breaks, Answers])
def test_another_verifier_may_still_accept_and_the_broken_one_is_logged(
    settings: Any, caplog: pytest.LogCaptureFixture, verifier: Any
) -> None:
    set_verifiers(settings, path(verifier), SHARED)
    answer = Client(headers=NAMED).post(URL, BODY, "application/json")
    assert answer.status_code == 200
    assert f"accepted, but {verifier.__name__}" in caplog.text
    assert SECRET not in caplog.text


def test_where_one_breaks_and_the_others_refuse_the_sender_tries_again(settings: Any) -> None:
    set_verifiers(settings, SHARED, path(Breaks))
    answer = Client(headers={"X-Webhook-Secret": "wrong"}).post(URL, BODY, "application/json")
    assert answer.status_code == 503


def test_without_cryptography_salt_edge_is_refused_with_a_hint(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    set_verifiers(settings, SHARED.replace("SharedSecret", "SaltEdgeSignature"))
    settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"]["SALTEDGE_CALLBACK_URLS"] = ["https://site.example/"]
    answer = Client(headers={"Signature": "c2lnbmVk"}).post(URL, BODY, "application/json")
    assert answer.status_code == 503
    assert "pip install django-business-os-banking[saltedge]" in caplog.text


def test_a_key_that_is_none_is_refused_with_a_hint(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    set_verifiers(settings, SHARED.replace("SharedSecret", "SaltEdgeSignature"))
    more = {"SALTEDGE_CALLBACK_URLS": ["https://site.example/"], "SALTEDGE_PUBLIC_KEYS": {"9.0": "nonsense"}}
    settings.BUSINESS_OS_BANKING["ACCOUNTS"]["default"] |= more
    headers = {"Signature": "c2lnbmVk", "Signature-key-version": "9.0"}
    assert Client(headers=headers).post(URL, BODY, "application/json").status_code == 503
    assert "SALTEDGE_PUBLIC_KEYS" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"WEBHOOK_MAX_BYTES": "much"}, {"REJECTED_WEBHOOKS_PER_MINUTE": -1}, {"ACCOUNTS": []}]
    + [
        {"ACCOUNTS": {"default": {"WEBHOOK_SECRETS": secrets}}}
        for secrets in ([b"bytes"], [None], [1], "text", 5)
    ]
    + [{"ACCOUNTS": {"default": {"WEBHOOK_SECRETS": secrets}}} for secrets in ([""], [" "], ["whsec_"], [])],
    ids=str,
)
def test_settings_that_are_not_right_believe_nobody(
    settings: Any, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, **wrong}
    for secret in ("", " ", "whsec_", "bytes", "None", "wrong"):
        answer = Client(headers={"X-Webhook-Secret": secret}).post(URL, BODY, "application/json")
        assert (answer.status_code, answer.content) == (503, b"")
    assert "Traceback" not in caplog.text


def test_an_adapter_that_breaks_is_no_answer_500(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any, alias: str, connection: Any) -> Any:
        raise LookupError(f"secret-of-{alias}")

    monkeypatch.setattr("business_os_banking.adapter.BankingAdapter.get_credentials", breaks)
    assert Client(headers=NAMED).post(URL, BODY, "application/json").status_code == 503
    assert "LookupError in breaks (test_own_verifiers.py, line " in caplog.text
    assert "secret-of-default" not in caplog.text


@pytest.mark.django_db
def test_verifiers_are_given_the_raw_body_and_nothing_is_parsed_before_them(settings: Any) -> None:
    ASKED.clear()
    set_verifiers(settings, path(Remembers))
    body = '{"a": 1, "a": 1,   "b":' + "[" * 5000
    assert (
        Client(headers={"X-Webhook-Secret": "wrong"}).post(URL, body, "application/json").status_code == 403
    )
    assert Client(headers=NAMED).post(URL, body, "application/json").status_code == 400
    assert len(ASKED) == 2
    assert set(ASKED) == {body}
