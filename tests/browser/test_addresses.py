"""Where we send a customer: what Python accepts, the browser must read in the same way."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from business_os_banking.conf import addresses
from business_os_banking.exceptions import Unintelligible
from business_os_banking.upstream.client import check_connect_url
from tests.upstream.test_connect_url import ALLOWED, DEFAULT

pytestmark = pytest.mark.once

READ: Final = """urls => urls.map(text => {
    try { const url = new URL(text); return [url.protocol, url.hostname, url.username + url.password] }
    catch { return null }
})"""
HOW_MANY: Final = 40_000
SIGNS: Final = "/\\:@#?%.[]-_|aA7 \t\n\x00"
# They look like a letter, a dot or a slash, or are made one: full-width signs, a long s, a Kelvin sign.
STRANGE: Final = "ßé。\uff0e\uff0f\u00ad\u200b\u017f\u212a"
WORDS: Final = ["https:", "//", "..", "::1", "443", "0x7f", "127.0.0.1", "xn--", "%2e", "%2f", "%40"]
HOSTS: Final = ["saltedge.com", "www.", ".saltedge.com", ".saltedge.com", "evil.example", "localhost"]
PIECES: Final = [*SIGNS, *STRANGE, *WORDS, *HOSTS]


def as_the_browser_reads(browser: Browser, urls: list[str]) -> list[Any]:
    page = browser.new_page()
    try:
        found: list[Any] = page.evaluate(READ, urls)
        return found
    finally:
        page.close()


def is_in(host: str, hosts: tuple[str, ...]) -> bool:
    bare = host.removesuffix(".").strip("[]")
    entries = [entry.lower() for entry in hosts]
    return bare in entries or any(entry.startswith(".") and bare.endswith(entry) for entry in entries)


def test_the_browser_goes_to_a_host_of_the_list(browser: Browser) -> None:
    read = as_the_browser_reads(browser, [url for url, _hosts in ALLOWED])
    for (url, hosts), (protocol, host, user) in zip(ALLOWED, read, strict=True):
        assert is_in(host, hosts), url
        assert protocol == "https:" or host in {"localhost", "127.0.0.1", "[::1]"}, url
        assert not user, url


def test_whatever_is_accepted_at_random_is_read_alike(browser: Browser) -> None:
    chance = random.Random(20261125)
    urls = {
        chance.choice(["https://", "https://www.saltedge.com", "https://www", ""])
        + "".join(chance.choices(PIECES, k=chance.randint(1, 6)))
        for _ in range(HOW_MANY)
    }
    parsed = [(url, address) for url in sorted(urls) if (address := addresses.parse(url))]
    read = as_the_browser_reads(browser, [url for url, _address in parsed])
    accepted = 0
    for (url, address), seen in zip(parsed, read, strict=True):
        try:
            check_connect_url(url, DEFAULT)
        except Unintelligible:
            # A browser may find no address where the grammar does (a name in another script that is none), but
            # it never finds another one.
            assert seen is None or seen[1].removesuffix(".").strip("[]") == address.host, url
        else:
            assert seen, url
            assert seen[:2] == ["https:", seen[1]], url
            assert seen[1].removesuffix(".") == address.host, url
            accepted += 1
    assert accepted > 300, "too few to tell anything"
