"""What the name of an event, or the status of a consent, says, taken by whole words. Pure.

How Business OS names its events is not documented. A name is believed only if every word of it is known: one word more
may turn it into its opposite (``not_successful``), or make it about something else (``transactions.deleted``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from business_os_banking.vocabulary import Kind, StatusReason

SELF_TEST: Final = "business_os_banking.self_test"

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VERBS: Final = {
    Kind.REMOVED: _set_of("destroy destroyed remove removed removal delete deleted"),
    Kind.FAILED: _set_of("fail failed failure error"),
    Kind.SUCCEEDED: _set_of("success successful succeeded succeed connected"),
    Kind.PROGRESSED: _set_of("notify notification progress"),
    Kind.CONSENT_ENDED: _set_of("revoke revoked expired withdrawn"),
    # By whom, and whether for good, the word does not say: a reading does.
    Kind.GUESSED_REMOVAL: _set_of("disconnect disconnected"),
}
_KINDS: Final = {verb: kind for kind, verbs in _VERBS.items() for verb in verbs}
# The last of those that are revoked are by whom, as Salt Edge has it.
_ENDS_OF_CONSENT: Final = {"expired": StatusReason.CONSENT_EXPIRED} | dict.fromkeys(
    _set_of("revoke revoked withdrawn client provider saltedge"), StatusReason.CONSENT_REVOKED
)
_WORDS_BESIDE: Final = _set_of("ais aisp already bank by change changed changes customer end status the user")
_CHANGES: Final = _set_of("change changes changed update updates updated status")
# What it is about: a connection, unless it names a consent or a bank.
_CONSENT: Final = _set_of("consent consents")
_BANK: Final = _set_of("provider providers")
_CONNECTION: Final = _set_of(
    "ais aisp api attempt attempts bank banking bos business callback callbacks connect connection connections data "
    "edge event events login logins openbanking os partner salt saltedge session sessions v webhook webhooks"
)
# Of a removal, the name must say that it is a connection that goes, and nothing that a connection has or does.
_LINK: Final = _set_of("connection connections login logins")
_SENDER: Final = _set_of(
    "ais aisp api banking business callback callbacks edge event openbanking os salt saltedge v webhook"
)
_DESTROYED: Final = _set_of(
    "destroy destroyed"
)  # Salt Edge's own word for it, which it has for connections alone
_KNOWN: Final = _CONNECTION | _CONSENT | _BANK | _CHANGES | _KINDS.keys()
# Things of which Business OS might tell, and which are no connections: what happens to them happens to no connection.
_OTHER_THINGS: Final = _set_of(
    "account accounts card cards customer customers document documents holder invoice invoices key keys lead leads "
    "payment payments refund report reports transaction transactions transfer transfers user users"
)


def kind_of(names: Sequence[str]) -> Kind | None:
    """Return the kind that the event's *names* say together, ``None`` if they leave it to the body.

    A name may stand in pieces under several keys (``type`` and ``action``). `Kind.UNKNOWN` is for what is about
    something else, contradicts itself, or is not known whole: then the body must not be guessed at either.
    """
    if SELF_TEST in names:
        return Kind.SELF_TEST
    words = {word for word in words_of(names) if not word.isdigit()}
    kinds = {_KINDS[word] for word in words if word in _KINDS}
    if words & _OTHER_THINGS or any(word.removeprefix("un") in _KINDS for word in words - _KNOWN):
        return Kind.UNKNOWN
    if len(kinds) > 1:
        kinds.discard(Kind.PROGRESSED)  # "notification" is often no more than another word for event
    is_known = words <= _KNOWN
    if not kinds:
        return _of_changes(words) if is_known else None
    if not is_known or len(kinds) > 1 or words & _BANK:
        return Kind.UNKNOWN
    kind = kinds.pop()
    if kind is Kind.REMOVED and not _is_of_a_link(words):
        return Kind.UNKNOWN
    return kind if (kind is Kind.CONSENT_ENDED) == bool(words & _CONSENT) else Kind.UNKNOWN


def _is_of_a_link(words: set[str]) -> bool:
    """Whether what is removed, by a name of these *words*, is a connection: the verb may also stand alone."""
    beside = words - _KINDS.keys()
    if beside & _LINK:
        return beside <= _LINK | _SENDER
    return not beside or (bool(words & _DESTROYED) and beside <= _set_of("ais aisp edge salt saltedge v"))


def end_of_consent(text: str) -> str:
    """Return the reason for which a consent has ended, if *text* (a status, a reason, a class) is known whole."""
    words = words_of([text])
    if not words <= _CONSENT | _ENDS_OF_CONSENT.keys() | _WORDS_BESIDE:
        return ""
    reasons = {_ENDS_OF_CONSENT[word] for word in words if word in _ENDS_OF_CONSENT}
    return min(reasons, default="")  # what is revoked may be called expired as well, and is over either way


def words_of(names: Sequence[str]) -> set[str]:
    """Return the words of *names* in lower case: split at all that is no letter, and where a capital begins a word."""
    return {word.lower() for name in names for word in _WORDS.findall(name)}


def _of_changes(words: set[str]) -> Kind | None:
    if words & _BANK:
        return Kind.PROVIDER_CHANGED
    return Kind.CONSENT_ENDED if words & _CONSENT else None
