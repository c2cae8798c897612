"""Addresses that a key or a customer is sent to, read so strictly that nobody else can read them in another way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

# Left out is whatever libraries and browsers have been seen to disagree on: a user name, a percent sign or another
# script in the host, a backslash, a blank, a line break.
_ADDRESS: Final = re.compile(
    r"(https?)://((?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}\.?|\[[0-9a-f:.]+\])(?::([0-9]{0,5}))?([/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,  # else a long s would pass for an s, and a Kelvin sign for a k
)
_PATH: Final = re.compile(r"(/([\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})+)+/?", re.IGNORECASE | re.ASCII)
_DOTS: Final = re.compile(r"/(\.|%2e){1,2}(?=/|$)", re.IGNORECASE)
_HOST_MAX_LENGTH: Final = 253
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """An absolute http(s) address. ``host`` is in lower case, with neither brackets nor a dot at its end; ``rest`` is
    what follows it: path, query and fragment."""

    scheme: str
    host: str
    rest: str


def parse(text: str) -> Address | None:
    """Return *text* as an address, or ``None`` if it is none, or one that could be understood in two ways."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    scheme, name, port, rest = match.groups(default="")
    host = _host(name.lower().removesuffix("."))
    if not host or int(port or 0) > _LAST_PORT:
        return None
    return Address(scheme.lower(), host, rest)


def _host(name: str) -> str:
    """Return the host that *name* stands for, or ``""``. What ends like a number is one to browsers: 127.1, 0x7f.1."""
    try:
        if name.startswith("["):
            return str(IPv6Address(name.strip("[]")))
        if name.rpartition(".")[2][:1].isdigit():
            return str(IPv4Address(name))
    except ValueError:
        return ""
    return name if len(name) <= _HOST_MAX_LENGTH else ""


def is_path(text: str) -> bool:
    """Return whether *text* is a plain path that, put after any host, stays on it and below what comes before it."""
    return bool(_PATH.fullmatch(text)) and not _DOTS.search(text)


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an address without brackets, is this very machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_path_with_id(text: str) -> bool:
    """Return whether *text* is a plain path once an id has taken the place of ``{id}``, which it must have."""
    return "{id}" in text and is_path(text.replace("{id}", "1"))


def is_origin(text: str) -> bool:
    """Return whether *text* is scheme and host alone."""
    address = parse(text)
    return address is not None and not address.rest


def is_base(text: str) -> bool:
    """Return whether *text* is an address with a plain path at most, so that another path can be put after it."""
    address = parse(text)
    return address is not None and (not address.rest or is_path(address.rest))


def is_here(text: str) -> bool:
    """Return whether *text* is an address on this very machine."""
    address = parse(text)
    return address is not None and is_loopback(address.host)


def is_protected(text: str) -> bool:
    """Return whether what is sent to the address *text* cannot be read on its way: by https, or on this machine."""
    address = parse(text)
    return address is None or address.scheme == "https" or is_loopback(address.host)


def is_host_entry(text: str) -> bool:
    """Return whether *text* is a host just as `parse` returns it, in any case, or all below one: a dot before it."""
    host = text.removeprefix(".").lower()
    address = parse(f"https://[{host}]" if ":" in host else f"https://{host}")
    return address is not None and address.host == host
