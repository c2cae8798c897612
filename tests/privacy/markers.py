"""Texts that can be found again wherever they get to, in whatever form they are kept there."""

from __future__ import annotations

import base64
import html
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, quote_plus

ADMIN: Final = "admin@site.example"
API_KEY: Final = "bos_live_MARKERKEY0123456789abcdef"
SECRETS: Final = ("whsec_TUFSS0VSU0VDUkVUMDEyMzQ1Njc4OWFiY2RlZg==", "MARKERsecret+in=the&address-0123456789")
SITE: Final = "the site"
# What no table, page, mail or log of ours may hold, wherever it comes from.
NOWHERE: Final = frozenset(
    {
        *("IBAN", "holder name", "error message", "customer id"),
        *("API key", "webhook secret", "renewal link", "return key"),
    }
)


def iban(number: int) -> str:
    """Return a German IBAN with valid check digits."""
    account = f"37040044{number:010d}"
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


@dataclass
class Person:
    """A customer, and by kind every text that is the customer's alone."""

    name: str
    number: int
    texts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        name, number = self.name, self.number
        self.own("e-mail", f"{name}.konto@marker.example", f"{name}.typed@marker.example")
        compact = iban(number)
        spaced = " ".join(compact[i : i + 4] for i in range(0, len(compact), 4))
        self.own("IBAN", compact, spaced)
        self.own("holder name", f"{name.capitalize()} Markermann")
        self.own("error message", f"Wrong password of {name} at the marker bank")
        self.own("customer id", f"99{number:011d}")
        self.own("custom fields", f"MARKERFIELD{name}")
        self.own("next address", f"MARKERNEXT{name}")
        self.own("tenant", f"markertenant-{name}")
        self.own("metadata", f"MARKERMETADATA{name}")
        self.own("bank", f"Markerbank {name} eG", self.code)
        self.own("browser", f"MarkerBrowser/{name}", f"MARKERCOOKIE{name}", self.address)
        self.links = [f"{number:06d}9876543210{i:03d}" for i in range(20)]
        self.own("link id", *self.links)

    def own(self, kind: str, *texts: str) -> None:
        self.texts[kind].update(texts)

    def one(self, kind: str) -> str:
        return min(self.texts[kind])

    @property
    def code(self) -> str:
        return f"markerbank_{self.name}_xf"

    @property
    def typed_email(self) -> str:
        return f"{self.name}.typed@marker.example"

    @property
    def spaced_iban(self) -> str:
        return next(text for text in self.texts["IBAN"] if " " in text)

    @property
    def compact_iban(self) -> str:
        return next(text for text in self.texts["IBAN"] if " " not in text)

    def new_token(self) -> str:
        token = str(uuid.uuid4())
        self.own("pending token", token)
        return token

    def new_connect_url(self) -> str:
        secret = f"MARKERURL{uuid.uuid4().hex}"
        self.own("connect URL", secret)
        return f"https://www.saltedge.com/connect?token={secret}"

    def everything(self) -> dict[str, Any]:
        """Return all that an upstream may know of this person, under names that nobody should keep."""
        return {
            "holder_info": {"names": [self.one("holder name")], "emails": sorted(self.texts["e-mail"])},
            "extra": {"iban": self.compact_iban, "holder_name": self.one("holder name")},
            "accounts": [{"name": self.one("holder name"), "iban": self.spaced_iban}],
            "customer_id": self.one("customer id"),
            "customer_identifier": self.typed_email,
            "error_message": self.one("error message"),
            "message": f"{self.one('error message')}, {self.typed_email}, {API_KEY}",
            "access_token": API_KEY,
            "secret": SECRETS[0],
            "remote_ip": self.address,
            "user_agent": f"MarkerBrowser/{self.name}",
            "interactive_html": f"<b>{self.one('holder name')}</b>",
        }

    @property
    def address(self) -> str:
        return f"198.51.100.{self.number}"


class Marks:
    """Finds whose texts, of which kind, are in something."""

    def __init__(self, people: Iterable[Person]) -> None:
        texts = {(person.name, kind): found for person in people for kind, found in person.texts.items()}
        texts[SITE, "API key"] = {API_KEY}
        texts[SITE, "webhook secret"] = set(SECRETS)
        self._forms = [(*owner, forms) for owner, found in texts.items() for forms in map(_forms, found)]

    def found_in(self, *things: Any) -> set[tuple[str, str]]:
        """Return (whose, kind) for all that is in the texts of *things*."""
        text = "\n".join(map(_text, things)).lower()
        if not text:
            return set()
        # Base64 is written in two ways.
        text += text.replace("+", "-").replace("/", "_") if "+" in text or "/" in text else ""
        return {(whose, kind) for whose, kind, forms in self._forms if any(form in text for form in forms)}


def kinds(found: Iterable[tuple[str, str]]) -> set[str]:
    return {kind for _whose, kind in found}


def _text(thing: Any) -> str:
    if isinstance(thing, bytes | memoryview):
        return bytes(thing).decode("utf-8", "replace")
    return str(thing)


def _forms(text: str) -> set[str]:
    """Return the text as it is, and as others write it, in small letters."""
    data = text.encode()
    found = {
        text,
        quote(text, safe=""),
        quote_plus(text),
        html.escape(text),
        json.dumps(text)[1:-1],
        data.hex(),
    }
    # In base64, whatever comes before and after: without the letters that depend on that.
    for before, skipped in enumerate((0, 2, 3)):
        found.add(base64.urlsafe_b64encode(b"x" * before + data).decode().rstrip("=")[skipped:-1])
    with suppress(ValueError):
        found.add(uuid.UUID(text).hex)
    return {form.lower() for form in found}
