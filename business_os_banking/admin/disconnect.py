"""Disconnect from the admin: asked once more, logged, and done by the same flow as everywhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import EndedBy

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

logger = logging.getLogger(__name__)

# Each one is a call to the provider that may take seconds, and the operator's browser waits for all of them.
MOST_AT_ONCE: Final = 20
TEMPLATE: Final = "admin/business_os_banking/bankingconnection/disconnect_confirmation.html"


def confirm_and_disconnect(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[BankingConnection],
    *,
    back: str = "",
) -> HttpResponse:
    """Show what would be disconnected; with the confirmation, do it and go to *back* (default: the list)."""
    back = back or request.get_full_path()
    chosen = list(queryset.defer(None).select_related("user")[: MOST_AT_ONCE + 1])
    if len(chosen) > MOST_AT_ONCE:
        text = gettext("Please disconnect at most %(most)d connections at once.")
        model_admin.message_user(request, text % {"most": MOST_AT_ONCE}, messages.ERROR)
        return HttpResponseRedirect(back)
    if not all(model_admin.has_change_permission(request, connection) for connection in chosen):
        raise PermissionDenied
    # One that is ended here but still held upstream may be tried once more.
    due = [connection for connection in chosen if connection.can_disconnect or connection.removal_due]
    if not due:
        text = gettext("There is nothing to do: what you selected is disconnected already.")
        model_admin.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(back)
    if request.method == "POST" and "confirmed" in request.POST:
        _disconnect(model_admin, request, due)
        return HttpResponseRedirect(back)
    return _confirmation(model_admin, request, due, skipped=len(chosen) - len(due), back=back)


def _disconnect(
    model_admin: ModelAdmin[Any], request: HttpRequest, connections: list[BankingConnection]
) -> None:
    for connection in connections:
        # Before, not after: if the worker is killed while it waits for the provider, it is still known who
        # wanted this.
        model_admin.log_change(request, connection, gettext("Disconnected by an operator."))
        try:
            disconnect(connection, by=EndedBy.OPERATOR)
        except ImproperlyConfigured as error:
            # Here it has ended; only the provider could not be told.
            logger.error("Connection %s cannot be removed upstream: %s", connection.reference, error)
            connection.refresh_from_db()
    kept = sum(connection.removal_due for connection in connections)
    count = len(connections)
    text = ngettext(
        "%(count)d connection was disconnected.", "%(count)d connections were disconnected.", count
    )
    model_admin.message_user(request, text % {"count": count}, messages.SUCCESS)
    if kept:
        text = ngettext(
            "%(count)d of them could not be removed at the provider yet. banking_reconcile tries again.",
            "%(count)d of them could not be removed at the provider yet. banking_reconcile tries again.",
            kept,
        )
        model_admin.message_user(request, text % {"count": kept}, messages.WARNING)


def _confirmation(
    model_admin: ModelAdmin[Any],
    request: HttpRequest,
    connections: list[BankingConnection],
    *,
    skipped: int,
    back: str,
) -> HttpResponse:
    site = model_admin.admin_site
    opts = model_admin.opts
    list_url = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist", current_app=site.name)
    context = {
        **site.each_context(request),
        "title": gettext("Disconnect?"),
        "subtitle": None,
        "opts": opts,
        "connections": connections,
        "skipped": skipped,
        "back": back,
        "list_url": list_url,
        "media": model_admin.media,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    request.current_app = site.name
    return TemplateResponse(request, TEMPLATE, context)
