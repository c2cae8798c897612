"""What hosts test their own receivers, pages and adapters with: no key, no environment, no network, no rows by hand.

Importing this changes nothing and imports no Django, so that a ``conftest.py`` may do it before the settings are
there. Where the site's settings have no account that is complete, these functions bring one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from business_os_banking.testing.captured import CapturedSignal
from business_os_banking.testing.fake_upstream import Call, FakeUpstream
from business_os_banking.testing.verifier_contract import VerifierContract

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
    from business_os_banking.testing.overriding import OverrideBanking

__all__ = [
    "Call",
    "CapturedSignal",
    "FakeUpstream",
    "VerifierContract",
    "capture_signals",
    "make_connection",
    "override_banking",
    "report_consent_end",
    "report_failure",
    "report_removed",
    "report_success",
]


def make_connection(
    user: AbstractBaseUser | None = None,
    tenant: str = "",
    *,
    status: str = "active",
    bank: str = "Demobank",
    reason: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> BankingConnection:
    """Return a saved connection that has come to *status* by facts, so that what is reported later acts on it.

    *status* is ``pending``, ``active``, ``inactive`` or ``disconnected`` (by its owner). *reason* says why it is
    inactive: ``consent_expired`` (the default), ``consent_revoked``, ``login_changed``, ``bank_step_required``,
    ``access_denied`` or ``bank_disabled``. *bank* is the bank's name, ``""`` for one that is not known yet; as on a
    site, a pending connection has none. Its latest session has a ``pending_token``.

    Receivers hear of it, as they do on a site. Raises `ValueError` for another status or reason, and `RuntimeError`
    for ``disconnected`` inside a transaction of your own, where nothing may be disconnected.
    """
    from business_os_banking.testing import making

    return making.make_connection(user, tenant, status, bank, reason, metadata or {})


def report_success(x: BankingConnection | ConnectSession) -> ConnectionEvent:
    """Let the provider report, by the webhook, that the customer's bank was connected, or refreshed.

    Of a connection, it is about the session that waits for the bank, else about the one that made its present link.
    *x* is read again from the database; the event that was recorded is returned. On-commit hooks of the report have
    run. Raises `AssertionError` if the webhook does not take it.
    """
    from business_os_banking.testing import reporting

    return reporting.report_success(x)


def report_failure(x: BankingConnection | ConnectSession, error_class: str) -> ConnectionEvent:
    """Let the provider report that an attempt failed; *error_class* is one of Salt Edge's, ``InvalidCredentials`` say.

    As `report_success` in all else.
    """
    from business_os_banking.testing import reporting

    return reporting.report_failure(x, error_class)


def report_consent_end(x: BankingConnection | ConnectSession) -> ConnectionEvent:
    """Let the provider report that the consent for the link has run out.

    Of a connection, it is about its present link. Raises `ValueError` where no success has made a link; as
    `report_success` in all else.
    """
    from business_os_banking.testing import reporting

    return reporting.report_consent_end(x)


def report_removed(x: BankingConnection | ConnectSession) -> ConnectionEvent:
    """Let the provider report that the link was removed there.

    Of a connection, it is about its present link. Raises `ValueError` where no success has made a link; as
    `report_success` in all else.
    """
    from business_os_banking.testing import reporting

    return reporting.report_removed(x)


def capture_signals() -> AbstractContextManager[list[CapturedSignal]]:
    """Return a context manager that gives a list of all signals of the app that are sent within it."""
    from business_os_banking.testing import capturing

    return capturing.capture_signals()


def override_banking(**changes: Any) -> OverrideBanking:
    """Override keys of ``BUSINESS_OS_BANKING``, as Django's ``override_settings`` does, and leave the others alone.

    A context manager, and a decorator for functions and test cases. Unless *changes* have ``ACCOUNTS``, those accounts
    that lack an API key or webhook secrets get them, and where there are no accounts at all, one is brought. Raises
    `TypeError` for a key that is none.
    """
    from business_os_banking.testing import overriding

    return overriding.OverrideBanking(**changes)
