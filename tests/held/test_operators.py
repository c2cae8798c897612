"""Operators see what is held and who may answer, and answer with a reason."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import call_command

from business_os_banking.models import BankingConnection
from tests.held.conftest import Bank, Browser, state_of

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/business_os_banking/bankingconnection/"


@pytest.fixture
def held(bank: Bank, anna: User) -> BankingConnection:
    browser = Browser(anna)
    bank.says_yes(browser.starts(), "7", "herbst_de", "Herbstbank")
    connection = BankingConnection.objects.get()
    bank.says_yes(browser.starts(f"{connection.get_absolute_url()}renew/"), "8", "winter_de", "Winterbank")
    assert state_of(connection)[1] == "other_bank"
    return connection


def staff(*codenames: str) -> Browser:
    operator = User.objects.create_user("operator", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Browser(operator)


def confirm(browser: Browser, url: str, why: str) -> None:
    token = str(browser.get(url).context["csrf_token"])
    browser.post(url, {"csrfmiddlewaretoken": token, "why": why, "confirmed": "yes"})


def test_the_question_stands_at_the_top(held: BankingConnection) -> None:
    operator = staff("view_bankingconnection", "answer_bankingconnection")
    page = operator.see(f"{LIST}{held.pk}/change/")
    assert "Herbstbank \u2192 Winterbank" in page
    assert page.index("Herbstbank \u2192 Winterbank") < page.index("next step".capitalize())
    assert "The customer is asked" in page
    assert "Herbstbank" in operator.see(f"{LIST}?look=held")
    assert "A question is open" in operator.see(LIST)


@pytest.mark.parametrize(
    ("verb", "bank_then", "removed"), [("accept", "Winterbank", 0), ("refuse", "Herbstbank", 1)]
)
def test_an_answer_with_a_reason(
    held: BankingConnection, bank: Bank, verb: str, bank_then: str, removed: int
) -> None:
    operator = staff("view_bankingconnection", "answer_bankingconnection", "view_connectionevent")
    bank.upstream.deletes("8", body={"removed": True, "id": "8"})
    url = f"{LIST}{held.pk}/{verb}/"
    confirm(operator, url, "")
    assert state_of(held)[1] == "other_bank"  # a reason is asked for
    confirm(operator, url, "told on the phone")
    assert state_of(held) == ("active", "", bank_then)
    assert len(bank.upstream.calls("DELETE")) == removed
    assert LogEntry.objects.filter(object_id=str(held.pk)).count() == 1
    assert "told on the phone" in operator.see(f"{LIST}{held.pk}/change/")
    out = StringIO()
    call_command("banking_explain", str(held.reference), stdout=out)
    assert "told on the phone" in out.getvalue()
    assert "connection_held" in out.getvalue()
    call_command("banking_rebuild", "--check", verbosity=0)


def test_without_the_permission_nobody_answers(held: BankingConnection) -> None:
    operator = staff("view_bankingconnection", "change_bankingconnection")
    for verb in ("accept", "refuse"):
        assert operator.get(f"{LIST}{held.pk}/{verb}/").status_code == 403
        assert f"/{verb}/" not in operator.get(f"{LIST}{held.pk}/change/").content.decode()


def test_an_operator_lifts_a_doubt(bank: Bank, mallory: User) -> None:
    session = Browser(mallory).starts()
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7")
    operator = staff("view_bankingconnection", "answer_bankingconnection")
    confirm(operator, f"{LIST}{session.connection.pk}/accept/", "they sat side by side")
    assert state_of(session.connection)[:2] == ("active", "")
