"""What is remembered about each Business OS account."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from business_os_banking.models.choices import SILENCES
from business_os_banking.models.fields import ExactCharField


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
    # Since when the list is wanted before its time: something that a link left open could not be read by its id.
    list_wanted_at = models.DateTimeField(null=True, blank=True, editable=False)
    silence = models.CharField(_("silence"), max_length=16, choices=SILENCES, blank=True, default="")
    silent_since = models.DateTimeField(_("silent since"), null=True, blank=True)
    credits = models.DecimalField(_("credits left"), max_digits=14, decimal_places=2, null=True, blank=True)
    credits_at = models.DateTimeField(_("credits as of"), null=True, blank=True)
    # How far the last complete run looked at the events that match nothing. See flows.waiting.
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    looked_to = models.BigIntegerField(default=0, editable=False)
    share_to = models.BigIntegerField(default=0, editable=False)
    # What an erasure takes with it and the silence alarm must not miss: when the last webhook that matched had come,
    # and that there was an erasure, after which the provider may still speak of what nobody knows here.
    heard_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("account state")
        verbose_name_plural = _("account states")
        ordering = ["alias"]

    def __str__(self) -> str:
        return self.alias
