"""The API key is in the header and nowhere else: not in reprs, logs, messages or reports of errors."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.views.debug import ExceptionReporter

from business_os_banking import conf
from business_os_banking.exceptions import BusinessOSError
from business_os_banking.upstream.client import BusinessOSClient
from tests.upstream import test_wire
from tests.upstream.server import GOOD, KEY, Exchange, Server

pytestmark = pytest.mark.long

Behaviour = Callable[[Exchange], None]


def answers(body: Any, status: int = 200, **headers: str) -> Behaviour:
    return lambda exchange: exchange.answer(body, status=status, **headers)


# Where a class or the name of a field stands, too.
ECHO = {"error": {"class": KEY, "message": f"The key {KEY} is wrong."}, "code": KEY, "errors": {KEY: [KEY]}}

BEHAVIOURS: dict[str, Behaviour] = {
    **test_wire.NO_ANSWER,
    **{f"status {status}": answers(ECHO, status) for status in (400, 401, 402, 403, 404, 422, 429, 500, 503)},
    "gateway": answers(b"<html>502</html>", 502),
    "redirect": answers(b"", 302, Location="https://evil.example/"),
    "html": answers(b"<html>"),
    "empty": answers(b""),
    "list": answers([]),
    "no token": answers({**GOOD, "pending_token": None}),
    "other host": answers({**GOOD, "connect_url": "https://evil.example/"}),
    "not compressed": answers(GOOD, Content_Encoding="gzip"),
    "two lengths": answers(GOOD, Content_length="7"),
}

ACCOUNTS: dict[str, dict[str, Any]] = {
    "refused connection": {"BASE_URL": f"http://127.0.0.1:{test_wire.free_port()}"},
    "no address": {"BASE_URL": "nowhere"},
    "no TLS": {},
    "key with a line break": {"API_KEY": KEY + "\n"},
    "key with an umlaut": {"API_KEY": KEY + "ü"},
    "secret of another type": {"WEBHOOK_SECRETS": KEY},
    "timeout of another type": {"TIMEOUT": KEY},
}


def assert_kept_secret(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Look for the key wherever an error is reported, with all local variables."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    setting = {"ACCOUNTS": {"default": {"API_KEY": KEY, "WEBHOOK_SECRETS": [KEY]}}}
    with override_settings(DEBUG=True, BUSINESS_OS_BANKING=setting):
        reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
        pages = [reporter.get_traceback_html(), reporter.get_traceback_text()]
    texts = [repr(error), str(error), "".join(report.format()), caplog.text, *pages]
    assert [KEY in text for text in texts] == [False] * len(texts)
    assert "business_os_banking" in pages[0]  # it is a report of our frames, not an empty one


@pytest.mark.parametrize("how", BEHAVIOURS)
def test_whatever_comes_back(server: Server, caplog: pytest.LogCaptureFixture, how: str) -> None:
    caplog.set_level(logging.DEBUG)
    server.behave = BEHAVIOURS[how]
    account = server.account()
    with pytest.raises(BusinessOSError) as caught:
        BusinessOSClient(account).connect(return_to="https://shop.example/back")
    assert server.seen[0].headers["x-api-key"] == KEY
    assert_kept_secret(caught.value, caplog)


@pytest.mark.parametrize("how", ACCOUNTS)
def test_whatever_is_set(server: Server, caplog: pytest.LogCaptureFixture, how: str) -> None:
    caplog.set_level(logging.DEBUG)
    values = {**ACCOUNTS[how]}
    if how == "no TLS":
        values["BASE_URL"] = server.url.replace("http:", "https:")
    with pytest.raises((BusinessOSError, ImproperlyConfigured)) as caught:
        BusinessOSClient(server.account(**values)).connect(return_to="https://shop.example/back")
    del values
    assert not server.seen
    assert_kept_secret_in_our_frames(caught.value, caplog)


def assert_kept_secret_in_our_frames(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """The same, without the frames of the test, which made the account and so hold the key."""
    frame = error.__traceback__
    while frame and "/tests/" in frame.tb_frame.f_code.co_filename:
        frame = frame.tb_next
    assert_kept_secret(error.with_traceback(frame), caplog)


def test_an_account_that_is_not_there(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is no reason to show those that are."""
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {"default": {"API_KEY": KEY, "WEBHOOK_SECRETS": [KEY]}}}
    with pytest.raises(ImproperlyConfigured) as caught:
        conf.account("paris")
    assert_kept_secret_in_our_frames(caught.value, caplog)


def test_what_is_refused_before_the_call(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    account = server.account()
    with pytest.raises(BusinessOSError) as caught:
        BusinessOSClient(account).connect(return_to="nowhere")
    assert_kept_secret(caught.value, caplog)


def test_a_success_logs_no_secret(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    BusinessOSClient(server.account()).connect(return_to="https://shop.example/back")
    assert "/v2/banking/connect" in caplog.text  # urllib3 does log, so this is no empty promise
    for secret in (KEY, GOOD["pending_token"], GOOD["connect_url"]):
        assert secret not in caplog.text


def test_reprs(server: Server) -> None:
    account = server.account(WEBHOOK_SECRETS=[KEY])
    client = BusinessOSClient(account)
    for thing in (account, client, replace(account, alias="x"), vars(client), conf.settings):
        assert KEY not in f"{thing!r} {thing!s}"


def test_a_malformed_setting(caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(BUSINESS_OS_BANKING={"ACCOUNTS": {"default": {"API_KEY": KEY, "TIMEOUT": 0}}}):
        for alias in ("default", "other"):
            with pytest.raises(ImproperlyConfigured) as caught:
                conf.account(alias)
            assert_kept_secret(caught.value, caplog)


def test_a_key_that_cannot_be_sent_is_told_without_it(server: Server) -> None:
    client = BusinessOSClient(server.account(API_KEY=KEY + "\r\nX-Evil: 1"))
    with pytest.raises(ImproperlyConfigured, match="BUSINESS_OS_API_KEY"):
        client.delete_connection("1")
    assert not server.seen
