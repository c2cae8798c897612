"""What a customer can do about a connection: the one place that decides it for the pages."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from business_os_banking.adapter import may_renew
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import ConnectionStatus
from business_os_banking.wording.texts import Text


@dataclass(frozen=True)
class Action:
    """A button: ``name`` (``answer``, ``renew``, ``disconnect``), text, where it leads, whether it is the main one."""

    name: str
    label: Text
    url: str
    is_main: bool = False


def actions_for(connection: BankingConnection, request: HttpRequest | None = None) -> list[Action]:
    """Return what whoever sent *request* can do about *connection*, the way forward first.

    Without a request it is what the state of the connection allows.
    """
    actions = []
    if connection.held_reason:
        actions.append(Action("answer", _("Answer"), connection.get_absolute_url(), is_main=True))
    if may_renew(connection, request):
        is_unfinished = connection.status == ConnectionStatus.PENDING and not connection.is_checking
        is_main = not connection.held_reason and (is_unfinished or connection.needs_attention)
        actions.append(Action("renew", _renew_label(connection), _url("renew", connection), is_main))
    if connection.can_disconnect:
        is_pending = connection.status == ConnectionStatus.PENDING
        label = _("Remove") if is_pending else _("Disconnect")
        actions.append(Action("disconnect", label, _url("disconnect", connection)))
    return actions


def _renew_label(connection: BankingConnection) -> Text:
    if connection.status == ConnectionStatus.PENDING:
        return _("Try again") if connection.is_checking else _("Finish")
    return _("Connect again") if connection.status == ConnectionStatus.DISCONNECTED else _("Renew")


def _url(name: str, connection: BankingConnection) -> str:
    return reverse(f"business_os_banking:connection-{name}", args=[connection.reference])
