"""Removals: what is to be removed at the provider, and what proves that it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings as django_settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from business_os_banking.models.choices import EVIDENCE
from business_os_banking.models.connections import BankingConnection
from business_os_banking.models.fields import ExactCharField

STUCK_AFTER: Final = timedelta(days=7)  # what is not settled by then is for a person to look at
_SALT: Final = "business_os_banking.removal"


class RemovalQuerySet(models.QuerySet["Removal"]):
    """What one asks of removals, by name. All methods can be chained."""

    def unsettled(self) -> RemovalQuerySet:
        """Return those that nothing has proved yet."""
        return self.filter(settled_at=None, of_session=False)

    def due(self) -> RemovalQuerySet:
        """Leave out those that are put off because a living connection stands on the same upstream connection."""
        return self.unsettled().filter(left_at=None)

    def stuck(self, now: datetime) -> RemovalQuerySet:
        """Return those that have been due for a week."""
        return self.due().filter(requested_at__lt=now - STUCK_AFTER)


class Removal(models.Model):
    """One upstream connection that is to be removed at the provider. It outlives the connection that it came from.

    ``evidence`` says what proves that it is gone, from ``settled_at`` on. Where a person was erased, ``connection`` is
    empty, and ``upstream_id`` is emptied once it is settled: what is left is ``digest``, a salted hash, by which what
    the upstream still says of it is known and not kept. With ``of_session``, the digest is that of the token or of the
    reference of an erased session, of which a success may still come.
    """

    id = models.BigAutoField(primary_key=True)
    connection = models.ForeignKey(
        BankingConnection,
        verbose_name=_("connection"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="removals",
    )
    account = ExactCharField(_("Business OS account"), max_length=64, default="default")
    upstream_id = ExactCharField(_("upstream connection"), max_length=128, blank=True, default="")
    digest = ExactCharField(max_length=64, editable=False)
    of_session = models.BooleanField(default=False, editable=False)
    # Digests of the keys to which the upstream has shown it: that it is not there is proof only from these.
    known_to = models.JSONField(default=list, blank=True, editable=False)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_at = models.DateTimeField(_("next try"), null=True, blank=True)
    # Held by the worker that asks just now. One that dies holds it no longer than this.
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    # When the upstream was first asked, so that it may have been done; since when whole readings lack it, and when
    # a page showed it last.
    asked_at = models.DateTimeField(_("first asked"), null=True, blank=True)
    unlisted_at = models.DateTimeField(null=True, blank=True, editable=False)
    shown_at = models.DateTimeField(null=True, blank=True, editable=False)
    left_at = models.DateTimeField(
        _("left"),
        null=True,
        blank=True,
        help_text=_("Another connection stands on it, so it is not removed as long as that one lives."),
    )
    evidence = models.CharField(_("evidence"), max_length=16, choices=EVIDENCE, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=255, blank=True, default="")
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    objects = RemovalQuerySet.as_manager()

    class Meta:
        verbose_name = _("removal at the provider")
        verbose_name_plural = _("removals at the provider")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="bob_removal_digest")]
        indexes = [
            models.Index(fields=["settled_at", "next_at"], name="bob_removal_due"),
            models.Index(fields=["upstream_id"], name="bob_removal_upstream"),
            models.Index(fields=["requested_at"], name="bob_removal_requested"),
        ]
        permissions = [("settle_removal", "Can settle a removal by hand")]

    def __str__(self) -> str:
        return str(_("Removal %(number)d")) % {"number": self.pk or 0}

    @property
    def is_stuck(self) -> bool:
        """Whether it has been due for a week."""
        is_due = self.settled_at is None and self.left_at is None
        return is_due and self.requested_at < timezone.now() - STUCK_AFTER


def digest_of(kind: str, account: str, value: str) -> str:
    """Return the salted hash of a ``link``, a ``token`` or a ``reference`` of *account*."""
    return _digest(kind, account, value, str(django_settings.SECRET_KEY))


def digests_of(kind: str, account: str, value: str) -> list[str]:
    """Return the salted hashes that such a value may have been kept as, those of former secret keys included."""
    secrets = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
    return [_digest(kind, account, value, str(secret)) for secret in secrets]


def _digest(kind: str, account: str, value: str, secret: str) -> str:
    text = "\0".join((kind, account, value))
    return salted_hmac(_SALT, text, secret, algorithm="sha256").hexdigest()
