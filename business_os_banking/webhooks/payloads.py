"""What does it say? From a trusted body to a report, tolerant in shape.

The body of a Business OS webhook is not documented; these are Salt Edge's callbacks (`upstream.md` 3) as they
are, or wrapped. Unknown keys are ignored, unknown events are kept and do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from business_os_banking import conf
from business_os_banking.facts import notes
from business_os_banking.facts.lifecycle import Fact
from business_os_banking.facts.report import Report, digest_of, when
from business_os_banking.upstream import answers
from business_os_banking.vocabulary import (
    CANCELLED_CLASSES,
    CONSENT_CLASSES,
    DETAILS,
    Kind,
    Source,
    StatusReason,
)
from business_os_banking.webhooks import body as bodies
from business_os_banking.webhooks.body import Object
from business_os_banking.webhooks.verifiers import Delivery

MAX_DEPTH: Final = 5
SELF_TEST: Final = "business_os_banking.self_test"  # the event's name
_WRAPPERS: Final = ("data", "payload", "body", "event", "connection", "last_attempt", "meta")
_EVENT_KEYS: Final = ("type", "event", "event_type", "event_name", "action")
_EVENT_HEADERS: Final = ("X-Event", "X-Event-Type", "X-Event-Name")
# The first word that is found in an event's name tells its kind.
_NAMED_KINDS: Final = (
    ("destroy", Kind.REMOVED),
    ("remove", Kind.REMOVED),
    ("delete", Kind.REMOVED),
    ("provider", Kind.PROVIDER_CHANGED),
    ("consent", Kind.CONSENT_ENDED),
    ("revoke", Kind.CONSENT_ENDED),
    ("fail", Kind.FAILED),
    ("error", Kind.FAILED),
    ("success", Kind.SUCCEEDED),
    ("notify", Kind.PROGRESSED),
    ("progress", Kind.PROGRESSED),
)
_FINISHED: Final = {"finish", "finish_fetching"}
_DESTROY_KEYS: Final = {"connection_id", "customer_id", "customer_identifier", "custom_fields"}
# The plain words that are read, and kept. All else may be personal or secret, and is dropped before it is stored.
_KEPT: Final = (
    *("connection_id", "stage", "error_class", "status", "consent_status", "reason", "provider_code"),
    *("provider_status", "country_code", "version", "time", "duplicated_connection_id"),
)
# All that is looked at. Where one of these stands twice in an object and says different things, it says nothing.
_READ: Final = {
    *(*_WRAPPERS, *_EVENT_KEYS, *_DESTROY_KEYS, *_KEPT, *DETAILS),
    *("pending_token", "pendingToken", "session", "id", "payment_id", "consent_id"),
}


def read(delivery: Delivery, account: str) -> Report:
    """Return what the body of an authentic *delivery* for *account* reports.

    Raises `NotUnderstoodError` for anything but a JSON object of a reasonable shape; an object that makes no sense
    to us gives a report of kind ``unknown``.
    """
    body, contradicted = bodies.parse(delivery.body)
    objects = list(_objects(body))
    words = _plain_words(objects)
    event_name = _event_name(objects)
    ours = _custom_fields(objects)
    tokens = _tokens([*objects, *ours], ("pending_token", "pendingToken"))
    sessions = _tokens(ours, ("session",))
    links = _ids(objects, "connection_id") | _connection_object_ids(objects)
    kind, fields = _interpret(body, objects, words, event_name)
    if kind is Kind.UNKNOWN and (header := _header_name(delivery.headers)):
        # No signature covers the headers of a request: where the body speaks for itself, they are not listened to.
        event_name = header
        kind, fields = _interpret(body, objects, words, header)
    return Report(
        fact=Fact(
            kind=kind,
            at=when(answers.time_of(words.get("time")), delivery.received_at),
            link=next(iter(links)) if len(links) == 1 else "",
            **fields,
        ),
        source=Source.WEBHOOK,
        account=account,
        # Of the body alone: what a sender has signed is one fact, under whatever headers it is sent again.
        digest=digest_of(Source.WEBHOOK, account, delivery.body),
        received_at=delivery.received_at,
        pending_token=_only_uuid(tokens),
        session_reference=_only_uuid(sessions),
        payload={"event": event_name, **words} if event_name else words,
        conflict=_conflict(tokens, sessions, links, contradicted & _READ),
    )


def _objects(body: Object, depth: int = 1) -> Iterator[Object]:
    """Yield *body* and the objects that it wraps, outermost first."""
    yield body
    if depth < MAX_DEPTH:
        for key in _WRAPPERS:
            inner = body.get(key)
            if isinstance(inner, dict):
                yield from _objects(inner, depth + 1)


def _custom_fields(objects: list[Object]) -> list[Object]:
    """Return the custom fields. They hold what callers put there, so nothing but our keys is looked for in them."""
    return [fields for item in objects if isinstance(fields := item.get("custom_fields"), dict)]


def _plain_words(objects: list[Object]) -> dict[str, str]:
    """Return the words that are kept: where several objects have one under the same key, that of the first."""
    words: dict[str, str] = {}
    for item in reversed(objects):
        words |= {key: word for key in _KEPT if key in item and (word := answers.word_of(item[key]))}
    return words


def _values(objects: list[Object], keys: tuple[str, ...]) -> list[Any]:
    return [item[key] for key in keys for item in objects if key in item]


def _tokens(objects: list[Object], keys: tuple[str, ...]) -> set[str]:
    """Return the tokens under *keys*. UUIDs may be written in either case."""
    return {answers.word_of(value).lower() for value in _values(objects, keys)} - {""}


def _ids(objects: list[Object], key: str) -> set[str]:
    return {answers.id_of(value) for value in _values(objects, (key,))} - {""}


def _connection_object_ids(objects: list[Object]) -> set[str]:
    """Return the ids of whole connection objects (v6), which call their id plainly ``id``."""
    nested = [item["connection"] for item in objects if isinstance(item.get("connection"), dict)]
    whole = [item for item in objects if isinstance(item.get("last_attempt"), dict)]
    return _ids([*nested, *whole], "id")


def _only_uuid(values: set[str]) -> UUID | None:
    return answers.uuid_of(next(iter(values))) if len(values) == 1 else None


def _conflict(tokens: set[str], sessions: set[str], links: set[str], contradicted: frozenset[str]) -> str:
    if contradicted:
        return f"{notes.TWO_VALUES}: {min(contradicted)}"
    named = ((notes.TWO_TOKENS, tokens), (notes.TWO_SESSIONS, sessions), (notes.TWO_LINKS, links))
    return next((note for note, values in named if len(values) > 1), "")


def _event_name(objects: list[Object]) -> str:
    """Return what the body calls the event: the first name that tells a kind, else the first."""
    named = [name for value in _values(objects, _EVENT_KEYS) if (name := answers.word_of(value))]
    return next((name for name in named if _named_kind(name)), named[0] if named else "")


def _header_name(headers: Mapping[str, str]) -> str:
    """Return what a header calls the event, if that tells a kind; a self-test says so in its body."""
    named = (answers.word_of(headers.get(name, "")) for name in _EVENT_HEADERS)
    return next((name for name in named if _named_kind(name) not in {None, Kind.SELF_TEST}), "")


def _interpret(
    body: Object, objects: list[Object], words: Mapping[str, str], event_name: str
) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of the event, and the further fields of the report that the body fills."""
    error_class = words.get("error_class", "")
    fields: dict[str, Any] = {
        "stage": words.get("stage", "")[:64],
        "error_class": error_class,
        "provider_code": words.get("provider_code", ""),
        "details": _details(objects),
    }
    kind = _named_kind(event_name) or _inferred_kind(body, objects, words)
    if kind is Kind.PROVIDER_CHANGED and not fields["provider_code"]:
        kind = Kind.UNKNOWN  # no bank, not the one that has no code
    elif kind is Kind.PROVIDER_CHANGED:
        fields["provider_active"] = {"active": True, "inactive": False}.get(words.get("provider_status", ""))
    elif kind is Kind.CONSENT_ENDED:
        kind, fields["reason"] = _consent(words, event_name)
    elif kind is Kind.FAILED and error_class in CANCELLED_CLASSES:
        kind = Kind.CANCELLED
    elif kind is Kind.FAILED and error_class in CONSENT_CLASSES:
        kind = Kind.CONSENT_ENDED
    elif kind is Kind.PROGRESSED and fields["stage"] in _FINISHED:
        kind = Kind.SUCCEEDED
    return kind, fields


def _named_kind(event_name: str) -> Kind | None:
    if event_name == SELF_TEST:
        return Kind.SELF_TEST
    name = event_name.lower()
    return next((kind for word, kind in _NAMED_KINDS if word in name), None)


def _inferred_kind(body: Object, objects: list[Object], words: Mapping[str, str]) -> Kind:
    """Return the kind that the shape of a body without an event name gives away (`upstream.md` 3.6)."""
    has = {key for item in objects for key in item}
    if "provider_status" in has:
        return Kind.PROVIDER_CHANGED
    if "payment_id" in has:
        return Kind.UNKNOWN
    if "error_class" in has:
        return Kind.FAILED
    if "last_attempt" in has:
        # A whole connection object.
        return Kind.SUCCEEDED if words.get("status") == "active" else Kind.UNKNOWN
    if has & {"consent_status", "consent_id"} or ("reason" in has and "stage" not in has):
        return Kind.CONSENT_ENDED
    if "stage" in has:
        return Kind.PROGRESSED
    return Kind.REMOVED if conf.settings.destroy_by_shape and _is_bare_destroy(body) else Kind.UNKNOWN


def _is_bare_destroy(body: Object) -> bool:
    """Whether this is exactly a Salt Edge callback with ids and nothing to say about them.

    Of the known callbacks only destroy looks like that. The match is exact because a wrong guess would show
    a working connection as gone.
    """
    data, meta = body.get("data"), body.get("meta")
    if not isinstance(data, dict) or not isinstance(meta, dict) or "version" not in meta:
        return False
    return set(body) == {"data", "meta"} and "connection_id" in data and set(data) <= _DESTROY_KEYS


def _consent(words: Mapping[str, str], event_name: str) -> tuple[Kind, str]:
    named = (words.get(key, "") for key in ("consent_status", "status", "reason", "error_class"))
    spoken = {word.lower() for word in (*named, event_name)}
    if any("expire" in word for word in spoken):
        return Kind.CONSENT_ENDED, StatusReason.CONSENT_EXPIRED
    if any("revoke" in word for word in spoken) or spoken & {"client", "provider", "saltedge"}:
        return Kind.CONSENT_ENDED, StatusReason.CONSENT_REVOKED
    return Kind.UNKNOWN, ""


def _details(objects: list[Object]) -> dict[str, str]:
    values = {key: item[key] for item in reversed(objects) for key in DETAILS if item.get(key)}
    return {key: text for key, value in values.items() if (text := answers.detail_of(key, value))}
