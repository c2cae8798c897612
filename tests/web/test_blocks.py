"""What the page on templates says may be replaced can be: each block on each page, and each partial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from business_os_banking.flows import invite
from tests.docs.pages import column
from tests.web.conftest import Browser, a_connection, a_session

MARK = "This stands here instead."
BLOCKS = column("templates.md", "blocks")
# A page's own partials, and the page to meet each of them on.
PARTIALS = {
    "_connection_actions.html": "connection_list.html",
    "_icon.html": "connect.html",
    "_outcome.html": "error.html",
    "_page.html": "connect.html",
    "_question.html": "return.html",
    "_shared.html": "connect.html",
    "_status_badge.html": "connection_list.html",
}


def connect(browser: Browser, eva: Any) -> str:
    return "/banking/connect/"


def returned(browser: Browser, eva: Any) -> str:
    return f"/banking/return/{a_session(a_connection(eva), 'failed', error_group='try_again').reference}/"


def connection_list(browser: Browser, eva: Any) -> str:
    a_connection(eva)
    return "/banking/"


def connection_detail(browser: Browser, eva: Any) -> str:
    return f"/banking/connections/{a_connection(eva).reference}/"


def invitation(browser: Browser, eva: Any) -> str:
    return f"/banking/invitations/{invite.create(a_connection(eva))}/"


def disconnect(browser: Browser, eva: Any) -> str:
    return f"/banking/connections/{a_connection(eva).reference}/disconnect/"


def error(browser: Browser, eva: Any) -> str:
    return "/banking/connections/00000000-0000-0000-0000-000000000000/"


def held(browser: Browser, eva: Any) -> str:
    session = a_session(a_connection(eva), "succeeded")
    values = {"held_reason": "other_bank", "held_session": session, "held_bank": "Winterbank"}
    type(session.connection).objects.filter(pk=session.connection_id).update(**values)
    return session.connection.get_absolute_url()


PAGES: dict[str, Callable[[Browser, Any], str]] = {
    "connect.html": connect,
    "return.html": returned,
    "connection_list.html": connection_list,
    "connection_detail.html": connection_detail,
    "invitation.html": invitation,
    "disconnect.html": disconnect,
    "error.html": error,
}


def replace(settings: Any, templates: dict[str, str]) -> None:
    """Let the site have these templates in a folder that comes before the app's."""
    [engine] = settings.TEMPLATES
    loaders = [
        (
            "django.template.loaders.locmem.Loader",
            {f"business_os_banking/{name}": text for name, text in templates.items()},
        ),
        "django.template.loaders.app_directories.Loader",
    ]
    options = {**engine["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]


def test_every_page_of_the_documentation_is_tried() -> None:
    assert list(PAGES) == column("templates.md", "pages")
    assert {*PARTIALS, "_connect_button.html"} == set(column("templates.md", "partials"))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", PAGES)
def test_each_block_of_each_page(browser: Browser, eva: Any, settings: Any, name: str, block: str) -> None:
    url = PAGES[name](browser, eva)
    before = browser.get(url)
    page = f'{{% extends "business_os_banking/{name}" %}}{{% block {block} %}}{MARK}{{% endblock %}}'
    replace(settings, {name: page})
    after = browser.get(url)
    assert after.status_code == before.status_code
    assert after.content.decode().count(MARK) == 1
    assert MARK not in before.content.decode()
    # Nothing else is lost with it.
    html = after.content.decode()
    assert ("<h1" in html) == (block not in {"banking_content", "banking_page"})
    assert ('class="bank-actions' in html) == (block not in {"banking_actions", "banking_page"})


@pytest.mark.parametrize("name", PAGES)
def test_the_frame_of_every_page(browser: Browser, eva: Any, settings: Any, name: str) -> None:
    url = PAGES[name](browser, eva)
    replace(settings, {"base.html": f"{MARK}{{% block banking_page %}}{{% endblock %}}"})
    html = browser.get(url).content.decode()
    assert html.startswith(MARK)
    # All that a page needs is in the one block.
    for part in ("<h1", 'class="bank-actions', "banking.css", "banking.js"):
        assert part in html


@pytest.mark.parametrize("name", PAGES)
def test_a_site_whose_own_blocks_have_the_commonest_names(
    browser: Browser, eva: Any, settings: Any, name: str
) -> None:
    """Blocks of a site that are called as those of ours once were: nothing of a page goes into them by its name."""
    url = PAGES[name](browser, eva)
    own = "".join(
        f"[{each}]{{% block {each} %}}{{% endblock %}}"
        for each in ("title", "content", "actions", "messages")
    )
    frame = "{% extends 'site.html' %}{% block content %}{% block banking_page %}{% endblock %}{% endblock %}"
    replace(
        settings, {"base.html": frame.replace("site.html", "business_os_banking/site.html"), "site.html": own}
    )
    html = browser.get(url).content.decode()
    before, _, after = html.partition("[content]")
    assert before == "[title]"
    assert after.count("<h1") == 1
    assert after.endswith("[actions][messages]")


@pytest.mark.parametrize(
    "frame",
    [
        "{% for message in messages %}<b>{{ message }}</b>{% endfor %}{% block banking_page %}{% endblock %}",
        (
            "{% if messages %}<b>{% for message in messages %}{{ message }}{% endfor %}</b>{% endif %}"
            "{% block banking_page %}{% endblock %}"
        ),
        "{% if messages %}{% endif %}{% block banking_page %}{% endblock %}",
    ],
    ids=["shown", "shown if there are any", "asked for only"],
)
def test_messages_that_the_frame_has_shown_are_not_shown_twice(
    browser: Browser, eva: Any, settings: Any, frame: str
) -> None:
    connection = a_connection(eva, "pending")
    replace(settings, {"base.html": frame})
    browser.submit(f"/banking/connections/{connection.reference}/disconnect/")
    html = browser.get("/banking/").content.decode()
    assert html.count("is removed from your list.") == 1
    assert ("bank-message" in html) == ("<b>" not in frame)


@pytest.mark.parametrize("name", PARTIALS)
def test_each_partial(browser: Browser, eva: Any, settings: Any, name: str) -> None:
    url = (held if name == "_question.html" else PAGES[PARTIALS[name]])(browser, eva)
    replace(settings, {name: MARK})
    assert MARK in browser.get(url).content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_each_page_as_a_whole(browser: Browser, eva: Any, settings: Any, name: str) -> None:
    url = PAGES[name](browser, eva)
    replace(settings, {name: MARK})
    assert browser.get(url).content.decode() == MARK
