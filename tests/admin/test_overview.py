"""The overview of a scripted day is what one counts by hand."""

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from business_os_banking.flows import figures
from business_os_banking.models import AccountState, ConnectSession
from tests.admin.conftest import list_url, make_connection, make_event, make_session, staff

URL = "/admin/business_os_banking/bankingconnection/overview/"


def trip(
    bank: str, status: str, *, back: bool = True, waited: float | None = None, days: float = 0, **values: Any
) -> None:
    """One session of *bank*: whether it came back, and after how many seconds an answer was there."""
    now = timezone.now()
    session = make_session(
        make_connection(None, provider_name=bank),
        status,
        returned_at=now if back else None,
        succeeded_at=now if status == "succeeded" else None,
        **values,
    )
    ConnectSession.objects.filter(pk=session.pk).update(created_at=now - timedelta(days=days))
    if waited is not None:
        kind = "succeeded" if status == "succeeded" else "failed"
        make_event(session.connection, session, kind=kind, received_at=now + timedelta(seconds=waited))


@pytest.fixture
def day(db: None) -> None:
    trip("Nordhafen Bank", "succeeded", waited=4)
    trip("Nordhafen Bank", "succeeded", waited=-3)  # the answer was there before the browser
    trip("Nordhafen Bank", "failed", waited=9, error_group="wrong_login")
    trip("Altstadt Bank", "succeeded", back=False, api="openbanking")
    trip("Altstadt Bank", "open", back=False)
    trip("", "failed", error_group="setup")
    trip("Nordhafen Bank", "succeeded", days=3, waited=100)
    trip("Nordhafen Bank", "cancelled", days=20, error_group="you_cancelled")


def tables(client: Client, query: str = "") -> dict[str, list[list[str]]]:
    """Return the rows of each table on the page, by the heading above it."""
    page = BeautifulSoup(client.get(URL + query).content, "html.parser")
    found = {}
    for table in page.select(".banking-table"):
        heading = page.find(id=table["aria-labelledby"])
        cells = [
            [cell.get_text(" ", strip=True) for cell in row.select("th, td")]
            for row in table.select("tbody tr")
        ]
        found[heading.get_text(strip=True)] = [[row[0], *row[2:]] for row in cells]  # type: ignore[union-attr]
    return found


def test_the_figures_are_those_of_the_day(operator: Client, day: None) -> None:
    found = tables(operator)
    assert found["From the button to the bank and back"] == [
        ["Started", "6", "100 %"],
        ["Came back", "4", "67 %"],
        ["Connected", "3", "50 %"],
    ]
    assert found["By API"] == [
        ["Unregulated providers (openbanking)", "1", "0", "1", "100 %"],
        ["Regulated banks (partner)", "5", "4", "2", "40 %"],
    ]
    assert found["By bank"] == [
        ["Nordhafen Bank", "3", "3", "2", "67 %"],
        ["Altstadt Bank", "2", "0", "1", "50 %"],
        ["Not known yet", "1", "1", "0", "0 %"],
    ]
    assert sorted(found["What did not work"]) == [["Set-up fault", "1", "17 %"], ["Wrong login", "1", "17 %"]]
    text = " ".join(BeautifulSoup(operator.get(URL).content, "html.parser").get_text().split())
    assert "From coming back to an answer it took 4.0 seconds (the median of the latest 3)." in text


def test_an_answer_that_was_there_before_its_browser_took_no_time(operator: Client) -> None:
    trip("Nordhafen Bank", "succeeded", waited=-30)
    text = " ".join(BeautifulSoup(operator.get(URL).content, "html.parser").get_text().split())
    assert "it took 0.0 seconds (of one session)." in text
    trip("Nordhafen Bank", "succeeded", waited=5)
    assert figures.figures(timezone.now() - timedelta(days=1)).answer == timedelta(seconds=2.5)


@pytest.mark.parametrize(("query", "started"), [("", 6), ("?days=7", 7), ("?days=30", 8), ("?days=9999", 6)])
def test_the_period_can_be_chosen(operator: Client, day: None, query: str, started: int) -> None:
    assert tables(operator, query)["From the button to the bank and back"][0][1] == str(started)


def test_a_bar_is_as_long_as_its_share_and_says_so(operator: Client, day: None) -> None:
    page = BeautifulSoup(operator.get(URL).content, "html.parser")
    bars = [
        (bar.title.get_text(), bar.select("rect")[1]["width"])  # type: ignore[union-attr]
        for bar in page.select(".banking-table")[0].select("svg[role=img]")
    ]
    assert bars == [("Started: 100 %", "100"), ("Came back: 67 %", "67"), ("Connected: 50 %", "50")]


def test_a_day_on_which_nobody_came(operator: Client) -> None:
    page = operator.get(URL).content.decode()
    assert "Nobody has started." in page
    assert "Nobody has come back and had an answer." in page


def test_of_too_many_sessions_the_latest_count(
    operator: Client, day: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST", 4)
    assert tables(operator, "?days=30")["From the button to the bank and back"][0][1] == "4"
    assert "only the latest count" in operator.get(URL + "?days=30").content.decode()


@pytest.mark.parametrize(
    ("silence", "says"),
    [("no_webhooks", "is registered with Business OS"), ("nothing_matches", "same Business OS organisation")],
)
def test_an_alarm_says_what_to_do(operator: Client, silence: str, says: str) -> None:
    AccountState.objects.create(alias="berlin", silence=silence, silent_since=timezone.now())
    page = operator.get(URL).content.decode()
    assert "Account berlin" in page
    assert says in page


@pytest.mark.parametrize("model", ["bankingconnection", "connectsession", "connectionevent", "accountstate"])
def test_the_lists_and_the_index_lead_there(operator: Client, model: str) -> None:
    assert f'href="{URL}"' in operator.get(list_url(model)).content.decode()
    index = reverse("admin:app_list", args=["business_os_banking"])
    assert f'href="{URL}"' in operator.get(index).content.decode()


def test_it_is_for_those_who_may_see_connections_and_sessions(owner: User) -> None:
    partly = staff("view_bankingconnection")
    assert partly.get(URL).status_code == 403
    assert URL not in partly.get(list_url("bankingconnection")).content.decode()
    assert URL not in partly.get(reverse("admin:app_list", args=["business_os_banking"])).content.decode()
    assert staff("view_bankingconnection", "view_connectsession").get(URL).status_code == 200
    assert Client().get(URL).status_code == 302
