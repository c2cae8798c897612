"""The words the app uses for statuses, facts and errors: pure data, importable from anywhere.

The classes of errors come from Salt Edge (error list of API v5 and v6) and, for calls that never got
that far, from :mod:`business_os_banking.exceptions`. A new one goes into a group of `_GROUPS`, and into `REASONS`, if a
link that worked needs its user, or its bank, from then on.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = [
    "KNOWN_CLASSES",
    "Bank",
    "ConnectionStatus",
    "EndedBy",
    "Group",
    "HeldReason",
    "Kind",
    "Outcome",
    "SessionStatus",
    "Source",
    "StatusReason",
    "group_of",
]


class SessionStatus(StrEnum):
    """How one trip to the bank stands."""

    CREATED = "created"  # written before the API call
    OPEN = "open"  # the upstream gave us a pending_token
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


# Nothing final is known of these, and no setback either.
WAITING_STATUSES: Final = (SessionStatus.CREATED, SessionStatus.OPEN)
# A bound of our own: one that never ends would be waited for, and read, for ever.
SESSION_MAX_LIFE: Final = timedelta(days=1)


class ConnectionStatus(StrEnum):
    """How a connection stands."""

    PENDING = "pending"  # no session has succeeded yet
    ACTIVE = "active"
    INACTIVE = "inactive"  # only the user can help; see StatusReason
    DISCONNECTED = "disconnected"  # a tombstone; see EndedBy


# The link works, or would if the user did something: the upstream has it.
LIVING_STATUSES: Final = (ConnectionStatus.ACTIVE, ConnectionStatus.INACTIVE)


class StatusReason(StrEnum):
    """Why a connection is ``inactive``."""

    CONSENT_EXPIRED = "consent_expired"
    CONSENT_REVOKED = "consent_revoked"
    LOGIN_CHANGED = "login_changed"
    BANK_STEP_REQUIRED = "bank_step_required"
    ACCESS_DENIED = "access_denied"
    BANK_DISABLED = "bank_disabled"


class EndedBy(StrEnum):
    """Who ended a connection."""

    OWNER = "owner"
    OPERATOR = "operator"
    PROVIDER = "provider"


class Bank(NamedTuple):
    """What is known of a bank; ``""`` for what is not."""

    code: str
    name: str
    country: str


class HeldReason(StrEnum):
    """Why a success is held: it may not be what the owner meant."""

    OTHER_BROWSER = "other_browser"  # somebody finished it elsewhere than where it was begun
    OTHER_BANK = "other_bank"  # a renewal that ended at another bank
    LINK_WITHDRAWN = "link_withdrawn"  # its renewal link was withdrawn while it was under way


# Ended for good, by whoever may: nothing that the upstream says later brings it back.
ENDED_HERE: Final = (EndedBy.OWNER, EndedBy.OPERATOR)


class Source(StrEnum):
    """Who says so: where the app has an event from."""

    WEBHOOK = "webhook"
    READ = "read"  # an answer of the API, to a read, a connect call or a delete
    BROWSER = "browser"
    SWEEP = "sweep"
    OPERATOR = "operator"


class Kind(StrEnum):
    """What an event says."""

    OPENED = "opened"
    SUCCEEDED = "succeeded"
    PROGRESSED = "progressed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RETURNED = "returned"
    CONSENT_ENDED = "consent_ended"
    PROVIDER_CHANGED = "provider_changed"
    REMOVED = "removed"
    GUESSED_REMOVAL = "guessed_removal"  # only looks like one: its link is read, and nothing more follows
    MISSED = "missed"  # two complete readings of the upstream's list in a row lacked the link
    SEEN = "seen"  # the list has it again
    DISCONNECTED = "disconnected"
    WITHDRAWN = "withdrawn"  # the renewal link that a session was begun with, while that was under way
    PROVED = "proved"  # that who finished in another browser is who began
    CONFIRMED = "confirmed"  # a held success is what was meant
    REFUSED = "refused"  # it is not, and counts no more
    HELD_REMINDER = "held_reminder"  # nobody has answered yet; asserts nothing
    CONSENT_EXPIRING = "consent_expiring"  # a reminder; asserts nothing
    SELF_TEST = "self_test"  # our own, sent by banking_doctor; asserts nothing
    UNKNOWN = "unknown"  # kept for the record; asserts nothing


class Outcome(StrEnum):
    """What an event did."""

    APPLIED = "applied"
    NO_CHANGE = "no_change"
    UNMATCHED = "unmatched"  # belongs to nothing we know yet
    ORPHANED = "orphaned"  # a success for a connection that its owner or an operator had ended
    FAILED = "failed"  # our own fault; applied again later


class Evidence(StrEnum):
    """What proves that an upstream connection was removed."""

    SAID = "said"  # the upstream, in its answer to our DELETE
    UNLISTED = "unlisted"  # two whole readings after our DELETE lack it
    BY_HAND = "by_hand"  # an operator, with a reason


class Silence(StrEnum):
    """Why nothing is heard of an account's sessions."""

    NO_WEBHOOKS = "no_webhooks"
    NOTHING_MATCHES = "nothing_matches"


class Group(StrEnum):
    """What went wrong, as far as a customer needs to know it."""

    YOU_CANCELLED = "you_cancelled"
    WRONG_LOGIN = "wrong_login"
    TOOK_TOO_LONG = "took_too_long"
    TRY_AGAIN = "try_again"
    BANK_NOT_AVAILABLE = "bank_not_available"
    ALREADY_CONNECTED = "already_connected"
    SETUP = "setup"


SESSION_EXPIRED: Final = "SessionExpired"
CANCELLED_CLASSES: Final = frozenset({"ProviderAccessNotGranted"})

_GROUPS: Final[dict[Group, frozenset[str]]] = {
    Group.YOU_CANCELLED: CANCELLED_CLASSES,
    Group.WRONG_LOGIN: frozenset(
        {"InvalidCredentials", "InvalidInteractiveCredentials", "CredentialsNotMatch"}
    ),
    Group.TOOK_TOO_LONG: frozenset(
        {
            "InteractiveTimeout",
            "InteractiveAdapterTimeout",
            "ExecutionTimeout",
            "FetchingTimeout",
            "ConnectionLost",
            "ConnectionFetchingStopped",
            SESSION_EXPIRED,
        }
    ),
    Group.BANK_NOT_AVAILABLE: frozenset(
        {
            "ProviderError",
            "ProviderUnavailable",
            "ProviderInactive",
            "ProviderDisabled",
            "ConnectionFailed",
            "ConnectionDisabled",
        }
    ),
    Group.ALREADY_CONNECTED: frozenset({"ConnectionDuplicated", "ConnectionAlreadyProcessing"}),
    Group.TRY_AGAIN: frozenset(
        {
            "ConsentExpired",
            "ConsentRevoked",
            "AispConsentExpired",
            "AispConsentRevoked",
            "AispConsentAlreadyRevoked",
            "ConnectionNotFound",
            "ConnectionCannotBeRefreshed",
            "BackgroundFetchLimitExceeded",
            "RateLimitExceeded",
            "TooManyRequests",
            "NotReachable",
            "TimedOut",
            "RateLimited",
            "UpstreamTrouble",
            "NotFound",
            "Interrupted",
        }
    ),
    Group.SETUP: frozenset(
        {
            "ConnectionLimitReached",
            "ClientPending",
            "ClientDisabled",
            "ClientRestricted",
            "ApiKeyNotFound",
            "ActionNotAllowed",
            "CustomFieldsSizeTooBig",
            "CustomFieldsFormatInvalid",
            "ReturnURLInvalid",
            "ReturnURLTooLong",
            "EmailInvalid",
            "AispConsentScopesNotAllowed",
            "InvalidAispConsentPeriod",
            "NotConfigured",
            "Refused",
            "OutOfCredits",
            "InvalidRequest",
            "Unintelligible",
        }
    ),
}

#: The group of every class of error that is known.
KNOWN_CLASSES: Final[dict[str, Group]] = {name: group for group, names in _GROUPS.items() for name in names}


def group_of(error_class: str) -> Group:
    """Return the customer-facing group of *error_class*; an unknown class is ``try_again``."""
    return KNOWN_CLASSES.get(error_class, Group.TRY_AGAIN)


# What a failure says about a link that has worked before. Classes that are not here are temporary:
# they are remembered as the last error and change no state.
REASONS: Final[dict[str, StatusReason]] = {
    "InvalidCredentials": StatusReason.LOGIN_CHANGED,
    "CredentialsNotMatch": StatusReason.LOGIN_CHANGED,
    "InvalidInteractiveCredentials": StatusReason.BANK_STEP_REQUIRED,
    "ConsentExpired": StatusReason.CONSENT_EXPIRED,
    "AispConsentExpired": StatusReason.CONSENT_EXPIRED,
    "ConsentRevoked": StatusReason.CONSENT_REVOKED,
    "AispConsentRevoked": StatusReason.CONSENT_REVOKED,
    "AispConsentAlreadyRevoked": StatusReason.CONSENT_REVOKED,
    "ProviderDisabled": StatusReason.BANK_DISABLED,
    "ConnectionDisabled": StatusReason.BANK_DISABLED,
}
CONSENT_CLASSES: Final = frozenset(
    name
    for name, reason in REASONS.items()
    if reason in {StatusReason.CONSENT_EXPIRED, StatusReason.CONSENT_REVOKED}
)

# What may be told of a link besides its state: texts; times in ISO 8601.
DETAILS: Final = (
    "provider_code",
    "provider_name",
    "country_code",
    "consent_expires_at",
    "next_refresh_possible_at",
    "owner_user_id",
)
