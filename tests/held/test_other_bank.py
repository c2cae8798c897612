"""A renewal that ends at another bank: a question, and until it is answered the old link goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectSession, Removal
from tests.held.conftest import Bank, Browser, state_of
from tests.settings import BUSINESS_OS_BANKING as SETTING
from tests.upstream.fake import row

pytestmark = pytest.mark.django_db(transaction=True)

OLD = ("7", "herbst_de", "Herbstbank")
NEW = ("8", "winter_de", "Winterbank")


def setting(**values: Any) -> Any:
    return override_settings(BUSINESS_OS_BANKING={**SETTING, **values})


def connected(
    bank: Bank, user: User, link: str = "7", code: str = "herbst_de", name: str = "Herbstbank"
) -> Browser:
    browser = Browser(user)
    first = browser.starts()
    browser.get(bank.return_to(first))
    bank.says_yes(first, link, code, name)
    return browser


def renew(browser: Browser) -> ConnectSession:
    return browser.starts(f"{BankingConnection.objects.latest('pk').get_absolute_url()}renew/")


@pytest.fixture
def held(bank: Bank, anna: User) -> tuple[Browser, BankingConnection, ConnectSession]:
    browser = connected(bank, anna)
    second = renew(browser)
    browser.get(bank.return_to(second))
    bank.says_yes(second, *NEW)
    return browser, BankingConnection.objects.get(), second


Held = tuple[Browser, BankingConnection, ConnectSession]


def test_the_old_link_goes_on_and_the_owner_is_asked(held: Held, heard: list[str]) -> None:
    browser, connection, second = held
    assert state_of(connection) == ("active", "other_bank", "Herbstbank")
    assert (connection.upstream_id, connection.held_session, connection.held_bank) == (
        "7",
        second,
        "Winterbank",
    )
    for page in (connection.get_absolute_url(), second.get_absolute_url()):
        assert {"Herbstbank", "Winterbank"} <= set(
            browser.see(page).replace(",", "").replace(".", "").split()
        )
        assert browser.offers(page) == {"accept", "refuse"}
    assert "Answer" in browser.see("/banking/")
    api = browser.get(f"/banking/api/connections/{connection.reference}/").json()
    assert (api["held_reason"], api["held_bank"], api["needs_attention"]) == (
        "other_bank",
        "Winterbank",
        True,
    )
    status = browser.get(f"/banking/sessions/{second.reference}/status/").json()
    assert (status["status"], status["connection_status"], status["final"]) == ("succeeded", "active", False)
    stranger = Browser().see(second.get_absolute_url())  # who may not see the connection learns no bank
    assert not any(name in stranger for name in ("Herbstbank", "Winterbank"))


@pytest.mark.parametrize("by", ["page", "landing", "api"])
def test_accept_makes_it_current(held: Held, bank: Bank, by: str) -> None:
    browser, connection, second = held
    answer(browser, connection, second, "accept", by)
    assert state_of(connection) == ("active", "", "Winterbank")
    assert (connection.upstream_id, connection.held_session) == ("8", None)
    reconcile()
    assert not bank.upstream.calls("DELETE")  # unless the site says so, the old link is nobody's to end
    call_command("banking_rebuild", "--check", verbosity=0)


@pytest.mark.parametrize("by", ["page", "landing", "api"])
def test_refuse_keeps_the_old_one_and_removes_the_new(held: Held, bank: Bank, by: str) -> None:
    browser, connection, second = held
    bank.upstream.deletes("8", body={"data": {"id": "8", "removed": True}})
    answer(browser, connection, second, "refuse", by)
    assert state_of(connection) == ("active", "", "Herbstbank")
    assert connection.upstream_id == "7"
    assert [str(call.url).rpartition("/")[2] for call in bank.upstream.calls("DELETE")] == ["8"]
    assert not Removal.objects.unsettled().exists()
    assert "Nothing was connected" in browser.see(second.get_absolute_url())
    call_command("banking_rebuild", "--check", verbosity=0)


def answer(
    browser: Browser, connection: BankingConnection, session: ConnectSession, what: str, by: str
) -> None:
    if by == "api":
        page = connection.get_absolute_url()
        browser.get(page)
        response = browser.post(
            f"/banking/api/connections/{connection.reference}/answer/",
            {"answer": what},
            content_type="application/json",
            headers={"X-CSRFToken": browser.cookies["csrftoken"].value},
        )
        assert (response.status_code, response.json()["held_reason"]) == (200, None)
    else:
        page = connection.get_absolute_url() if by == "page" else session.get_absolute_url()
        assert browser.press(page, answer=what).status_code == 303


def test_nobody_else_may_answer(held: Held, mallory: User) -> None:
    _browser, connection, second = held
    stranger = Browser(mallory)
    for page in (connection.get_absolute_url(), second.get_absolute_url()):
        assert stranger.get(page, follow=True).status_code in {200, 404}
    stranger.cookies["csrftoken"] = "a" * 32
    data = {"answer": "accept", "csrfmiddlewaretoken": "a" * 32}
    assert stranger.post(f"{connection.get_absolute_url()}answer/", data).status_code == 404
    assert state_of(connection)[1] == "other_bank"


def test_an_answer_that_comes_twice(held: Held, bank: Bank) -> None:
    browser, connection, _second = held
    url = f"/banking/api/connections/{connection.reference}/answer/"
    browser.get(connection.get_absolute_url())
    headers = {"X-CSRFToken": browser.cookies["csrftoken"].value}
    for status in (200, 409):
        response = browser.post(url, {"answer": "accept"}, content_type="application/json", headers=headers)
        assert response.status_code == status
    assert response.json()["error"]["class"] == "NothingHeld"
    for body in ({}, {"answer": "perhaps"}, {"answer": "accept", "why": "x"}):
        assert browser.post(url, body, content_type="application/json", headers=headers).status_code == 400


def test_a_code_that_becomes_known_late_holds_late(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    second = renew(browser)
    with setting(DISCONNECT_SUPERSEDED=True):
        bank.says_yes(second, "8")  # callbacks carry no bank
        connection = BankingConnection.objects.get()
        assert (state_of(connection)[:2], connection.upstream_id) == (("active", ""), "8")
        assert not Removal.objects.exists()
        named = {"provider_code": "winter_de", "provider_name": "Winterbank"}
        said_at = f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}"
        attempt = {"success_at": said_at}
        listed = row("8", token=second.pending_token, attempt=attempt, updated_at=said_at, **named)
        bank.upstream.lists(row("7", provider_code="herbst_de"), listed)
        reconcile(timezone.now() + timedelta(days=2))
    assert state_of(connection) == ("active", "other_bank", "Herbstbank")
    assert (connection.upstream_id, connection.held_bank) == ("7", "Winterbank")
    assert not bank.upstream.calls("DELETE")
    call_command("banking_rebuild", "--check", verbosity=0)


def test_what_lifts_itself_when_the_name_becomes_known(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna, "7", "herbst_xf", "Herbst Bank")
    second = renew(browser)
    # The code alone, renamed by the provider; then the name, which is the same.
    bank.post(
        {
            "data": {
                "id": "8",
                "connection_id": "8",
                "status": "active",
                "provider_code": "herbst_oauth_xf",
                "custom_fields": {
                    "pending_token": str(ConnectSession.objects.get(pk=second.pk).pending_token)
                },
                "last_attempt": {"success_at": f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}", "finished": True},
            },
            "meta": {"version": "6"},
        }
    )
    connection = BankingConnection.objects.get()
    assert state_of(connection)[1] == "other_bank"
    bank.says_yes(second, "8", "herbst_oauth_xf", "HERBSTBANK")
    assert state_of(connection) == ("active", "", "HERBSTBANK")
    assert connection.upstream_id == "8"


@pytest.mark.parametrize(
    "values",
    [
        {"SAME_BANKS": [["herbst_de", "winter_de"]]},
        {"SAME_BANKS": [("winter_de", "herbst_de")]},
        {"ADAPTER": "tests.held.adapters.Merged"},
        {"HOLD_OTHER_BANK": False},
    ],
)
def test_banks_that_are_one_for_this_site(bank: Bank, anna: User, values: dict[str, Any]) -> None:
    with setting(**values):
        browser = connected(bank, anna)
        bank.says_yes(renew(browser), *NEW)
        assert state_of(BankingConnection.objects.get()) == ("active", "", "Winterbank")
        call_command("banking_rebuild", "--check", verbosity=0)


def test_an_adapter_that_breaks_has_the_owner_asked(bank: Bank, anna: User) -> None:
    with setting(ADAPTER="tests.held.adapters.Broken"):
        browser = connected(bank, anna)
        bank.says_yes(renew(browser), *NEW)
        assert state_of(BankingConnection.objects.get())[1] == "other_bank"


def test_a_second_bank_in_the_same_sitting_is_what_was_meant(bank: Bank, anna: User) -> None:
    browser = Browser(anna)
    first = browser.starts()
    bank.says_yes(first, *OLD)
    bank.says_yes(first, *NEW)
    assert state_of(BankingConnection.objects.get()) == ("active", "", "Winterbank")


def test_a_late_success_of_the_first_is_no_renewal(bank: Bank, anna: User) -> None:
    browser = Browser(anna)
    first = browser.starts()
    browser.get(bank.return_to(first))
    second = renew(browser)
    assert first != second
    bank.says_yes(second, *NEW)
    bank.says_yes(first, *OLD)
    assert state_of(BankingConnection.objects.get())[:2] == ("active", "")


def test_the_bank_of_the_renewal_wins_in_the_same_sitting(bank: Bank, anna: User) -> None:
    """The wrong bank first, then the right one: the question is moot."""
    browser = connected(bank, anna)
    second = renew(browser)
    bank.says_yes(second, *NEW)
    bank.says_yes(second, "9", "herbst_de", "Herbstbank")
    connection = BankingConnection.objects.get()
    assert (state_of(connection), connection.upstream_id) == (("active", "", "Herbstbank"), "9")


def test_the_right_bank_first_then_another_is_asked_about(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    second = renew(browser)
    bank.says_yes(second, "9", "herbst_de", "Herbstbank")
    bank.says_yes(second, *NEW)
    connection = BankingConnection.objects.get()
    assert (state_of(connection)[1], connection.upstream_id) == ("other_bank", "9")


def test_a_clock_of_the_provider_that_is_ahead_hides_no_other_bank(bank: Bank, anna: User) -> None:
    browser = Browser(anna)
    first = browser.starts()
    ahead = timezone.now() + timedelta(minutes=4)
    bank.says_yes(first, *OLD, at=f"{ahead:%Y-%m-%dT%H:%M:%SZ}")
    browser.get(bank.return_to(first))
    second = renew(browser)
    bank.says_yes(second, *NEW, at=f"{ahead + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}")
    assert state_of(BankingConnection.objects.get())[:2] == ("active", "other_bank")


def test_a_renewal_that_is_folded_into_the_old_link_is_no_question(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    bank.says_yes(renew(browser), *OLD)
    assert state_of(BankingConnection.objects.get()) == ("active", "", "Herbstbank")


def test_superseded_goes_when_it_is_confirmed_and_a_day_old(held: Held, bank: Bank) -> None:
    browser, connection, _second = held
    with setting(DISCONNECT_SUPERSEDED=True):
        reconcile(timezone.now() + timedelta(days=3))
        assert not bank.upstream.calls("DELETE")
        browser.press(connection.get_absolute_url(), answer="accept")
        reconcile()
        assert not bank.upstream.calls("DELETE")
        bank.upstream.deletes("7")
        reconcile(timezone.now() + timedelta(days=1, minutes=1))
        assert [str(call.url).rpartition("/")[2] for call in bank.upstream.calls("DELETE")] == ["7"]


def test_an_imported_connection_that_is_renewed_at_another_bank(bank: Bank, anna: User) -> None:
    connection = BankingConnection.objects.create(
        user=anna,
        status="active",
        upstream_id="7",
        provider_code="herbst_de",
        provider_name="Herbstbank",
        country_code="DE",
        connected_at=timezone.now() - timedelta(days=90),
    )
    browser = Browser(anna)
    bank.says_yes(renew(browser), *NEW)
    assert state_of(connection) == ("active", "other_bank", "Herbstbank")


def test_it_stays_a_question_and_is_reminded_of_once(held: Held, bank: Bank, heard: list[str]) -> None:
    _browser, connection, _second = held
    for days in (4, 8, 30):
        reconcile(timezone.now() + timedelta(days=days))
    assert state_of(connection)[1] == "other_bank"
    assert heard == ["connection_held"]
    assert not bank.upstream.calls("DELETE")


def test_a_mail_asks_too(bank: Bank, anna: User) -> None:
    with setting(CONSENT_MAILS=True, SITE_URL="http://testserver"):
        browser = connected(bank, anna)
        bank.says_yes(renew(browser), *NEW)
        (message,) = mail.outbox
        connection = BankingConnection.objects.get()
        assert message.to == ["anna@kunde.example"]
        assert all(
            word in message.body for word in ("Herbstbank", "Winterbank", connection.get_absolute_url())
        )


def test_five_people_at_once_are_a_merger(bank: Bank, db: None) -> None:
    for number in range(5):
        user = User.objects.create_user(f"customer{number}")
        browser = connected(bank, user, f"1{number}")
        session = renew(browser)
        assert not any("SAME_BANKS" in problem for problem in reconcile().problems)
        bank.says_yes(session, f"2{number}", "winter_de", "Winterbank")
    (problem,) = [problem for problem in reconcile().problems if "SAME_BANKS" in problem]
    assert "herbst_de" in problem
    assert "winter_de" in problem


def test_disconnected_while_it_is_held_all_links_go(held: Held, bank: Bank) -> None:
    browser, connection, _second = held
    bank.upstream.deletes("7")
    bank.upstream.deletes("8", body={"removed": True, "id": "8"})
    page = f"{connection.get_absolute_url()}disconnect/"
    token = browser.get(page).context["csrf_token"]
    browser.post(page, {"csrfmiddlewaretoken": str(token)})
    assert state_of(connection)[:2] == ("disconnected", "")
    assert len(bank.upstream.calls("DELETE")) == 2
