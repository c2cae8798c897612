"""Settings for a test, and the account that is brought where there is none; nothing of it is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.conf import settings as site
from django.test import SimpleTestCase, override_settings

from business_os_banking import conf
from business_os_banking.adapter import credentials_of
from business_os_banking.conf.secret import Secret
from business_os_banking.testing import FakeUpstream, make_connection, override_banking, report_failure
from business_os_banking.testing.endings import endings
from tests.settings import BUSINESS_OS_BANKING as OURS

INCOMPLETE: list[Any] = [
    None,
    {},
    {"ACCOUNTS": {}},
    {"ACCOUNTS": {"default": {}}},
    {"ACCOUNTS": {"default": {"API_KEY": "", "WEBHOOK_SECRETS": None}}},
    {"ACCOUNTS": {"default": {"API_KEY": "mine"}}},
]


@pytest.fixture
def told_nothing() -> Iterator[None]:
    """As where no plugin says when a test ends: under `manage.py test`."""
    endings.are_told = False
    yield
    endings.are_told = True


class OverridingTest(SimpleTestCase):
    def test_single_keys_are_overridden_and_the_others_stay(self) -> None:
        with override_banking(CONSENT_DAYS=7):
            assert conf.settings.consent_days == 7
            assert conf.account().webhook_secrets == (Secret("test-webhook-secret"),)
            with override_banking(STALE_DAYS=3):
                assert (conf.settings.consent_days, conf.settings.stale_days) == (7, 3)
        assert site.BUSINESS_OS_BANKING == OURS

    @override_banking(CONSENT_DAYS=8)
    def test_as_a_decorator_of_a_function(self) -> None:
        assert conf.settings.consent_days == 8

    def test_a_key_that_is_none_is_an_error_that_names_the_right_one(self) -> None:
        with pytest.raises(TypeError, match="no key CONSENT_DAY: did you mean CONSENT_DAYS"):
            override_banking(CONSENT_DAY=1)
        with pytest.raises(TypeError, match=r"no key X$"):
            override_banking(X=1)


@override_banking(CONSENT_DAYS=9)
@override_banking(STALE_DAYS=2)
class DecoratedTest(SimpleTestCase):
    def test_decorators_of_a_class_add_up(self) -> None:
        assert (conf.settings.consent_days, conf.settings.stale_days) == (9, 2)
        assert conf.account().api_key == "test-key-not-a-secret"


@override_banking(STALE_DAYS=4)
class DerivedTest(DecoratedTest):
    def test_decorators_of_a_class_add_up(self) -> None:
        assert (conf.settings.consent_days, conf.settings.stale_days) == (9, 4)


def test_accounts_that_are_given_stay_as_they_are() -> None:
    with override_banking(ACCOUNTS={"default": {}}):
        assert conf.account().api_key == ""


@pytest.mark.parametrize("given", INCOMPLETE)
def test_what_an_account_lacks_is_brought_and_what_it_has_is_kept(given: Any) -> None:
    with override_settings(BUSINESS_OS_BANKING=given), override_banking():
        account = credentials_of("default")
        assert account.api_key == ("mine" if given and "mine" in str(given) else "test-key")
        assert account.webhook_secrets == (Secret("secret-of-the-tests"),)


@pytest.mark.parametrize("given", ["a text", {"ACCOUNTS": "a text"}, {"ACCOUNTS": {"default": "a text"}}])
def test_what_is_no_setting_at_all_is_left_to_the_app_to_complain_of(given: Any) -> None:
    with override_settings(BUSINESS_OS_BANKING=given), override_banking():
        assert given == site.BUSINESS_OS_BANKING


@pytest.mark.django_db
@pytest.mark.parametrize("given", INCOMPLETE)
def test_with_an_incomplete_account_all_works(given: Any) -> None:
    with override_settings(BUSINESS_OS_BANKING=given):
        connection = make_connection()
        report_failure(connection, "ConsentExpired")
        assert connection.needs_attention, "which asks the settings, after the report"
        with FakeUpstream():
            assert conf.account().api_key


@pytest.mark.django_db
def test_what_was_brought_goes_when_the_test_ends(settings: Any) -> None:
    del settings.BUSINESS_OS_BANKING
    make_connection()
    assert conf.settings.accounts
    endings.run()
    assert not hasattr(site, "BUSINESS_OS_BANKING")


@pytest.mark.django_db
def test_what_somebody_else_has_replaced_meanwhile_is_not_brought_back() -> None:
    with override_settings(BUSINESS_OS_BANKING=None, SITE_NAME="inner"):
        make_connection()
    endings.run()
    assert site.BUSINESS_OS_BANKING == OURS
    assert not hasattr(site, "SITE_NAME")


@pytest.mark.django_db
@pytest.mark.usefixtures("told_nothing")
def test_where_nobody_says_when_a_test_ends_it_goes_with_the_call(settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = None
    connection = make_connection()
    report_failure(connection, "ConsentExpired")
    assert connection.status == "inactive"
    assert site.BUSINESS_OS_BANKING is None


@pytest.mark.django_db
def test_a_complete_account_is_left_alone() -> None:
    before: Mapping[str, Any] = site.BUSINESS_OS_BANKING
    make_connection()
    assert site.BUSINESS_OS_BANKING is before
