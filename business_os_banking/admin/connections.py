"""Bank connections, with their latest sessions and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from business_os_banking import wording
from business_os_banking.admin import advice, display, overview
from business_os_banking.admin.actions import list_action, permission_method
from business_os_banking.admin.answers import QUESTIONS, Accept, Refuse
from business_os_banking.admin.base import ActingAdmin, ReferenceSearch, keys_by_reference
from business_os_banking.admin.connection_actions import Check, Disconnect, Renew, ReplayAll, Withdraw
from business_os_banking.admin.display import Text, Tone
from business_os_banking.admin.filters import AccountFilter, ConnectionLookFilter, CountryFilter
from business_os_banking.admin.sessions import SessionInline
from business_os_banking.flows import explain
from business_os_banking.flows.consent import record_of_consent
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import ConnectionStatus, HeldReason

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[BankingConnection]
else:
    _ModelForm = forms.ModelForm

TIMELINE: Final = 50  # entries on a connection's page

TONES: Final[dict[str, Tone]] = {
    ConnectionStatus.PENDING: "waiting",
    ConnectionStatus.ACTIVE: "good",
    ConnectionStatus.INACTIVE: "bad",
    ConnectionStatus.DISCONNECTED: "quiet",
}


class MetadataForm(_ModelForm):
    def clean_metadata(self) -> dict[str, Any]:
        value = self.cleaned_data["metadata"]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ValidationError(_("This must be a JSON object, such as {}."))
        return value


class BankingConnectionAdmin(ReferenceSearch, ActingAdmin):
    """Bank connections: what operators look at and do, with the timeline of each, and the overview."""

    form = MetadataForm
    editable_fields: ClassVar[tuple[str, ...]] = ("metadata",)
    list_display: Any = (
        "bank",
        "status_word",
        "owner",
        "last_success",
        "consent",
        "created",
        "account",
    )
    list_filter: ClassVar[Any] = (
        ConnectionLookFilter,
        "status",
        "status_reason",
        AccountFilter,
        CountryFilter,
    )
    filterable_fields: ClassVar[tuple[str, ...]] = (
        "user",
        "tenant",
        "account",
        "upstream_id",
        "provider_code",
        "country_code",
        "reference",
    )
    list_select_related = ("user",)
    sortable_by = ("created",)
    search_fields = ("reference",)
    search_help_text = _(
        "The whole reference of a connection or a session, the whole id of a connection at the provider, "
        "or the user name of its owner."
    )
    actions: Any = ("check_selected", "renew_selected", "disconnect_selected")
    check_selected = list_action(Check())
    renew_selected = list_action(Renew())
    disconnect_selected = list_action(Disconnect())
    row_actions = (Accept(), Refuse(), Check(), Renew(), Withdraw(), Disconnect(), ReplayAll())
    has_answer_permission = permission_method("answer_bankingconnection")
    has_check_permission = permission_method("check_bankingconnection")
    has_renew_permission = permission_method("renew_bankingconnection")
    has_disconnect_permission = permission_method("disconnect_bankingconnection")
    has_replay_permission = permission_method("replay_connectionevent")
    inlines: ClassVar[Any] = (SessionInline,)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": (
                    "status_word",
                    "operator_step",
                    "customer_text",
                    "owner_link",
                    "tenant",
                    "account",
                )
            },
        ),
        (
            _("Bank"),
            {"classes": ("banking-pairs",), "fields": (("provider_name", "provider_code", "country_code"),)},
        ),
        (
            _("What happened"),
            {
                "classes": ("banking-pairs",),
                "fields": (
                    ("created_at", "updated_at"),
                    ("connected_at", "last_success_at"),
                    ("consent_expires_at", "consent_is_estimated"),
                    "next_refresh_possible_at",
                    "last_error_class",
                    ("disconnected_at", "ended_by"),
                    "consent_record",
                    "more",
                ),
            },
        ),
        (_("Identifiers"), {"fields": ("reference", "upstream_id", "owner_user_id")}),
        (_("Your own data"), {"fields": ("metadata",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = BankingConnection.objects.with_removal()
        return rows.order_by(*self.get_ordering(request)).select_related("user").defer("state", "baseline")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fieldsets; where a question is open, that comes first."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not obj.held_reason:
            return fieldsets
        return [(None, {"fields": ("open_question",)}), *fieldsets]

    def save_model(self, request: HttpRequest, obj: BankingConnection, form: Any, change: bool) -> None:
        # A webhook may have changed the row since the page was opened: write back what the form may change,
        # and nothing that was read with it.
        obj.save(update_fields=[*self.editable_fields, "updated_at"])

    def search_for(self, term: str) -> Q:
        condition, users = super().search_for(term), self.find_users(term)
        return condition | Q(user__in=users) if users else condition

    def search_for_reference(self, reference: UUID) -> Q:
        keys = keys_by_reference(ConnectSession, reference, "connection")
        return Q(reference=reference) | Q(pk__in=keys)

    def find_users(self, term: str) -> list[Any]:
        """Return the primary keys of the users whose name is *term*.

        None where e-mail addresses are the user names: addresses that are searched for end up in logs and browser
        histories.
        """
        model = get_user_model()
        if getattr(model, "EMAIL_FIELD", "email") == model.USERNAME_FIELD:
            return []
        users = model._default_manager.filter(**{model.USERNAME_FIELD: term})  # noqa: SLF001
        return list(users.values_list("pk", flat=True)[:10])

    @admin.display(description=_("bank"))
    def bank(self, connection: BankingConnection) -> SafeString:
        return display.lines(connection.display_name, connection.country_code)

    @admin.display(description=_("status"))
    def status_word(self, connection: BankingConnection) -> SafeString:
        tone = TONES.get(connection.status, "quiet")
        return display.lines(
            display.word(connection.get_status_display(), tone),
            connection.get_status_reason_display(),
            gettext("A question is open") if connection.held_reason else "",
            gettext("Still to be removed upstream") if connection.removal_due else "",
        )

    @admin.display(description=_("question"))
    def open_question(self, connection: BankingConnection) -> SafeString:
        """Tell what is asked, and who may answer it."""
        if not connection.held_reason:
            return display.lines()
        banks = ""
        if connection.held_bank:
            banks = f"{connection.display_name} \u2192 {connection.held_bank}"
        asked = QUESTIONS[HeldReason(connection.held_reason)]
        return display.lines(display.word(connection.get_held_reason_display(), "bad"), banks, *asked)

    @admin.display(description=_("owner"))
    def owner(self, connection: BankingConnection) -> SafeString:
        return display.lines(display.person(connection.user) if connection.user else "", connection.tenant)

    @admin.display(description=_("user"))
    def owner_link(self, connection: BankingConnection) -> Text:
        if connection.user is None:
            return display.EMPTY
        return display.change_link(self.admin_site.name, connection.user, display.person(connection.user))

    @admin.display(description=_("last success"))
    def last_success(self, connection: BankingConnection) -> SafeString:
        return display.moment(connection.last_success_at)

    @admin.display(description=_("consent ends"))
    def consent(self, connection: BankingConnection) -> SafeString:
        return display.moment(connection.consent_expires_at)

    @admin.display(description=_("record of the consent"))
    def consent_record(self, connection: BankingConnection) -> SafeString:
        return format_html_join("", "<div>{}</div>", ((line,) for line in record_of_consent(connection)))

    @admin.display(description=_("created"), ordering="pk")
    def created(self, connection: BankingConnection) -> SafeString:
        return display.moment(connection.created_at)

    @admin.display(description=_("what the customer reads"))
    def customer_text(self, connection: BankingConnection) -> SafeString:
        try:
            words = wording.for_connection(connection)
        except ValueError:  # a status that this version does not know: the page must open all the same
            return display.lines()
        return display.lines(words.title, words.next_step)

    @admin.display(description=_("next step"))
    def operator_step(self, connection: BankingConnection) -> Text:
        return advice.next_step(connection)

    @admin.display(description=_("more"))
    def more(self, connection: BankingConnection) -> SafeString:
        site, filters = self.admin_site.name, {"connection__id__exact": connection.pk}
        return display.lines(
            display.list_link(site, ConnectSession, _("All sessions of this connection"), **filters),
            display.list_link(site, ConnectionEvent, _("All events of this connection"), **filters),
        )

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show today's funnel, and what did not work."""
        if not (self.has_view_permission(request) and overview.may_see(request)):
            raise PermissionDenied
        return overview.overview(self, request)

    def get_urls(self) -> list[URLPattern]:
        return [self.path_of("overview", self.overview_view, "overview/"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        connection = kwargs.get("obj")
        if connection is not None and request.user.has_perm(f"{self.opts.app_label}.view_connectionevent"):
            context = {**context, **self._timeline(request, connection)}
        return super().render_change_form(request, context, *args, **kwargs)

    def _timeline(self, request: HttpRequest, connection: BankingConnection) -> dict[str, Any]:
        entries = explain.latest(connection, TIMELINE)
        oldest_first = request.GET.get("timeline") == "oldest"
        site, filters = self.admin_site.name, {"connection__id__exact": connection.pk}
        return {
            "timeline": [
                (entry, display.change_url(site, ConnectionEvent, entry.event))
                for entry in (reversed(entries) if oldest_first else entries)
            ],
            "timeline_oldest_first": oldest_first,
            "timeline_is_cut": len(entries) == TIMELINE,
            "timeline_all": display.list_link(
                site, ConnectionEvent, _("All events of this connection"), **filters
            ),
        }
