"""What the app needs of the site around it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.core.checks import CheckMessage, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.test import RequestFactory
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils.translation import override

from business_os_banking.checks.settings import TAG
from business_os_banking.conf import settings
from business_os_banking.conf.kinds import problem
from business_os_banking.conf.table import SITE
from business_os_banking.models import BankingConnection

_MARK: Final = "business-os-banking-page"
_ANY: Final = "00000000-0000-0000-0000-000000000001"
_PAGES: Final[Mapping[str, list[str]]] = {
    "webhook": [],
    "connection-list": [],
    "connect": [],
    "return-finish": [_ANY, "key"],
    "invitation": ["token"],
    "api:connection-list": [],
}


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
    """Check that the app's URLs are included, and that nothing before them answers in their place."""
    try:
        yield from _shadowed()
        yield from _in_languages()
    except NoReverseMatch:
        text = "The URLs of business_os_banking are not included: no bank can be connected, no webhook can arrive."
        where = getattr(django_settings, "ROOT_URLCONF", None) or "your ROOT_URLCONF"
        hint = f'Add path("banking/", include("business_os_banking.urls")) to urlpatterns in {where}.'
        yield _unreachable(text, hint)
    except Exception:  # noqa: BLE001 - a URLconf that cannot be imported is reported by Django itself
        return


def _unreachable(text: str, hint: str) -> CheckMessage:
    return problem("W003", text, hint)


def _shadowed() -> Iterator[CheckMessage]:
    """Yield a problem for each of our pages that another URL pattern answers."""
    for name, arguments in _PAGES.items():
        path = reverse(f"business_os_banking:{name}", args=arguments)
        try:
            answering = resolve(path)
        except Resolver404:  # an urlconf of the request's own: what it will be is not known here
            continue
        if not answering.view_name.endswith(f"business_os_banking:{name}"):
            by = answering.route or answering.view_name
            text = f'Another URL pattern, "{by}", answers {path}: the pages of business_os_banking are behind it.'
            hint = "Include business_os_banking.urls before any pattern that catches all, such as a CMS's."
            yield _unreachable(text, hint)
            return


def _in_languages() -> Iterator[CheckMessage]:
    """Yield a problem if the path of the webhook depends on a language: its sender has none."""
    paths = set()
    for code, _name in django_settings.LANGUAGES[:5]:
        with override(code):
            paths.add(reverse("business_os_banking:webhook"))
    if len(paths) > 1:
        text = f"The webhook's address depends on the language ({', '.join(sorted(paths))}), and its sender has none."
        yield problem("W015", text, "Include business_os_banking.urls outside i18n_patterns().")


@register(TAG)
def check_frame(**_: Any) -> Iterator[CheckMessage]:
    """Check that the site's frame has the block that the pages fill, as far as it can be rendered here."""
    source = (
        '{% extends "business_os_banking/base.html" %}{% block banking_page %}' + _MARK + "{% endblock %}"
    )
    try:
        engine = next(each for each in engines.all() if isinstance(each, DjangoTemplates))
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        html = engine.from_string(source).render({"public": True}, request)
    except Exception:  # noqa: BLE001 - it may need a session, or the database
        return
    if _MARK not in html:
        text = "The site's business_os_banking/base.html loses the block banking_page: the pages are empty."
        frame = (
            '{% extends "base.html" %}{% block content %}{% block banking_page %}{% endblock %}{% endblock %}'
        )
        yield problem("W016", text, f"Write {frame}, with the block in which your base.html shows a page.")


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
