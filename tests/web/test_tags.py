"""The tags that a site uses on pages of its own."""

from typing import Any

from django.template import engines

from .conftest import Browser, Upstream, a_connection, actions_of, soup


def test_the_button_works_from_any_page(browser: Browser, upstream: Upstream) -> None:
    upstream.opens()
    page = soup(browser.get("/host/?label=Bank+verbinden"))
    button, next_field = page.select_one("button"), page.select_one("[name=next]")
    assert button is not None
    assert button.get_text() == "Bank verbinden"
    assert next_field is not None
    assert next_field["value"] == "/books/"
    assert browser.submit("/banking/connect/", {"next": "/books/"}, page="/host/").status_code == 303


def test_the_button_brings_people_back_to_where_it_stood(browser: Browser) -> None:
    page = browser.get("/host/?x=1")
    assert soup(page).select_one("[name=next]")["value"] == "/host/?x=1"  # type: ignore[index]
    assert "Connect your bank" in actions_of(page)


def test_the_badge_names_the_state(eva: Any) -> None:
    template = engines["django"].from_string("{% load business_os_banking %}{% banking_status connection %}")
    html = template.render({"connection": a_connection(eva)})
    assert "Connected" in html
    assert 'data-tone="good"' in html
