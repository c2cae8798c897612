"""What all pages of the admin share: they show, and change next to nothing.

Statuses and all the other columns that facts decide are written by `facts.record` alone. A form that could
write them would make the row contradict its own history until the next event, and `banking_rebuild` would
undo it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from business_os_banking.admin import overview
from business_os_banking.admin.actions import Action, confirm, is_permitted
from business_os_banking.admin.display import admin_url, url_name
from business_os_banking.admin.paginator import BoundedPaginator, QuickChangeList
from business_os_banking.models import AccountState, BankingConnection, ConnectSession

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _InlineFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _InlineFormSet = BaseInlineFormSet

STYLES = ("business_os_banking/admin.css",)


def keys_by_reference(
    model: type[BankingConnection | ConnectSession], reference: UUID, column: str = "pk"
) -> list[int]:
    """Return *column* of the rows of *model* with this reference: ready keys, so that a search needs no join."""
    return list(model._default_manager.filter(reference=reference).values_list(column, flat=True))  # noqa: SLF001


class ReadMostlyAdmin(_ModelAdmin):
    """Rows are looked at, never added, never deleted, and changed only in `editable_fields`.

    Subclass freely: add to `list_display`, `fieldsets`, `list_filter` or `filterable_fields`. Whatever you
    add to `fieldsets` is read-only unless it is in `editable_fields`.
    """

    editable_fields: ClassVar[tuple[str, ...]] = ()
    # The columns by which a list may be narrowed down in its address, besides those of `list_filter`.
    filterable_fields: ClassVar[tuple[str, ...]] = ()

    list_per_page = 50
    list_max_show_all = 200
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they count the whole table once per choice
    # The site's pages are their owner's; looking at a session's would be recorded as a return from the bank.
    view_on_site = False

    class Media:
        css = {"all": STYLES}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        silent = AccountState.objects.exclude(silence="").order_by("alias")
        context = {"silent_accounts": silent, "overview_url": overview.address(request, self.admin_site.name)}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QuickChangeList]:
        return QuickChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields: list[Any] = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in fields if name not in self.editable_fields]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.editable_fields) and super().has_change_permission(request, obj)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Django allows every lookup on a model's own columns: with ?pending_token__startswith=8 and patience
        # anybody who may see the list could spell a token, or an e-mail address, out.
        column = lookup.split("__")[0]
        columns = {field.name for field in self.opts.get_fields()}
        if column in columns and column not in self._filterable(request):
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def _filterable(self, request: HttpRequest | None) -> set[str]:
        filters = self.get_list_filter(request) if request else self.list_filter
        names = {"id", *self.filterable_fields}
        for item in filters:
            name = item[0] if isinstance(item, tuple | list) else item
            names.add(name.split("__")[0] if isinstance(name, str) else getattr(name, "parameter_name", ""))
        return names

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find what matches the whole term exactly, in columns that have an index; see `search_for`."""
        term = search_term.strip()
        return (queryset.filter(self.search_for(term)) if term else queryset), False

    def search_for(self, term: str) -> Q:
        """Return the condition for one search term.

        It must name columns of this table only: an OR over a join cannot use the indexes of both tables. A page
        that has no search narrows nothing.
        """
        return Q()


class ReferenceSearch:
    """A search by whole ids: the provider's of a connection, or the reference of a session or a connection."""

    search_help_text: ClassVar[Any] = _(
        "The whole reference of a session or a connection, or the whole id of a connection at the provider."
    )

    def search_for(self, term: str) -> Q:
        condition = Q(upstream_id=term)
        try:
            reference = UUID(term)
        except ValueError:
            return condition
        return condition | self.search_for_reference(reference)

    def search_for_reference(self, reference: UUID) -> Q:
        """Return the condition for the reference of a session or a connection."""
        raise NotImplementedError


class ActingAdmin(ReadMostlyAdmin):
    """Rows to which something can be done: each action on the page of a row, at an address of its own.

    Subclass freely: add an `Action` of yours to `row_actions`, and the method that its permission needs,
    ``has_<verb>_permission(request, obj=None)``; `permission_method` makes one. To have it in the menu of the list
    as well, assign `list_action` of it to a name in the class, and add that name to `actions`.
    """

    row_actions: ClassVar[tuple[Action, ...]] = ()

    # The provider is called, and a replay is many transactions: under ATOMIC_REQUESTS all of it would happen in
    # one, which may be rolled back after the provider has removed the connection.
    @transaction.non_atomic_requests
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._refuse_other_actions(request)
        return super().changelist_view(request, extra_context)

    def _refuse_other_actions(self, request: HttpRequest) -> None:
        """Answer 403 to an action that the list does not offer to this person; Django would say nothing."""
        for name in request.POST.getlist("action") if request.method == "POST" else []:
            permissions = getattr(getattr(self, name, None), "allowed_permissions", ())
            if not all(getattr(self, f"has_{permission}_permission")(request) for permission in permissions):
                raise PermissionDenied

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context = {"banking_tools": self._tools(request, row), **context}
        return super().render_change_form(request, context, *args, **kwargs)

    def _tools(self, request: HttpRequest, row: Any) -> list[tuple[Any, str]]:
        """Return label and address of each action that this person may do to *row* now."""
        return [
            (action.label, self._url(action.verb, row.pk))
            for action in self.row_actions
            if is_permitted(action, self, request, row) and action.is_due(row)
        ]

    def _url(self, page: str, *args: object) -> str:
        return admin_url(self.admin_site.name, self.model, page, *args)

    def get_urls(self) -> list[URLPattern]:
        own = [
            self.path_of(action.verb, self._view_of(action), f"<path:object_id>/{action.verb}/")
            for action in self.row_actions
        ]
        return [*own, *super().get_urls()]

    def path_of(self, page: str, view: Callable[..., HttpResponse], route: str) -> URLPattern:
        """Return the URL pattern of a page of this admin, named as Django names its own, for staff only."""
        return path(route, self.admin_site.admin_view(view), name=url_name(self.model, page))

    def _view_of(self, action: Action) -> Callable[..., HttpResponse]:
        @transaction.non_atomic_requests
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            selected = self.get_queryset(request).filter(pk=row.pk)
            return confirm(action, self, request, selected, back=self._url("change", row.pk))

        return view


class LatestRows(_InlineFormSet):
    """The latest rows of a connection. Never bound to what was posted, so nothing can be smuggled in."""

    limit: ClassVar[int] = 10

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        kwargs.pop("save_as_new", None)
        super().__init__(None, None, **kwargs)

    def get_queryset(self) -> QuerySet[Any]:
        if not hasattr(self, "_queryset"):
            self._queryset = super().get_queryset()[: self.limit]
        return self._queryset

    def is_valid(self) -> bool:
        return True

    def save(self, commit: bool = True) -> list[Any]:
        self.new_objects: list[Any] = []
        self.changed_objects: list[Any] = []
        self.deleted_objects: list[Any] = []
        return []


class ReadOnlyInline(_TabularInline):
    """The latest rows that belong to a connection, each with a link to its own page in its first column."""

    formset = LatestRows
    extra = 0
    can_delete = False
    view_on_site = False
    ordering = ("-pk",)
    classes = ("banking-rows",)

    class Media:
        css = {"all": STYLES}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(self.fields or ())

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
