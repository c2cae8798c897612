"""The rows of the fake Business OS and the fake bank."""

import secrets
import time
import uuid
from datetime import datetime

from django.db import models
from django.utils import timezone


def new_token() -> str:
    """Return an unguessable token for one trip to the widget."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Return a decimal id of 19 digits, larger than those made before it.

    Too large for a JavaScript number, as the real ones are, so that code which reads it as one fails here.
    """
    return str(time.time_ns() // 1000 * 1000 + secrets.randbelow(1000))


class SandboxSession(models.Model):
    """One connect session: the caller's request, and the step that the person is at."""

    class Step(models.TextChoices):
        CHOOSE = "choose"
        LOGIN = "login"
        CONSENT = "consent"

    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    pending_token = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    api_key = models.CharField(max_length=200)
    owner_user_id = models.UUIDField()
    customer_id = models.CharField(max_length=19)
    api = models.CharField(max_length=20)
    email = models.CharField(max_length=320, blank=True)
    return_to = models.TextField(blank=True)
    scopes = models.JSONField(default=list)
    custom_fields = models.JSONField(default=dict)
    webhook_url = models.TextField(blank=True)
    step = models.CharField(max_length=10, choices=Step.choices, default=Step.CHOOSE)
    scenario = models.CharField(max_length=40, blank=True)
    logins = models.PositiveIntegerField(default=0)
    # Empty while open and after a success.
    error_class = models.CharField(max_length=60, blank=True)
    # Where the browser was sent at the end; empty if it was left on the closing page.
    ended_url = models.TextField(blank=True)
    last_callback_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"session {self.pk}"

    def is_over(self, now: datetime) -> bool:
        """Return whether the link can no longer be used: it has been, or its time is up."""
        return self.ended_at is not None or self.expires_at <= now

    def callback_custom_fields(self) -> dict[str, object]:
        """Return the caller's custom fields and our token, as every callback carries them."""
        return {**self.custom_fields, "pending_token": str(self.pending_token)}


class SandboxConnection(models.Model):
    """A connection to an invented bank, with one account in it."""

    session = models.OneToOneField(SandboxSession, on_delete=models.CASCADE, related_name="connection")
    api_key = models.CharField(max_length=200)
    connection_id = models.CharField(max_length=19, unique=True, default=new_id)
    account_id = models.CharField(max_length=19, unique=True, default=new_id)
    provider_code = models.CharField(max_length=60)
    provider_name = models.CharField(max_length=100)
    country_code = models.CharField(max_length=2)
    # The stage that was reached last, and how the last attempt ended: without a class, well.
    stage = models.CharField(max_length=30)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    error_class = models.CharField(max_length=60, blank=True)
    error_message = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.connection_id


class SandboxBank(models.Model):
    """A bank that was switched off some time, and whether it still is."""

    provider_code = models.CharField(max_length=60, unique=True)
    is_switched_off = models.BooleanField(default=False)
    changed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.provider_code


class SandboxChange(models.Model):
    """A planned change of a connection. The row is gone once the change is made."""

    reference = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(SandboxConnection, on_delete=models.CASCADE, related_name="changes")
    # A stage, or one of ``behaviour.Change``.
    what = models.CharField(max_length=30)
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.what} of {self.connection_id}"


class SandboxDelivery(models.Model):
    """One callback on its way to the site's webhook, with the exact text of its body."""

    reference = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(SandboxSession, on_delete=models.CASCADE, related_name="deliveries")
    url = models.TextField()
    body = models.TextField()
    due_at = models.DateTimeField(db_index=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    # HTTP status of the last answer; null if there was none.
    last_status = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "sandbox deliveries"

    def __str__(self) -> str:
        return f"delivery {self.pk}"
