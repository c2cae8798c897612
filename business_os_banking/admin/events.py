"""Events: what happened, which source reported it, and what effect it had."""

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
from business_os_banking.admin.actions import list_action, permission_method
from business_os_banking.admin.base import ActingAdmin, ReferenceSearch, keys_by_reference
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


class ConnectionEventAdmin(ReferenceSearch, ActingAdmin):
    """Events: what operators look at, replay, match by hand and ignore."""

    list_display: Any = (
        "received",
        "kind_and_detail",
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
    replay_selected = list_action(Replay())
    ignore_selected = list_action(Ignore())
    unignore_selected = list_action(StopIgnoring())
    row_actions = (Match(), Ignore(), StopIgnoring(), Replay())
    has_replay_permission = permission_method("replay_connectionevent")
    has_match_permission = permission_method("match_connectionevent")
    has_ignore_permission = permission_method("ignore_connectionevent")
    search_fields = ("upstream_id",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": (
                    "kind",
                    "source",
                    "outcome_word",
                    "note_text",
                    "by_hand",
                    "ignored_at",
                    "bank",
                    "session_link",
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

    def get_list_display(self, request: HttpRequest) -> Any:
        names = super().get_list_display(request)
        return names if self._may_see_banks(request) else [name for name in names if name != "bank"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if self._may_see_banks(request):
            return fieldsets
        hidden = {"bank", "pretty_assertions"}
        return [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name not in hidden)})
            for title, options in fieldsets
        ]

    def _may_see_banks(self, request: HttpRequest) -> bool:
        """Return whether this person may see whose connection is at which bank."""
        return request.user.has_perm(f"{self.opts.app_label}.view_bankingconnection")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("connection__state", "connection__metadata")

    def search_for_reference(self, reference: UUID) -> Q:
        connections = keys_by_reference(BankingConnection, reference)
        sessions = keys_by_reference(ConnectSession, reference)
        return Q(connection__in=connections) | Q(session__in=sessions)

    @admin.display(description=_("effect"))
    def outcome_word(self, event: ConnectionEvent) -> SafeString:
        word = display.word(event.effect, TONES.get(event.outcome, "quiet"))
        if event.outcome == Outcome.UNMATCHED and event.ignored_at:
            return display.lines(word, gettext("Ignored"))
        if event.is_unusable:
            return display.lines(word, gettext("Without a usable id"))
        return display.lines(
            word, gettext("Contradicting") if event.outcome == Outcome.UNMATCHED and event.note else ""
        )

    @admin.display(description=_("note"))
    def note_text(self, event: ConnectionEvent) -> str:
        return notes.in_words(event.note) or display.EMPTY

    @admin.display(description=_("what happened"))
    def kind_and_detail(self, event: ConnectionEvent) -> SafeString:
        return display.lines(event.get_kind_display(), event.error_class or event.stage)

    @admin.display(description=_("received"), ordering="pk")
    def received(self, event: ConnectionEvent) -> SafeString:
        return display.moment(event.received_at)

    @admin.display(description=_("connection"))
    def bank(self, event: ConnectionEvent) -> Text:
        name = event.connection.display_name if event.connection else display.EMPTY
        return display.change_link(self.admin_site.name, event.connection, name)

    @admin.display(description=_("session"))
    def session_link(self, event: ConnectionEvent) -> Text:
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
