"""Bank connections: the lasting link between one owner and one bank login."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.models.choices import CONNECTION_STATUSES, ENDED_BY, HELD_REASONS, STATUS_REASONS
from business_os_banking.models.fields import ExactCharField
from business_os_banking.vocabulary import ENDED_HERE, LIVING_STATUSES, ConnectionStatus, HeldReason


class BankingConnectionQuerySet(models.QuerySet["BankingConnection"]):
    """What one asks of connections, by name. All methods can be chained."""

    def owned_by(self, user: Any, tenant: str = "") -> BankingConnectionQuerySet:
        """Return the connections of *user* within *tenant*; nobody owns nothing."""
        if user is None or not user.is_authenticated:
            return self.none()
        return self.filter(user=user, tenant=tenant)

    def active(self) -> BankingConnectionQuerySet:
        """Return those that work."""
        return self.filter(status=ConnectionStatus.ACTIVE)

    def inactive(self) -> BankingConnectionQuerySet:
        """Return those that only their owner can get to work again."""
        return self.filter(status=ConnectionStatus.INACTIVE)

    def living(self) -> BankingConnectionQuerySet:
        """Leave out the tombstones."""
        return self.exclude(status=ConnectionStatus.DISCONNECTED)

    def held(self) -> BankingConnectionQuerySet:
        """Return those of which a success is held: somebody has to answer whether it was meant."""
        return self.filter(held_reason__gt="")

    def without_user(self) -> BankingConnectionQuerySet:
        """Return those that have been connected, of which the site has deleted the user, and that no tenant has."""
        return self.filter(user=None, tenant="", status__in=LIVING_STATUSES)

    def needing_attention(self, needs: bool = True) -> BankingConnectionQuerySet:
        """Return those whose owner should do something, as `BankingConnection.needs_attention`; else the others."""
        soon = timezone.now() + timedelta(days=conf.settings.expiring_soon_days)
        waiting = Q(status=ConnectionStatus.INACTIVE)
        expiring = Q(status=ConnectionStatus.ACTIVE, consent_expires_at__lte=soon)
        attention = waiting | expiring | Q(held_reason=HeldReason.OTHER_BANK)
        return self.filter(attention) if needs else self.exclude(attention)

    def with_checking(self) -> BankingConnectionQuerySet:
        """Select along what `BankingConnection.is_checking` asks for: for lists."""
        # By its name: the model is made with a class of this module.
        sessions: Any = apps.get_model("business_os_banking", "ConnectSession")
        latest = sessions.objects.filter(connection=OuterRef("pk")).latest_is_back()
        return self.annotate(has_returned=Subquery(latest[:1]))

    def with_removal(self) -> BankingConnectionQuerySet:
        """Select along what `BankingConnection.removal_due` asks for: for lists."""
        removals: Any = apps.get_model("business_os_banking", "Removal")
        return self.annotate(has_removal=Exists(removals.objects.due().filter(connection=OuterRef("pk"))))


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
    upstream_id = ExactCharField(_("upstream connection"), max_length=128, blank=True, default="")
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
    held_reason = models.CharField(_("held"), max_length=16, choices=HELD_REASONS, blank=True, default="")
    # The tables would each refer to the other: without a constraint, rows can be deleted and loaded in any order.
    held_session = models.ForeignKey(
        "ConnectSession",
        verbose_name=_("held attempt"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The link that it is on.
    held_link = ExactCharField(max_length=128, blank=True, default="", editable=False)
    # The bank that it is at, as far as its owner may be told.
    held_bank = models.CharField(_("held bank"), max_length=255, blank=True, default="", editable=False)
    # Since when it, or what is moot by now, is held: to be answered for, or refused, in time.
    held_at = models.DateTimeField(null=True, blank=True, editable=False)
    # How many renewal links have been withdrawn; a link counts while it holds this number. See flows.invite.
    invitation = models.PositiveIntegerField(default=0, editable=False)
    # When the upstream was last seen to have its link: a page showed it, or it became known just then.
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A digest of the key to which it was shown then.
    seen_by = models.CharField(max_length=12, blank=True, default="", editable=False)
    # Since when the upstream's list lacks its link; a later reading that lacks it too makes it a fact.
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    # When its link is to be read next, because something of it is not known or only guessed at.
    read_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Since when a body that only looks like a removal waits for a reading to bear it out.
    removal_guessed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When a token or an upstream id of it last came to be known: what waits for that is looked for from here on.
    named_at = models.DateTimeField(default=timezone.now, editable=False)
    metadata = models.JSONField(
        _("metadata"), default=dict, blank=True, help_text=_("Yours to use; the app never reads it.")
    )
    # Everything that facts have said, as to_json writes it. The columns above are read off it.
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
            models.Index(fields=["upstream_id"], name="bob_connection_upstream"),
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
            models.Index(
                fields=["account", "read_due_at"],
                name="bob_connection_read",
                condition=Q(read_due_at__isnull=False),
            ),
            # Those that have become known since the last whole reading began: few, and in no webhook but the first.
            models.Index(
                fields=["account", "id"],
                name="bob_connection_unseen",
                condition=Q(seen_at__isnull=True, upstream_id__gt=""),
            ),
            models.Index(
                fields=["held_reason", "-id"],
                name="bob_connection_held",
                condition=Q(held_reason__gt=""),
            ),
            models.Index(
                fields=["held_at"], name="bob_connection_held_at", condition=Q(held_at__isnull=False)
            ),
            # Written once or twice for a session; the everyday webhook names nothing new.
            models.Index(fields=["named_at", "id"], name="bob_connection_named"),
        ]
        permissions = [
            ("check_bankingconnection", "Can check a bank connection now, which may cost credits"),
            ("renew_bankingconnection", "Can make and withdraw a link that renews a bank connection"),
            ("disconnect_bankingconnection", "Can disconnect a bank connection"),
            ("answer_bankingconnection", "Can answer whether what was connected was meant"),
        ]

    def __str__(self) -> str:
        return f"{self.display_name} ({self.get_status_display()})"

    def get_absolute_url(self) -> str:
        return reverse("business_os_banking:connection-detail", args=[self.reference])

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        for name in ("is_checking", "has_returned", "has_removal"):
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
    def removal_due(self) -> bool:
        """Whether the provider may still hold what was ended here, and nothing else stands on it.

        A query, unless it was selected with `with_removal`.
        """
        if "has_removal" in self.__dict__:
            return bool(self.__dict__["has_removal"])
        return bool(self.removals.all().due().exists())

    @property
    def needs_attention(self) -> bool:
        """Whether the owner should do something."""
        is_asked = self.held_reason == HeldReason.OTHER_BANK
        return self.status == ConnectionStatus.INACTIVE or self.is_expiring_soon or is_asked

    @property
    def is_ended_for_good(self) -> bool:
        """Whether its owner or an operator ended it: no later success brings it back."""
        return self.ended_by in ENDED_HERE

    @property
    def can_renew(self) -> bool:
        """Whether a new session (a retry or a renewal) may be started on it."""
        return not self.is_ended_for_good

    @property
    def can_disconnect(self) -> bool:
        """Whether it can be ended: it has not been yet."""
        return self.status != ConnectionStatus.DISCONNECTED
