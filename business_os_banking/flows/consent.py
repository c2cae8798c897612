"""The record of a consent: given when and for what, ends when, withdrawn by whom, and what proves its removal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext as _

from business_os_banking.models import BankingConnection, Removal


def record_of_consent(connection: BankingConnection) -> Iterator[str]:
    """Yield what is recorded of the consents of *connection*, a sentence each, in the active language; times in UTC."""
    sessions = connection.sessions.exclude(succeeded_at=None).order_by("succeeded_at", "pk")
    for given_at, scopes in sessions.values_list("succeeded_at", "scopes"):
        values = {"at": _moment(given_at), "scopes": ", ".join(map(str, scopes)) or "-"}
        yield _("Given %(at)s, for: %(scopes)s.") % values
    if connection.consent_expires_at is not None:
        text = _("Ends %(at)s (an estimate).") if connection.consent_is_estimated else _("Ends %(at)s.")
        yield text % {"at": _moment(connection.consent_expires_at)}
    if connection.disconnected_at is not None:
        values = {"at": _moment(connection.disconnected_at), "who": connection.get_ended_by_display() or "-"}
        yield _("Ended %(at)s. By: %(who)s.") % values
    for removal in connection.removals.order_by("pk"):
        yield _of_removal(removal)


def _of_removal(removal: Removal) -> str:
    values = {
        "at": _moment(removal.requested_at),
        "tries": removal.tries,
        "settled": _moment(removal.settled_at),
        "evidence": removal.get_evidence_display(),
        "reason": removal.reason,
    }
    if removal.settled_at is not None:
        text = _("To be removed at the provider since %(at)s; proved %(settled)s: %(evidence)s.") % values
        return f"{text} {removal.reason}".rstrip()
    if removal.left_at is not None:
        return _("Not to be removed at the provider as long as another connection stands on it.")
    return _("To be removed at the provider since %(at)s; nothing proves it yet (tries: %(tries)d).") % values


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
