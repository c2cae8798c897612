"""The actions on bank connections."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.adapter import may_renew
from business_os_banking.admin import display, qr
from business_os_banking.admin.actions import Action, page
from business_os_banking.admin.display import Text
from business_os_banking.facts import preview
from business_os_banking.facts.replay import replay
from business_os_banking.flows import invite
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.flows.read import read_account
from business_os_banking.flows.reading import Reading
from business_os_banking.models import AccountState, BankingConnection, ConnectionEvent
from business_os_banking.vocabulary import EndedBy, Kind

logger = logging.getLogger(__name__)

LINKS: Final = "admin/business_os_banking/bankingconnection/renewal_links.html"
MAX_EVENTS: Final = 500

Form = forms.Form | None
Connections = Sequence[BankingConnection]


class ConnectionAction(Action):
    def line(self, row: BankingConnection) -> tuple[Text, Text]:
        return f"{row.display_name}, {row.get_status_display()}", str(row.reference)


class Check(ConnectionAction):
    """Read the list of the account now, whether or not it is due."""

    verb = "check"
    label = _("Check now")
    list_label = _("Check selected connections now")
    question = _("Check now?")
    button = _("Yes, check now")
    log_message = _("Checked by an operator.")

    def describe(self, rows: Connections) -> list[Text]:
        aliases = sorted({row.account for row in rows})
        states = {state.alias: state for state in AccountState.objects.filter(alias__in=aliases)}
        texts: list[Text] = [
            _(
                "The list of connections at Business OS is read, and what it says is recorded as a fact. Each page "
                "of the list may cost a credit; ten pages are read at most, once a minute."
            )
        ]
        for alias in aliases:
            state = states.get(alias)
            used = state.reads if state and state.reads_on == timezone.now().date() else 0
            values = {"account": alias, "used": used, "most": conf.settings.reads_per_day}
            texts.append(
                gettext("Account %(account)s: %(used)d of today's %(most)d reads are used.") % values
            )
        return texts

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: Form) -> None:
        self.log(admin, request, rows)
        for alias in sorted({row.account for row in rows}):
            self._report(admin, request, alias, read_account(alias, timezone.now(), by_hand=True))
        for row in rows:
            before = row.get_status_display()
            row.refresh_from_db()
            after = row.get_status_display()
            if after != before:
                values = {"bank": row.display_name, "before": before, "after": after}
                text = gettext("%(bank)s: %(before)s, now %(after)s.") % values
                admin.message_user(request, text, messages.SUCCESS)

    def _report(self, admin: ModelAdmin[Any], request: HttpRequest, alias: str, reading: Reading) -> None:
        if reading.pages:
            text = gettext("Account %(account)s: pages read: %(pages)d, new facts: %(facts)d.")
            values = {"account": alias, "pages": reading.pages, "facts": reading.facts}
            admin.message_user(request, text % values, messages.SUCCESS)
        if reading.problem:
            text = gettext("Account %(account)s: %(problem)s.")
            values = {"account": alias, "problem": reading.problem_in_words().rstrip(".")}
            admin.message_user(request, text % values, messages.WARNING)


class Renew(ConnectionAction):
    """Make a link with which the customer renews the connection, without a login."""

    verb = "renew"
    label = _("Renewal link")
    list_label = _("Make renewal links for selected connections")
    question = _("Make a renewal link?")
    button = _("Yes, make a link")
    log_message = _("Renewal link made by an operator.")
    nothing_due = _("What you selected was disconnected: the customer has to connect the bank anew.")

    def is_due(self, row: BankingConnection) -> bool:
        return may_renew(row)

    def describe(self, rows: Connections) -> list[Text]:
        days = f"{conf.settings.renew_link_days:g}"
        return [
            gettext(
                "Whoever holds the link can renew this connection at its bank, without a login, and nothing else. "
                "It is good for %(days)s days, until it has been used, or until you withdraw it."
            )
            % {"days": days},
            _(
                "Send it to the customer alone. The connection stays that of its owner, and keeps working meanwhile."
            ),
        ]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: Form) -> HttpResponse:
        links = []
        for row in rows:
            path = reverse("business_os_banking:invitation", args=[invite.create(row)])
            origin = conf.settings.site_url
            url = f"{origin}{path}" if origin else request.build_absolute_uri(path)
            self.log(admin, request, [row])
            withdraw = display.admin_url(admin.admin_site.name, admin.model, "withdraw", row.pk)
            links.append((*self.line(row), url, qr.svg(url), withdraw))
        until = timezone.now() + timedelta(days=conf.settings.renew_link_days)
        title = gettext("Renewal link")
        return page(admin, request, LINKS, title=title, links=links, until=until)


class Withdraw(ConnectionAction):
    """Make all renewal links of a connection invalid."""

    verb = "withdraw"
    permission = "renew"
    label = _("Withdraw links")
    question = _("Withdraw all renewal links?")
    button = _("Yes, withdraw them")
    log_message = _("Renewal links withdrawn by an operator.")

    def describe(self, rows: Connections) -> list[Text]:
        return [
            _("All links that were made for this connection so far stop working. You can make a new one.")
        ]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: Form) -> None:
        for row in rows:
            self.log(admin, request, [row])
            invite.withdraw(row)
        admin.message_user(request, gettext("All renewal links were withdrawn."), messages.SUCCESS)


class Disconnect(ConnectionAction):
    """End connections here at once, and at the provider now or as soon as that works."""

    verb = "disconnect"
    label = _("Disconnect")
    list_label = _("Disconnect selected connections")
    question = _("Disconnect?")
    button = _("Yes, disconnect")
    log_message = _("Disconnected by an operator.")
    is_final = True
    nothing_due = _("There is nothing to do: what you selected is disconnected already.")

    def is_due(self, row: BankingConnection) -> bool:
        # One that is ended here but still held upstream may be tried once more.
        return row.can_disconnect or row.removal_due

    def describe(self, rows: Connections) -> list[Text]:
        return [
            _(
                "It ends here at once and is then removed at the provider. This cannot be undone: the customer would "
                "have to connect the bank anew."
            )
        ]

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: Form) -> None:
        for row in rows:
            # Before, not after: if the worker is killed while it waits for the provider, the log still says who
            # did this.
            self.log(admin, request, [row])
            try:
                disconnect(row, by=EndedBy.OPERATOR)
            except ImproperlyConfigured as error:
                # Here it has ended; only the provider could not be told.
                logger.error("Connection %s cannot be removed upstream: %s", row.reference, error)
                row.refresh_from_db()
        count = len(rows)
        text = ngettext(
            "%(count)d connection was disconnected.", "%(count)d connections were disconnected.", count
        )
        admin.message_user(request, text % {"count": count}, messages.SUCCESS)
        if not_removed := sum(row.removal_due for row in rows):
            text = ngettext(
                "%(count)d of them could not be removed at the provider yet. banking_reconcile tries again.",
                "%(count)d of them could not be removed at the provider yet. banking_reconcile tries again.",
                not_removed,
            )
            admin.message_user(request, text % {"count": not_removed}, messages.WARNING)


class ReplayAll(ConnectionAction):
    """Apply all events of one connection again."""

    verb = "replay"
    label = _("Replay")
    question = _("Apply all events again?")
    button = _("Yes, replay")
    log_message = _("All events applied again by an operator.")
    max_rows: ClassVar[int] = 1

    def describe(self, rows: Connections) -> list[Text]:
        (row,) = rows
        count = events_of(row)[: MAX_EVENTS + 1].count()
        if count > MAX_EVENTS:
            text = gettext("There are more than %(most)d events; the oldest %(most)d are applied again here.")
            return [
                text % {"most": MAX_EVENTS},
                _("For all of them, use banking_replay or banking_rebuild."),
            ]
        text = ngettext(
            "%(count)d event is applied again. That can repair, and does no harm.",
            "%(count)d events are applied again, oldest first. That can repair, and does no harm.",
            count,
        )
        return [text % {"count": count}]

    def changes(self, rows: Connections, form: Form) -> list[tuple[Text, Text, Text, Text]]:
        return display.change_rows(preview.of_connection(rows[0]))

    def do(self, admin: ModelAdmin[Any], request: HttpRequest, rows: Connections, form: Form) -> None:
        (row,) = rows
        self.log(admin, request, rows)
        keys = list(events_of(row).values_list("pk", flat=True)[:MAX_EVENTS])
        replay_and_report(admin, request, ConnectionEvent.objects.filter(pk__in=keys).order_by("pk"))


def events_of(connection: BankingConnection) -> QuerySet[ConnectionEvent]:
    """Return the events of *connection*, oldest first, without changes of its bank: those concern many connections."""
    events = ConnectionEvent.objects.filter(connection=connection).exclude(kind=Kind.PROVIDER_CHANGED)
    return events.order_by("pk")


def replay_and_report(
    admin: ModelAdmin[Any], request: HttpRequest, events: QuerySet[ConnectionEvent]
) -> None:
    """Apply *events* again, and message the operator how many had an effect."""
    result = replay(events)
    text = gettext("Applied again: %(applied)d had an effect, %(unchanged)d changed nothing.")
    values = {"applied": result.applied, "unchanged": result.unchanged}
    admin.message_user(request, text % values, messages.SUCCESS)
    if result.failed:
        text = gettext("%(failed)d could not be applied: the log says why.") % {"failed": result.failed}
        admin.message_user(request, text, messages.ERROR)
