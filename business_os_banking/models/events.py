"""The log: one event for each recorded fact."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.models.choices import KINDS, OUTCOMES, SOURCES
from business_os_banking.models.connections import BankingConnection
from business_os_banking.models.fields import ExactCharField
from business_os_banking.models.sessions import ConnectSession
from business_os_banking.vocabulary import Kind, Outcome, Source

# Texts that webhooks write have their indexes in Meta: with db_index or unique at the field, Django makes a second one
# for LIKE on PostgreSQL, which nothing here asks with.

EVERYDAY_KINDS = {Kind.OPENED, Kind.RETURNED, Kind.PROGRESSED, Kind.SUCCEEDED}
SELDOM_KINDS = [kind.value for kind in Kind if kind not in EVERYDAY_KINDS]
SELDOM_SOURCES = [Source.SWEEP.value, Source.OPERATOR.value]


class ConnectionEventQuerySet(models.QuerySet["ConnectionEvent"]):
    """What one asks of the log, by name. All methods can be chained."""

    def unmatched(self) -> ConnectionEventQuerySet:
        """Return what matches nothing yet, without what an operator has set aside."""
        return self.filter(outcome=Outcome.UNMATCHED, ignored_at=None)

    def webhooks(self, account: str) -> ConnectionEventQuerySet:
        """Return what Business OS has sent for *account*; our own self-tests are left out."""
        return self.filter(account=account, source=Source.WEBHOOK).exclude(kind=Kind.SELF_TEST)

    def unannounced(self) -> ConnectionEventQuerySet:
        """Return what not every receiver has heard yet."""
        return self.filter(announced_at__isnull=True)


class ConnectionEvent(models.Model):
    """One recorded fact, with what it did. Facts are never changed; outcome and deliveries may be."""

    id = models.BigAutoField(primary_key=True)
    connection = models.ForeignKey(
        BankingConnection,
        verbose_name=_("connection"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="events",
    )
    session = models.ForeignKey(
        ConnectSession,
        verbose_name=_("session"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="events",
    )
    account = ExactCharField(_("Business OS account"), max_length=64, default="default")
    source = models.CharField(_("source"), max_length=16, choices=SOURCES)
    kind = models.CharField(_("what happened"), max_length=32, choices=KINDS)
    stage = models.CharField(_("stage"), max_length=64, blank=True, default="")
    error_class = models.CharField(_("error"), max_length=128, blank=True, default="")
    pending_token = models.UUIDField(null=True, blank=True, editable=False)
    session_reference = models.UUIDField(_("session reference"), null=True, blank=True, editable=False)
    upstream_id = ExactCharField(_("upstream connection"), max_length=128, blank=True, default="")
    provider_code = ExactCharField(_("bank code"), max_length=128, blank=True, default="")
    # What else the merge learns from the fact: reason, ended_by, bank, consent end. See flows.record.
    assertions = models.JSONField(_("also says"), default=dict, blank=True)
    occurred_at = models.DateTimeField(_("happened"))
    received_at = models.DateTimeField(_("received"))
    digest = ExactCharField(_("digest"), max_length=64)
    payload = models.JSONField(_("content"), default=dict, blank=True)
    outcome = models.CharField(_("effect"), max_length=16, choices=OUTCOMES)
    note = models.CharField(_("note"), max_length=255, blank=True, default="")
    # An operator said which session it belongs to: that one counts, and not the token that nobody knows.
    by_hand = models.BooleanField(_("matched by hand"), default=False)
    # An operator set it aside while it matched nothing; nobody needs to look at it any more.
    ignored_at = models.DateTimeField(_("ignored"), null=True, blank=True)
    deliveries = models.PositiveIntegerField(_("times received"), default=1)
    # The names of the signals that this fact made due, and when all of them had been heard.
    announcements = models.JSONField(_("announces"), default=list, blank=True)
    announced_at = models.DateTimeField(_("announced"), null=True, blank=True)
    # Held by the worker that applies or announces it just now.
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ConnectionEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="bob_event_digest")]
        indexes = [
            models.Index(fields=["outcome", "id"], name="bob_event_outcome"),
            models.Index(fields=["pending_token"], name="bob_event_token"),
            models.Index(fields=["upstream_id", "outcome"], name="bob_event_upstream"),
            models.Index(fields=["provider_code", "kind"], name="bob_event_bank"),
            models.Index(fields=["announced_at", "id"], name="bob_event_announced"),
            models.Index(fields=["account", "received_at"], name="bob_event_received"),
            # Of what is seldom and looked for in the admin; the everyday webhook is in none.
            models.Index(fields=["note", "-id"], name="bob_event_note", condition=models.Q(note__gt="")),
            models.Index(
                fields=["kind", "-id"], name="bob_event_kind", condition=models.Q(kind__in=SELDOM_KINDS)
            ),
            models.Index(
                fields=["source", "-id"],
                name="bob_event_source",
                condition=models.Q(source__in=SELDOM_SOURCES),
            ),
        ]
        permissions = [
            ("replay_connectionevent", "Can replay events"),
            ("match_connectionevent", "Can match an event to a session by hand"),
            ("ignore_connectionevent", "Can ignore events that match nothing"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.get_source_display()})"

    @property
    def is_unusable(self) -> bool:
        """Whether it names no usable id: it has failed for good, and is not applied again."""
        return self.outcome == Outcome.FAILED and bool(self.note)

    @property
    def effect(self) -> str:
        """Its outcome in the active language."""
        return gettext("Failed") if self.is_unusable else str(self.get_outcome_display())
