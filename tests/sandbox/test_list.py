"""The connection list in all the ways in which a real one may differ, as a caller of the API meets it."""

from itertools import pairwise, product
from typing import Any

import pytest

from business_os_banking.sandbox import simulate
from business_os_banking.sandbox.models import SandboxConnection
from business_os_banking.sandbox.scenarios import SCENARIOS

from .conftest import Api, Configure, Inbox

ORDERS = ("ascending", "descending", "mixed")
ORDERS_AND_STARTS = list(product(ORDERS, ("inclusive", "exclusive")))
MOST_PAGES = 12


def connected(api: Api, scenario: str = "succeed") -> SandboxConnection:
    session = api.session()
    simulate.finish(session.token, scenario)
    session.refresh_from_db()
    return session.connection


def ids_of(page: Any) -> list[str]:
    return [row["id"] for row in page["data"]]


def get(api: Api, from_id: str = "") -> Any:
    answer = api.get("/connections" + (f"?from_id={from_id}" if from_id else ""))
    assert answer.status_code == 200
    return answer.json()


def pages(api: Api) -> list[list[str]]:
    """Follow `next_id` to the end; return the ids on each page, of no more than `MOST_PAGES`."""
    found: list[list[str]] = []
    next_id = ""
    while len(found) < MOST_PAGES:
        page = get(api, next_id)
        found.append(ids_of(page))
        next_id = page["meta"]["next_id"]
        if not next_id:
            break
    return found


@pytest.mark.parametrize(("order", "start"), ORDERS_AND_STARTS)
def test_whoever_follows_next_id_sees_each_row_once(
    api: Api, configure: Configure, order: str, start: str
) -> None:
    ids = [connected(api).connection_id for _ in range(7)]
    configure(LIST_ORDER=order, FROM_ID=start)
    whole = ids_of(get(api))
    assert sorted(whole) == sorted(ids)
    for size in (1, 3, 6):
        configure(PAGE_SIZE=size)
        found = pages(api)
        assert [len(page) for page in found][:-1] == [size] * (len(found) - 1)
        assert [id_ for page in found for id_ in page] == whole


def test_orders(api: Api, configure: Configure) -> None:
    ids = [connected(api).connection_id for _ in range(20)]
    assert ids_of(get(api)) == ids
    configure(LIST_ORDER="descending")
    assert ids_of(get(api)) == ids[::-1]
    configure(LIST_ORDER="mixed")
    mixed = ids_of(get(api))
    steps = {earlier < later for earlier, later in pairwise(mixed)}
    assert steps == {True, False}
    assert ids_of(get(api)) == mixed, "mixed, and still the same each time"


@pytest.mark.parametrize("order", ORDERS)
def test_what_from_id_does(api: Api, configure: Configure, order: str) -> None:
    for _ in range(3):
        connected(api)
    configure(LIST_ORDER=order)
    whole = ids_of(get(api))
    assert ids_of(get(api, whole[1])) == whole[1:]
    configure(FROM_ID="exclusive")
    assert ids_of(get(api, whole[1])) == whole[2:]
    assert get(api, whole[2]) == {"data": [], "meta": {"next_id": None, "next_page": None}}
    configure(FROM_ID="ignored", PAGE_SIZE=2)
    first = get(api)
    assert ids_of(first) == whole[:2]
    assert get(api, whole[2]) == get(api, first["meta"]["next_id"]) == first


@pytest.mark.parametrize(("order", "start"), ORDERS_AND_STARTS)
def test_a_start_that_is_gone_leads_to_what_would_follow(
    api: Api, configure: Configure, order: str, start: str
) -> None:
    rows = [connected(api) for _ in range(3)]
    configure(LIST_ORDER=order, FROM_ID=start)
    whole = ids_of(get(api))
    simulate.remove(next(row for row in rows if row.connection_id == whole[1]))
    assert ids_of(get(api, whole[1])) == whole[2:]


def test_a_list_that_grows_while_it_is_read(api: Api, configure: Configure, inbox: Inbox) -> None:
    ids = [connected(api).connection_id for _ in range(4)]
    inbox.deliver()
    inbox.got.clear()
    configure(LIST_GROWS=1, PAGE_SIZE=2)
    found = [id_ for page in pages(api) for id_ in page]
    assert found[:4] == ids
    assert len(found) == len(set(found)) > 4
    strangers = set(found) - set(ids)
    assert api.get(f"/connections/{strangers.pop()}").status_code == 200, "of the same key"
    assert inbox.deliver() == 0, "no callback tells of them"
    tokens = {
        str(row.session.pending_token) for row in SandboxConnection.objects.filter(connection_id__in=ids)
    }
    told = [row["last_attempt"]["custom_fields"]["pending_token"] for row in get(api, found[-1])["data"]]
    assert tokens.isdisjoint(told)


def test_what_has_come_meanwhile_is_nowhere_behind(api: Api, configure: Configure) -> None:
    ids = [connected(api).connection_id for _ in range(4)]
    configure(LIST_ORDER="descending", LIST_GROWS=3, PAGE_SIZE=2)
    assert [id_ for page in pages(api) for id_ in page] == ids[::-1]


def test_a_list_that_never_ends(api: Api, configure: Configure) -> None:
    for _ in range(3):
        connected(api)
    configure(LIST_GROWS=2, PAGE_SIZE=2)
    found = pages(api)
    assert len(found) == MOST_PAGES
    assert len({id_ for page in found for id_ in page}) == 2 * MOST_PAGES


@pytest.mark.parametrize("order", ORDERS)
def test_a_list_that_leads_in_a_circle(api: Api, configure: Configure, order: str) -> None:
    for _ in range(4):
        connected(api)
    configure(LIST_ORDER=order, LIST_CIRCLES=True, PAGE_SIZE=2)
    found = pages(api)
    assert len(found) == MOST_PAGES
    assert found == found[:2] * (MOST_PAGES // 2)
    configure(PAGE_SIZE=4)
    alone = get(api)
    assert alone["meta"]["next_id"] == ids_of(alone)[0]
    assert alone["meta"]["next_page"].endswith(alone["meta"]["next_id"])


def test_nothing_leads_nowhere(api: Api, configure: Configure) -> None:
    configure(LIST_CIRCLES=True)
    assert get(api)["meta"]["next_id"] is None


def test_a_list_of_another_organisation(api: Api, configure: Configure) -> None:
    ours = connected(api)
    configure(LIST_OF="another")
    rows = get(api)["data"]
    assert len(rows) == 3
    assert ours.connection_id not in {row["id"] for row in rows}
    assert {row["owner_user_id"] for row in rows}.isdisjoint({str(ours.session.owner_user_id)})
    assert all(row["status"] == "active" for row in rows)
    assert get(api)["data"] == rows, "the same each time"
    assert api.get(f"/connections/{rows[0]['id']}").status_code == 404
    assert api.get(f"/connections/{ours.connection_id}").status_code == 200
    configure(LIST_OF="nobody")
    assert get(api) == {"data": [], "meta": {"next_id": None, "next_page": None}}
    configure(LIST_OF="own")
    assert ids_of(get(api)) == [ours.connection_id]


@pytest.mark.parametrize("status", [404, 405])
def test_single_connections_cannot_be_read(api: Api, configure: Configure, status: int) -> None:
    ours = connected(api)
    path = f"/connections/{ours.connection_id}"
    configure(BY_ID_MISSING=status)
    answer = api.get(path)
    assert (answer.status_code, answer.json()["error"]["class"]) == (status, "NotFound")
    assert ids_of(get(api)) == [ours.connection_id]
    assert api.delete(path).json()["data"]["removed"] is True
    assert ids_of(get(api)) == []


def test_no_callback_names_a_bank(api: Api, inbox: Inbox, configure: Configure) -> None:
    """Not one of those that a person's trip brings, at any bank; nor does the way back."""
    configure(LATE_SECONDS=0, SLOW_SECONDS=0, AFTERMATH_SECONDS=0)
    for slug in SCENARIOS:
        url = simulate.finish(api.session().token, slug)
        assert not any(word in url for word in (SCENARIOS[slug].provider_code, "provider"))
    for _ in range(3):
        inbox.deliver()
    # Salt Edge's word about a bank itself has its code, since it is about nothing else.
    about_banks = [body for body in inbox.bodies if "provider_status" in body["data"]]
    others = [body for body in inbox.bodies if body not in about_banks]
    assert len(about_banks) == 2
    assert all(set(body["data"]) == {"provider_code", "provider_status"} for body in about_banks)
    assert len(others) > 50
    assert not any(key.startswith(("provider", "bank", "country")) for body in others for key in body["data"])
    text = str(others).casefold()
    for scenario in SCENARIOS.values():
        assert scenario.bank.casefold() not in text
        assert scenario.provider_code not in text
