"""What an operator may do, asked once more before it is done. One way for all of them, and one page.

An action does nothing of its own: it calls the flow that commands and pages call, and notes who wanted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin, helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin.display import Text

TEMPLATE: Final = "admin/business_os_banking/confirmation.html"


class Action:
    """One thing to do. You say `is_due`, `says` and `do`; the permission is asked for by `confirm`."""

    verb: ClassVar[str]  # its name in addresses, and in those of permissions
    permission: ClassVar[str] = ""  # if not the verb: the name in permissions
    label: ClassVar[Text]  # on the page of a row
    question: ClassVar[Text]
    button: ClassVar[Text]
    is_final: ClassVar[bool] = False  # it cannot be undone; the button is red then
    nothing: ClassVar[Text] = _("There is nothing to do.")
    # Each may take seconds, and the operator's browser waits for all of them.
    most: ClassVar[int] = 20

    def is_due(self, row: Any) -> bool:
        """Return whether there is something to do for this row."""
        return True

    def says(self, rows: Sequence[Any]) -> list[Text]:
        """Return what will happen, a paragraph each."""
        raise NotImplementedError

    def line(self, row: Any) -> tuple[Text, Text]:
        """Return how a row is named in the list of what is concerned, and what is written small beside it."""
        return str(row), ""

    def form(self, request: HttpRequest, rows: Sequence[Any]) -> forms.Form | None:
        """Return the form of what must be known before it can be asked, bound to what was sent."""
        return None

    def changes(
        self, rows: Sequence[Any], form: forms.Form | None
    ) -> list[tuple[Text, Text, Text, Text]] | None:
        """Return what would change (of what, which column, from, to); None if that cannot be foretold."""
        return None

    def do(
        self, admin: ModelAdmin[Any], request: HttpRequest, rows: Sequence[Any], form: forms.Form | None
    ) -> HttpResponse | None:
        """Do it, log it and tell what came of it. A response is shown, else the operator goes back."""
        raise NotImplementedError


def may(action: Action, admin: Any, request: HttpRequest, row: Any = None) -> bool:
    """Return whether this person may see the row and do this to it."""
    allowed = getattr(admin, f"has_{action.permission or action.verb}_permission")
    return bool(admin.has_view_permission(request, row) and allowed(request, row))


def confirm(
    action: Action, admin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any], *, back: str = ""
) -> HttpResponse:
    """Show what would be done; with the confirmation, do it and go to *back* (default: the list)."""
    back = back or request.get_full_path()
    chosen = list(queryset.defer(None)[: action.most + 1])
    if len(chosen) > action.most:
        text = gettext("Please select at most %(most)d at once.")
        admin.message_user(request, text % {"most": action.most}, messages.ERROR)
        return HttpResponseRedirect(back)
    if not all(may(action, admin, request, row) for row in chosen):
        raise PermissionDenied
    due = [row for row in chosen if action.is_due(row)]
    if not due:
        admin.message_user(request, str(action.nothing), messages.WARNING)
        return HttpResponseRedirect(back)
    form = action.form(request, due)
    ready = form is None or form.is_valid()
    if ready and request.method == "POST" and "confirmed" in request.POST:
        return action.do(admin, request, due, form) or HttpResponseRedirect(back)
    return _ask(action, admin, request, due, form, skipped=len(chosen) - len(due), back=back)


def _ask(
    action: Action,
    admin: ModelAdmin[Any],
    request: HttpRequest,
    rows: list[Any],
    form: forms.Form | None,
    *,
    skipped: int,
    back: str,
) -> HttpResponse:
    ready = form is None or form.is_valid()
    return page(
        admin,
        request,
        TEMPLATE,
        title=action.question,
        action=action,
        action_name=f"{action.verb}_selected",
        rows=[(row.pk, *action.line(row)) for row in rows],
        says=action.says(rows),
        form=form,
        ready=ready,
        changes=action.changes(rows, form) if ready else None,
        skipped=skipped,
        back=back,
    )


def page(admin: ModelAdmin[Any], request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a page of the admin, with what all of ours need."""
    site, opts = admin.admin_site, admin.opts
    name = f"admin:{opts.app_label}_{opts.model_name}_changelist"
    request.current_app = site.name
    return TemplateResponse(
        request,
        template,
        {
            **site.each_context(request),
            "subtitle": None,  # all that the template asks for: of what is missing, Django logs the whole context
            "opts": opts,
            "list_url": reverse(name, current_app=site.name),
            "media": admin.media,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            **context,
        },
    )
