"""The model fields of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class ExactCharField(_CharField):
    """A text that stands for itself alone: an alias, a tenant, an id of the upstream.

    MariaDB and MySQL compare texts without regard to case, accents and blanks at the end, unless told otherwise: to
    them, the tenants ``Acme``, ``acme`` and ``Acme `` would be one, and one would see the other's connections.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            is_mariadb = connection.mysql_is_mariadb  # type: ignore[attr-defined]
            return {**parameters, "collation": "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"}
        return parameters
