"""The actions that answer for a success which is held: it was meant, or it was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin.connection_actions import ConnectionAction
from business_os_banking.admin.display import Text
from business_os_banking.flows.answer import NothingHeld, accept, question_of, refuse
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import EndedBy, HeldReason

Connections = Sequence[BankingConnection]

# Of each reason: what is asked, and who may answer.
QUESTIONS: dict[HeldReason, tuple[Text, Text]] = {
    HeldReason.OTHER_BROWSER: (
        _("Somebody else may have finished this at a bank than the person who began it."),
        _(
            "Whoever finished it proves in that browser that it was the same person. Accept it only if you know."
        ),
    ),
    HeldReason.OTHER_BANK: (
        _("The renewal has ended at another bank. The old link goes on meanwhile."),
        _("The customer is asked. Answer for them if they have told you."),
    ),
    HeldReason.LINK_WITHDRAWN: (
        _("The renewal link was withdrawn while it was under way, and it has succeeded all the same."),
        _("Only an operator can accept it."),
    ),
}


class WhyForm(forms.Form):
    why = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("How do you know? No names, please: it is kept.")
    )
    question = forms.CharField(widget=forms.HiddenInput, required=False)


class _Answer(ConnectionAction):
    permission = "answer"
    shows_changes = False
    max_rows: ClassVar[int] = 1
    nothing_due = _("There is nothing to do: no question is open.")

    def is_due(self, row: BankingConnection) -> bool:
        return bool(row.held_reason)

    def form(self, request: HttpRequest, rows: Connections) -> WhyForm:
        question = question_of(rows[0])
        return WhyForm(request.POST if "why" in request.POST else None, initial={"question": question})

    def describe(self, rows: Connections) -> list[Text]:
        return [*QUESTIONS[HeldReason(rows[0].held_reason)], self.consequence(rows[0])]

    def consequence(self, row: BankingConnection) -> Text:
        raise NotImplementedError

    def answer(self, row: BankingConnection, given: dict[str, str]) -> Text:
        """Answer, with what was *given* in the form; return what to tell the operator."""
        raise NotImplementedError

    def do(
        self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: forms.Form | None
    ) -> None:
        assert form is not None  # noqa: S101 - for the type checker
        (row,) = rows
        self.log(admin, request, [row])
        try:
            text = self.answer(row, form.cleaned_data)
            admin.message_user(request, str(text), messages.SUCCESS)
        except NothingHeld:  # somebody has answered since the page was shown
            admin.message_user(request, str(self.nothing_due), messages.WARNING)


class Accept(_Answer):
    """Take what is held for what was meant."""

    verb = "accept"
    label = _("Accept")
    question = _("Accept it?")
    button = _("Yes, it was meant")
    log_message = _("Held success accepted by an operator.")

    def consequence(self, row: BankingConnection) -> Text:
        if row.held_bank:
            return gettext("From then on the connection is one with %(bank)s.") % {"bank": row.held_bank}
        return _("From then on the connection stands on it.")

    def answer(self, row: BankingConnection, given: dict[str, str]) -> Text:
        accept(row, by=EndedBy.OPERATOR, **given)
        return _("It is accepted.")


class Refuse(_Answer):
    """Have what is held count no more."""

    verb = "refuse"
    label = _("Refuse")
    question = _("Refuse it?")
    button = _("Yes, it was not meant")
    log_message = _("Held success refused by an operator.")
    is_final = True

    def consequence(self, row: BankingConnection) -> Text:
        return _("It counts no more, and its access is removed at the provider. This cannot be undone.")

    def answer(self, row: BankingConnection, given: dict[str, str]) -> Text:
        refuse(row, by=EndedBy.OPERATOR, **given)
        return _("It is refused.")
