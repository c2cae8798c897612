"""What an operator may do: write metadata, and disconnect. Nothing else, however the form is sent."""

from collections.abc import Iterator
from typing import Any

import pytest
import responses
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from tests.admin.conftest import MODELS, list_url, make_connection, make_event, make_session, page_url, staff

DELETE = "https://api.business-os.test/v2/banking/connections/"


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        yield wire


def chosen(*connections: BankingConnection, **values: Any) -> dict[str, Any]:
    return {
        "action": "disconnect_selected",
        "_selected_action": [connection.pk for connection in connections],
        **values,
    }


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_or_deleted(operator: Client, rows: Any, model: str) -> None:
    row = next(row for row in rows if row._meta.model_name == model)
    add = reverse(f"admin:business_os_banking_{model}_add")
    for url in (add, page_url(row, "delete")):
        assert operator.get(url).status_code == 403
        assert operator.post(url, {"post": "yes"}).status_code == 403
    operator.post(list_url(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert type(row).objects.filter(pk=row.pk).exists()
    assert add not in operator.get(list_url(model)).content.decode()


def test_only_metadata_is_written(operator: Client, rows: Any) -> None:
    connection = rows[0]
    before: dict[str, Any] = dict(BankingConnection.objects.filter(pk=connection.pk).values().get())
    posted = dict.fromkeys(before, "disconnected") | {"metadata": '{"customer": 4711}'}
    posted |= {"sessions-TOTAL_FORMS": "1", "sessions-INITIAL_FORMS": "0", "sessions-0-status": "failed"}
    assert operator.post(page_url(connection), posted).status_code == 302
    after: dict[str, Any] = dict(BankingConnection.objects.filter(pk=connection.pk).values().get())
    assert {name for name in before if before[name] != after[name]} == {"metadata", "updated_at"}
    assert after["metadata"] == {"customer": 4711}
    assert ConnectSession.objects.get().status == "succeeded"
    assert LogEntry.objects.get().get_change_message() == "Changed Metadata."


def test_a_webhook_between_opening_and_saving_is_not_undone(
    operator: Client, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from business_os_banking.admin.connections import MetadataForm

    connection = rows[0]

    def webhook_comes_first(form: Any) -> Any:
        BankingConnection.objects.filter(pk=connection.pk).update(status="inactive")
        return form.cleaned_data["metadata"]

    monkeypatch.setattr(MetadataForm, "clean_metadata", webhook_comes_first)
    operator.post(page_url(connection), {"metadata": "{}"})
    connection.refresh_from_db()
    assert connection.status == "inactive"


@pytest.mark.parametrize("metadata", ["no json", "[]", "1", '"text"'])
def test_metadata_is_an_object(operator: Client, rows: Any, metadata: str) -> None:
    response = operator.post(page_url(rows[0]), {"metadata": metadata})
    assert response.status_code == 200
    assert b"errornote" in response.content


@pytest.mark.parametrize("metadata", ["", "null", "{}"])
def test_no_metadata_is_an_empty_object(operator: Client, rows: Any, metadata: str) -> None:
    assert operator.post(page_url(rows[0]), {"metadata": metadata}).status_code == 302
    assert BankingConnection.objects.get().metadata == {}


def test_sessions_and_events_cannot_be_changed(operator: Client, rows: Any) -> None:
    for row in rows[1:]:
        assert operator.post(page_url(row), {"status": "failed", "outcome": "failed"}).status_code == 403


def test_who_may_only_look_changes_nothing(rows: Any) -> None:
    connection = rows[0]
    client = staff("view_bankingconnection")
    assert client.post(page_url(connection), {"metadata": '{"a": 1}'}).status_code == 403
    page = client.get(page_url(connection)).content.decode()
    assert "disconnect/" not in page
    assert "disconnect_selected" not in client.get(list_url("bankingconnection")).content.decode()
    assert client.get(page_url(connection, "disconnect")).status_code == 403
    assert client.post(page_url(connection, "disconnect"), {"confirmed": "yes"}).status_code == 403
    client.post(list_url("bankingconnection"), chosen(connection, confirmed="yes"))
    assert BankingConnection.objects.get().status == "active"


def test_disconnect_asks_first(operator: Client, rows: Any, wire: Any) -> None:
    response = operator.post(list_url("bankingconnection"), chosen(rows[0], index="0"))
    assert response.status_code == 200
    assert "Sparkasse" in response.content.decode()
    assert "Yes, disconnect" in response.content.decode()
    assert BankingConnection.objects.get().status == "active"
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_disconnect_of_several(operator: Client, wire: Any) -> None:
    some = [make_connection(None) for _ in range(3)]
    for connection in some:
        wire.delete(DELETE + connection.upstream_id, json={"data": {"removed": True}})
    response = operator.post(list_url("bankingconnection"), chosen(*some[:2], confirmed="yes"), follow=True)
    assert messages_of(response) == ["2 connections were disconnected."]
    for connection in some[:2]:
        connection.refresh_from_db()
        assert (connection.status, connection.ended_by) == ("disconnected", "operator")
    some[2].refresh_from_db()
    assert some[2].status == "active"
    assert ConnectionEvent.objects.filter(kind="disconnected", source="operator").count() == 2
    assert set(LogEntry.objects.values_list("object_id", flat=True)) == {str(row.pk) for row in some[:2]}
    said = {entry.get_change_message() for entry in LogEntry.objects.all()}
    assert said == {"Disconnected by an operator."}
    assert len(wire.calls) == 2


@pytest.mark.django_db(transaction=True)
def test_disconnect_from_the_page_of_a_connection(operator: Client, wire: Any) -> None:
    connection = make_connection(None)
    wire.delete(DELETE + connection.upstream_id, json={"data": {"removed": True}})
    assert page_url(connection, "disconnect") in operator.get(page_url(connection)).content.decode()
    assert operator.get(page_url(connection, "disconnect")).status_code == 200
    operator.post(page_url(connection, "disconnect"), {})
    connection.refresh_from_db()
    assert connection.status == "active"
    response = operator.post(page_url(connection, "disconnect"), {"confirmed": "yes"})
    assert response.headers["Location"] == page_url(connection)
    connection.refresh_from_db()
    assert connection.status == "disconnected"
    assert page_url(connection, "disconnect") not in operator.get(page_url(connection)).content.decode()
    assert LogEntry.objects.get().object_id == str(connection.pk)


@pytest.mark.django_db(transaction=True)
def test_what_the_provider_keeps_is_said_and_can_be_tried_again(operator: Client, wire: Any) -> None:
    connection = make_connection(None)
    wire.delete(DELETE + connection.upstream_id, status=503)
    url = page_url(connection, "disconnect")
    said = messages_of(operator.post(url, {"confirmed": "yes"}, follow=True))
    assert any("could not be removed at the provider" in text for text in said)
    connection.refresh_from_db()
    assert (connection.status, connection.removal_due) == ("disconnected", True)
    assert "Still to be removed upstream" in operator.get(page_url(connection)).content.decode()
    assert url in operator.get(page_url(connection)).content.decode()
    wire.replace("DELETE", DELETE + connection.upstream_id, json={"data": {"removed": True}})
    assert len(messages_of(operator.post(url, {"confirmed": "yes"}, follow=True))) == 1
    connection.refresh_from_db()
    assert not connection.removal_due


@pytest.mark.django_db(transaction=True)
def test_disconnect_works_here_when_the_site_has_lost_its_key(operator: Client, settings: Any) -> None:
    connection = make_connection(None)
    settings.BUSINESS_OS_BANKING = {"ACCOUNTS": {}}
    said = messages_of(operator.post(page_url(connection, "disconnect"), {"confirmed": "yes"}, follow=True))
    assert any("could not be removed at the provider" in text for text in said)
    connection.refresh_from_db()
    assert connection.status == "disconnected"


def test_what_is_disconnected_is_left_as_it_is(operator: Client) -> None:
    ended = make_connection(None, "disconnected", ended_by="owner")
    response = operator.post(list_url("bankingconnection"), chosen(ended, index="0"), follow=True)
    assert messages_of(response) == ["There is nothing to do: what you selected is disconnected already."]
    response = operator.post(list_url("bankingconnection"), chosen(ended, make_connection(None), index="0"))
    assert "One that you selected is left as it is" in response.content.decode()
    assert not LogEntry.objects.exists()


def test_nobody_disconnects_the_whole_table_by_accident(operator: Client) -> None:
    many = [make_connection(None) for _ in range(21)]
    for values in ({"index": "0", "select_across": "1"}, {"confirmed": "yes", "select_across": "1"}):
        response = operator.post(list_url("bankingconnection"), chosen(many[0], **values), follow=True)
        assert messages_of(response) == ["Please select at most 20 at once."]
    assert not BankingConnection.objects.filter(status="disconnected").exists()


@pytest.mark.parametrize("page", ["changelist", "disconnect"])
def test_the_provider_is_called_outside_of_a_requests_transaction(
    rows: Any, operator: Client, page: str, calls_in_transactions: list[bool]
) -> None:
    if page == "changelist":
        operator.post(list_url("bankingconnection"), chosen(rows[0], confirmed="yes"))
    else:
        operator.post(page_url(rows[0], page), {"confirmed": "yes"})
    assert calls_in_transactions == [False]


def test_disconnect_is_protected_against_forgery(rows: Any, operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(page_url(rows[0], "disconnect"), {"confirmed": "yes"}).status_code == 403
    assert strict.post(list_url("bankingconnection"), chosen(rows[0], confirmed="yes")).status_code == 403


def test_prune_between_opening_and_saving(operator: Client, rows: Any) -> None:
    """The sessions below the form have no part in saving it, so it does not matter if they are gone."""
    connection = rows[0]
    for _ in range(5):
        make_event(connection, make_session(connection))
    posted = {"metadata": "{}", "sessions-TOTAL_FORMS": "10", "sessions-INITIAL_FORMS": "10"}
    ConnectSession.objects.all().delete()
    assert operator.post(page_url(connection), posted).status_code == 302
