"""Who may do what in the admin: every page and every action, for everybody who might come by."""

from __future__ import annotations

from typing import Any

import pytest
import responses
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from business_os_banking.models import AccountState, Removal
from tests.admin.conftest import list_url, make_connection, make_event, make_session, page_url, staff
from tests.admin.test_actions import IN_LISTS, PERMISSIONS

pytestmark = pytest.mark.long

MODELS = ("bankingconnection", "connectsession", "connectionevent", "accountstate", "removal")
VISITORS = ("anonymous", "owner", "staff", "viewer", "editor", "superuser")
# What a page answers to GET, and to a POST that wants all it can get: from viewers, editors and superusers.
Answers = tuple[int, tuple[int, int, int]]
NEVER: Answers = (403, (403, 403, 403))
PAGES: dict[str, Answers] = {
    "changelist": (200, (200, 200, 200)),
    "change": (200, (403, 403, 403)),
    "history": (200, (200, 200, 200)),
    "add": NEVER,
    "delete": NEVER,
}
OTHERS: dict[str, dict[str, Answers]] = {
    # To disconnect is a permission of its own.
    "bankingconnection": {"changelist": (200, (403, 403, 302)), "change": (200, (403, 302, 302))},
    # There are actions here, and this is none of them.
    "connectionevent": {"changelist": (200, (200, 200, 302))},
}
DONE = {
    ("bankingconnection", "changelist", "superuser"),
    ("bankingconnection", "change", "editor"),
    ("bankingconnection", "change", "superuser"),
}

ENDED = {
    *("status", "ended_by", "disconnected_at", "state", "baseline", "updated_at"),
    *("consent_expires_at", "next_refresh_possible_at"),
}
# What a POST may change of the connection. All else, and all of others, stays.
CHANGES = {"changelist": ENDED, "change": {"metadata", "updated_at"}}


def pages_of(model: str) -> dict[str, Answers]:
    return {**PAGES, **OTHERS.get(model, {})}


@pytest.fixture(autouse=True)
def _provider() -> Any:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.delete(
            "https://api.business-os.test/v2/banking/connections/4711", json={"data": {"removed": True}}
        )
        yield


@pytest.fixture
def rows(owner: User) -> dict[str, Model]:
    connection = make_connection(owner, upstream_id="4711")
    session = make_session(connection, "succeeded", upstream_id="4711")
    return {
        "bankingconnection": connection,
        "connectsession": session,
        "connectionevent": make_event(connection, session, upstream_id="4711"),
        "removal": Removal.objects.create(upstream_id="4712", digest="4712"),
        "accountstate": AccountState.objects.create(alias="default"),
    }


def visitor(kind: str, model: str, owner: User) -> Client:
    if kind in {"staff", "viewer", "editor"}:
        return staff(*{"staff": (), "viewer": (f"view_{model}",), "editor": (f"change_{model}",)}[kind])
    client = Client()
    if kind != "anonymous":
        client.force_login(owner if kind == "owner" else get_user_model().objects.create_superuser("root"))
    return client


def address(model: str, page: str, row: Model) -> str:
    arguments = [] if page in {"changelist", "add"} else [row.pk]
    return reverse(f"admin:business_os_banking_{model}_{page}", args=arguments)


def stored(rows: dict[str, Model]) -> dict[str, dict[str, Any]]:
    return {name: type(row)._default_manager.filter(pk=row.pk).values().get() for name, row in rows.items()}


def wishes(row: Model) -> dict[str, Any]:
    """A form that asks for everything that a page might do."""
    asked = {field.name: "disconnected" for field in row._meta.fields}
    action = {"action": "disconnect_selected", "_selected_action": [row.pk], "index": "0"}
    return {**asked, "metadata": '{"mine": 1}', "confirmed": "yes", "post": "yes", **action}


@pytest.mark.parametrize("kind", VISITORS)
@pytest.mark.parametrize(
    ("model", "page"),
    [(model, page) for model in MODELS for page in pages_of(model)],
)
def test_everybody_may_do_what_their_permissions_say(
    rows: dict[str, Model], owner: User, model: str, page: str, kind: str
) -> None:
    client, row = visitor(kind, model, owner), rows[model]
    url = address(model, page, row)
    to_get, posts = pages_of(model)[page]
    known = {name: (to_get, post) for name, post in zip(VISITORS[3:], posts, strict=True)}
    to_get, to_post = known.get(kind, (403, 403) if kind == "staff" else (302, 302))
    before = stored(rows)

    shown = client.get(url)
    assert shown.status_code == to_get
    assert stored(rows) == before
    deletes = {**wishes(row), "action": "delete_selected"}
    if page == "changelist":
        client.post(url, deletes)
        assert stored(rows) == before
    answer = client.post(url, wishes(row))
    assert answer.status_code == to_post

    if kind in {"anonymous", "owner"}:
        assert shown["Location"].startswith("/admin/login/")
        assert answer["Location"].startswith("/admin/login/")
    after = stored(rows)
    done = (model, page, kind) in DONE
    changed = {name for name in before[model] if before[model][name] != after[model][name]}
    assert bool(changed) == done
    assert changed <= (CHANGES[page] if done else set())
    others = [name for name in MODELS if name != model]
    assert [after[name] for name in others] == [before[name] for name in others]
    assert LogEntry.objects.exists() == done


def test_no_page_and_no_action_is_left_out(rows: dict[str, Model]) -> None:
    """Whoever adds one says here who may use it."""
    registered = [model for model in admin.site._registry if model._meta.app_label == "business_os_banking"]
    assert {model._meta.model_name for model in registered} == set(MODELS)
    for model in registered:
        ours: Any = admin.site._registry[model]
        prefix = f"business_os_banking_{model._meta.model_name}_"
        named = {str(found.name).removeprefix(prefix) for found in ours.get_urls() if found.name}
        # What asks before it does something has a permission of its own: see the tests of actions.
        asking = {verb for name, verb in PERMISSIONS if name == model._meta.model_name}
        overview = {"overview"} if model._meta.model_name == "bankingconnection" else set()
        assert named == {*PAGES, *asking, *overview}
        # Django 6.1 names the parts of an action, and warns where they are unpacked.
        actions = {getattr(action, "name", None) or action[1] for action in ours._get_base_actions()}
        own = {action for name, action, _needed in IN_LISTS if name == model._meta.model_name}
        assert actions == {"delete_selected", *own}


def test_banks_in_the_list_of_events_are_for_who_may_see_connections(owner: User) -> None:
    connection = make_connection(None, provider_name="Sparkasse Musterstadt")
    event = make_event(connection, assertions={"details": {"provider_name": "Sparkasse Musterstadt"}})
    for permissions, may_see in (
        (["view_connectionevent"], False),
        (["view_connectionevent", "view_bankingconnection"], True),
    ):
        client = staff(*permissions)
        for url in (list_url("connectionevent"), page_url(event)):
            response = client.get(url)
            assert response.status_code == 200
            assert (b"Sparkasse Musterstadt" in response.content) is may_see
