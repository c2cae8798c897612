"""Where people go on to: this site and no other, whatever an address says, then and later."""

from typing import Any

import pytest
from django.test import Client

from business_os_banking.models import ConnectSession

from .conftest import Browser, Upstream, actions_of

CONNECT = "/banking/connect/"
LIST = "/banking/"

HOSTILE = {
    "another site": "https://evil.example/",
    "another site over http": "http://evil.example/",
    "no scheme": "//evil.example/",
    "three slashes": "///evil.example/",
    "four slashes": "////evil.example/",
    "no slashes": "https:evil.example",
    "one slash": "https:/evil.example",
    "three slashes after the scheme": "https:///evil.example",
    "backslashes": "\\\\evil.example",
    "slash and backslash": "/\\evil.example",
    "backslash and slash": "\\/evil.example",
    "a tab between the slashes": "/\t/evil.example",
    "a line break between the slashes": "/\n/evil.example",
    "a carriage return between the slashes": "/\r/evil.example",
    "a tab in front": "\t//evil.example",
    "a control character in front": "\x01//evil.example",
    "a NUL in front": "\x00//evil.example",
    "script": "javascript:alert(1)",
    "script in capitals": "JaVaScRiPt:alert(1)",
    "script with a tab in it": "java\tscript:alert(1)",
    "script that looks like a host": "javascript://testserver/%0aalert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "a file": "file:///etc/passwd",
    "mail": "mailto:evil@evil.example",
    "a user name that looks like us": "https://testserver@evil.example/",
    "a user name at our host": "http://evil@testserver/books/",
    "our name and more": "http://testserver.evil.example/",
    "our name behind a dot": "http://evil.testserver/",
    "another port": "http://testserver:8080/books/",
    "a wide full stop": "//evil\u3002example/",
    "a wide slash in front": "\uff0f\uff0fevil.example/",
    "a NUL on the way": "/books/\x00",
    "wide letters": "http://\uff45vil.example/",
    "a bracket that is not closed": "http://[evil.example/",
    "a port that is none": "http://testserver:evil/",
    "our host and another behind it": "http://testserver//evil.example/",
    "our host, another behind it, and backslashes": "http://testserver/\\evil.example/",
    "our host and a tab on the way": "http://testserver/\t/evil.example/",
    "a bare word": "evil.example",
    "relative": "../../evil/",
    "too long": "/books/?" + "x" * 2048,
    "nothing": "",
    "blanks": "   ",
}
HARMLESS = {
    "/books/": "/books/",
    "/books/?page=2&x=/a//b#top": "/books/?page=2&x=/a//b#top",
    "  /books/  ": "/books/",
    "/bücher/": "/bücher/",
    "/\uff0fevil.example/": "/\uff0fevil.example/",  # to browsers, no slash
    "/books/?url=https://evil.example/": "/books/?url=https://evil.example/",
    "http://testserver/books/": "/books/",
    "http://testserver": "/",
    "http://testserver?x=1": "/?x=1",
    "https://testserver/books/#top": "/books/#top",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nobody_is_led_to_another_site(browser: Browser, upstream: Upstream, name: str) -> None:
    upstream.opens()
    assert browser.submit(CONNECT, {"next": HOSTILE[name]}).status_code == 303
    session = ConnectSession.objects.get()
    assert session.next_url == ""
    assert actions_of(browser.get(CONNECT, {"next": HOSTILE[name]}))["Not now"] == LIST
    ConnectSession.objects.update(status="succeeded")
    session.connection.status = "active"
    session.connection.save()
    assert actions_of(browser.get(f"/banking/return/{session.reference}/")) == {"Continue": LIST}


@pytest.mark.parametrize(("given", "kept"), HARMLESS.items())
def test_on_this_site_everybody_may_go_anywhere(
    browser: Browser, upstream: Upstream, given: str, kept: str
) -> None:
    upstream.opens()
    browser.submit(CONNECT, {"next": given})
    session = ConnectSession.objects.get()
    assert session.next_url == kept
    assert actions_of(browser.get(CONNECT, {"next": given.strip()}))["Not now"] == kept
    waiting = Browser().get(f"/banking/return/{session.reference}/")
    assert actions_of(waiting)["Carry on without waiting"] == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://www.example.com/books/", "https://www.example.com/books/"),
        ("http://www.example.com/books/", ""),
        ("https://www.example.com:8443/books/", ""),
        ("https://evil@www.example.com/books/", ""),
        ("https://example.com/books/", ""),
        ("//www.example.com/books/", ""),
        ("http://testserver/books/", ""),
        ("/books/", "/books/"),
    ],
)
def test_the_sites_own_address_is_this_site_too(
    browser: Browser, upstream: Upstream, settings: Any, given: str, kept: str
) -> None:
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "SITE_URL": "https://www.example.com",
    }
    upstream.opens()
    browser.submit(CONNECT, {"next": given})
    assert ConnectSession.objects.get().next_url == kept


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_was_made_up_leads_nobody_there_later(
    eva: Any, stranger: Browser, upstream: Upstream, settings: Any, scheme: str
) -> None:
    """With ALLOWED_HOSTS = ["*"], the host of a request is whatever its sender writes."""
    settings.ALLOWED_HOSTS = ["*"]
    liar = Client(headers={"host": "evil.example"})
    liar.force_login(eva)
    for given in (
        f"{scheme}://evil.example/steal/",
        f"{scheme}://evil.example//evil.example/",
        "//evil.example",
    ):
        upstream.opens()
        liar.post(CONNECT, {"next": given})
        session = ConnectSession.objects.latest("pk")
        shown = stranger.get(f"/banking/return/{session.reference}/")
        assert "evil" not in shown.content.decode()


def test_the_next_page_outlives_a_failed_start(browser: Browser, upstream: Upstream) -> None:
    upstream.wire.post("https://api.business-os.test/v2/banking/connect", status=502)
    page = browser.submit(CONNECT, {"next": "http://testserver/books/"})
    assert actions_of(page)["Try again"].endswith("/renew/?next=%2Fbooks%2F")
