"""The one model field of our own."""

from typing import Any

from django.db import models


class ConnectionForeignKey(models.ForeignKey[Any, Any]):
    """A foreign key named ``connection`` whose column is ``connection_pk``.

    Upstream, and so in our contract, ``connection_id`` is the id that Salt Edge gives a connection. Django
    would take that very name for the raw value of a foreign key called ``connection``.
    """

    def get_attname(self) -> str:
        return f"{self.name}_pk"
