"""The ready-made mails, as receivers of signals: sent where ``CONSENT_MAILS`` is on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.adapter import email_of
from business_os_banking.exceptions import BankingError
from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.vocabulary import ConnectionStatus, HeldReason

_TEMPLATES = "business_os_banking/mail"


class NotSentError(BankingError):
    """The mail backend raised; its own error may quote the address."""


def send_consent_reminder(connection: BankingConnection | None, event: ConnectionEvent, **_: Any) -> None:
    """Mail the owner of *connection* that its consent ends, with a link to renew it.

    Sends nothing where the mails are switched off, the owner has no address, or the connection has been renewed
    or ended since. Raises `NotSentError` if the mail backend raises; reconcile then sends the signal again.
    """
    days = event.payload.get("days", 0)
    if connection is None or not _still_ends(connection, days):
        return
    path = reverse("business_os_banking:connection-renew", args=[connection.reference])
    _send("consent_expiring", connection, event, days=days, renew_url=f"{conf.settings.site_url or ''}{path}")


def send_question(connection: BankingConnection | None, event: ConnectionEvent, **_: Any) -> None:
    """Ask the owner of *connection* by mail whether the bank that its renewal has ended at was meant.

    Sends nothing where the mails are switched off, the owner has no address, or the question has been answered. Raises
    `NotSentError`, as above.
    """
    if connection is None or connection.held_reason != HeldReason.OTHER_BANK:
        return
    url = f"{conf.settings.site_url or ''}{connection.get_absolute_url()}"
    _send("other_bank", connection, event, answer_url=url)


def _send(name: str, connection: BankingConnection, event: ConnectionEvent, **values: Any) -> None:
    address = email_of(connection.user).strip()
    if not conf.settings.consent_mails or not address or event.payload.get("mailed"):
        return
    template, context = f"{_TEMPLATES}/{name}", {"connection": connection, **values}
    subject = " ".join(render_to_string(f"{template}_subject.txt", context).split())
    mail = EmailMultiAlternatives(subject, render_to_string(f"{template}.txt", context), to=[address])
    mail.attach_alternative(render_to_string(f"{template}.html", context), "text/html")
    try:
        mail.send()
    except Exception as error:  # noqa: BLE001 - each backend has its own
        # Django logs what a receiver raises, and mails it to the admins: without the customer's address.
        raise NotSentError(f"The mail backend raised {type(error).__name__}.") from None
    # Another receiver of the same signal may raise, and then it is sent to all again: one mail is enough.
    event.payload["mailed"] = True
    ConnectionEvent.objects.filter(pk=event.pk).update(payload=event.payload)


def _still_ends(connection: BankingConnection, days: int) -> bool:
    """Return whether the consent still ends within *days*: the signal may be sent again after a renewal."""
    ends = connection.consent_expires_at
    is_active = connection.status == ConnectionStatus.ACTIVE
    return is_active and ends is not None and ends <= timezone.now() + timedelta(days=days)
