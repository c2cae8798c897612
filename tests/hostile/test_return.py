"""Whatever stands in the address that the browser comes back to: the page is shown, and nothing is believed."""

from __future__ import annotations

from urllib.parse import quote

from django.test import Client, TestCase
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from business_os_banking.models import ConnectionEvent
from tests.hostile.conftest import World, hostile, taken_back
from tests.hostile.strategies import MINE, TEXTS

NAMES = st.sampled_from(
    ["connection_id", "error_class", "error_message", "n", "stage", "pending_token", "next"]
)
VALUES = TEXTS.filter(lambda text: len(text) < 6000).map(lambda text: quote(text, errors="replace"))
# As a browser would write it, and as a person with other tools may.
PAIRS = st.builds("{}={}".format, NAMES | VALUES, VALUES | st.binary(max_size=40).map(quote)) | st.text(
    "abn=&%;+/?#:.é\x7f", max_size=30
)


@hostile
@given(query=st.lists(PAIRS, max_size=6).map("&".join))
def test_any_query(world: World, query: str) -> None:
    url = reverse("business_os_banking:return", args=[world.mine.reference])
    with taken_back():
        before = world.state()
        with TestCase.captureOnCommitCallbacks(execute=True):
            first = Client().generic("GET", url, QUERY_STRING=query.encode().decode("latin-1"))
        assert first.status_code == 200
        [event] = ConnectionEvent.objects.filter(source="browser")
        assert set(event.payload) <= {"connection_id", "error_class"}
        assert all(len(value) <= 128 and value.isascii() for value in event.payload.values())
        assert Client().generic("GET", url, QUERY_STRING=query.encode().decode("latin-1")).status_code == 200
        assert ConnectionEvent.objects.filter(source="browser").count() == 1
        world.mine.refresh_from_db()
        assert (world.mine.status, world.mine.upstream_id, world.mine.error_class) == ("open", "", "")
        assert str(world.mine.pending_token) == MINE
        assert [state.links for state in world.state()] == [state.links for state in before]  # type: ignore[attr-defined]
        world.check([event])
