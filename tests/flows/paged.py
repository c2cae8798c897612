"""A list of connections in pages, as some upstream or other may have it: for the tests of planned reading.

Of its own, and not the sandbox, so that the two cannot be wrong in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import responses

from tests.upstream.fake import BASE_URL, connect_answer, row

__all__ = ["Paged", "paged_upstream", "row", "strangers"]

_LIST = f"{BASE_URL}/v2/banking/connections"
Answer = tuple[int, dict[str, str], str]


def strangers(first: int, count: int, step: int = 10) -> list[dict[str, Any]]:
    """Return rows of other systems, in the order of their ids."""
    return [row(str(first + step * number)) for number in range(count)]


@dataclass
class Paged:
    """``from_id`` is ``inclusive``, ``exclusive`` or ``ignored``. ``shows`` is whether there is a ``GET`` by id.

    ``leads_to`` changes where a page leads: from the id that would come next to another. ``before_page`` is called with
    the number of the page that is asked for, counted from one; what it raises ends the process, as it were.
    """

    rows: Sequence[dict[str, Any]] = field(default_factory=list)
    size: int = 4
    from_id: str = "inclusive"
    shows: bool = True
    status: int = 200
    leads_to: dict[str, str] = field(default_factory=dict)
    before_page: Callable[[int], None] = lambda _number: None
    asked: list[str] = field(default_factory=list)  # where the pages were to begin
    shown: list[str] = field(default_factory=list)  # ids that were asked for

    @property
    def reads(self) -> int:
        return len(self.asked) + len(self.shown)

    def list(self, request: Any) -> Answer:
        start = parse_qs(urlsplit(request.url).query).get("from_id", [""])[0]
        self.asked.append(start)
        self.before_page(len(self.asked))
        if self.status != 200:
            return self.status, {}, "{}"
        first = 0
        if start and self.from_id != "ignored":
            found = self.find(start)
            if found is None:
                return 404, {}, json.dumps({"error": {"class": "NotFound"}})
            first = found + (self.from_id == "exclusive")
        rows = self.rows[first : first + self.size]
        following = ""
        if first + self.size < len(self.rows):
            following = str((rows[-1] if self.from_id == "exclusive" else self.rows[first + self.size])["id"])
            following = self.leads_to.get(following, following)
        return 200, {}, json.dumps({"data": list(rows), "meta": {"next_id": following or None}})

    def find(self, upstream_id: str) -> int | None:
        return next((place for place, item in enumerate(self.rows) if item["id"] == upstream_id), None)

    def show(self, request: Any) -> Answer:
        asked = request.url.rpartition("/")[2]
        self.shown.append(asked)
        if not self.shows:
            return 405, {}, "<html>"
        place = self.find(asked)
        if place is None:
            return 404, {}, json.dumps({"error": {"class": "ConnectionNotFound"}})
        return 200, {}, json.dumps({"data": self.rows[place]})


def _open(_request: Any) -> Answer:
    return 200, {}, json.dumps(connect_answer())


@contextmanager
def paged_upstream() -> Iterator[Paged]:
    """Have Business OS open sessions, and list what is put into the rows of what is yielded."""
    paged = Paged()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, re.compile(rf"{_LIST}/[^/?]+"), paged.show)
        mock.add_callback(responses.GET, _LIST, paged.list)
        mock.add_callback(responses.POST, f"{BASE_URL}/v2/banking/connect", _open)
        yield paged
