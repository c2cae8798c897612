"""Every page opens, for those who may see it, and finds what it should."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.auth.models import User
from django.core import checks
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from business_os_banking.models import AccountState, BankingConnection, ConnectSession, choices
from tests.admin.conftest import (
    MODELS,
    list_url,
    make_connection,
    make_event,
    make_session,
    page_url,
    staff,
)


def listed(client: Client, model: str, query: str = "") -> int:
    response = client.get(list_url(model) + query)
    assert response.status_code == 200, query
    return len(BeautifulSoup(response.content, "html.parser").select("#result_list tbody tr"))


def text_of(response: Any, selector: str) -> str:
    found = BeautifulSoup(response.content, "html.parser").select_one(selector)
    assert found is not None, selector
    return " ".join(found.get_text(" ").split())


def test_nothing_to_complain_about() -> None:
    assert checks.run_checks(tags=[checks.Tags.admin]) == []


@pytest.mark.parametrize("model", MODELS)
def test_empty_lists_open(operator: Client, model: str) -> None:
    assert listed(operator, model) == 0


@pytest.mark.parametrize("model", MODELS)
def test_lists_open(operator: Client, rows: Any, model: str) -> None:
    assert listed(operator, model) == 1


@pytest.mark.parametrize("page", ["change", "history"])
def test_pages_open(operator: Client, rows: Any, page: str) -> None:
    for row in rows:
        assert operator.get(page_url(row, page)).status_code == 200


@pytest.mark.parametrize("status", [value for value, _ in choices.CONNECTION_STATUSES])
@pytest.mark.parametrize("reason", ["", *(value for value, _ in choices.STATUS_REASONS)])
def test_a_connection_opens_in_every_state(operator: Client, status: str, reason: str) -> None:
    connection = make_connection(None, status, status_reason=reason)
    response = operator.get(page_url(connection))
    assert str(dict(choices.CONNECTION_STATUSES)[status]) in text_of(response, ".field-status_word")
    assert len(text_of(response, ".field-customer_text .readonly")) > 10
    assert listed(operator, "bankingconnection", f"?status__exact={status}") == 1


def test_words_that_this_version_does_not_know_can_be_looked_at(operator: Client) -> None:
    connection = make_connection(None, "inactive", status_reason="from_the_future")
    session = make_session(connection, "tired")
    event = make_event(connection, session, outcome="odd", kind="odd", source="odd")
    for row in (connection, session, event):
        assert operator.get(page_url(row)).status_code == 200
        assert operator.get(list_url(str(row._meta.model_name))).status_code == 200


@pytest.mark.parametrize(
    ("model", "query", "found"),
    [
        ("bankingconnection", "status__exact=active", 1),
        ("bankingconnection", "status__exact=pending", 0),
        ("bankingconnection", "status_reason__exact=consent_expired", 0),
        ("bankingconnection", "account=default", 1),
        ("bankingconnection", "account=other", 0),
        ("bankingconnection", "country_code=DE", 1),
        ("bankingconnection", "country_code=XX", 0),
        ("connectsession", "status__exact=succeeded", 1),
        ("connectsession", "error_group__exact=setup", 0),
        ("connectsession", "api__exact=partner", 1),
        ("connectionevent", "source__exact=webhook", 1),
        ("connectionevent", "kind__exact=failed", 0),
        ("connectionevent", "outcome__exact=applied", 1),
        ("connectionevent", "account=default", 1),
    ],
)
def test_filters(operator: Client, rows: Any, model: str, query: str, found: int) -> None:
    assert listed(operator, model, f"?{query}") == found


def test_the_filters_offer_accounts_and_countries(operator: Client, rows: Any) -> None:
    filters = text_of(operator.get(list_url("bankingconnection")), "#changelist-filter")
    assert "default" in filters
    assert "DE" in filters


def test_a_connection_is_found_by_each_of_its_names(operator: Client, rows: Any) -> None:
    connection, session, _ = rows
    make_connection(None)
    for term in (connection.reference, session.reference, connection.upstream_id, "ingrid", " ingrid "):
        assert listed(operator, "bankingconnection", f"?q={term}") == 1, term


def test_sessions_and_events_are_found_by_reference_and_upstream_id(operator: Client, rows: Any) -> None:
    connection, session, _ = rows
    other = make_connection(None)
    make_event(other, make_session(other))
    for term in (connection.reference, session.reference, connection.upstream_id):
        assert listed(operator, "connectsession", f"?q={term}") == 1, term
        assert listed(operator, "connectionevent", f"?q={term}") == 1, term


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("term", ["ingri", "Sparkasse", "nobody", "'", '"', "\\", "%", "x" * 500])
def test_search_finds_whole_terms_only(operator: Client, rows: Any, model: str, term: str) -> None:
    assert listed(operator, model, f"?q={term}") == 0


def test_the_links_of_a_connection_lead_to_its_rows(operator: Client, rows: Any) -> None:
    connection, session, _ = rows
    other = make_connection(None)
    make_event(other, make_session(other))
    links = []
    for row in (connection, session):
        page = BeautifulSoup(operator.get(page_url(row)).content, "html.parser")
        links += [str(link["href"]) for link in page.select(".field-more a")]
    assert len(links) == 3
    for link in links:
        rows_there = BeautifulSoup(operator.get(link).content, "html.parser").select("#result_list tbody tr")
        assert len(rows_there) == 1


def timeline_of(page: BeautifulSoup) -> list[str]:
    return [str(link["href"]) for link in page.select(".banking-timeline a")]


def test_a_connection_shows_its_latest_sessions_and_events_latest_first(operator: Client) -> None:
    connection = make_connection(None)
    sessions = [make_session(connection) for _ in range(12)]
    events = [make_event(connection) for _ in range(23)]
    page = BeautifulSoup(operator.get(page_url(connection)).content, "html.parser")
    links = [str(link["href"]) for link in page.select(".field-session_link a")]
    assert links == [page_url(row) for row in sessions[:-11:-1]]
    assert timeline_of(page) == [page_url(row) for row in events[::-1]]


def test_times_are_those_of_the_active_time_zone(operator: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    at = datetime(2030, 1, 31, 20, 30, tzinfo=UTC)
    connection = make_connection(None, last_success_at=at)
    assert "02/01/2030 5:30 a.m." in text_of(operator.get(list_url("bankingconnection")), "#result_list")
    assert "Feb. 1, 2030, 5:30 a.m." in text_of(operator.get(page_url(connection)), ".field-last_success_at")


def test_nobody_is_led_from_here_to_the_pages_of_the_owner(operator: Client, rows: Any) -> None:
    """Opening a session's page on the site is recorded as a return of the browser."""
    for row in rows:
        content = operator.get(page_url(row)).content.decode()
        assert "View on site" not in content
        assert "/admin/r/" not in content


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_permission_see_nothing(rows: Any, model: str) -> None:
    client = staff()
    row = next(row for row in rows if row._meta.model_name == model)
    assert client.get(list_url(model)).status_code == 403
    assert client.get(page_url(row)).status_code == 403
    assert client.get(page_url(row, "history")).status_code == 403


def test_strangers_are_sent_to_the_login(rows: Any) -> None:
    assert Client().get(list_url("bankingconnection")).status_code == 302


def test_who_may_see_connections_only_sees_no_sessions_or_events_there(rows: Any) -> None:
    connection = rows[0]
    content = staff("view_bankingconnection").get(page_url(connection)).content.decode()
    assert "sessions-group" not in content
    assert "events-group" not in content
    more = staff("view_bankingconnection", "view_connectsession").get(page_url(connection)).content.decode()
    assert "sessions-group" in more
    assert "events-group" not in more


def test_sites_can_subclass(operator: Client, rows: Any) -> None:
    from business_os_banking.admin import BankingConnectionAdmin

    class Ours(BankingConnectionAdmin):
        list_display = (*BankingConnectionAdmin.list_display, "reference")
        list_filter = (
            *BankingConnectionAdmin.list_filter,
            "provider_code",
            ("user__is_active", admin.BooleanFieldListFilter),
        )
        fieldsets = (*BankingConnectionAdmin.fieldsets, ("More", {"fields": ("tenant_length",)}))

        def tenant_length(self, connection: BankingConnection) -> int:
            return len(connection.tenant)

    connection = rows[0]
    ours = Ours(BankingConnection, admin.site)
    assert ours.check() == []
    request = operator.get(page_url(connection)).wsgi_request
    assert "tenant_length" in ours.get_readonly_fields(request, connection)
    assert ours.lookup_allowed("provider_code", "x", request)
    assert ours.lookup_allowed("user__is_active__exact", "1", request)
    assert not ours.lookup_allowed("state__contains", "1", request)


def test_unknown_rows_lead_back(operator: Client, db: None) -> None:
    for model in MODELS:
        url = reverse(f"admin:business_os_banking_{model}_change", args=[987654])
        assert operator.get(url).status_code == 302
    gone = reverse("admin:business_os_banking_bankingconnection_disconnect", args=[987654])
    assert operator.get(gone).status_code == 404


def test_an_owner_is_named_and_linked(operator: Client, owner: User) -> None:
    connection = make_connection(owner, tenant="Muster GmbH")
    row = text_of(operator.get(list_url("bankingconnection")), "#result_list .field-owner")
    assert row == "ingrid Muster GmbH"
    page = BeautifulSoup(operator.get(page_url(connection)).content, "html.parser")
    links = [link["href"] for link in page.select(".field-owner_link a")]
    assert links == [reverse("admin:auth_user_change", args=[owner.pk])]


def test_a_session_says_whether_there_is_an_address_and_where(operator: Client) -> None:
    connection = make_connection(None)
    session = make_session(connection, connect_url="https://www.saltedge.com/connect?token=abc")
    assert "Yes, at www.saltedge.com" in text_of(operator.get(page_url(session)), ".field-widget")
    ConnectSession.objects.update(connect_url="")
    assert "No" in text_of(operator.get(page_url(session)), ".field-widget")
    ConnectSession.objects.update(connect_url="http://[", pending_token=uuid.uuid4())
    assert "Yes, at ?" in text_of(operator.get(page_url(session)), ".field-widget")


@pytest.mark.parametrize("model", [*MODELS, "accountstate"])
def test_a_silence_is_told_on_every_list(operator: Client, model: str) -> None:
    assert "no webhook arrives" not in operator.get(list_url(model)).content.decode()
    AccountState.objects.create(alias="berlin", silence="no_webhooks", silent_since=timezone.now())
    page = " ".join(operator.get(list_url(model)).content.decode().split())
    assert "Account berlin: People come back, but no webhook arrives, since " in page
    AccountState.objects.update(silence="")
    assert "no webhook arrives" not in operator.get(list_url(model)).content.decode()


def test_the_accounts_tell_of_credits_and_the_last_reconcile(operator: Client) -> None:
    state = AccountState.objects.create(alias="berlin", credits="12.50", reconciled_at=timezone.now())
    assert operator.get("/admin/business_os_banking/accountstate/?q=berlin").status_code == 200
    page = operator.get("/admin/business_os_banking/accountstate/")
    assert "12.50" in page.content.decode()
    page = operator.get(f"/admin/business_os_banking/accountstate/{state.pk}/change/")
    assert (page.status_code, b"berlin" in page.content, b'name="_save"' in page.content) == (
        200,
        True,
        False,
    )
