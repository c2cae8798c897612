"""A site's own table: the Business OS keys of each organisation. See `docs/adapter.md`."""

from django.db import models


class BankingKeys(models.Model):
    id = models.BigAutoField(primary_key=True)
    alias = models.SlugField(unique=True)
    api_key = models.CharField(max_length=255)
    secret = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.alias
