"""What a site adds to the app: an adapter that sends something of its own, mails that do not get through, faults."""

from __future__ import annotations

import io
from collections.abc import Sequence
from smtplib import SMTPRecipientsRefused
from typing import Any

import django
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError
from django.http import HttpRequest
from django.test import override_settings

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection, ConnectSession
from tests.privacy.markers import ADMIN


class Faults:
    """What is broken just now."""

    hooks: bool = False
    keys: bool = False


class Adapter(BankingAdapter):
    def get_owner(self, request: HttpRequest) -> Any:
        user, _tenant = super().get_owner(request)
        return user, f"markertenant-{user.get_username()}" if user else ""

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        if Faults.keys:
            raise OperationalError("the database of the keys is away")
        return super().get_credentials(alias, connection)

    def get_custom_fields(self, request: HttpRequest, connection: BankingConnection | None) -> dict[str, Any]:
        if Faults.hooks:
            raise RuntimeError("a fault of the site's own hook")
        return {"note": f"MARKERFIELD{request.user.get_username()}"}

    def get_next_url(self, request: HttpRequest, session: ConnectSession) -> str:
        if Faults.hooks:
            raise RuntimeError("a fault of the site's own hook")
        return super().get_next_url(request, session)


class RefusingBackend(BaseEmailBackend):
    """A mail server that takes nothing but what is for the administrators, and says for whom it took nothing."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        to = [address for message in email_messages for address in message.to]
        if to != [ADMIN]:
            raise SMTPRecipientsRefused(dict.fromkeys(to, (550, b"no such user")))
        return len(to)


def no_mail_gets_through() -> override_settings:
    backend = f"{__name__}.RefusingBackend"
    if django.VERSION < (6, 1):
        return override_settings(EMAIL_BACKEND=backend)
    return override_settings(MAILERS={"default": {"BACKEND": backend}})


class HangsUp(io.RawIOBase):
    """The body of a sender that goes away in the middle."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise ConnectionResetError
