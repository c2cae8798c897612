"""The overview: sessions, failures and alarms of the last days on one page, without any script."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch
from django.utils import formats, timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin.actions import page
from business_os_banking.admin.display import Text, admin_url
from business_os_banking.flows import silence
from business_os_banking.flows.figures import MOST, Figures, Funnel, figures
from business_os_banking.models import AccountState, BankingConnection
from business_os_banking.models.choices import APIS, ERROR_GROUPS

TEMPLATE: Final = "admin/business_os_banking/overview.html"
PERIODS: Final = {1: _("Today"), 7: _("7 days"), 30: _("30 days")}
_TENTHS: Final = 10


def may_see(request: HttpRequest) -> bool:
    """Return whether this person may see connections and sessions: the overview counts both."""
    return all(
        request.user.has_perm(f"business_os_banking.view_{model}")
        for model in ("bankingconnection", "connectsession")
    )


def address(request: HttpRequest, site: str) -> str:
    """Return the address of the overview in the admin site *site*, "" if it has none or this person may not see it."""
    try:
        url = admin_url(site, BankingConnection, "overview")
    except NoReverseMatch:
        return ""
    return url if may_see(request) else ""


def overview(admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Show the figures of today, or of the last 7 or 30 days (``?days=``)."""
    parameter = request.GET.get("days", "")
    days = int(parameter) if parameter in {"7", "30"} else 1
    results = figures(_since(days))
    group_labels = dict(ERROR_GROUPS)
    return page(
        admin,
        request,
        TEMPLATE,
        title=_("Overview"),
        periods=[(number, label, number == days) for number, label in PERIODS.items()],
        found=results,
        most=MOST,
        steps=_steps(results.total),
        answer=_seconds(results),
        by_api=_rows(results.by_api, dict(APIS)),
        by_bank=_rows(results.by_bank, {"": _("Not known yet")}),
        failures=[
            (group_labels.get(group, group), count, *_share(count, results.total.started))
            for group, count in results.failures
        ],
        silent=[
            (state, gettext(silence.ADVICE.get(state.silence, "")))
            for state in AccountState.objects.exclude(silence="").order_by("alias")
        ],
    )


def _since(days: int) -> datetime:
    """Return the midnight at which the last *days* days began, today included, in the active time zone."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days - 1)


def _steps(total: Funnel) -> list[tuple[Text, int, int, str]]:
    counts = (
        (_("Started"), total.started),
        (_("Came back"), total.returned),
        (_("Connected"), total.connected),
    )
    return [(label, count, *_share(count, total.started)) for label, count in counts]


def _rows(funnels: Iterable[Funnel], names: dict[str, Any]) -> list[tuple[Text, Funnel, int, str]]:
    return [
        (names.get(funnel.name, funnel.name), funnel, *_share(funnel.connected, funnel.started))
        for funnel in funnels
    ]


def _share(part: int, whole: int) -> tuple[int, str]:
    """Return the share of *part* in *whole*: as the width of a bar (0 to 100), and in words."""
    share = round(100 * part / whole) if whole else 0
    return min(share, 100), gettext("%(share)d %%") % {"share": share}


def _seconds(results: Figures) -> str:
    if results.answer is None:
        return ""
    seconds = results.answer.total_seconds()
    digits = 1 if seconds < _TENTHS else 0
    return gettext("%(seconds)s seconds") % {"seconds": formats.number_format(seconds, digits)}
