"""Lists that stay quick however long the table is: no table is counted to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

MAX_COUNT: Final = 2_000


class AtLeast(int):
    """A number at which counting stopped. It reads ``2000+``, in whatever template an admin theme has."""

    def __str__(self) -> str:
        return f"{int(self)}+"


if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


class BoundedPaginator(_Paginator):
    """Count `max_count` rows and no more: a COUNT of a million rows takes longer than the page itself.

    Nobody pages that far; what lies beyond is reached by filters and search.
    """

    max_count = MAX_COUNT

    def page(self, number: Any) -> Page[Any]:
        """Return a page: its keys first, then its rows.

        Keys come from an index alone. For whole rows a database may walk down the table instead, until it has enough
        of them, and join what it then skips.
        """
        number = self.validate_number(number)
        bottom = (number - 1) * self.per_page
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return super().page(number)
        top = min(bottom + self.per_page, self.count)
        keys = list(rows.values_list("pk", flat=True)[bottom:top])
        return Page(rows.filter(pk__in=keys), number, self)

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        count = rows.order_by()[: self.max_count + 1].count()
        return AtLeast(self.max_count) if count > self.max_count else count


class QuickChangeList(ChangeList):
    """Does not offer "Show all" on a list that is not narrowed down, as there is no total to compare with."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.get_filters_params():
            self.full_result_count = self.result_count
