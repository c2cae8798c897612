"""The texts for customers: for each situation a title, what happened, and what to do next.

They are in `texts`; here is which of them fits. Sites may use them in mails and messages, too.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from business_os_banking.exceptions import BusinessOSError
from business_os_banking.vocabulary import (
    ENDED_HERE,
    ConnectionStatus,
    EndedBy,
    Group,
    HeldReason,
    SessionStatus,
    StatusReason,
    group_of,
)
from business_os_banking.wording.texts import (
    ACTIVE,
    CHECKING,
    CONNECTED,
    CONNECTION_LABELS,
    ENDED,
    ERRORS,
    EXPIRING,
    GROUPS,
    HELD,
    HINT_CANCELLED,
    HINT_OTHER,
    INACTIVE,
    OTHER_BANK,
    PENDING,
    RAN_OUT,
    REASONS,
    REFUSED,
    RETURNED,
    STALE,
    Text,
    Wording,
)

if TYPE_CHECKING:
    from business_os_banking.models import BankingConnection, ConnectSession

__all__ = ["Wording", "for_connection", "for_error", "for_exception", "for_session"]

# For these, trying again with the same link would fail again.
_NO_SECOND_TRY = {Group.ALREADY_CONNECTED, Group.SETUP}


def for_error(error_class: str) -> Wording:
    """Return the wording for an error class: one of the upstream's, or the name of an exception of ours."""
    return ERRORS.get(error_class) or GROUPS[group_of(error_class)]


def for_exception(error: BusinessOSError) -> Wording:
    """Return the wording for a call that failed.

    The class that the upstream named counts if it is about the customer or the bank; else the kind of failure
    says more.
    """
    is_about_us = group_of(error.error_class) in {Group.TRY_AGAIN, Group.SETUP}
    by_kind = ERRORS.get(type(error).__name__)
    return by_kind if is_about_us and by_kind else for_error(error.error_class)


def for_hint(error_class: str) -> Wording:
    """Return the wording while nothing is recorded but the error class in the return address: it never says failed."""
    if not error_class:
        return CHECKING
    return HINT_CANCELLED if group_of(error_class) == Group.YOU_CANCELLED else HINT_OTHER


def for_session(session: "ConnectSession") -> Wording:
    """Return the wording for one attempt. Reads `session.connection`: select it along."""
    words = _for_session(session)
    if not session.by_link or words.tone == "waiting":
        return words
    # Whoever came with a renewal link may have no login, so that no page of ours is the next step.
    if words.tone == "good":
        return replace(words, next_step=_("You can close this page now."))
    if session.connection.can_renew and session.error_group not in _NO_SECOND_TRY:
        return replace(words, next_step=_("To try again, open the link that you were sent once more."))
    return replace(words, next_step=_("If you have a question, ask the person who sent you the link."))


def _for_session(session: "ConnectSession") -> Wording:
    connection = session.connection
    if connection.status == ConnectionStatus.DISCONNECTED and connection.ended_by in ENDED_HERE:
        return ENDED[EndedBy(connection.ended_by)]
    if session.refused_at:
        return REFUSED
    if connection.held_reason and connection.held_session_id == session.pk:
        return HELD[HeldReason(connection.held_reason)]
    if session.status == SessionStatus.SUCCEEDED:
        works = connection.status in {ConnectionStatus.ACTIVE, ConnectionStatus.PENDING}
        return CONNECTED if works else for_connection(connection)
    if session.status in {SessionStatus.CREATED, SessionStatus.OPEN}:
        return CHECKING
    if session.status == SessionStatus.EXPIRED:
        words = RAN_OUT
    elif session.status == SessionStatus.CANCELLED:
        words = GROUPS[Group.YOU_CANCELLED]
    else:
        words = for_error(session.error_class)
    if connection.status == ConnectionStatus.ACTIVE:
        # A renewal that did not work, or an old tab: nobody should fear for the link that works.
        reassurance = _("Your connection with this bank keeps working.")
        return replace(words, text=format_lazy("{} {}", words.text, reassurance))
    return words


def for_connection(connection: "BankingConnection") -> Wording:
    """Return the wording for a connection as it stands now. What is held comes first: somebody has to answer."""
    if connection.held_reason:
        return for_held(connection)
    if connection.status == ConnectionStatus.PENDING:
        return RETURNED if connection.is_checking else PENDING
    if connection.status == ConnectionStatus.DISCONNECTED:
        return ENDED[EndedBy(connection.ended_by or EndedBy.PROVIDER)]
    if connection.status == ConnectionStatus.INACTIVE:
        return REASONS[StatusReason(connection.status_reason)] if connection.status_reason else INACTIVE
    if connection.is_expiring_soon:
        return EXPIRING
    return STALE if connection.is_stale else ACTIVE


def for_held(connection: "BankingConnection") -> Wording:
    """Return the wording for the question that is open, with the names of both banks, as far as they are known."""
    words = HELD[HeldReason(connection.held_reason)]
    if connection.held_reason == HeldReason.OTHER_BANK and connection.held_bank:
        banks = {"old": connection.display_name, "new": connection.held_bank}
        return replace(words, text=OTHER_BANK % banks)
    return words


def label_for_connection(connection: "BankingConnection") -> Text:
    """Return the status of a connection in one or two words, for a badge."""
    if connection.held_reason:
        return pgettext_lazy("state of a bank connection", "A question is open")
    if connection.status == ConnectionStatus.ACTIVE and connection.is_expiring_soon:
        return pgettext_lazy("state of a bank connection", "Ends soon")
    if connection.status == ConnectionStatus.PENDING and connection.is_checking:
        return pgettext_lazy("state of a bank connection", "Being checked")
    if connection.status_reason == StatusReason.BANK_DISABLED:
        return pgettext_lazy("state of a bank connection", "Out of service")
    return CONNECTION_LABELS[ConnectionStatus(connection.status)]
