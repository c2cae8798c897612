"""What somebody might send who wants to break something, and real callbacks that he has been at."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from business_os_banking.vocabulary import KNOWN_CLASSES
from business_os_banking.webhooks import payloads
from tests import callbacks

MINE = "8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f"  # the token of the session that waits
REFERENCE = "2b1f6c3e-5d0a-4e0e-8f57-0f1f2e3d4c5b"  # and its reference
THEIRS = "11111111-9b7c-4f9d-9a3e-1a2b3c4d5e6f"  # the token of somebody else's
UNKNOWN = "99999999-9b7c-4f9d-9a3e-1a2b3c4d5e6f"
LINK, THEIR_LINK, BANK = "111222333444555666", "AbC-777", "Bank_XF"

_LENGTHS = (1, 7, 8, 9, 15, 16, 17, 32, 63, 64, 65, 127, 128, 129, 254, 255, 256, 300, 5000)
TEXTS = st.sampled_from(
    [
        *(
            "",
            " ",
            "\t\n",
            "\x00",
            "a\x00b",
            "\x7f",
            "\u202e",
            "\ufeff",
            "\ud800",
            "a\udfffb",
            "\u0130",
            "\u017f",
        ),
        *(
            "null",
            "NaN",
            "true",
            "[]",
            "{}",
            "__proto__",
            "{{7*7}}",
            "%s%n%(x)s",
            "<script>x</script>",
            "'; --",
        ),
        *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30"),
        *(
            "2199-12-31T23:59:59Z",
            "2000-01-01T00:00:00Z",
            "2026-01-25T10:40:47.965Z",
            "2026-W01-1",
            "-1",
            "1e9",
        ),
        *(
            MINE,
            MINE.upper(),
            MINE.replace("-", ""),
            f"urn:uuid:{MINE}",
            f"{{{MINE}}}",
            "0" * 32,
            "0x" + "1" * 30,
        ),
        *(
            THEIRS,
            UNKNOWN,
            REFERENCE,
            LINK,
            THEIR_LINK,
            THEIR_LINK.lower(),
            f"{THEIR_LINK} ",
            "?",
            f"?{REFERENCE}",
        ),
        *(BANK, BANK.lower(), f"{BANK} ", "active", "inactive", "disabled", "finish", "start", "success"),
        *(
            "connection.destroyed",
            "provider_changed",
            "consent_revoked",
            "fail",
            "expired",
            "revoked",
            "client",
        ),
        *("ä" * 255, "😀" * 255, "e\u0301" * 128, "\u0301" * 300, "x" * 70_000),
        *(char * length for char in "a-1:" for length in _LENGTHS),
        *KNOWN_CLASSES,
    ]
) | st.text(max_size=40)
NUMBERS = st.sampled_from(
    [0, -1, 1, 2**31, 2**63, 2**64, 2**255, 2**256, 10**18, 10**400, 10**4200, 1.5, -0.0, 1e308, 5e-324]
    + [float("nan"), float("inf"), float("-inf")]
)
PLAIN = st.none() | st.booleans() | NUMBERS | st.integers() | st.floats() | TEXTS
KEYS = st.sampled_from(sorted(payloads.READ)) | TEXTS.filter(lambda text: len(text) < 300)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)

ROW = {
    "id": LINK,
    "status": "active",
    "provider_code": BANK,
    "provider_name": "Bank",
    "country_code": "XF",
    "last_attempt": {"custom_fields": {"pending_token": MINE}, "success_at": "2026-01-25T10:40:47Z"},
}
CALLBACKS: list[dict[str, Any]] = [
    callbacks.success(MINE, LINK, session=REFERENCE),
    callbacks.success(None, THEIR_LINK),
    callbacks.success(UNKNOWN, "1"),
    callbacks.success(
        MINE,
        LINK,
        provider_code=BANK,
        provider_name="Bank",
        country_code="XF",
        owner_user_id=UNKNOWN,
        consent_expires_at="2026-12-01T00:00:00Z",
        next_refresh_possible_at="2026-12-01T00:00:00Z",
    ),
    callbacks.notify(MINE, connection_id=LINK),
    callbacks.fail(MINE, connection_id=LINK),
    callbacks.fail(MINE, "ConnectionDuplicated", duplicated_connection_id=THEIR_LINK),
    callbacks.fail(None, "AispConsentRevoked", connection_id=THEIR_LINK),
    callbacks.destroy(None, THEIR_LINK),
    callbacks.body(connection_id=THEIR_LINK, consent_status="revoked", reason="client"),
    {"data": {"provider_code": BANK, "provider_status": "inactive"}, "meta": {"version": "6"}},
    {"event": "connection.success", "data": {"connection": ROW}},
    {
        "type": "connection.fail",
        "payload": {"data": {"pending_token": THEIRS, "error_class": "ProviderError"}},
    },
]


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all members of *value*."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    return [place for key, inner in pairs for place in ((*way, key), *_places(inner, (*way, key)))]


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


@st.composite
def changed(draw: st.DrawFn, originals: list[dict[str, Any]]) -> Any:
    """Draw one of *originals* with up to four changes: values replaced, taken away, added, or wrapped once more."""
    body: Any = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        places = _places(body)
        if not places or not isinstance(body, dict):
            break
        way = draw(st.sampled_from(places))
        holder, key = _at(body, way[:-1]), way[-1]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "wrap", "wrap all"]))
        if change == "replace":
            holder[key] = draw(VALUES)
        elif change == "remove":
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(KEYS)] = draw(VALUES)
        elif change == "wrap":
            holder[key] = {draw(KEYS): holder[key]}
        else:
            body = {draw(KEYS): body}
    return body


@st.composite
def written(draw: st.DrawFn, bodies: st.SearchStrategy[Any]) -> bytes:
    """Draw a body as bytes: in one of several ways to write it, now and then with a key twice, or cut off."""
    body = draw(bodies)
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    if isinstance(body, dict) and draw(st.integers(0, 5)) == 0:
        more = json.dumps({draw(KEYS): draw(VALUES)})
        text = f"{text[:-1]}{',' if body else ''}{more[1:]}"
    content = text.encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))
    cut = draw(st.integers(0, 30))
    return content[: -cut or None] if cut > 28 else content
