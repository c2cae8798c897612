"""The three tables. Statuses and the other projected columns are written by `flows.record` alone."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.choices import (
    APIS,
    CONNECTION_STATUSES,
    ENDED_BY,
    ERROR_GROUPS,
    KINDS,
    OUTCOMES,
    SESSION_STATUSES,
    SILENCES,
    SOURCES,
    STATUS_REASONS,
)
from business_os_banking.fields import ConnectionForeignKey, ExactCharField
from business_os_banking.querysets import (
    UNREMOVABLE,
    BankingConnectionQuerySet,
    ConnectionEventQuerySet,
    ConnectSessionQuerySet,
)
from business_os_banking.vocabulary import ConnectionStatus, EndedBy, Kind, SessionStatus, Source

# Texts that webhooks write have their indexes in Meta: with db_index or unique at the field, Django makes a second one
# for LIKE on PostgreSQL, which nothing here asks with.

EVERYDAY_KINDS = {Kind.OPENED, Kind.RETURNED, Kind.PROGRESSED, Kind.SUCCEEDED}
SELDOM_KINDS = [kind.value for kind in Kind if kind not in EVERYDAY_KINDS]
SELDOM_SOURCES = [Source.SWEEP.value, Source.OPERATOR.value]


class BankingConnection(models.Model):
    """The lasting link between one owner and one bank login. Point your foreign keys here."""

    id = models.BigAutoField(primary_key=True)
    reference = models.UUIDField(_("reference"), default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="banking_connections",
        db_index=False,  # bob_connection_owner begins with it
    )
    tenant = ExactCharField(_("tenant"), max_length=255, blank=True, default="")
    account = ExactCharField(_("Business OS account"), max_length=64, default="default")
    status = models.CharField(
        _("status"), max_length=16, choices=CONNECTION_STATUSES, default=ConnectionStatus.PENDING.value
    )
    status_reason = models.CharField(
        _("reason"), max_length=32, choices=STATUS_REASONS, blank=True, default=""
    )
    connection_id = ExactCharField(_("upstream connection"), max_length=64, blank=True, default="")
    provider_code = ExactCharField(_("bank code"), max_length=128, blank=True, default="")
    provider_name = models.CharField(_("bank"), max_length=255, blank=True, default="")
    country_code = models.CharField(_("country"), max_length=8, blank=True, default="")
    owner_user_id = models.UUIDField(_("owner in Business OS"), null=True, blank=True)
    consent_expires_at = models.DateTimeField(_("consent ends"), null=True, blank=True)
    consent_is_estimated = models.BooleanField(
        _("the consent's end is an estimate"),
        default=False,
        help_text=_("The provider did not say when; counted from the last consent."),
    )
    next_refresh_possible_at = models.DateTimeField(_("next refresh possible"), null=True, blank=True)
    last_success_at = models.DateTimeField(_("last success"), null=True, blank=True)
    last_error_class = models.CharField(_("last error"), max_length=128, blank=True, default="")
    connected_at = models.DateTimeField(_("connected"), null=True, blank=True)
    disconnected_at = models.DateTimeField(_("disconnected"), null=True, blank=True)
    ended_by = models.CharField(_("ended by"), max_length=16, choices=ENDED_BY, blank=True, default="")
    removal_due = models.BooleanField(
        _("still to be removed upstream"),
        default=False,
        help_text=_("Ended here, but the provider still holds the connection."),
    )
    removal_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    removal_next_at = models.DateTimeField(null=True, blank=True, editable=False)
    # How many renewal links have been withdrawn; a link counts while it holds this number. See flows.invite.
    invitation = models.PositiveIntegerField(default=0, editable=False)
    # Since when the upstream's list lacks its link; a later reading that lacks it too makes it a fact.
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    metadata = models.JSONField(
        _("metadata"), default=dict, blank=True, help_text=_("Yours to use; the app never reads it.")
    )
    # Everything that facts have said, as lifecycle.to_json writes it. The columns above are read off it.
    state = models.JSONField(default=dict, blank=True, editable=False)
    # What no event in the log tells: an imported row's columns, and what pruned events had said.
    baseline = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = BankingConnectionQuerySet.as_manager()

    class Meta:
        verbose_name = _("bank connection")
        verbose_name_plural = _("bank connections")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "tenant", "-id"], name="bob_connection_owner"),
            models.Index(fields=["tenant"], name="bob_connection_tenant"),
            models.Index(fields=["connection_id"], name="bob_connection_upstream"),
            models.Index(fields=["status", "consent_expires_at"], name="bob_connection_consent"),
            # For the filters of the admin; statuses and countries change seldom, so webhooks hardly pay for these.
            models.Index(fields=["status", "-id"], name="bob_connection_status"),
            models.Index(fields=["country_code", "-id"], name="bob_connection_country"),
            models.Index(
                fields=["status_reason", "-id"],
                name="bob_connection_reason",
                condition=models.Q(status_reason__gt=""),
            ),
            models.Index(fields=["account", "provider_code"], name="bob_connection_bank"),
            models.Index(fields=["removal_due", "id"], name="bob_connection_removal"),
            models.Index(fields=["removal_tries", "-id"], name="bob_connection_stuck", condition=UNREMOVABLE),
        ]
        permissions = [
            ("check_bankingconnection", "Can check a bank connection now, which may cost credits"),
            ("renew_bankingconnection", "Can make and withdraw a link that renews a bank connection"),
            ("disconnect_bankingconnection", "Can disconnect a bank connection"),
        ]

    def __str__(self) -> str:
        return f"{self.display_name} ({self.get_status_display()})"

    def get_absolute_url(self) -> str:
        return reverse("business_os_banking:connection-detail", args=[self.reference])

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        for name in ("is_checking", "has_returned"):
            self.__dict__.pop(name, None)
        super().refresh_from_db(*args, **kwargs)

    @property
    def display_name(self) -> str:
        """The bank's name, as far as it is known."""
        return self.provider_name or self.provider_code or str(_("Bank"))

    @property
    def is_expiring_soon(self) -> bool:
        """Whether the consent of a working connection ends within ``EXPIRING_SOON_DAYS``."""
        if self.status != ConnectionStatus.ACTIVE or self.consent_expires_at is None:
            return False
        return self.consent_expires_at <= timezone.now() + timedelta(days=conf.settings.expiring_soon_days)

    @property
    def is_stale(self) -> bool:
        """Whether a working connection has not been heard of for ``STALE_DAYS``."""
        if self.status != ConnectionStatus.ACTIVE or self.last_success_at is None:
            return False
        return self.last_success_at < timezone.now() - timedelta(days=conf.settings.stale_days)

    @cached_property
    def is_checking(self) -> bool:
        """Whether the last one to try came back from the bank, and the bank's answer is not here yet.

        A query for each pending connection, unless it was selected with `with_checking`.
        """
        if self.status != ConnectionStatus.PENDING:
            return False
        if "has_returned" in self.__dict__:
            return bool(self.__dict__["has_returned"])
        return bool(self.sessions.all().latest_is_back().first())

    @property
    def needs_attention(self) -> bool:
        """Whether the owner should do something."""
        return self.status == ConnectionStatus.INACTIVE or self.is_expiring_soon

    @property
    def is_ended_for_good(self) -> bool:
        """Whether its owner or an operator ended it: no later success brings it back."""
        return self.ended_by in {EndedBy.OWNER, EndedBy.OPERATOR}

    @property
    def can_renew(self) -> bool:
        """Whether a new session (a retry or a renewal) may be started on it."""
        return not self.is_ended_for_good

    @property
    def can_disconnect(self) -> bool:
        return self.status != ConnectionStatus.DISCONNECTED


class ConnectSession(models.Model):
    """One trip to the widget: a first connect, a retry or a renewal."""

    id = models.BigAutoField(primary_key=True)
    connection = ConnectionForeignKey(
        BankingConnection,
        verbose_name=_("connection"),
        on_delete=models.CASCADE,
        related_name="sessions",
    )
    reference = models.UUIDField(_("reference"), default=uuid.uuid4, unique=True, editable=False)
    status = models.CharField(
        _("status"), max_length=16, choices=SESSION_STATUSES, default=SessionStatus.CREATED.value
    )
    api = models.CharField(_("API"), max_length=16, choices=APIS, default="partner")
    email = models.EmailField(_("e-mail"), blank=True, default="")
    scopes = models.JSONField(_("scopes"), default=list, blank=True)
    custom_fields = models.JSONField(_("custom fields"), default=dict, blank=True)
    pending_token = models.UUIDField(_("pending token"), unique=True, null=True, blank=True)
    connect_url = models.TextField(_("address of the widget"), blank=True, default="")
    expires_at = models.DateTimeField(_("ends"), null=True, blank=True)
    owner_user_id = models.UUIDField(_("owner in Business OS"), null=True, blank=True)
    connection_id = ExactCharField(_("upstream connection"), max_length=64, blank=True, default="")
    next_url = models.TextField(_("goes on to"), blank=True, default="")
    stage = models.CharField(_("last stage"), max_length=64, blank=True, default="")
    returned_at = models.DateTimeField(_("browser came back"), null=True, blank=True)
    succeeded_at = models.DateTimeField(_("succeeded"), null=True, blank=True)
    error_class = models.CharField(_("error"), max_length=128, blank=True, default="")
    error_group = models.CharField(
        _("kind of error"), max_length=32, choices=ERROR_GROUPS, blank=True, default=""
    )
    # Held while a second click should land on this session, so that the database lets only one through.
    single_flight = models.CharField(max_length=64, null=True, blank=True, editable=False)
    # Who sent which Idempotency-Key, as one digest, and what was asked with it. Emptied by prune.
    idempotency_key = models.CharField(max_length=64, null=True, blank=True, editable=False)
    idempotency_request = models.CharField(max_length=64, blank=True, default="", editable=False)
    # Whoever came with a renewal link may have no login to go on with; see the landing page.
    by_link = models.BooleanField(_("with a renewal link"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    connection_pk: int

    objects = ConnectSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("connect session")
        verbose_name_plural = _("connect sessions")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["single_flight"], name="bob_session_single_flight"),
            models.UniqueConstraint(fields=["idempotency_key"], name="bob_session_idempotency"),
        ]
        indexes = [
            models.Index(fields=["status", "expires_at"], name="bob_session_sweep"),
            models.Index(fields=["connection_id"], name="bob_session_upstream"),
            models.Index(fields=["created_at"], name="bob_session_created"),
            # Of the few that the admin looks for; those that succeed at ordinary banks are in neither.
            models.Index(
                fields=["error_group", "-id"],
                name="bob_session_error",
                condition=models.Q(error_group__gt=""),
            ),
            models.Index(
                fields=["api", "-id"], name="bob_session_api", condition=models.Q(api="openbanking")
            ),
        ]

    def __str__(self) -> str:
        return str(self.reference)

    def get_absolute_url(self) -> str:
        return reverse("business_os_banking:return", args=[self.reference])

    @property
    def is_final(self) -> bool:
        """Whether nothing about it can change any more. Reads ``connection``: select it along."""
        # Anything else can: a success wins over every setback, however late it comes.
        return self.status == SessionStatus.SUCCEEDED or self.connection.is_ended_for_good


class SessionLink(models.Model):
    """A further upstream connection that a session has named, besides the one in its ``connection_id``.

    A customer who starts again inside the widget may leave the first one behind; facts about it are still ours.
    """

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(
        ConnectSession,
        on_delete=models.CASCADE,
        related_name="links",
        db_index=False,  # bob_session_link begins with it
    )
    connection_id = ExactCharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "connection_id"], name="bob_session_link")]
        indexes = [models.Index(fields=["connection_id"], name="bob_link_upstream")]

    def __str__(self) -> str:
        return self.connection_id


class ConnectionEvent(models.Model):
    """One recorded fact, with what it did. Facts are never changed; outcome and deliveries may be."""

    id = models.BigAutoField(primary_key=True)
    connection = ConnectionForeignKey(
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
    connection_id = ExactCharField(_("upstream connection"), max_length=64, blank=True, default="")
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

    connection_pk: int | None

    objects = ConnectionEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="bob_event_digest")]
        indexes = [
            models.Index(fields=["outcome", "id"], name="bob_event_outcome"),
            models.Index(fields=["pending_token"], name="bob_event_token"),
            models.Index(fields=["connection_id", "outcome"], name="bob_event_upstream"),
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


class AccountState(models.Model):
    """What the app remembers about one Business OS account: its reading, its credits, its last reconcile."""

    id = models.BigAutoField(primary_key=True)
    alias = ExactCharField(_("Business OS account"), max_length=64, unique=True)
    reconciled_at = models.DateTimeField(_("last reconciled"), null=True, blank=True)
    read_at = models.DateTimeField(_("last complete reading"), null=True, blank=True)
    asked_at = models.DateTimeField(_("last reading by hand"), null=True, blank=True)
    reads_on = models.DateField(_("day of the reads"), null=True, blank=True)
    reads = models.PositiveIntegerField(_("reads on that day"), default=0)
    troubles = models.PositiveIntegerField(_("troubles in a row"), default=0)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    list_missing_at = models.DateTimeField(_("list not found"), null=True, blank=True)
    silence = models.CharField(_("silence"), max_length=16, choices=SILENCES, blank=True, default="")
    silent_since = models.DateTimeField(_("silent since"), null=True, blank=True)
    credits = models.DecimalField(_("credits left"), max_digits=14, decimal_places=2, null=True, blank=True)
    credits_at = models.DateTimeField(_("credits as of"), null=True, blank=True)

    class Meta:
        verbose_name = _("account state")
        verbose_name_plural = _("account states")
        ordering = ["alias"]

    def __str__(self) -> str:
        return self.alias
