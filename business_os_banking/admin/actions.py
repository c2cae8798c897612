"""What an operator can do to rows, confirmed before it is done: one way for all actions, and one page.

An action does nothing of its own: it calls the flow that commands and pages call, and logs who did it. Where it is
offered, the wrapper is made here and in `base.ActingAdmin`: `list_action` for lists, `row_actions` for the page of
a row, `permission_method` for the permission that both ask for. The permission itself is checked in `confirm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin as django_admin
from django.contrib import messages
from django.contrib.admin import ModelAdmin, helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin.display import Text, admin_url

TEMPLATE: Final = "admin/business_os_banking/confirmation.html"


class Action:
    """Something that can be done to rows. Implement `describe` and `do`; override the rest where it differs."""

    verb: ClassVar[str]  # its name in addresses, and in those of permissions
    permission: ClassVar[str] = ""  # if not the verb: the name in permissions
    label: ClassVar[Text]  # on the page of a row
    list_label: ClassVar[Text] = ""  # in the menu of a list, where it is in one
    question: ClassVar[Text]
    button: ClassVar[Text]
    log_message: ClassVar[Text] = ""  # in the history of each row
    is_final: ClassVar[bool] = False  # it cannot be undone; the button is red then
    shows_changes: ClassVar[bool] = True  # before it is confirmed, once what its form asks for is known
    nothing_due: ClassVar[Text] = _("There is nothing to do.")
    ordering: ClassVar[tuple[str, ...]] = ()  # of the rows, where not that of the list
    # Each may take seconds, and the operator's browser waits for all of them.
    max_rows: ClassVar[int] = 20

    def is_due(self, row: Any) -> bool:
        """Return whether there is something to do for this row."""
        return True

    def describe(self, rows: Sequence[Any]) -> list[Text]:
        """Return what will happen, as paragraphs."""
        raise NotImplementedError

    def line(self, row: Any) -> tuple[Text, Text]:
        """Return the name of a row on the confirmation page, and what is written small beside it."""
        return str(row), ""

    def form(self, request: HttpRequest, rows: Sequence[Any]) -> forms.Form | None:
        """Return the form for what must be known before it can be confirmed, bound to the data that was sent."""
        return None

    def changes(
        self, rows: Sequence[Any], form: forms.Form | None
    ) -> list[tuple[Text, Text, Text, Text]] | None:
        """Return the changes (row, column, value before, value after); None if they cannot be computed."""
        return None

    def do(
        self, admin: ModelAdmin[Any], request: HttpRequest, rows: Sequence[Any], form: forms.Form | None
    ) -> HttpResponse | None:
        """Do it, log it and message the result. A response is shown; with None the operator goes back."""
        raise NotImplementedError

    def log(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Sequence[Any]) -> None:
        """Write `log_message` to the history of each of *rows*."""
        for row in rows:
            admin.log_change(request, row, str(self.log_message))


def list_action(action: Action) -> Callable[..., HttpResponse | None]:
    """Return the method that offers *action* in the menu of a list, to those who have its permission."""

    @django_admin.action(description=action.list_label, permissions=[action.permission or action.verb])
    def ask(admin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return confirm(action, admin, request, queryset)

    return ask


def permission_method(codename: str) -> Callable[..., bool]:
    """Return the method ``has_…_permission`` for a permission of this app, the same for every row."""

    def has_permission(admin: ModelAdmin[Any], request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG001 - as in Django
        return request.user.has_perm(f"{admin.opts.app_label}.{codename}")

    return has_permission


def is_permitted(action: Action, admin: Any, request: HttpRequest, row: Any = None) -> bool:
    """Return whether this person may see the row and do this to it."""
    has_permission = getattr(admin, f"has_{action.permission or action.verb}_permission")
    return bool(admin.has_view_permission(request, row) and has_permission(request, row))


def confirm(
    action: Action, admin: ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any], *, back: str = ""
) -> HttpResponse:
    """Show what would be done; with the confirmation, do it and go to *back* (default: the list)."""
    back = back or request.get_full_path()
    if action.ordering:
        queryset = queryset.order_by(*action.ordering)
    selected = list(queryset.defer(None)[: action.max_rows + 1])
    if len(selected) > action.max_rows:
        text = gettext("Please select at most %(most)d at once.")
        admin.message_user(request, text % {"most": action.max_rows}, messages.ERROR)
        return HttpResponseRedirect(back)
    if not all(is_permitted(action, admin, request, row) for row in selected):
        raise PermissionDenied
    due = [row for row in selected if action.is_due(row)]
    if not due:
        admin.message_user(request, str(action.nothing_due), messages.WARNING)
        return HttpResponseRedirect(back)
    form = action.form(request, due)
    is_ready = form is None or form.is_valid()
    if is_ready and request.method == "POST" and "confirmed" in request.POST:
        return action.do(admin, request, due, form) or HttpResponseRedirect(back)
    return _confirmation(action, admin, request, due, form, skipped=len(selected) - len(due), back=back)


def _confirmation(
    action: Action,
    admin: ModelAdmin[Any],
    request: HttpRequest,
    rows: list[Any],
    form: forms.Form | None,
    *,
    skipped: int,
    back: str,
) -> HttpResponse:
    is_ready = form is None or form.is_valid()
    return page(
        admin,
        request,
        TEMPLATE,
        title=action.question,
        action=action,
        action_name=f"{action.verb}_selected",
        rows=[(row.pk, *action.line(row)) for row in rows],
        says=action.describe(rows),
        form=form,
        ready=is_ready,
        changes=action.changes(rows, form) if is_ready else None,
        skipped=skipped,
        back=back,
    )


def page(admin: ModelAdmin[Any], request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a page of the admin, rendered from *template* with what all of ours need."""
    site = admin.admin_site
    request.current_app = site.name
    return TemplateResponse(
        request,
        template,
        {
            **site.each_context(request),
            "subtitle": None,  # all that the template asks for: of what is missing, Django logs the whole context
            "opts": admin.opts,
            "list_url": admin_url(site.name, admin.model, "changelist"),
            "media": admin.media,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            **context,
        },
    )
