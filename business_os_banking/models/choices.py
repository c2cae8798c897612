"""What operators read for the words that columns hold."""

from django.utils.translation import gettext_lazy as _

from business_os_banking.vocabulary import (
    ConnectionStatus,
    EndedBy,
    Evidence,
    Group,
    HeldReason,
    Kind,
    Outcome,
    SessionStatus,
    Silence,
    Source,
    StatusReason,
)

CONNECTION_STATUSES = [
    (ConnectionStatus.PENDING.value, _("Not finished")),
    (ConnectionStatus.ACTIVE.value, _("Connected")),
    (ConnectionStatus.INACTIVE.value, _("Needs the customer")),
    (ConnectionStatus.DISCONNECTED.value, _("Disconnected")),
]
STATUS_REASONS = [
    (StatusReason.CONSENT_EXPIRED.value, _("Consent ended")),
    (StatusReason.CONSENT_REVOKED.value, _("Consent withdrawn")),
    (StatusReason.LOGIN_CHANGED.value, _("Login changed")),
    (StatusReason.BANK_STEP_REQUIRED.value, _("The bank asks for a step")),
    (StatusReason.ACCESS_DENIED.value, _("Access refused")),
    (StatusReason.BANK_DISABLED.value, _("Bank switched off")),
]
HELD_REASONS = [
    (HeldReason.OTHER_BROWSER.value, _("Finished in another browser")),
    (HeldReason.OTHER_BANK.value, _("Another bank")),
    (HeldReason.LINK_WITHDRAWN.value, _("Renewal link withdrawn")),
]
ENDED_BY = [
    (EndedBy.OWNER.value, _("Owner")),
    (EndedBy.OPERATOR.value, _("Operator")),
    (EndedBy.PROVIDER.value, _("Bank or provider")),
]
SESSION_STATUSES = [
    (SessionStatus.CREATED.value, _("Being opened")),
    (SessionStatus.OPEN.value, _("Open")),
    (SessionStatus.SUCCEEDED.value, _("Succeeded")),
    (SessionStatus.FAILED.value, _("Failed")),
    (SessionStatus.CANCELLED.value, _("Cancelled")),
    (SessionStatus.EXPIRED.value, _("Expired")),
]
ERROR_GROUPS = [
    (Group.YOU_CANCELLED.value, _("Cancelled by the customer")),
    (Group.WRONG_LOGIN.value, _("Wrong login")),
    (Group.TOOK_TOO_LONG.value, _("Took too long")),
    (Group.TRY_AGAIN.value, _("Passing trouble")),
    (Group.BANK_NOT_AVAILABLE.value, _("Bank not available")),
    (Group.ALREADY_CONNECTED.value, _("Already connected")),
    (Group.SETUP.value, _("Set-up fault")),
]
APIS = [
    ("partner", _("Regulated banks (partner)")),
    ("openbanking", _("Unregulated providers (openbanking)")),
]
SOURCES = [
    (Source.WEBHOOK.value, _("Webhook")),
    (Source.READ.value, _("Answer of the API")),
    (Source.BROWSER.value, _("Browser")),
    (Source.SWEEP.value, _("Clean-up job")),
    (Source.OPERATOR.value, _("Owner or operator")),
]
KINDS = [
    (Kind.OPENED.value, _("Session opened")),
    (Kind.SUCCEEDED.value, _("Bank connected")),
    (Kind.PROGRESSED.value, _("Progress")),
    (Kind.FAILED.value, _("Failed")),
    (Kind.CANCELLED.value, _("Cancelled")),
    (Kind.EXPIRED.value, _("Session expired")),
    (Kind.RETURNED.value, _("Browser came back")),
    (Kind.CONSENT_ENDED.value, _("Consent ended")),
    (Kind.PROVIDER_CHANGED.value, _("Bank switched on or off")),
    (Kind.REMOVED.value, _("Removed at the provider")),
    (Kind.GUESSED_REMOVAL.value, _("Perhaps removed at the provider")),
    (Kind.MISSED.value, _("Missing from the provider's list")),
    (Kind.SEEN.value, _("In the provider's list again")),
    (Kind.DISCONNECTED.value, _("Disconnected")),
    (Kind.WITHDRAWN.value, _("Renewal link withdrawn")),
    (Kind.PROVED.value, _("Finished by who began")),
    (Kind.CONFIRMED.value, _("Held, and accepted")),
    (Kind.REFUSED.value, _("Held, and refused")),
    (Kind.HELD_REMINDER.value, _("Reminded of an open question")),
    (Kind.CONSENT_EXPIRING.value, _("Reminded that the consent ends")),
    (Kind.SELF_TEST.value, _("Self-test")),
    (Kind.UNKNOWN.value, _("Not understood")),
]
SILENCES = [
    (Silence.NO_WEBHOOKS.value, _("People come back, but no webhook arrives")),
    (Silence.NOTHING_MATCHES.value, _("Webhooks arrive, but match nothing")),
]
EVIDENCE = [
    (Evidence.SAID.value, _("The provider said so")),
    (Evidence.UNLISTED.value, _("Two whole readings lacked it")),
    (Evidence.BY_HAND.value, _("An operator said so")),
]
OUTCOMES = [
    (Outcome.APPLIED.value, _("Applied")),
    (Outcome.NO_CHANGE.value, _("Nothing to change")),
    (Outcome.UNMATCHED.value, _("Matches nothing yet")),
    (Outcome.ORPHANED.value, _("For an ended connection")),
    (Outcome.FAILED.value, _("Failed, to be applied again")),
]
