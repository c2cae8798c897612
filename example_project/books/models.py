"""What a tax adviser keeps of the clients."""

from django.conf import settings
from django.db import models
from django.urls import reverse

from business_os_banking.models import BankingConnection


class Client(models.Model):
    """A customer of the adviser. The bank connection is the app's row; this is all that a site adds to it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="clients")
    name = models.CharField(max_length=200)
    trade = models.CharField(max_length=200, blank=True)
    number = models.CharField("client number", max_length=20)
    bank = models.ForeignKey(
        BankingConnection, on_delete=models.SET_NULL, null=True, blank=True, related_name="clients"
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "number"], name="books_client_number"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("client", args=[self.pk])


class Note(models.Model):
    """Something worth knowing about a client, written by the site itself."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="notes")
    text = models.CharField(max_length=300)
    # The digest of the event that the note is about: a signal may be told twice, and a note should not be.
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.text
