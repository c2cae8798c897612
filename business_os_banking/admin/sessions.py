"""Connect sessions: each trip to the bank. Token and address of one are as good as a login: they are never shown."""

from __future__ import annotations

from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin import display
from business_os_banking.admin.base import (
    LatestRows,
    ReadMostlyAdmin,
    ReadOnlyInline,
    ReferenceSearch,
    keys_by_reference,
)
from business_os_banking.admin.display import Text, Tone
from business_os_banking.admin.filters import SessionLookFilter
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import SessionStatus

TONES: Final[dict[str, Tone]] = {
    SessionStatus.CREATED: "waiting",
    SessionStatus.OPEN: "waiting",
    SessionStatus.SUCCEEDED: "good",
    SessionStatus.FAILED: "bad",
    SessionStatus.CANCELLED: "warning",
    SessionStatus.EXPIRED: "warning",
}


class SessionColumns:
    """The columns that the list of sessions and the page of a connection share."""

    @admin.display(description=_("status"))
    def status_word(self, session: ConnectSession) -> SafeString:
        return display.word(session.get_status_display(), TONES.get(session.status, "quiet"))

    @admin.display(description=_("error"))
    def error(self, session: ConnectSession) -> SafeString:
        return display.lines(session.get_error_group_display(), session.error_class)

    @admin.display(description=_("API"))
    def api_name(self, session: ConnectSession) -> str:
        return session.api

    @admin.display(description=_("browser came back"))
    def returned(self, session: ConnectSession) -> SafeString:
        return display.moment(session.returned_at)

    @admin.display(description=_("ends"))
    def ends(self, session: ConnectSession) -> SafeString:
        return display.moment(session.expires_at)


class ConnectSessionAdmin(SessionColumns, ReferenceSearch, ReadMostlyAdmin):
    """Connect sessions: what operators look at, without what would open one."""

    list_display: Any = ("started", "status_word", "bank", "api_name", "error", "returned", "ends")
    list_filter: ClassVar[Any] = (SessionLookFilter, "status", "error_group", "api")
    filterable_fields: ClassVar[tuple[str, ...]] = ("connection", "upstream_id", "error_class", "reference")
    list_select_related = ("connection",)
    sortable_by = ("started",)
    search_fields = ("reference",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("status_word", "bank", "api", "shared")}),
        (
            _("What happened"),
            {
                "fields": (
                    "created_at",
                    "by_link",
                    "widget",
                    "expires_at",
                    "returned_at",
                    "stage",
                    "succeeded_at",
                    "error_group",
                    "error_class",
                    "more",
                )
            },
        ),
        (_("What was sent"), {"fields": ("masked_email", "custom_field_names")}),
        (_("Identifiers"), {"fields": ("reference", "masked_token", "upstream_id", "owner_user_id")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("connection__state", "connection__metadata")

    def search_for_reference(self, reference: UUID) -> Q:
        return Q(reference=reference) | Q(connection__in=keys_by_reference(BankingConnection, reference))

    @admin.display(description=_("started"), ordering="pk")
    def started(self, session: ConnectSession) -> SafeString:
        return display.moment(session.created_at)

    @admin.display(description=_("connection"))
    def bank(self, session: ConnectSession) -> Text:
        return display.change_link(self.admin_site.name, session.connection, session.connection.display_name)

    @admin.display(description=_("asked to share"))
    def shared(self, session: ConnectSession) -> str:
        return ", ".join(str(scope) for scope in session.scopes) or display.EMPTY

    @admin.display(description=_("address of the widget"))
    def widget(self, session: ConnectSession) -> str:
        # Whoever holds the address can finish the session, so only its host is shown.
        if not session.connect_url:
            return gettext("No, not yet or not any more")
        return gettext("Yes, at %(host)s") % {"host": display.host_of(session.connect_url) or "?"}

    @admin.display(description=_("e-mail"))
    def masked_email(self, session: ConnectSession) -> str:
        return display.mask_email(session.email) or display.EMPTY

    @admin.display(description=_("names of the custom fields"))
    def custom_field_names(self, session: ConnectSession) -> str:
        # The values are the site's: nobody but the site knows what is in them.
        return ", ".join(sorted(map(str, session.custom_fields))) or display.EMPTY

    @admin.display(description=_("pending token"))
    def masked_token(self, session: ConnectSession) -> str:
        return display.mask(session.pending_token) or display.EMPTY

    @admin.display(description=_("more"))
    def more(self, session: ConnectSession) -> Text:
        return display.list_link(
            self.admin_site.name,
            ConnectionEvent,
            _("All events of this session"),
            session__id__exact=session.pk,
        )


class LatestSessions(LatestRows):
    limit = 10


class SessionInline(SessionColumns, ReadOnlyInline):
    model = ConnectSession
    formset = LatestSessions
    fields = ("session_link", "status_word", "api_name", "error", "returned", "ends")
    verbose_name_plural = _("latest sessions")

    @admin.display(description=_("started"))
    def session_link(self, session: ConnectSession) -> Text:
        return display.change_link(self.admin_site.name, session, display.moment(session.created_at))
