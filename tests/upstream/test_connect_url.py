"""The allow-list for `connect_url`: the browser of a customer goes there, so it is their bank or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.conf import table
from business_os_banking.exceptions import Unintelligible
from business_os_banking.upstream.client import check_connect_url

DEFAULT = tuple(table.ACCOUNT["CONNECT_URL_HOSTS"].default)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST = ".".join(["a" * 63] * 3 + ["a" * (253 - 3 * 64 - len(".saltedge.com"))]) + ".saltedge.com"

# The browser tests let Chromium read these as well.
ALLOWED: list[tuple[str, tuple[str, ...]]] = [
    ("https://saltedge.com", DEFAULT),
    ("https://saltedge.com/connect?token=xxx", DEFAULT),
    ("https://www.saltedge.com/connect?token=xxx", DEFAULT),
    ("https://a.b.saltedge.com/connect", DEFAULT),
    ("https://www.saltedge.com:443/connect", DEFAULT),
    ("https://www.saltedge.com:8443/connect", DEFAULT),
    ("https://www.saltedge.com./connect", DEFAULT),
    ("HTTPS://WWW.SALTEDGE.COM/connect", DEFAULT),
    ("https://www.saltedge.com/connect?next=http://evil.example/@x", DEFAULT),
    ("https://www.saltedge.com/%0d%0a", DEFAULT),
    ("https://WWW.saltedge.com/", ("www.SaltEdge.com",)),
    ("https://www.saltedge.com/", (".SALTEDGE.com",)),
    ("http://localhost:8000/sandbox/connect?token=x", LOOPBACK),
    ("http://127.0.0.1:8000/sandbox/connect", LOOPBACK),
    ("http://[::1]:8000/sandbox/connect", LOOPBACK),
    ("https://localhost/connect", LOOPBACK),
    # ports
    ("https://www.saltedge.com:/connect", DEFAULT),
    ("https://www.saltedge.com:0443/connect", DEFAULT),
    ("https://www.saltedge.com:65535", DEFAULT),
    # what follows the host
    ("https://www.saltedge.com?token=xxx", DEFAULT),
    ("https://www.saltedge.com#@evil.example/", DEFAULT),
    ("https://www.saltedge.com/#https://evil.example/", DEFAULT),
    ("https://www.saltedge.com//evil.example/", DEFAULT),
    ("https://www.saltedge.com/@evil.example/", DEFAULT),
    ("https://www.saltedge.com/..//evil.example/", DEFAULT),
    ("https://www.saltedge.com/%2f%2fevil.example/", DEFAULT),
    ("https://www.saltedge.com/:80@evil.example", DEFAULT),
    ("https://www.saltedge.com/?://evil.example", DEFAULT),
    ("https://www.saltedge.com/;[]{}|^`'\"<>$", DEFAULT),
    # strange labels
    ("https://-.saltedge.com/", DEFAULT),
    ("https://a--b.saltedge.com/", DEFAULT),
    ("https://-a-.saltedge.com/", DEFAULT),
    ("https://127.0.0.1.saltedge.com/", DEFAULT),
    ("https://0x7f.saltedge.com/", DEFAULT),
    ("https://com.evil.example.saltedge.com/", DEFAULT),
    (f"https://{LONGEST}/", DEFAULT),
    # a name in another script, if the site means just that one
    ("https://xn--bcher-kva.example/", ("xn--bcher-kva.example",)),
    ("http://[0:0:0:0:0:0:0:1]:8000/", LOOPBACK),
    ("http://[::0001]/", LOOPBACK),
]


@pytest.mark.parametrize(("url", "hosts"), ALLOWED)
def test_allowed(url: str, hosts: tuple[str, ...]) -> None:
    check_connect_url(url, hosts)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("", DEFAULT),
        (" ", DEFAULT),
        ("/connect", DEFAULT),
        ("//www.saltedge.com/connect", DEFAULT),
        ("https:", DEFAULT),
        ("https://", DEFAULT),
        ("https:///www.saltedge.com/", DEFAULT),
        ("https:www.saltedge.com/", DEFAULT),
        ("https://./", DEFAULT),
        ("https://:443/", DEFAULT),
        # another host
        ("https://evil.example/", DEFAULT),
        ("https://evilsaltedge.com/", DEFAULT),
        ("https://saltedge.com.evil.example/", DEFAULT),
        ("https://saltedge.comevil.example/", DEFAULT),
        ("https://saltedge.co/", DEFAULT),
        ("https://saltedge.com../", DEFAULT),
        ("https://evil.example/saltedge.com", DEFAULT),
        ("https://evil.example?.saltedge.com", DEFAULT),
        ("https://evil.example#.saltedge.com", DEFAULT),
        ("https://evil.example;.saltedge.com/", DEFAULT),
        ("https://evil.example%2f.saltedge.com/", DEFAULT),
        ("https://evil.example%23.saltedge.com/", DEFAULT),
        ("https://evil.example%00.saltedge.com/", DEFAULT),
        ("https://evil.example,.saltedge.com/", DEFAULT),
        ("https://www.saltedge.com/", ("saltedge.com",)),
        ("https://saltedge.com/", (".saltedge.com",)),
        ("https://saltedge.com/", ()),
        ("https://saltedge.com/", ("", ".")),
        # percent signs, dots and other signs in the host
        ("https://www%2esaltedge.com/", DEFAULT),
        ("https://evil.example%5c.saltedge.com/", DEFAULT),
        ("https://evil.example%40.saltedge.com/", DEFAULT),
        ("https://evil.example%3a.saltedge.com/", DEFAULT),
        ("https://evil.example%09.saltedge.com/", DEFAULT),
        ("https://%65vil.example.saltedge.com/", DEFAULT),
        ("https://www..saltedge.com/", DEFAULT),
        ("https://.saltedge.com/", DEFAULT),
        ("https://www.saltedge.com../", DEFAULT),
        ("https://a_b.saltedge.com/", DEFAULT),
        ("https://evil.example|.saltedge.com/", DEFAULT),
        ("https://evil.example&.saltedge.com/", DEFAULT),
        ("https://*.saltedge.com/", DEFAULT),
        ("https://$.saltedge.com/", DEFAULT),
        ("https://<a>.saltedge.com/", DEFAULT),
        # too long to be names
        (f"https://{'a' * 64}.saltedge.com/", DEFAULT),
        (f"https://a{LONGEST}/", DEFAULT),
        (f"https://{'a.' * 5000}saltedge.com/", DEFAULT),
        # user names
        ("https://saltedge.com@evil.example/", DEFAULT),
        ("https://www.saltedge.com:x@evil.example/", DEFAULT),
        ("https://me@www.saltedge.com/", DEFAULT),
        ("https://evil.example@www.saltedge.com/", DEFAULT),
        ("https://@www.saltedge.com/", DEFAULT),
        ("https://:@www.saltedge.com/", DEFAULT),
        ("https://www.saltedge.com%40evil.example/", DEFAULT),
        ("https://www.saltedge.com:443@evil.example/", DEFAULT),
        ("https://evil.example#@www.saltedge.com/", DEFAULT),
        ("https://evil.example?@www.saltedge.com/", DEFAULT),
        # schemes
        ("http://www.saltedge.com/connect", DEFAULT),
        ("ftp://www.saltedge.com/connect", DEFAULT),
        ("javascript://www.saltedge.com/%0aalert(1)", DEFAULT),
        ("data:text/html,saltedge.com", DEFAULT),
        ("https:/www.saltedge.com/", DEFAULT),
        ("https:\\\\www.saltedge.com/", DEFAULT),
        ("https:/\\www.saltedge.com/", DEFAULT),
        ("https//www.saltedge.com/", DEFAULT),
        ("https ://www.saltedge.com/", DEFAULT),
        ("https:\n//www.saltedge.com/", DEFAULT),
        ("wss://www.saltedge.com/", DEFAULT),
        ("view-source:https://www.saltedge.com/", DEFAULT),
        ("blob:https://www.saltedge.com/x", DEFAULT),
        # loopback only where it is named
        ("http://localhost:8000/", DEFAULT),
        ("http://127.0.0.1:8000/", DEFAULT),
        ("http://127.0.0.2:8000/", LOOPBACK),
        ("http://localhost.evil.example/", LOOPBACK),
        ("http://sandbox:8000/", ("sandbox",)),
        ("ftp://localhost/", LOOPBACK),
        # numbers that browsers make addresses of
        ("http://2130706433/", LOOPBACK),
        ("http://0x7f000001/", LOOPBACK),
        ("http://127.1/", LOOPBACK),
        ("http://127.0.0.01/", LOOPBACK),
        ("http://0177.0.0.1/", LOOPBACK),
        ("http://0.0.0.0/", LOOPBACK),
        ("https://evil.1/", (".1",)),
        ("http://[127.0.0.1]/", LOOPBACK),
        ("http://[::1%25eth0]/", LOOPBACK),
        ("http://[::1%eth0]/", LOOPBACK),
        ("http://[::ffff:127.0.0.1]/", LOOPBACK),
        ("http://[::1].evil.example/", LOOPBACK),
        ("http://evil.example[::1]/", LOOPBACK),
        ("http://[::1]evil.example/", LOOPBACK),
        ("http://::1/", LOOPBACK),
        # ports that are none
        ("https://www.saltedge.com:port/", DEFAULT),
        ("https://www.saltedge.com:99999/", DEFAULT),
        ("https://www.saltedge.com:-1/", DEFAULT),
        ("https://[::1/", LOOPBACK),
        ("https://[www.saltedge.com]/", DEFAULT),
        ("https://www.saltedge.com:65536/", DEFAULT),
        ("https://www.saltedge.com:443:443/", DEFAULT),
        ("https://www.saltedge.com:+443/", DEFAULT),
        ("https://www.saltedge.com:4 43/", DEFAULT),
        ("https://www.saltedge.com:443.evil.example/", DEFAULT),
        ("https://www.saltedge.com:443evil.example/", DEFAULT),
        ("https://www.saltedge.com:٤٤٣/", DEFAULT),
        # characters
        ("https://www.saltedge.com\\@evil.example/", DEFAULT),
        ("https://evil.example\\.saltedge.com/", DEFAULT),
        ("https://www.saltedge.com/\r\nSet-Cookie: x=1", DEFAULT),
        ("https://www.salt\tedge.com/", DEFAULT),
        ("https://www.saltedge.com/\x00", DEFAULT),
        ("https://www.saltedge.com/\\evil.example", DEFAULT),
        ("https://www.saltedge.com/ü", DEFAULT),
        ("https://www.saltedge.com/\x7f", DEFAULT),
        (" https://www.saltedge.com/", DEFAULT),
        ("https://www.saltedge.com/ x", DEFAULT),
        # names in other scripts
        ("https://www.sаltedge.com/", DEFAULT),  # noqa: RUF001 - a Cyrillic letter
        ("https://www.saltedge。com/", DEFAULT),
        ("https://xn--sltedge-4fg.com/", DEFAULT),
        ("https://www.saltedge.com/\u2028", DEFAULT),
        ("https://www.saltedge．com/", DEFAULT),  # noqa: RUF001 - a full-width dot
        ("https://www.saltedge｡com/", DEFAULT),
        ("https://ｗｗｗ.saltedge.com/", DEFAULT),  # noqa: RUF001 - full-width letters
        ("https://www.saltedge.com\u00ad/", DEFAULT),
        ("https://www.\u200bsaltedge.com/", DEFAULT),
        ("https://www.ſaltedge.com/", DEFAULT),  # noqa: RUF001 - a long s, which browsers make an s
        ("https://evil.example／.saltedge.com/", DEFAULT),  # noqa: RUF001 - a full-width slash
        ("https://evil.example＃.saltedge.com/", DEFAULT),  # noqa: RUF001 - a full-width sign
        ("https://evil.example℀.saltedge.com/", DEFAULT),  # becomes a/c
        ("https://xn--a.saltedge.com/", DEFAULT),
        ("https://xn--evil-9n1d.saltedge.com/", DEFAULT),
        ("https://www.xn--a.saltedge.com/", DEFAULT),
        ("https://XN--bcher-kva.saltedge.com/", DEFAULT),
        ("https://www.xn--bcher-kva.example/", (".example",)),
    ],
)
def test_refused(url: str, hosts: tuple[str, ...]) -> None:
    with pytest.raises(Unintelligible) as error:
        check_connect_url(url, hosts)
    if url.strip():
        assert url not in str(error.value)


@given(st.text(max_size=60) | st.text(":/@[].%#?\\ashltedgcomp0", max_size=40).map("https://".__add__))
def test_nothing_else_is_ever_raised(url: str) -> None:
    try:
        check_connect_url(url, DEFAULT)
    except Unintelligible:
        return
    rest = url.lower().removeprefix("https://")
    host = rest.replace("?", "/").replace("#", "/").partition("/")[0].partition(":")[0].removesuffix(".")
    assert host == "saltedge.com" or host.endswith(".saltedge.com")
