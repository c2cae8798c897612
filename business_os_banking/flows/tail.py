"""The tail: for sessions that wait, the end of the list where new links turn up, however long the list is.

One reading serves all sessions that are due. Where the list grows at its end, it starts where the last page began that
is known; where it grows at its beginning, it starts there; where nobody knows, it does both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from business_os_banking.flows import learning, pages
from business_os_banking.flows.looks import due_sessions, note_looks, waiting_sessions
from business_os_banking.flows.pages import Page
from business_os_banking.flows.reading import Reading
from business_os_banking.flows.settling import want_list
from business_os_banking.models import AccountState, BankingConnection
from business_os_banking.vocabulary import ConnectionStatus

_PAGES: Final = 5
_ANCHORS: Final = 3  # the last one, and where that is gone, the one before, at most two


def read_tail(alias: str, state: AccountState, reading: Reading) -> None:
    """Look through the tail of the list for the sessions that are due; by hand, for all that wait."""
    sessions = waiting_sessions(alias) if reading.by_hand else due_sessions(alias, reading.now)
    if not sessions.exists():
        return
    started, before = reading.moment(), reading.pages
    if _look_through(alias, state, reading):
        note_looks(sessions, started, reading.pages - before)


def _look_through(alias: str, state: AccountState, reading: Reading) -> bool:
    """Read what there is of the tail; return whether that was all of it."""
    if learning.known(state, "from_id", reading.now) == "ignored":
        pages.read_page(alias, state, reading, "tail")
        return True  # all that can be had; see `expire`: no session ends by it
    order = learning.known(state, "order", reading.now)
    if order == "descending":
        return _read_beginning(alias, state, reading)
    anchors = list(_anchors(alias, state, reading))
    if not anchors:
        want_list(state, reading.now)
        return False
    if order != "ascending" and anchors[0]:
        reading.require(state, "tail", 2)
        page = pages.read_page(alias, state, reading, "tail")
        if page is not None and not page.next_id:
            pages.push_anchor(state, "")
            return True  # there is but this one
    for anchor in anchors:
        page = pages.read_page(alias, state, reading, "tail", anchor)
        if page is not None and not _is_gone(page):
            return _read_on(alias, state, reading, page)
        # Once in vain is enough.
        pages.store(state, anchors=[other for other in state.anchors if other != anchor])
    pages.store(state, anchors=[])
    learning.learn(state, "tail", "lost", reading.moment())
    want_list(state, reading.now)
    return False


def _anchors(alias: str, state: AccountState, reading: Reading) -> Iterator[str]:
    """Yield where to start, the last place first: where pages began, else at the newest link of ours."""
    if state.anchors:
        yield from reversed(state.anchors[-_ANCHORS:])
    elif learning.known(state, "tail", reading.now) != "lost":
        ours = BankingConnection.objects.filter(status=ConnectionStatus.ACTIVE, account=alias)
        newest = ours.exclude(upstream_id="").order_by("-pk").values_list("upstream_id", flat=True).first()
        if newest:
            yield newest


def _is_gone(page: Page) -> bool:
    return bool(page.start) and (page.begins_again or not (page.ids or page.next_id))


def _read_on(alias: str, state: AccountState, reading: Reading, page: Page) -> bool:
    """Go on from *page* to the end of the list; return whether that was reached, else the next run goes on."""
    for number in range(1, _PAGES + 1):
        # The next one as well: where there is one read at a time, each run must come a page further.
        pages.push_anchor(state, *([page.start, page.next_id] if page.next_id else [page.start]))
        if not page.next_id or number == _PAGES:
            return not page.next_id
        following = pages.read_page(alias, state, reading, "tail", page.next_id)
        if following is None or not following.ids:
            return True
        page = following
    return False


def _read_beginning(alias: str, state: AccountState, reading: Reading) -> bool:
    """Read from the beginning to a row that was seen before."""
    start, known_first = "", state.first_id
    for _number in range(_PAGES):
        page = pages.read_page(alias, state, reading, "tail", start)
        if page is None or not page.next_id or not known_first or page.shows_seen:
            return True
        if any(learning.digest_of(upstream_id) == known_first for upstream_id in page.ids):
            return True
        start = page.next_id
    want_list(state, reading.now)
    return True
