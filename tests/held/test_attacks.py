"""Attacks on held successes, and honest people whom they might hurt: as somebody with fresh eyes tried them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import django
import pytest
from bs4 import BeautifulSoup
from django.conf import settings as site
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError
from django.test import override_settings
from django.utils import timezone
from django.utils.log import AdminEmailHandler

from business_os_banking.facts.encoding import from_json
from business_os_banking.facts.record import record
from business_os_banking.facts.report import missed
from business_os_banking.flows import answer as answers
from business_os_banking.flows import open_questions as oq
from business_os_banking.flows.export import export
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import BankingConnection, ConnectSession, batches
from business_os_banking.web import finishing
from tests.held.conftest import Bank, Browser, state_of
from tests.held.test_other_bank import NEW, OLD, connected, renew, setting
from tests.held.test_other_browser import by_api
from tests.held.test_withdrawn_link import begun

pytestmark = pytest.mark.django_db(transaction=True)


def stage(bank: Bank, session: ConnectSession, link: str, code: str) -> None:
    """Have the bank tell of an earlier stage, with its name."""
    bank.clock += timedelta(minutes=1)
    session.refresh_from_db()
    named = {"pending_token": str(session.pending_token)}
    data = {"connection_id": link, "stage": "connect", "provider_code": code, "custom_fields": named}
    bank.post({"data": data, "meta": {"version": "6", "time": f"{bank.clock:%Y-%m-%dT%H:%M:%S}Z"}})


def deleted(bank: Bank) -> list[str]:
    return sorted(str(call.url).rpartition("/")[2] for call in bank.upstream.calls("DELETE"))


def test_ten_doubts_of_the_attacker_drown_the_victims(bank: Bank, mallory: User) -> None:
    session = Browser(mallory).starts()
    key = bank.return_to(session)  # learnt by cancelling at the bank once
    mine = [Browser() for _ in range(10)]
    for b in mine:
        b.get(key + "?error_class=ProviderAccessNotGranted")
    victim = Browser()
    victim.see(key)
    bank.says_yes(session, "7", "winter_de", "Winterbank")
    offered = victim.offers(session.get_absolute_url())
    for b in mine:
        b.force_login(mallory)
        b.press(session.get_absolute_url(), answer="mine")
    st = state_of(session.connection)
    assert (st, offered) == (("pending", "other_browser", ""), {"not_mine"})


def test_proofs_unbounded(bank: Bank, anna: User) -> None:
    b = Browser(anna)
    session = b.starts()
    for _ in range(60):
        b.get(bank.return_to(session))
    c = session.connection
    c.refresh_from_db()
    n = len(from_json(c.state).attempts[str(session.reference)].proofs)
    assert (n, c.events.count()) < (5, 10), (n, c.events.count())


def test_ended_by_provider_then_renewed_in_another_browser(bank: Bank, anna: User, mallory: User) -> None:
    browser = connected(bank, anna)
    c = BankingConnection.objects.get()
    bank.clock += timedelta(minutes=1)
    record(missed(c, timezone.now()))
    assert state_of(c)[0] == "disconnected"
    bank.clock = timezone.now() + timedelta(seconds=1) - timedelta(minutes=1)
    second = renew(browser)
    other = Browser()
    other.get(bank.return_to(second))
    bank.says_yes(second, "9", "herbst_de", "Herbstbank")
    offers = other.offers(second.get_absolute_url())
    assert offers == {"mine", "not_mine"}, (offers, state_of(c), other.see(second.get_absolute_url()))


def test_operator_accepts_one_link_the_sweep_refuses_another_and_kills_both(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    c = session.connection
    c.refresh_from_db()
    answers.accept(c, by="operator", why="told")
    assert state_of(c)[:2] == ("active", "")
    bank.says_yes(session, "8", "herbst_de", "Herbstbank")
    assert state_of(c)[:2] == ("active", "other_browser")
    bank.upstream.deletes("7")
    bank.upstream.deletes("8")
    reconcile(timezone.now() + timedelta(days=8))
    gone = deleted(bank)
    assert (state_of(c)[0], gone) == ("active", ["8"])


def test_owner_discards_second_link_and_loses_the_accepted_one(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    c = session.connection
    c.refresh_from_db()
    answers.accept(c, by="operator", why="told")
    bank.says_yes(session, "8", "winter_de", "Winterbank")
    bank.upstream.deletes("7")
    bank.upstream.deletes("8")
    owner = Browser(anna)
    owner.press(c.get_absolute_url(), answer="refuse")
    gone = deleted(bank)
    assert (state_of(c)[0], gone) == ("active", ["8"])


def test_double_click_on_finish(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    other = Browser()
    other.get(bank.return_to(session))
    bank.says_yes(session, "7")
    other.force_login(anna)
    url = session.get_absolute_url()
    html: Any = BeautifulSoup(other.get(url).content, "html.parser")
    token = html.find("input", {"name": "csrfmiddlewaretoken"})["value"]
    data = {"csrfmiddlewaretoken": token, "answer": "mine"}
    assert other.post(url + "answer/", data).status_code == 303
    assert other.post(url + "answer/", data).status_code == 303


def test_same_banks_added_later_answer_the_question(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    bank.says_yes(renew(browser), *NEW)
    c = BankingConnection.objects.get()
    with setting(SAME_BANKS=[("herbst_de", "winter_de")]):
        page = browser.get(c.get_absolute_url())
        token = str(page.context["csrf_token"])
        reconcile()
        assert state_of(c) == ("active", "", "Winterbank")
        url = f"{c.get_absolute_url()}answer/"
        assert browser.post(url, {"answer": "accept", "csrfmiddlewaretoken": token}).status_code == 303
        assert state_of(c) == ("active", "", "Winterbank")


@pytest.mark.parametrize("what", ["accept", "refuse"])
def test_same_banks_added_while_somebody_answers(bank: Bank, anna: User, what: str) -> None:
    browser = connected(bank, anna)
    bank.says_yes(renew(browser), *NEW)
    c = BankingConnection.objects.get()
    with setting(SAME_BANKS=[("herbst_de", "winter_de")]):
        browser.press(c.get_absolute_url(), answer=what)
        assert state_of(c) == ("active", "", "Winterbank")


def test_bank_of_a_moot_held_success_left_in_columns(bank: Bank, mallory: User) -> None:
    browser = Browser(mallory)
    first = browser.starts()
    bank.says_yes(first, "7", "victim_de", "Victimbank")
    c = first.connection
    second = renew(browser)
    bank.says_yes(second, "8")
    Browser().get(bank.return_to(first))  # the doubt comes late
    st = state_of(c)
    call_command("banking_rebuild", "--check", verbosity=0)
    assert st[2] == "", st


def test_same_facts_other_order(bank: Bank, mallory: User) -> None:
    browser = Browser(mallory)
    first = browser.starts()
    Browser().get(bank.return_to(first))
    bank.says_yes(first, "7", "victim_de", "Victimbank")
    c = first.connection
    second = renew(browser)
    bank.says_yes(second, "8")
    assert state_of(c)[2] == ""


def test_bank_shown_before_the_success_though_doubted_and_disowned(bank: Bank, mallory: User) -> None:
    b = Browser(mallory)
    session = b.starts()
    victim = Browser()
    victim.get(bank.return_to(session))
    victim.press(session.get_absolute_url(), answer="not_mine")
    stage(bank, session, "7", "victim_de")
    assert "victim_de" not in str(state_of(session.connection)) + b.see("/banking/") + b.see(
        session.connection.get_absolute_url()
    )


def test_export_names_the_victims_bank(bank: Bank, mallory: User) -> None:
    session = Browser(mallory).starts()
    Browser().get(bank.return_to(session))
    bank.says_yes(session, "7", "victim_de", "Victimbank")
    text = str(export(mallory))
    assert not any(word in text for word in ("Victimbank", "victim_de", "return_key"))


def test_refuse_offers_to_connect_that_bank_as_its_own(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    second = renew(browser)
    browser.get(bank.return_to(second))
    bank.says_yes(second, *NEW)
    c = BankingConnection.objects.get()
    r = browser.press(c.get_absolute_url(), answer="refuse")
    html = browser.get(r["Location"]).content.decode()
    page2 = browser.get(second.get_absolute_url()).content.decode()
    assert "/banking/connect/" in html or "/banking/connect/" in page2


def test_answer_is_for_what_was_shown(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    c = BankingConnection.objects.get()
    (second,) = [renew(browser)]
    browser.get(bank.return_to(second))
    bank.says_yes(second, *NEW)
    html: Any = BeautifulSoup(browser.get(c.get_absolute_url()).content, "html.parser")
    form = html.find("button", {"value": "accept"}).find_parent("form")
    data = {i["name"]: i["value"] for i in form.find_all("input")}
    data["answer"] = "accept"
    third = renew(browser)
    bank.says_yes(third, "10", "fremd_de", "Fremdbank")  # somebody else's renewal meanwhile
    browser.post(form["action"], data)
    assert state_of(c)[2] != "Fremdbank", state_of(c)


def test_second_other_bank_in_one_session_is_asked_anew(bank: Bank, anna: User, heard: list[str]) -> None:
    browser = connected(bank, anna)
    second = renew(browser)
    bank.says_yes(second, *NEW)
    n = heard.count("connection_held")
    c = BankingConnection.objects.get()
    at = c.held_at
    bank.says_yes(second, "10", "fremd_de", "Fremdbank")
    c.refresh_from_db()
    assert (c.held_bank, heard.count("connection_held"), c.held_at != at) == ("Fremdbank", n + 1, True)


def test_moot_other_browser_is_never_refused(bank: Bank, mallory: User) -> None:
    b = Browser(mallory)
    first = b.starts()
    Browser().get(bank.return_to(first))
    bank.says_yes(first, "7", "victim_de", "Victimbank")
    second = renew(b)
    bank.says_yes(second, "8", "herbst_de", "Herbstbank")
    bank.upstream.deletes("7")
    reconcile(timezone.now() + timedelta(days=9))
    gone = deleted(bank)
    assert gone == ["7"], (gone, b.see(first.get_absolute_url())[:200])


def test_link_reopened_before_the_webhook(bank: Bank, anna: User) -> None:
    bank.says_yes(Browser(anna).starts(), "7", "herbst_de", "Herbstbank")
    c = BankingConnection.objects.get()
    _f, link, session = begun(c)
    other = Browser()
    other.get(bank.return_to(session))
    assert "Open the link once more" in other.see(session.get_absolute_url())
    html = other.get(link).content.decode()
    assert session.get_absolute_url() in html


def test_site_url_other_host_evades(bank: Bank, mallory: User) -> None:
    with setting(SITE_URL="https://app.example.com"), override_settings(ALLOWED_HOSTS=["*"]):
        b = Browser(mallory)
        b.defaults["HTTP_HOST"] = "www.example.com"
        html: Any = BeautifulSoup(b.get("/banking/connect/").content, "html.parser")
        token = html.find("input", {"name": "csrfmiddlewaretoken"})["value"]
        r = b.post("/banking/connect/", {"csrfmiddlewaretoken": token})
        assert r.status_code == 303
        session = ConnectSession.objects.select_related("connection").latest("pk")
        v = Browser()
        v.defaults["HTTP_HOST"] = "app.example.com"
        v.get(bank.return_to(session))
        bank.says_yes(session, "7", "victim_de", "Victimbank")
        assert state_of(session.connection)[:2] == ("pending", "other_browser"), state_of(session.connection)


def test_refused_extra_bank_says_nothing_was_connected(bank: Bank, anna: User) -> None:
    browser = connected(bank, anna)
    second = renew(browser)
    browser.get(bank.return_to(second))
    bank.says_yes(second, "9", "herbst_de", "Herbstbank")
    bank.says_yes(second, *NEW)
    c = BankingConnection.objects.get()
    assert state_of(c)[:2] == ("active", "other_bank")
    browser.press(c.get_absolute_url(), answer="refuse")
    c.refresh_from_db()
    assert c.upstream_id == "9"
    assert "Nothing was connected" not in browser.see(second.get_absolute_url())


def test_required_then_off(bank: Bank, anna: User) -> None:
    with setting(RETURN_PROOF="required"):
        b = Browser(anna)
        session = b.starts()
    with setting(RETURN_PROOF="off"):
        b.get(bank.return_to(session))
        bank.says_yes(session, "7")
        assert state_of(session.connection)[:2] == ("active", "")


def test_error_page_and_mail_show_no_key(
    bank: Bank, anna: User, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = Browser(anna)
    session = b.starts()
    key = bank.return_to(session).rstrip("/").rpartition("/")[2]

    def boom(_r: Any) -> None:
        raise DatabaseError("down")

    monkeypatch.setattr(finishing, "_session", boom)
    c = Browser()
    c.raise_request_exception = False
    admins: list[Any] = [("a", "a@x.example")] if django.VERSION < (6, 0) else ["a@x.example"]
    with override_settings(ADMINS=admins, DEBUG=False, LOGGING_CONFIG=None):
        h = AdminEmailHandler(include_html=True)
        lg = logging.getLogger("django.request")
        lg.addHandler(h)
        r = c.get(bank.return_to(session))
        lg.removeHandler(h)
    assert r.status_code == 500
    assert key not in caplog.text
    assert mail.outbox
    assert not any(key in str(message.message()) for message in mail.outbox)


def test_named_later_after_accept(bank: Bank, anna: User) -> None:
    session = Browser(anna).starts()
    Browser().get(bank.return_to(session))
    session.refresh_from_db()
    bank.clock += timedelta(minutes=1)
    t = bank.clock.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    bank.post(
        {
            "data": {"stage": "finish", "custom_fields": {"pending_token": str(session.pending_token)}},
            "meta": {"version": "6", "time": t},
        }
    )
    c = session.connection
    answers.accept(c, by="operator", why="told")
    assert state_of(c)[:2] == ("active", "")
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    assert state_of(c)[:2] == ("active", "")


def test_staleness_sweep_race(bank: Bank, anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner proves while the sweep has the row in its batch."""
    session = Browser(anna).starts()
    other = Browser()
    other.get(bank.return_to(session))
    bank.says_yes(session, "7", "herbst_de", "Herbstbank")
    c = session.connection
    real = batches.of_rows

    def of_rows(q: Any, *a: Any) -> Iterator[list[Any]]:
        for batch in real(q, *a):
            other.force_login(anna)
            other.press(session.get_absolute_url(), answer="mine")
            assert state_of(c)[:2] == ("active", "")
            yield batch

    monkeypatch.setattr(batches, "of_rows", of_rows)
    oq.settle_questions(timezone.now() + timedelta(days=8))
    assert state_of(c)[:2] == ("active", ""), state_of(c)


def test_superseded_then_late_doubt(bank: Bank, anna: User) -> None:
    """The old link is removed after a day; a doubt after that must not take the new one, too."""
    with setting(DISCONNECT_SUPERSEDED=True):
        browser = connected(bank, anna)
        second = renew(browser)
        browser.get(bank.return_to(second))
        bank.says_yes(second, "9", "herbst_de", "Herbstbank")
        bank.upstream.deletes("7")
        bank.upstream.deletes("9")
        reconcile(timezone.now() + timedelta(days=1, minutes=5))
        assert deleted(bank) == ["7"]
        Browser().get(bank.return_to(second))
        c = BankingConnection.objects.get()
        s1 = state_of(c)
        reconcile(timezone.now() + timedelta(days=9))
        gone = deleted(bank)
        assert (s1[0], state_of(c)[0], gone) == ("active", "active", ["7"])


def test_login_required_middleware(bank: Bank, mallory: User) -> None:
    mw = [*site.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=mw):
        session = Browser(mallory).starts()
        v = Browser()
        v.get(bank.return_to(session))
        bank.says_yes(session, "7")
        assert v.press(session.get_absolute_url(), answer="not_mine").status_code == 303
        assert state_of(session.connection)[:2] == ("pending", "")


def test_confirmed_removes_old_link_of_unknown_bank(bank: Bank, anna: User) -> None:
    with setting(DISCONNECT_SUPERSEDED=True):
        browser = Browser(anna)
        first = browser.starts()
        bank.says_yes(first, "6")  # bank unknown
        second = renew(browser)
        bank.says_yes(second, *OLD)
        third = renew(browser)
        bank.says_yes(third, *NEW)
        c = BankingConnection.objects.get()
        browser.press(c.get_absolute_url(), answer="accept")
        for link in "678":
            bank.upstream.deletes(link)
        reconcile(timezone.now() + timedelta(days=1, minutes=5))
        gone = deleted(bank)
        assert gone == ["7"], gone


def test_second_renewal_at_the_confirmed_bank_frees_first_old(bank: Bank, anna: User) -> None:
    """renewal at B confirmed, then another renewal at B (new link), nothing about A anymore."""
    with setting(DISCONNECT_SUPERSEDED=True):
        browser = connected(bank, anna)
        bank.says_yes(renew(browser), *NEW)
        c = BankingConnection.objects.get()
        browser.press(c.get_absolute_url(), answer="accept")
        bank.says_yes(renew(browser), "9", "winter_de", "Winterbank")
        assert state_of(c)[:2] == ("active", "")
        for link in "789":
            bank.upstream.deletes(link)
        reconcile(timezone.now() + timedelta(days=1, minutes=5))
        gone = deleted(bank)
        assert gone == ["7", "8"], gone


def test_status_json_of_doubted_has_no_bank_and_final(bank: Bank, mallory: User) -> None:
    b = Browser(mallory)
    session = b.starts()
    v = Browser()
    v.get(bank.return_to(session))
    bank.says_yes(session, "7", "victim_de", "Victimbank")
    j = b.get(f"/banking/sessions/{session.reference}/status/").json()
    a = b.get(f"/banking/api/connections/{session.connection.reference}/").content.decode()
    s = b.get(f"/banking/api/sessions/{session.reference}/").content.decode()
    assert not j["final"]
    assert "ictim" not in str(j) + a + s


def test_prove_as_other_post(bank: Bank, anna: User, mallory: User) -> None:
    session = Browser(mallory).starts()
    v = Browser(anna)
    v.get(bank.return_to(session))
    bank.says_yes(session, "7")
    html: Any = BeautifulSoup(v.get(session.get_absolute_url()).content, "html.parser")
    data = {
        "csrfmiddlewaretoken": html.find("input", {"name": "csrfmiddlewaretoken"})["value"],
        "answer": "mine",
    }
    v.post(session.get_absolute_url() + "answer/", data)
    assert state_of(session.connection)[1] == "other_browser"


def test_web_first_then_app_gets_the_same_session(bank: Bank, anna: User) -> None:
    """The web session is open, the same person's app asks, too, and the phone's browser is signed out."""
    b = Browser(anna)
    s1 = b.starts()
    _app, s2 = by_api(anna)
    phone = Browser()
    phone.get(bank.return_to(s2))
    bank.says_yes(s2, "7")
    assert state_of(s2.connection)[:2] == ("active", ""), s1.pk == s2.pk


def test_api_first_then_web_in_the_browser(bank: Bank, anna: User) -> None:
    _app, s = by_api(anna)
    b = Browser(anna)
    s2 = b.starts()
    v = Browser()
    v.get(bank.return_to(s2))
    bank.says_yes(s2, "7")
    assert state_of(s2.connection)[:2] == ("pending", "other_browser"), s.pk == s2.pk


def test_visitor_question_after_the_connection_is_active_again(bank: Bank, mallory: User) -> None:
    """V answered nothing; mallory makes it moot by a renewal; V must still be able to say no and have it removed."""
    b = Browser(mallory)
    s = b.starts()
    v = Browser()
    v.get(bank.return_to(s))
    bank.says_yes(s, "7", "victim_de", "Victimbank")
    s2 = renew(b)
    bank.says_yes(s2, "8", "herbst_de", "H")
    v.press(s.get_absolute_url(), answer="not_mine")
    bank.upstream.deletes("7")
    reconcile()
    assert deleted(bank) == ["7"]
