"""A reminder that cannot be sent tells nobody whom it was for."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from business_os_banking.flows.remind import remind
from business_os_banking.mail import NotSentError, send_consent_reminder
from business_os_banking.models import BankingConnection, ConnectionEvent
from tests.privacy.site import no_mail_gets_through

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_mail_server_says_is_not_passed_on(
    user: User, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "SITE_URL": "https://site.example",
        "CONSENT_MAILS": True,
    }
    ends = timezone.now() + timedelta(days=6)
    connection = BankingConnection.objects.create(user=user, status="active", consent_expires_at=ends)
    with no_mail_gets_through(), caplog.at_level(logging.DEBUG):
        assert remind(timezone.now()) == 1
        event = ConnectionEvent.objects.get()
        assert event.announced_at is None
        with pytest.raises(NotSentError, match="SMTPRecipientsRefused") as caught:
            send_consent_reminder(connection, event)
    assert "SMTPRecipientsRefused" in caplog.text
    assert user.email not in caplog.text
    assert caught.value.__suppress_context__
