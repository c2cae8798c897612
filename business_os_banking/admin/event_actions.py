"""The actions on events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin import display
from business_os_banking.admin.actions import Action
from business_os_banking.admin.connection_actions import replay_and_report
from business_os_banking.admin.display import Text
from business_os_banking.exceptions import NotAllowed
from business_os_banking.facts import preview
from business_os_banking.flows.assign import assign, assigned, find_session, ignore, stop_ignoring
from business_os_banking.models import ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Kind, Outcome

Events = Sequence[ConnectionEvent]


class EventAction(Action):
    def line(self, row: ConnectionEvent) -> tuple[Text, Text]:
        received = formats.date_format(timezone.localtime(row.received_at), "SHORT_DATETIME_FORMAT")
        return f"{row}, {row.get_outcome_display()}", f"#{row.pk}, {received}"


class Replay(EventAction):
    """Apply events again, oldest first."""

    verb = "replay"
    label = _("Replay")
    list_label = _("Replay selected events")
    question = _("Apply again?")
    button = _("Yes, replay")
    log_message = _("Applied again by an operator.")
    ordering = ("pk",)
    nothing_due = _("A change of a bank concerns many connections: banking_replay applies it again.")

    def is_due(self, row: ConnectionEvent) -> bool:
        return row.kind != Kind.PROVIDER_CHANGED

    def describe(self, rows: Events) -> list[Text]:
        return [_("An event that has had its effect has no other: this can repair, and does no harm.")]

    def changes(self, rows: Events, form: forms.Form | None) -> list[tuple[Text, Text, Text, Text]]:
        return [change for row in rows for change in display.change_rows(preview.of_event(row))]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Events, form: forms.Form | None) -> None:
        self.log(admin, request, rows)
        keys = [row.pk for row in rows]
        replay_and_report(admin, request, ConnectionEvent.objects.filter(pk__in=keys).order_by("pk"))


class MatchForm(forms.Form):
    """Asks for the session, and refuses one that the event must not be matched to."""

    reference = forms.UUIDField(
        label=_("Reference"),
        help_text=_("The whole reference of a session, or of a connection: its latest session."),
    )
    session: ConnectSession

    def __init__(self, event: ConnectionEvent, data: Any) -> None:
        super().__init__(data)
        self.event = event

    def clean_reference(self) -> Any:
        reference = self.cleaned_data["reference"]
        session = find_session(self.event, reference)
        if session is None:
            raise ValidationError(
                _(
                    "The account of this event has no session, and no connection with a session, of this reference."
                )
            )
        try:
            assigned(self.event, session)
        except NotAllowed as error:
            raise ValidationError(str(error)) from error
        self.session = session
        return reference


class Match(EventAction):
    """Decide by hand which session an event belongs to."""

    verb = "match"
    label = _("Match to a connection")
    question = _("Match to a connection?")
    button = _("Yes, match")
    nothing_due = _(
        "Only an event that matches nothing, and does not contradict itself, can be matched by hand."
    )
    max_rows: ClassVar[int] = 1

    def is_due(self, row: ConnectionEvent) -> bool:
        return row.outcome == Outcome.UNMATCHED and not row.note

    def describe(self, rows: Events) -> list[Text]:
        return [
            _(
                "What the event says is filed under the session that you name, for good. Whatever else waits for the "
                "same upstream connection follows."
            )
        ]

    def form(self, request: HttpRequest, rows: Events) -> MatchForm:
        return MatchForm(rows[0], request.POST if "reference" in request.POST else None)

    def changes(self, rows: Events, form: forms.Form | None) -> list[tuple[Text, Text, Text, Text]]:
        # The form has put the session onto the event.
        return display.change_rows(preview.of_event(rows[0]))

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Events, form: forms.Form | None) -> None:
        assert isinstance(form, MatchForm)  # noqa: S101 - for the type checker
        (row,) = rows
        reference = str(form.session.reference)
        text = gettext("Matched by an operator to session %(reference)s.") % {"reference": reference}
        try:
            # Both or neither: what cannot be applied is not decided either.
            with transaction.atomic():
                admin.log_change(request, row, text)
                row = assign(row, form.session)
        except NotAllowed as error:  # something has changed since the form was validated
            admin.message_user(request, str(error), messages.ERROR)
            return
        text = gettext("The event was matched: %(effect)s.") % {"effect": row.get_outcome_display()}
        admin.message_user(request, text, messages.SUCCESS)


class Ignore(EventAction):
    """Set events aside that match nothing."""

    verb = "ignore"
    label = _("Ignore")
    list_label = _("Ignore selected events")
    question = _("Ignore?")
    button = _("Yes, ignore")
    log_message = _("Ignored by an operator.")
    nothing_due = _("Only events that match nothing can be ignored.")

    def is_due(self, row: ConnectionEvent) -> bool:
        return row.outcome == Outcome.UNMATCHED and row.ignored_at is None

    def describe(self, rows: Events) -> list[Text]:
        return [
            _(
                "It is no longer listed or counted among what matches nothing. Nothing is deleted: it can be taken "
                "back, and if what it names turns up after all, it is applied."
            )
        ]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Events, form: forms.Form | None) -> None:
        self.log(admin, request, rows)
        count = ignore([row.pk for row in rows], timezone.now())
        text = ngettext("%(count)d event is ignored now.", "%(count)d events are ignored now.", count)
        admin.message_user(request, text % {"count": count}, messages.SUCCESS)


class StopIgnoring(EventAction):
    """List events again that were set aside."""

    verb = "unignore"
    permission = "ignore"
    label = _("Stop ignoring")
    list_label = _("Stop ignoring selected events")
    question = _("Stop ignoring?")
    button = _("Yes, list it again")
    log_message = _("No longer ignored, by an operator.")
    nothing_due = _("What you selected is not ignored.")

    def is_due(self, row: ConnectionEvent) -> bool:
        return row.outcome == Outcome.UNMATCHED and row.ignored_at is not None

    def describe(self, rows: Events) -> list[Text]:
        return [_("It is listed and counted again among what matches nothing.")]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Events, form: forms.Form | None) -> None:
        self.log(admin, request, rows)
        count = stop_ignoring([row.pk for row in rows])
        text = ngettext("%(count)d event is listed again.", "%(count)d events are listed again.", count)
        admin.message_user(request, text % {"count": count}, messages.SUCCESS)
