"""What does it say? From a trusted body to a report, tolerant in shape.

The body of a Business OS webhook is not documented; these are Salt Edge's callbacks (`upstream.md` 3) as they
are, wrapped, written anew by a relay, or whole connection objects. Unknown keys are ignored, unknown events are kept
and do nothing. What is only guessed at has no effect that could not be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from business_os_banking.facts import notes
from business_os_banking.facts.lifecycle import Fact
from business_os_banking.facts.report import Report, digest_of, fact_of_object, name_conflict, when
from business_os_banking.upstream import values
from business_os_banking.upstream.objects import (
    Object,
    details_in,
    error_class_in,
    is_connection,
    names_in,
    object_of,
    parts_of,
)
from business_os_banking.upstream.times import time_of
from business_os_banking.vocabulary import (
    CANCELLED_CLASSES,
    CONSENT_CLASSES,
    DETAILS,
    Kind,
    Source,
    StatusReason,
)
from business_os_banking.webhooks import body as bodies
from business_os_banking.webhooks.events import SELF_TEST, kind_of, words_of
from business_os_banking.webhooks.verifiers import Delivery

_EVENT_KEYS: Final = ("type", "event", "event_type", "event_name", "action")
_EVENT_HEADERS: Final = ("X-Event", "X-Event-Type", "X-Event-Name")
_NAME_MAX_LENGTH: Final = 128
_FINISHED: Final = frozenset({"finish", "finish_fetching"})
# Kinds whose event name tells more than a whole connection in the body does.
_BY_NAME_ALONE: Final = frozenset({Kind.SELF_TEST, Kind.REMOVED, Kind.PROVIDER_CHANGED, Kind.CONSENT_ENDED})
_IDS: Final = frozenset({"connection_id", "customer_id", "customer_identifier", "custom_fields"})
# The plain words that are read, and kept. All else may be personal or secret, and is dropped before it is stored.
_KEPT: Final = (
    *("connection_id", "stage", "error_class", "status", "consent_status", "reason", "provider_code"),
    *("provider_status", "country_code", "version", "time", "duplicated_connection_id"),
)
# All that is looked at. Where one of these stands twice in an object and says different things, it says nothing.
_READ: Final = {
    *("data", "payload", "body", "event", "connection", "last_attempt", "meta"),
    *(*_EVENT_KEYS, *_IDS, *_KEPT, *DETAILS),
    *("pending_token", "pendingToken", "session", "id", "payment_id", "consent_id"),
}


def read(delivery: Delivery, account: str) -> Report:
    """Return what the body of an authentic *delivery* for *account* reports.

    Raises `NotUnderstoodError` for anything but a JSON object of a reasonable shape; an object that makes no sense
    to us gives a report of kind ``unknown``.
    """
    content, contradicted = bodies.parse(delivery.body)
    body: Object = values.something(content)
    parts = list(parts_of(body))
    names = names_in(parts)
    event_names = _event_names(parts)
    fact, names_session = _fact(body, parts, event_names, delivery.received_at)
    if fact.kind in {Kind.UNKNOWN, Kind.GUESSED_REMOVAL} and not event_names:
        # No signature covers the headers of a request: where the body speaks for itself, they are not listened to.
        header = _header_name(delivery.headers)
        if header:
            event_names = [header]
            fact, names_session = _fact(body, parts, event_names, delivery.received_at)
    link = next(iter(names.ids)) if len(names.ids) == 1 else ""
    words = _plain_words(parts)
    event = " ".join(filter(None, map(values.word_of, event_names)))
    conflict = (
        f"{notes.TWO_VALUES}: {min(contradicted & _READ)}" if contradicted & _READ else name_conflict(names)
    )
    return Report(
        fact=replace(fact, link=link),
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


def _fact(
    body: Object, parts: Sequence[Object], event_names: Sequence[str], received_at: datetime
) -> tuple[Fact, bool]:
    """Return the fact, without its link, and whether it is about the session that the body names."""
    kind = kind_of(event_names)
    words = _plain_words(parts)
    time = time_of(next((part["time"] for part in parts if "time" in part), None), received_at)
    whole = next(
        (item for part in parts if is_connection(part) and (item := object_of(part, received_at))), None
    )
    if whole and kind not in {*_BY_NAME_ALONE, Kind.UNKNOWN} and not _is_callback(parts):
        return fact_of_object(whole, received_at, time)
    error_class = error_class_in(parts)
    fact = Fact(
        kind=kind or _inferred_kind(body, parts, words, error_class),
        at=when(time, received_at),
        dated=time is None or isinstance(time, datetime),
        stage=words.get("stage", "")[:64],
        error_class=error_class,
        provider_code=words.get("provider_code", ""),
        details=details_in(parts, received_at),
    )
    return _refined(fact, words, event_names), True


def _refined(fact: Fact, words: Mapping[str, str], event_names: Sequence[str]) -> Fact:
    """Return *fact* with the kind that its other fields leave, and what that kind says."""
    if fact.kind is Kind.PROVIDER_CHANGED:
        if not fact.provider_code:
            return replace(fact, kind=Kind.UNKNOWN)  # no bank, not the one that has no code
        active = {"active": True, "inactive": False}.get(words.get("provider_status", ""))
        return replace(fact, provider_active=active)
    if fact.kind is Kind.CONSENT_ENDED:
        kind, reason = _consent(words, event_names)
        return replace(fact, kind=kind, reason=reason)
    if fact.kind is Kind.FAILED and fact.error_class in CANCELLED_CLASSES:
        return replace(fact, kind=Kind.CANCELLED)
    if fact.kind is Kind.FAILED and fact.error_class in CONSENT_CLASSES:
        return replace(fact, kind=Kind.CONSENT_ENDED)
    if fact.kind is Kind.PROGRESSED and fact.stage in _FINISHED:
        return replace(fact, kind=Kind.SUCCEEDED)
    return fact


def _is_callback(parts: Sequence[Object]) -> bool:
    """Whether this is a callback that happens to have a ``status`` as well, and no connection as it stands."""
    has_attempt = any(isinstance(part.get("last_attempt"), Mapping) for part in parts)
    return not has_attempt and any(
        key in part for part in parts for key in ("stage", "error_class", "consent_status")
    )


def _inferred_kind(body: Object, parts: Sequence[Object], words: Mapping[str, str], error_class: str) -> Kind:
    """Return the kind that the shape of a body without an event name gives away (`upstream.md` 3.6)."""
    keys = {key for part in parts for key in part}
    if "provider_status" in keys and not keys & {"stage", "connection_id"}:
        return Kind.PROVIDER_CHANGED
    if "payment_id" in keys:
        return Kind.UNKNOWN
    if error_class:
        return Kind.FAILED
    if "stage" in words:
        return Kind.PROGRESSED
    if keys & {"consent_status", "consent_id", "reason"}:
        return Kind.CONSENT_ENDED
    if "provider_status" in keys:
        return Kind.PROVIDER_CHANGED
    return Kind.GUESSED_REMOVAL if _looks_like_a_removal(body) else Kind.UNKNOWN


def _looks_like_a_removal(body: Object) -> bool:
    """Whether this is a Salt Edge callback with ids and nothing to say about them: only destroy looks like that."""
    data, meta = body.get("data"), body.get("meta")
    if not isinstance(data, Mapping) or not isinstance(meta, Mapping) or "version" not in meta:
        return False
    return set(body) == {"data", "meta"} and "connection_id" in data and set(data) <= _IDS


def _consent(words: Mapping[str, str], event_names: Sequence[str]) -> tuple[Kind, str]:
    keys = ("consent_status", "status", "reason", "error_class")
    statements = words_of([*(words[key] for key in keys if key in words), *event_names])
    if "expired" in statements:
        return Kind.CONSENT_ENDED, StatusReason.CONSENT_EXPIRED
    # The last three are by whom, as Salt Edge has it for a consent that was revoked.
    if statements & {"revoked", "revoke", "withdrawn", "client", "provider", "saltedge"}:
        return Kind.CONSENT_ENDED, StatusReason.CONSENT_REVOKED
    return Kind.UNKNOWN, ""


def _plain_words(parts: Sequence[Object]) -> dict[str, str]:
    """Return the words that are kept: where several parts have one under the same key, that of the first."""
    words: dict[str, str] = {}
    for part in reversed(parts):
        words |= {key: word for key in _KEPT if key in part and (word := values.word_of(part[key]))}
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
