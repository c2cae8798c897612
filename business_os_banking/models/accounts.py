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
    # What reading has taught about the list, as {name: {"value", "at"}}; see flows.learning.
    learnt = models.JSONField(_("learnt about the list"), default=dict, blank=True, editable=False)
    # What is left of each share of the day's reads, as {share: {"left", "at"}}; see flows.budget.
    buckets = models.JSONField(default=dict, blank=True, editable=False)
    # Where the last pages of the list begin, the last one last; "" is the beginning of the list.
    anchors = models.JSONField(default=list, blank=True, editable=False)
    first_id = ExactCharField(max_length=128, blank=True, default="", editable=False)
    # The whole reading that is under way: when it began, the page that comes next, and how many have been read.
    sweep_started_at = models.DateTimeField(_("whole reading begun"), null=True, blank=True)
    sweep_next_at = models.DateTimeField(_("next whole reading"), null=True, blank=True)
    sweep_cursor = ExactCharField(max_length=128, blank=True, default="", editable=False)
    sweep_pages = models.PositiveIntegerField(_("pages of it that were read"), default=0)
    # A page that it has come by, by which a list is told that leads in a circle.
    sweep_mark = ExactCharField(max_length=128, blank=True, default="", editable=False)
    # How many living connections of ours it has shown so far.
    sweep_seen = models.PositiveIntegerField(default=0, editable=False)
    # Held by the run of reconcile that reads just now.
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
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
