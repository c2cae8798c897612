"""Who began is not who finished: nothing counts until that is settled, and no honest person is hurt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectSession, Removal
from tests.held.conftest import Bank, Browser, state_of
from tests.settings import BUSINESS_OS_BANKING as SETTING

pytestmark = pytest.mark.django_db(transaction=True)


def fixation(bank: Bank, starter: User, finisher: Browser, *, first: str = "return") -> ConnectSession:
    """Let *starter* begin, and whoever has *finisher* finish at the bank; return the session."""
    session = Browser(starter).starts()
    if first == "return":
        finisher.get(bank.return_to(session))
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    if first != "return":
        finisher.get(bank.return_to(session))
    session.refresh_from_db()
    return session


@pytest.mark.parametrize("first", ["return", "success"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_who_began_gets_nothing_of_what_somebody_else_finished(
    bank: Bank, mallory: User, anna: User, first: str, signed_in: bool
) -> None:
    victim = Browser(anna if signed_in else None)
    session = fixation(bank, mallory, victim, first=first)
    connection = session.connection
    assert state_of(connection) == ("pending", "other_browser", "")
    assert connection.connected_at is None
    assert connection.upstream_id == ""
    began = Browser(mallory)
    pages = ["/banking/", connection.get_absolute_url(), session.get_absolute_url()]
    assert not any("Herbstbank" in began.see(page) for page in pages)
    assert "another browser" in began.see(session.get_absolute_url())
    api = began.get(f"/banking/api/connections/{connection.reference}/")
    assert (api.json()["held_reason"], "Herbstbank" in api.content.decode()) == ("other_browser", False)
    status = began.get(f"/banking/sessions/{session.reference}/status/").json()
    assert (status["connection_status"], status["final"]) == ("pending", False)
    assert "One step is left" in victim.see(session.get_absolute_url())


def test_the_key_is_told_to_nobody_but_the_upstream(bank: Bank, anna: User, caplog: Any) -> None:
    browser = Browser(anna)
    session = browser.starts()
    path = bank.return_to(session)
    key = path.strip("/").rpartition("/")[2]
    assert len(key) >= 22  # 128 bits
    answer = browser.get(path + "?error_class=X")
    assert (answer.status_code, answer["Location"]) == (303, f"{session.get_absolute_url()}?error_class=X")
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("no-referrer", "no-store, private")
    seen = [browser.get(url).content.decode() for url in ("/banking/", session.get_absolute_url())]
    seen.append(browser.get(f"/banking/api/sessions/{session.reference}/").content.decode())
    session.refresh_from_db()
    stored = [repr(vars(session)), *(repr(vars(row)) for row in session.connection.events.all())]
    assert not any(key in text for text in [*seen, *stored, caplog.text])


def test_the_starters_cookie_proves_it_with_no_login(bank: Bank, anna: User) -> None:
    browser = Browser(anna)
    session = browser.starts()
    cookie = browser.cookies["banking_starter"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (
        True,
        "Lax",
        session.get_absolute_url(),
    )
    del browser.cookies["sessionid"]
    browser.get(bank.return_to(session))
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    assert state_of(session.connection) == ("active", "", "Herbstbank")


def test_a_shared_computer_the_cookie_comes_first(bank: Bank, anna: User, mallory: User) -> None:
    """Somebody else has signed in meanwhile, at the computer where it was begun."""
    browser = Browser(anna)
    session = browser.starts()
    browser.force_login(mallory)
    browser.get(bank.return_to(session))
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_the_same_person_in_another_browser_that_is_signed_in(bank: Bank, anna: User) -> None:
    session = fixation(bank, anna, Browser(anna))
    assert state_of(session.connection)[:2] == ("active", "")


def test_the_same_person_in_another_browser_signs_in_once(bank: Bank, anna: User, heard: list[str]) -> None:
    phone = Browser()
    session = fixation(bank, anna, phone)
    page = session.get_absolute_url()
    answer = phone.press(page, answer="mine")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=")
    assert answer["Location"].endswith(page)
    assert state_of(session.connection)[1] == "other_browser"  # that it was wanted is no proof
    phone.force_login(anna)
    assert phone.press(page, answer="mine").status_code == 303
    assert state_of(session.connection) == ("active", "", "Herbstbank")
    assert "Your bank is connected" in phone.see(page)
    assert heard == [
        "connect_session_started",
        "connect_session_finished",
        "connection_held",
        "connection_activated",
    ]


def test_signed_in_as_somebody_else_proves_nothing(bank: Bank, anna: User, mallory: User) -> None:
    victim = Browser(anna)
    session = fixation(bank, mallory, victim)
    assert victim.offers(session.get_absolute_url()) == {"not_mine"}
    token = victim.cookies["csrftoken"].value
    answer = victim.post(
        f"{session.get_absolute_url()}answer/", {"answer": "mine", "csrfmiddlewaretoken": token}
    )
    assert answer.status_code in {302, 303}
    assert state_of(session.connection)[1] == "other_browser"


def test_who_finished_and_did_not_begin_says_so(bank: Bank, mallory: User) -> None:
    victim = Browser()
    session = fixation(bank, mallory, victim)
    assert victim.press(session.get_absolute_url(), answer="not_mine").status_code == 303
    assert state_of(session.connection) == ("pending", "", "")
    assert "Nothing was connected" in victim.see(session.get_absolute_url())
    assert list(Removal.objects.values_list("upstream_id", flat=True)) == ["7"]
    bank.says_yes(session, "8", "winter_de", "Winterbank")  # at the widget once more, with the same address
    assert state_of(session.connection) == ("pending", "", "")
    assert set(Removal.objects.values_list("upstream_id", flat=True)) == {"7", "8"}
    bank.upstream.deletes("7")
    bank.upstream.deletes("8", body={"removed": True, "id": "8"})
    reconcile()
    assert not Removal.objects.unsettled().exists()


def test_it_is_said_before_the_bank_says_yes(bank: Bank, mallory: User) -> None:
    session = Browser(mallory).starts()
    victim = Browser()
    victim.get(bank.return_to(session))
    victim.press(session.get_absolute_url(), answer="not_mine")
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("pending", "")
    assert list(Removal.objects.values_list("upstream_id", flat=True)) == ["7"]


@pytest.mark.parametrize("answer", ["mine", "not_mine"])
def test_only_the_browser_that_came_with_the_key_may_answer(
    bank: Bank, anna: User, mallory: User, answer: str
) -> None:
    session = fixation(bank, mallory, Browser())
    for browser in (Browser(mallory), Browser(), Browser(anna)):
        assert browser.offers(session.get_absolute_url()).isdisjoint({"mine", "not_mine"})
        browser.cookies["csrftoken"] = "a" * 32
        data = {"answer": answer, "csrfmiddlewaretoken": "a" * 32}
        assert browser.post(f"{session.get_absolute_url()}answer/", data).status_code == 403
    assert state_of(session.connection)[1] == "other_browser"


def test_an_answer_from_another_site_is_refused(bank: Bank, mallory: User) -> None:
    victim = Browser()
    session = fixation(bank, mallory, victim)
    assert victim.post(f"{session.get_absolute_url()}answer/", {"answer": "not_mine"}).status_code == 403
    assert state_of(session.connection)[1] == "other_browser"


def test_who_began_may_discard_it_but_not_accept_it(bank: Bank, mallory: User) -> None:
    session = fixation(bank, mallory, Browser())
    browser, page = Browser(mallory), session.connection.get_absolute_url()
    assert browser.offers(page) == {"refuse"}
    api = f"/banking/api/connections/{session.connection.reference}/answer/"
    token = browser.cookies["csrftoken"].value
    headers = {"X-CSRFToken": token}
    refused = browser.post(api, {"answer": "accept"}, content_type="application/json", headers=headers)
    assert (refused.status_code, refused.json()["error"]["class"]) == (403, "NotYoursToAccept")
    assert state_of(session.connection)[1] == "other_browser"
    bank.upstream.deletes("7")
    browser.press(page, answer="refuse")
    assert state_of(session.connection)[:2] == ("pending", "")
    assert len(bank.upstream.calls("DELETE")) == 1


def test_two_browsers_one_proof_lifts_one_doubt(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    one, other = Browser(), Browser()
    for browser in (one, other):
        browser.get(bank.return_to(session))
        browser.get(bank.return_to(session))  # a reload doubts nothing anew
    bank.says_yes(session, "7")
    one.force_login(anna)
    one.press(session.get_absolute_url(), answer="mine")
    assert state_of(session.connection)[1] == "other_browser"
    other.force_login(anna)
    other.press(session.get_absolute_url(), answer="mine")
    assert state_of(session.connection)[:2] == ("active", "")
    assert session.connection.events.filter(kind="returned").count() == 2


def test_who_cancels_to_be_proven_and_hands_the_address_on_gets_nothing(bank: Bank, mallory: User) -> None:
    """The attacker's own browser has been at the bank, and proves itself; the victim's comes after."""
    browser = Browser(mallory)
    session = browser.starts()
    browser.get(bank.return_to(session) + "?error_class=ProviderAccessNotGranted")
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("pending", "other_browser")


def test_the_doubt_comes_second(bank: Bank, mallory: User, heard: list[str]) -> None:
    session = Browser(mallory).starts()
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    assert state_of(session.connection) == ("active", "", "Herbstbank")
    Browser().get(bank.return_to(session))
    assert state_of(session.connection) == ("pending", "other_browser", "")
    assert heard[-2:] == ["connection_activated", "connection_held"]
    call_command("banking_rebuild", "--check", verbosity=0)


def test_colleagues_of_a_tenant_finish_for_each_other(bank: Bank, anna: User, mallory: User) -> None:
    setting = {**SETTING, "ADAPTER": "tests.held.adapters.Tenant"}
    with override_settings(BUSINESS_OS_BANKING=setting):
        session = fixation(bank, anna, Browser(mallory))
        assert state_of(session.connection)[:2] == ("active", "")


def test_staff_who_open_an_address_that_was_pasted_are_no_doubt(bank: Bank, anna: User) -> None:
    operator = User.objects.create_user("operator", is_staff=True)
    operator.user_permissions.add(Permission.objects.get(codename="view_bankingconnection"))
    session = Browser(anna).starts()
    Browser(operator).get(bank.return_to(session))
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_a_guessed_key_and_the_plain_address_prove_and_doubt_nothing(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    for browser in (Browser(), Browser(anna)):
        for path in (session.get_absolute_url(), f"{session.get_absolute_url()}AAAAAAAAAAAAAAAAAAAAAA/"):
            assert browser.get(path).status_code in {200, 303}
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_nobody_returns_and_it_counts(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_a_head_request_and_a_scanner_without_cookies(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    assert Browser().head(bank.return_to(session)).status_code == 303
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_doubts_are_bounded(bank: Bank, mallory: User) -> None:
    session = Browser(mallory).starts()
    for _ in range(15):
        Browser().get(bank.return_to(session))
    assert session.connection.events.filter(kind="returned").count() <= 11


def test_nobody_answers_for_a_week(bank: Bank, mallory: User, heard: list[str]) -> None:
    session = fixation(bank, mallory, Browser())
    connection = session.connection
    for days in (1, 4, 6):
        reconcile(timezone.now() + timedelta(days=days))
        assert state_of(connection)[1] == "other_browser"
    assert heard.count("connection_held") == 2  # and one reminder
    bank.upstream.deletes("7")
    reconcile(timezone.now() + timedelta(days=7, minutes=1))
    assert state_of(connection)[:2] == ("pending", "")
    assert len(bank.upstream.calls("DELETE")) == 1
    call_command("banking_rebuild", "--check", verbosity=0)


# --- Apps --------------------------------------------------------------------------------------------------


def by_api(user: User) -> tuple[Browser, ConnectSession]:
    app = Browser(user)
    app.handler.enforce_csrf_checks = False
    assert app.post("/banking/api/connections/", {}, content_type="application/json").status_code == 201
    return app, ConnectSession.objects.select_related("connection").latest("pk")


def test_what_an_app_begins_is_finished_in_a_browser_that_knows_nobody(bank: Bank, anna: User) -> None:
    _app, session = by_api(anna)
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("active", "")


def test_what_an_app_begins_and_somebody_else_finishes(bank: Bank, anna: User, mallory: User) -> None:
    _app, session = by_api(mallory)
    Browser(anna).get(bank.return_to(session))
    bank.says_yes(session, "7")
    assert state_of(session.connection)[:2] == ("pending", "other_browser")


def test_where_proof_is_required_an_app_finishes_with_the_key(bank: Bank, anna: User, mallory: User) -> None:
    with override_settings(BUSINESS_OS_BANKING={**SETTING, "RETURN_PROOF": "required"}):
        app, session = by_api(anna)
        bank.says_yes(session, "7")
        assert state_of(session.connection)[:2] == ("pending", "other_browser")
        url = f"/banking/api/sessions/{session.reference}/finish/"
        key = bank.return_to(session).strip("/").rpartition("/")[2]
        as_json: Any = {"content_type": "application/json"}
        assert app.post(url, {"key": "wrong"}, **as_json).status_code == 400
        assert app.post(url, {}, **as_json).status_code == 400
        stranger, _ = by_api(mallory)
        assert stranger.post(url, {"key": key}, **as_json).status_code == 404
        assert state_of(session.connection)[1] == "other_browser"
        answer = app.post(url, {"key": key}, **as_json)
        assert (answer.status_code, answer.json()["connection_status"]) == (200, "active")


# --- The setting -------------------------------------------------------------------------------------------


def test_required_holds_what_nobody_returned_for(bank: Bank, anna: User) -> None:
    with override_settings(BUSINESS_OS_BANKING={**SETTING, "RETURN_PROOF": "required"}):
        browser = Browser(anna)
        session = browser.starts()
        bank.says_yes(session, "7")
        assert state_of(session.connection)[:2] == ("pending", "other_browser")
        browser.get(bank.return_to(session))
        assert state_of(session.connection)[:2] == ("active", "")
    # What was begun under another setting is not asked for what nobody can give any more.
    call_command("banking_rebuild", "--check", verbosity=0)


def test_off_holds_nothing(bank: Bank, mallory: User) -> None:
    with override_settings(BUSINESS_OS_BANKING={**SETTING, "RETURN_PROOF": "off"}):
        session = fixation(bank, mallory, Browser())
        assert state_of(session.connection)[:2] == ("active", "")


def test_a_site_whose_cookies_do_not_reach_where_people_come_back(bank: Bank, anna: User) -> None:
    """There nobody is believed for it: one signs in once, where one comes back. A check warns of it."""
    with override_settings(BUSINESS_OS_BANKING={**SETTING, "SITE_URL": "https://www.shop.example"}):
        browser = Browser(anna)
        session = browser.starts()
        back = Browser()  # at the other host, without the cookies of this one
        back.get(bank.return_to(session))
        bank.says_yes(session, "7")
        assert state_of(session.connection)[:2] == ("pending", "other_browser")
        back.force_login(anna)
        back.press(session.get_absolute_url(), answer="mine")
        assert state_of(session.connection)[:2] == ("active", "")


def test_a_renewal_that_is_held_leaves_the_old_link_alone(bank: Bank, mallory: User) -> None:
    browser = Browser(mallory)
    first = browser.starts()
    bank.says_yes(first, "7", "herbst_de", "Herbstbank")
    connection = BankingConnection.objects.get()
    second = browser.starts(f"{connection.get_absolute_url()}renew/")
    Browser().get(bank.return_to(second))
    with override_settings(BUSINESS_OS_BANKING={**SETTING, "DISCONNECT_SUPERSEDED": True}):
        bank.says_yes(second, "8", "herbst_de", "Herbstbank")
        assert state_of(connection) == ("active", "other_browser", "Herbstbank")
        assert (connection.upstream_id, connection.held_session_id) == ("7", second.pk)
        reconcile(timezone.now() + timedelta(days=2))
    assert not Removal.objects.exists()
    call_command("banking_rebuild", "--check", verbosity=0)
