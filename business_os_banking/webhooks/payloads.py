"""What does it say? From a trusted body to a report, tolerant in shape.

The body of a Business OS webhook is not documented; these are Salt Edge's callbacks (`upstream.md` 3) as they
are, wrapped, written anew by a relay, or whole connection objects. Unknown keys are ignored, unknown events are kept
and do nothing. What is only guessed at has no effect that could not be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from business_os_banking.facts import notes
from business_os_banking.facts.fact import Fact
from business_os_banking.facts.interpret import fact_of_object, kind_of_failure, name_conflict
from business_os_banking.facts.report import Report, digest_of, when
from business_os_banking.upstream import values
from business_os_banking.upstream.objects import (
    FINISHED,
    ConnectionObject,
    Names,
    Object,
    details_in,
    error_class_in,
    has_error_in,
    is_connection,
    names_in,
    object_of,
    parts_of,
)
from business_os_banking.upstream.times import Time, time_of
from business_os_banking.vocabulary import DETAILS, Kind, Source
from business_os_banking.webhooks import body as bodies
from business_os_banking.webhooks.events import SELF_TEST, end_of_consent, kind_of
from business_os_banking.webhooks.verifiers import Delivery

_EVENT_KEYS: Final = ("type", "event", "event_type", "event_name", "action")
_EVENT_HEADERS: Final = ("X-Event", "X-Event-Type", "X-Event-Name")
_NAME_MAX_LENGTH: Final = 128
_SWITCHED: Final[Mapping[str | None, bool]] = {"active": True, "inactive": False}
# Where the name of the event tells no more than these, a whole connection in the body tells more.
_OF_OBJECTS: Final = frozenset({None, Kind.SUCCEEDED, Kind.PROGRESSED, Kind.FAILED})
_IDS: Final = frozenset({"connection_id", "customer_id", "customer_identifier", "custom_fields"})
_LASTING: Final = frozenset({"active", "given", "granted", "valid", "renewed", "authorised", "authorized"})
_OF_A_REMOVAL: Final = _IDS | {
    "data",
    "payload",
    "body",
    "connection",
    "connections",
    "id",
    "meta",
    "version",
    "time",
}
# The plain words that are read, and kept. All else may be personal or secret, and is dropped before it is stored.
KEPT: Final = {
    *("connection_id", "stage", "error_class", "status", "consent_status", "reason", "provider_code"),
    *("provider_status", "country_code", "version", "time", "duplicated_connection_id"),
}
# All that is looked at. Where one of these stands twice in an object and says different things, it says nothing.
READ: Final = {
    *("data", "payload", "body", "event", "connection", "last_attempt", "meta"),
    *(*_EVENT_KEYS, *_IDS, *KEPT, *DETAILS),
    *(
        "pending_token",
        "pendingToken",
        "session",
        "id",
        "payment_id",
        "consent_id",
        "error",
        "fail_error_class",
    ),
    *("success_at", "fail_at", "finished", "last_stage", "last_success_at", "updated_at"),
}


def read(delivery: Delivery, account: str) -> Report:
    """Return what the body of an authentic *delivery* for *account* reports.

    Raises `NotUnderstoodError` for anything but a JSON object of a reasonable shape; an object that makes no sense
    to us gives a report of kind ``unknown``.
    """
    body, contradicted = bodies.parse(delivery.body)
    parts = list(parts_of(body))
    content = _Content(body, parts, names_in(parts), _plain_words(parts), delivery.received_at)
    event_names = _event_names(parts)
    fact, names_session = _fact(content, event_names)
    if fact.kind in {Kind.UNKNOWN, Kind.GUESSED_REMOVAL} and not event_names:
        # No signature covers the headers of a request: where the body speaks for itself, they are not listened to.
        header = _header_name(delivery.headers)
        if header:
            event_names = [header]
            fact, names_session = _fact(content, event_names)
    names, words = content.names, content.words
    event = " ".join(filter(None, map(values.word_of, event_names)))
    conflict = (
        f"{notes.TWO_VALUES}: {min(contradicted & READ)}" if contradicted & READ else name_conflict(names)
    )
    return Report(
        fact=fact,
        source=Source.WEBHOOK,
        account=account,
        # Of the body alone: what a sender has signed is one fact, under whatever headers it is sent again.
        digest=digest_of(Source.WEBHOOK, account, delivery.body),
        received_at=delivery.received_at,
        pending_token=next(iter(names.tokens)) if names_session and len(names.tokens) == 1 else None,
        session_reference=next(iter(names.sessions)) if names_session and len(names.sessions) == 1 else None,
        payload={"event": event, **words} if event else words,
        conflict=conflict,
    )


class _Content(NamedTuple):
    """A body, taken apart: the objects in it, what they name, and the plain words that are kept."""

    body: Object
    parts: Sequence[Object]
    names: Names
    words: Mapping[str, str]
    received_at: datetime

    def time(self) -> Time:
        """Return when it was told: the outermost time that can be read, else the outermost."""
        times = [time_of(part["time"], self.received_at) for part in self.parts if "time" in part]
        for time in times:
            if isinstance(time, datetime):
                return time
        return next((time for time in times if time), None)


def _fact(content: _Content, event_names: Sequence[str]) -> tuple[Fact, bool]:
    """Return the fact, and whether it is about the session that the body names."""
    named = kind_of(event_names)
    link = next(iter(content.names.ids)) if len(content.names.ids) == 1 else ""
    time = content.time()
    whole = _whole(content) if named in _OF_OBJECTS else None
    if whole and (whole.has_attempt or named is not Kind.PROGRESSED):
        fact, names_session = fact_of_object(whole, content.received_at, time)
        # That an attempt has failed, a connection that goes on working does not gainsay.
        if named is not Kind.FAILED or fact.kind not in {Kind.SUCCEEDED, Kind.UNKNOWN}:
            return fact if fact.link == link else replace(fact, link=link), names_session
    words, error_class = content.words, error_class_in(content.parts)
    link_works = whole is not None and whole.status == "active" and named is Kind.FAILED
    kind, reason = _refined(named or _inferred_kind(content), words, error_class, event_names)
    fact = Fact(
        kind=kind_of_failure(kind, error_class, link_works=link_works),
        at=when(time, content.received_at),
        link=link,
        dated=time is None or isinstance(time, datetime),
        stage=words.get("stage", "")[:64],
        error_class=error_class,
        reason=reason,
        provider_code=words.get("provider_code", ""),
        provider_active=_SWITCHED.get(words.get("provider_status"))
        if kind is Kind.PROVIDER_CHANGED
        else None,
        details=details_in(content.parts, content.received_at),
        link_works=link_works,
    )
    return fact, True


def _whole(content: _Content) -> ConnectionObject | None:
    """Return the connection that the body holds as a whole, ``None`` for a callback that says some things of one."""
    whole = next((part for part in content.parts if is_connection(part)), None)
    if whole is None:
        return None
    others = [part for part in content.parts if part is not whole]
    if "last_attempt" not in whole and (
        has_error_in(others)
        or any(key in part for part in content.parts for key in ("stage", "consent_status"))
    ):
        return None
    return object_of(whole, content.received_at, content.parts, content.names)


def _refined(
    kind: Kind, words: Mapping[str, str], error_class: str, event_names: Sequence[str]
) -> tuple[Kind, str]:
    """Return the kind that the other words leave of *kind*, and the reason for which a consent ended."""
    if kind is Kind.PROVIDER_CHANGED and not words.get("provider_code"):
        return Kind.UNKNOWN, ""  # no bank, not the one that has no code
    if kind is Kind.CONSENT_ENDED:
        return _consent(words, error_class, event_names)
    if error_class and kind in {Kind.PROGRESSED, Kind.SUCCEEDED}:
        return Kind.FAILED, ""  # a success has no error
    if kind is Kind.PROGRESSED and words.get("stage") in FINISHED:
        return Kind.SUCCEEDED, ""
    return kind, ""


def _inferred_kind(content: _Content) -> Kind:
    """Return the kind that the shape of a body without an event name gives away (`upstream.md` 3.6)."""
    keys = {key for part in content.parts for key in part}
    if "provider_status" in keys and not keys & {"stage", "connection_id"}:
        return Kind.PROVIDER_CHANGED
    if "payment_id" in keys:
        return Kind.UNKNOWN
    if has_error_in(content.parts):
        return Kind.FAILED
    if "stage" in content.words:
        return Kind.PROGRESSED
    if keys & {"consent_status", "consent_id", "reason"}:
        return Kind.CONSENT_ENDED
    if "provider_status" in keys:
        return Kind.PROVIDER_CHANGED
    return Kind.GUESSED_REMOVAL if _looks_like_a_removal(content) else Kind.UNKNOWN


def _looks_like_a_removal(content: _Content) -> bool:
    """Whether there are ids and nothing is said about them, in whatever wrapping: only destroy looks like that."""
    keys = {key for part in content.parts for key in part if part[key] is not False}
    is_wrapped = any(isinstance(part.get("event"), dict) for part in content.parts)
    return bool(content.names.ids) and keys - ({"event"} if is_wrapped else set()) <= _OF_A_REMOVAL


def _consent(words: Mapping[str, str], error_class: str, event_names: Sequence[str]) -> tuple[Kind, str]:
    """Return the kind, and the reason, that is told of a consent; `Kind.UNKNOWN` if it is none for its end."""
    if words.get("consent_status", words.get("status", "")) in _LASTING:
        return Kind.UNKNOWN, ""  # whatever was the reason for telling
    keys = ("consent_status", "status", "reason")
    for text in (*(words[key] for key in keys if key in words), error_class, *event_names):
        if reason := end_of_consent(text):
            return Kind.CONSENT_ENDED, reason
    return Kind.UNKNOWN, ""


def _plain_words(parts: Sequence[Object]) -> dict[str, str]:
    """Return the words that are kept: where several parts have one under the same key, that of the first."""
    words: dict[str, str] = {}
    for part in reversed(parts):
        words |= {key: word for key in part.keys() & KEPT if (word := values.word_of(part[key]))}
    for key in ("stage", "status", "consent_status", "provider_status"):
        if key in words:
            words[key] = words[key].lower()
    return words


def _event_names(parts: Sequence[Object]) -> list[str]:
    """Return what the body calls the event: whatever stands under the keys for it, outermost first."""
    texts: list[Any] = [part[key] for part in parts for key in _EVENT_KEYS if key in part]
    return [text.strip() for text in texts if isinstance(text, str) and len(text) <= _NAME_MAX_LENGTH]


def _header_name(headers: Mapping[str, str]) -> str:
    """Return what a header calls the event, if that tells a kind; a self-test says so in its body."""
    named = (headers.get(name, "").strip()[:_NAME_MAX_LENGTH] for name in _EVENT_HEADERS)
    return next((name for name in named if kind_of([name]) not in {None, Kind.SELF_TEST, Kind.UNKNOWN}), "")


__all__ = ["SELF_TEST", "read"]
