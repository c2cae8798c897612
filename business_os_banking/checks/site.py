"""What the app needs of the site around it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.urls import NoReverseMatch, reverse

from business_os_banking.checks.settings import TAG
from business_os_banking.conf import settings
from business_os_banking.conf.kinds import problem
from business_os_banking.conf.table import SITE
from business_os_banking.models import BankingConnection


@register(TAG)
def check_environment(**_: Any) -> Iterator[CheckMessage]:
    """Check times, the place of the tables, and that the links in mails lead somewhere."""
    if not django_settings.USE_TZ:
        yield problem("E033", "USE_TZ is False, but the app compares aware times.", "Write USE_TZ = True.")
    # A replica is behind: what was written just now is not found there. Routers may choose one at random.
    if {chosen(BankingConnection) for chosen in (router.db_for_write, router.db_for_read) * 9} != {
        DEFAULT_DB_ALIAS
    }:
        text = "A router sends the tables of business_os_banking, or what is read from them, to another database."
        lines = 'if model._meta.app_label == "business_os_banking": return "default"'
        yield problem("E034", text, f"Begin db_for_read and db_for_write of your router with: {lines}.")
    with suppress(ImproperlyConfigured):  # A job that sends mail has no request to ask for its host.
        if settings.consent_mails and not settings.site_url:
            text = " is missing, and CONSENT_MAILS is on: the links in the mails lead nowhere"
            yield SITE["SITE_URL"].problem("W006", text)


@register(TAG)
def check_urls(**_: Any) -> Iterator[CheckMessage]:
    """Check that the app's URLs are included."""
    try:
        reverse("business_os_banking:webhook")
    except NoReverseMatch:
        text = "The URLs of business_os_banking are not included: no bank can be connected, no webhook can arrive."
        where = getattr(django_settings, "ROOT_URLCONF", None) or "your ROOT_URLCONF"
        hint = f'Add path("banking/", include("business_os_banking.urls")) to urlpatterns in {where}.'
        yield problem("W003", text, hint)
    except Exception:  # noqa: BLE001 - a URLconf that cannot be imported is reported by Django itself
        return


@register(TAG)
def check_databases(**_: Any) -> Iterator[CheckMessage]:
    """Check that SQLite takes its write lock at the start of a transaction."""
    databases = getattr(django_settings, "DATABASES", None)
    if django_settings.DEBUG or not isinstance(databases, Mapping):
        return
    for alias, database in databases.items():
        if isinstance(database, Mapping) and _is_lazy_sqlite(database):
            text = f'The SQLite database "{alias}" locks late: who writes at once gets "database is locked".'
            options = '["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}'
            yield problem("W004", text, f'Set DATABASES["{alias}"]{options}, or use PostgreSQL.')


def _is_lazy_sqlite(database: Mapping[str, Any]) -> bool:
    options = database.get("OPTIONS")
    mode = options.get("transaction_mode") if isinstance(options, Mapping) else None
    is_sqlite = str(database.get("ENGINE")).rpartition(".")[2] in {"sqlite3", "spatialite"}
    return is_sqlite and str(mode).upper() not in {"IMMEDIATE", "EXCLUSIVE"}
