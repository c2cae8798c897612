"""Tags for any page of a host: ``{% load business_os_banking %}``."""

from typing import Any

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.translation import gettext as _

from business_os_banking import wording
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import ConnectionStatus, SessionStatus
from business_os_banking.web.actions import Action, actions_for
from business_os_banking.wording import texts

register = template.Library()


@register.inclusion_tag("business_os_banking/_connect_button.html", takes_context=True)
def banking_connect_button(
    context: RequestContext,
    label: str = "",
    next: str = "",  # noqa: A002 - the name that the tag's users know
    account: str = "",
) -> dict[str, Any]:
    """Render a form with one button that takes the customer to the bank, on any page rendered with a request.

    ``label`` is the button's text, ``next`` where to go on afterwards (by default the page with the button).
    ``account`` is not sent: it is for a template of your own that shows more than one kind of button.
    """
    request = context.get("request")
    return {
        "connect_url": reverse("business_os_banking:connect"),
        "label": label or _("Connect your bank"),
        "next": next or (request.get_full_path() if request else ""),
        "account": account,
    }


@register.inclusion_tag("business_os_banking/_status_badge.html")
def banking_status(connection: BankingConnection) -> dict[str, Any]:
    """Render the status of a connection in a word or two, with its colour."""
    tone = wording.for_connection(connection).tone
    ended = connection.status == ConnectionStatus.DISCONNECTED
    return {
        "connection": connection,
        "label": wording.label_for_connection(connection),
        "tone": "muted" if ended else tone,
    }


@register.simple_tag
def banking_wording(connection: BankingConnection) -> wording.Wording:
    """``{% banking_wording connection as wording %}``: title, text, next step and tone."""
    return wording.for_connection(connection)


@register.simple_tag(takes_context=True)
def banking_actions(context: RequestContext, connection: BankingConnection) -> list[Action]:
    """``{% banking_actions connection as actions %}``: what can be done, each with name, label, url and is_main."""
    return actions_for(connection, context.get("request"))


@register.simple_tag
def banking_session_label(session: ConnectSession) -> texts.Text:
    """Return the status of one attempt in a word or two."""
    return texts.SESSION_LABELS[SessionStatus(session.status)]
