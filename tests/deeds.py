"""The two deeds that most stories are made of: somebody presses *Connect*, and Business OS reports."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from business_os_banking.flows import connect
from business_os_banking.models import ConnectSession
from business_os_banking.testing.reporting import deliver

__all__ = ["deliver", "start"]


def start(user: User | None, tenant: str = "", **more: Any) -> ConnectSession:
    """Start a session, as the pages do."""
    return connect.start(owner=(user, tenant), return_to=lambda s: "https://site.example/", **more)
