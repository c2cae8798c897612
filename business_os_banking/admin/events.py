"""Events: what happened, who said so, and what it did."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin import display
from business_os_banking.admin.actions import confirm
from business_os_banking.admin.base import ActingAdmin, uuid_of
from business_os_banking.admin.display import Text, Tone
from business_os_banking.admin.event_actions import Ignore, Match, Replay, StopIgnoring
from business_os_banking.admin.filters import AccountFilter, EventLookFilter
from business_os_banking.facts import notes
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Outcome

TONES: Final[dict[str, Tone]] = {
    Outcome.APPLIED: "good",
    Outcome.NO_CHANGE: "quiet",
    Outcome.UNMATCHED: "warning",
    Outcome.ORPHANED: "warning",
    Outcome.FAILED: "bad",
}


class ConnectionEventAdmin(ActingAdmin):
    list_display: Any = (
        "received",
        "happening",
        "source",
        "outcome_word",
        "bank",
        "account",
        "deliveries",
    )
    list_filter: ClassVar[Any] = (EventLookFilter, "source", "kind", "outcome", AccountFilter)
    filterable_fields: ClassVar[tuple[str, ...]] = ("connection", "session", "upstream_id", "error_class")
    list_select_related = ("connection", "session")
    sortable_by = ("received",)
    actions: Any = ("replay_selected", "ignore_selected", "unignore_selected")
    row_actions = (Match(), Ignore(), StopIgnoring(), Replay())
    search_fields = ("upstream_id",)
    search_help_text = _(
        "The whole reference of a session or a connection, or the whole id of a connection at the provider."
    )
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": (
                    "kind",
                    "source",
                    "outcome_word",
                    "noted",
                    "by_hand",
                    "ignored_at",
                    "bank",
                    "trip",
                    "account",
                )
            },
        ),
        (
            _("Details"),
            {
                "fields": (
                    "occurred_at",
                    "received_at",
                    "stage",
                    "error_class",
                    "deliveries",
                    "announces",
                    "announced_at",
                )
            },
        ),
        (_("Content, without personal data"), {"fields": ("pretty_payload", "pretty_assertions")}),
        (_("Identifiers"), {"fields": ("upstream_id", "masked_token", "session_reference")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("connection__state", "connection__metadata")

    def search_for(self, term: str) -> Q:
        reference = uuid_of(term)
        if reference is None:
            return Q(upstream_id=term)
        connections = BankingConnection.objects.filter(reference=reference).values_list("pk", flat=True)
        sessions = ConnectSession.objects.filter(reference=reference).values_list("pk", flat=True)
        return Q(connection__in=list(connections)) | Q(session__in=list(sessions)) | Q(upstream_id=term)

    @admin.action(description=_("Replay selected events"), permissions=["replay"])
    def replay_selected(
        self, request: HttpRequest, queryset: QuerySet[ConnectionEvent]
    ) -> HttpResponse | None:
        return confirm(Replay(), self, request, queryset.order_by("pk"))

    @admin.action(description=_("Ignore selected events"), permissions=["ignore"])
    def ignore_selected(
        self, request: HttpRequest, queryset: QuerySet[ConnectionEvent]
    ) -> HttpResponse | None:
        return confirm(Ignore(), self, request, queryset)

    @admin.action(description=_("Stop ignoring selected events"), permissions=["ignore"])
    def unignore_selected(
        self, request: HttpRequest, queryset: QuerySet[ConnectionEvent]
    ) -> HttpResponse | None:
        return confirm(StopIgnoring(), self, request, queryset)

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has_perm(request, "replay_connectionevent")

    def has_match_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has_perm(request, "match_connectionevent")

    def has_ignore_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._has_perm(request, "ignore_connectionevent")

    @admin.display(description=_("effect"))
    def outcome_word(self, event: ConnectionEvent) -> SafeString:
        word = display.word(event.get_outcome_display(), TONES.get(event.outcome, "quiet"))
        if event.outcome == Outcome.UNMATCHED and event.ignored_at:
            return display.lines(word, gettext("Ignored"))
        return display.lines(
            word, gettext("Contradicting") if event.outcome == Outcome.UNMATCHED and event.note else ""
        )

    @admin.display(description=_("note"))
    def noted(self, event: ConnectionEvent) -> str:
        return notes.in_words(event.note) or display.EMPTY

    @admin.display(description=_("what happened"))
    def happening(self, event: ConnectionEvent) -> SafeString:
        return display.lines(event.get_kind_display(), event.error_class or event.stage)

    @admin.display(description=_("received"), ordering="pk")
    def received(self, event: ConnectionEvent) -> SafeString:
        return display.moment(event.received_at)

    @admin.display(description=_("connection"))
    def bank(self, event: ConnectionEvent) -> Text:
        name = event.connection.display_name if event.connection else display.EMPTY
        return display.change_link(self.admin_site.name, event.connection, name)

    @admin.display(description=_("session"))
    def trip(self, event: ConnectionEvent) -> Text:
        return display.change_link(self.admin_site.name, event.session, str(event.session))

    @admin.display(description=_("announces"))
    def announces(self, event: ConnectionEvent) -> SafeString:
        return display.pretty(event.announcements)

    @admin.display(description=_("content"))
    def pretty_payload(self, event: ConnectionEvent) -> SafeString:
        return display.pretty(event.payload)

    @admin.display(description=_("also says"))
    def pretty_assertions(self, event: ConnectionEvent) -> SafeString:
        return display.pretty(event.assertions)

    @admin.display(description=_("pending token"))
    def masked_token(self, event: ConnectionEvent) -> str:
        return display.mask(event.pending_token) or display.EMPTY
