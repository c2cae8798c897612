"""Connect sessions: one trip to the widget each, and the further upstream connections that it named."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.db import models
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from business_os_banking.conf.secret import Secret
from business_os_banking.models.choices import APIS, ERROR_GROUPS, SESSION_STATUSES
from business_os_banking.models.connections import BankingConnection
from business_os_banking.models.fields import ExactCharField
from business_os_banking.vocabulary import WAITING_STATUSES, SessionStatus


class ConnectSessionQuerySet(models.QuerySet["ConnectSession"]):
    """What one asks of connect sessions, by name. All methods can be chained."""

    def waiting(self) -> ConnectSessionQuerySet:
        """Return the sessions of which nothing final is known and no setback either."""
        return self.filter(status__in=WAITING_STATUSES)

    def latest_is_back(self) -> QuerySet[ConnectSession, bool]:
        """Return of each session, the latest first, whether its browser is back and its answer is not."""
        is_back = Q(status__in=WAITING_STATUSES, returned_at__isnull=False)
        return self.order_by("-pk").annotate(is_back=is_back).values_list("is_back", flat=True)


class ConnectSession(models.Model):
    """One trip to the widget: a first connect, a retry or a renewal."""

    id = models.BigAutoField(primary_key=True)
    connection = models.ForeignKey(
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
    upstream_id = ExactCharField(_("upstream connection"), max_length=128, blank=True, default="")
    next_url = models.TextField(_("goes on to"), blank=True, default="")
    stage = models.CharField(_("last stage"), max_length=64, blank=True, default="")
    returned_at = models.DateTimeField(_("browser came back"), null=True, blank=True)
    succeeded_at = models.DateTimeField(_("succeeded"), null=True, blank=True)
    refused_at = models.DateTimeField(_("refused"), null=True, blank=True, editable=False)
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
    # Whether the browser that began it has a cookie of ours to show when it comes back.
    has_cookie = models.BooleanField(default=False, editable=False)
    # SHA-256 of the key in the address that upstream alone is told: whoever opens that has finished at the bank.
    return_key = models.CharField(max_length=64, blank=True, default="", editable=False)
    # While it waits: when the list is to be looked through for it next, how often it was, and when last.
    look_at = models.DateTimeField(null=True, blank=True, editable=False)
    looks = models.PositiveSmallIntegerField(default=0, editable=False)
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A digest of the key that opened it.
    opened_with = models.CharField(max_length=12, blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    # The key itself, while the session is being opened; the row has its digest alone.
    key: Secret | None = None

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
            models.Index(fields=["upstream_id"], name="bob_session_upstream"),
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

    def make_key(self) -> None:
        """Make the key of the address that it comes back to: 128 random bits, of which the row keeps the SHA-256."""
        self.key = Secret(secrets.token_urlsafe(16))
        self.return_key = hashlib.sha256(self.key.encode()).hexdigest()

    def is_key(self, key: Secret) -> bool:
        """Return whether *key* is the one that Business OS was told."""
        return secrets.compare_digest(self.return_key, hashlib.sha256(key.encode()).hexdigest())

    @property
    def is_final(self) -> bool:
        """Whether nothing about it can change any more. Reads ``connection``: select it along."""
        # Anything else can: a success wins over every setback, however late it comes.
        if self.connection.is_ended_for_good:
            return True
        return self.status == SessionStatus.SUCCEEDED and self.connection.held_session_id != self.pk


class SessionLink(models.Model):
    """A further upstream connection that a session has named, besides the one in its ``upstream_id``.

    A customer who starts again inside the widget may leave the first one behind; facts about it are still ours.
    """

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(
        ConnectSession,
        on_delete=models.CASCADE,
        related_name="links",
        db_index=False,  # bob_session_link begins with it
    )
    upstream_id = ExactCharField(max_length=128)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "upstream_id"], name="bob_session_link")]
        indexes = [models.Index(fields=["upstream_id"], name="bob_link_upstream")]

    def __str__(self) -> str:
        return self.upstream_id
