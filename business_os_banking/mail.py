"""The ready-made reminder mail: a receiver of ``consent_expiring``, connected if ``CONSENT_MAILS`` is on."""

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
from business_os_banking.vocabulary import ConnectionStatus

_TEMPLATES = "business_os_banking/mail/consent_expiring"


class NotSentError(BankingError):
    """The mail backend raised; its own error may quote the address."""


def send_consent_reminder(connection: BankingConnection | None, event: ConnectionEvent, **_: Any) -> None:
    """Mail the owner of *connection* that its consent ends, with a link to renew it.

    Sends nothing where the mails are switched off, the owner has no address, or the connection has been renewed
    or ended since. Raises `NotSentError` if the mail backend raises; reconcile then sends the signal again.
    """
    days = event.payload.get("days", 0)
    if not conf.settings.consent_mails or connection is None or not _still_ends(connection, days):
        return
    address = email_of(connection.user).strip()
    if not address or event.payload.get("mailed"):
        return
    path = reverse("business_os_banking:connection-renew", args=[connection.reference])
    context = {
        "connection": connection,
        "days": days,
        "renew_url": f"{conf.settings.site_url or ''}{path}",
    }
    subject = " ".join(render_to_string(f"{_TEMPLATES}_subject.txt", context).split())
    mail = EmailMultiAlternatives(subject, render_to_string(f"{_TEMPLATES}.txt", context), to=[address])
    mail.attach_alternative(render_to_string(f"{_TEMPLATES}.html", context), "text/html")
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
