"""What the three pages have in common: they show, and change next to nothing.

Statuses and all the other columns that facts decide are written by `flows.record` alone. A form that could
write them would make the row contradict its own history until the next event, and `banking_rebuild` would
undo it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import Model, Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse

from business_os_banking.admin.paginator import BoundedPaginator, QuickChangeList
from business_os_banking.models import AccountState

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _InlineFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _InlineFormSet = BaseInlineFormSet

STYLES = ("business_os_banking/admin.css",)


def uuid_of(text: str) -> UUID | None:
    """Return *text* as a UUID, or None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


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
        return super().changelist_view(request, {"silent_accounts": silent, **(extra_context or {})})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QuickChangeList]:
        return QuickChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown: list[Any] = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in shown if name not in self.editable_fields]

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
        chosen = self.get_list_filter(request) if request else self.list_filter
        names = {"id", *self.filterable_fields}
        for item in chosen:
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
