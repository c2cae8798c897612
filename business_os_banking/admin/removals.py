"""Removals at the provider, and the action that settles one by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin import display
from business_os_banking.admin.actions import Action, permission_method
from business_os_banking.admin.base import ActingAdmin
from business_os_banking.admin.display import Text
from business_os_banking.admin.filters import AccountFilter
from business_os_banking.flows.remove import settle
from business_os_banking.models import Removal
from business_os_banking.vocabulary import Evidence

Removals = Sequence[Removal]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=255,
        help_text=_("How do you know that it is gone, or why is it given up? No names, please: it is kept."),
    )


class Settle(Action):
    """Say by hand that an upstream connection is gone, or is given up."""

    verb = "settle"
    label = _("Settle by hand")
    question = _("Settle by hand?")
    button = _("Yes, settle it")
    nothing_due = _("It is settled already, or another connection stands on it.")
    is_final = True
    shows_changes = False
    max_rows: ClassVar[int] = 1

    def is_due(self, row: Removal) -> bool:
        return row.settled_at is None and row.left_at is None and not row.of_session

    def line(self, row: Removal) -> tuple[Text, Text]:
        requested = formats.date_format(timezone.localtime(row.requested_at), "SHORT_DATETIME_FORMAT")
        return str(row), f"{row.account}, {requested}"

    def describe(self, rows: Removals) -> list[Text]:
        return [
            _(
                "The provider is not asked any more. If it still holds the connection, it may go on reading accounts "
                "and charge for it: look in its dashboard first. This cannot be undone."
            )
        ]

    def form(self, request: HttpRequest, rows: Removals) -> ReasonForm:
        return ReasonForm(request.POST if "reason" in request.POST else None)

    def do(
        self, admin: ModelAdmin[Any], request: HttpRequest, rows: Removals, form: forms.Form | None
    ) -> None:
        assert form is not None  # noqa: S101 - for the type checker
        (row,) = rows
        admin.log_change(request, row, gettext("Settled by an operator."))
        if settle(row, Evidence.BY_HAND, timezone.now(), form.cleaned_data["reason"]):
            admin.message_user(request, gettext("The removal is settled."), messages.SUCCESS)
        else:  # somebody has come to stand on it since the page was shown
            admin.message_user(request, str(self.nothing_due), messages.WARNING)


class StateFilter(admin.SimpleListFilter):
    """What is to be done, what is left alone, and what is proved."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Text]]:
        return [
            ("due", _("To be proved")),
            ("stuck", _("For more than a week")),
            ("left", _("Left")),
            ("settled", _("Settled")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "due":
                return queryset.due()
            case "stuck":
                return queryset.stuck(timezone.now())
            case "left":
                return queryset.unsettled().exclude(left_at=None)
            case "settled":
                return queryset.exclude(settled_at=None)
        return queryset


class RemovalAdmin(ActingAdmin):
    """Removals are looked at, and settled by hand where nothing else proves them."""

    list_display: Any = ("__str__", "state_word", "requested", "tries", "next_try")
    list_filter: ClassVar[Any] = (StateFilter, "evidence", AccountFilter)
    list_select_related = ("connection",)
    fields = (
        *("state_word", "connection_link", "account", "upstream_id"),
        *("requested_at", "tries", "next_at", "asked_at", "left_at", "evidence", "reason", "settled_at"),
    )
    row_actions = (Settle(),)
    has_settle_permission = permission_method("settle_removal")

    def get_queryset(self, request: HttpRequest) -> Any:
        # What a late success of an erased session would be known by is of no interest to anybody.
        return super().get_queryset(request).filter(of_session=False)

    @admin.display(description=_("state"))
    def state_word(self, removal: Removal) -> Any:
        if removal.settled_at is not None:
            return display.word(removal.get_evidence_display(), "good")
        if removal.left_at is not None:
            return display.word(gettext("Left"), "quiet")
        return display.word(gettext("To be proved"), "bad" if removal.is_stuck else "quiet")

    @admin.display(description=_("requested"))
    def requested(self, removal: Removal) -> Any:
        return display.moment(removal.requested_at)

    @admin.display(description=_("next try"))
    def next_try(self, removal: Removal) -> Any:
        return display.moment(None if removal.settled_at else removal.next_at)

    @admin.display(description=_("connection"))
    def connection_link(self, removal: Removal) -> Any:
        if removal.connection is None:
            return gettext("Erased")
        return display.change_link(self.admin_site.name, removal.connection, str(removal.connection))
