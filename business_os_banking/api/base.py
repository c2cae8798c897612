"""What all views of the API share: permissions, formats, and which settings of a site they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.schemas.inspectors import DefaultSchema
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from business_os_banking import conf
from business_os_banking.adapter import BankingAdapter, get_adapter
from business_os_banking.api.errors import handle
from business_os_banking.api.parsing import SmallJSONParser
from business_os_banking.models import BankingConnection


class JSONAlone(DefaultContentNegotiation):
    """The header ``Accept`` decides, and no ``?format=``, whatever that means elsewhere on the site."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)


class LazySchema(DefaultSchema):
    """Our own schema of a view where the site uses drf-spectacular, which is an extra; else the site's."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        schema: Any = super().__get__(instance, owner)
        if not any(base.__module__.startswith("drf_spectacular.") for base in type(schema).__mro__):
            return schema
        from business_os_banking.api.schema import BankingSchema

        schema = BankingSchema()
        schema.view = instance
        return schema


# No transaction of the site's around a view: flows make their own, and none while the provider is called.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class BankingView(APIView):
    """JSON in and out, and errors in one shape, whatever ``REST_FRAMEWORK`` says for the rest of the site.

    Authentication, permissions and throttles follow the site: ``API_*_CLASSES`` by operation, else
    ``REST_FRAMEWORK``. ``operations`` maps the methods of a view to operations.
    """

    operations: ClassVar[Mapping[str, str]] = {}
    renderer_classes = (JSONRenderer,)
    parser_classes = (SmallJSONParser,)
    content_negotiation_class = JSONAlone
    versioning_class = None
    metadata_class = None
    http_method_names = ["get", "head", "post"]
    schema: Any = LazySchema()
    # Some permission classes ask the view for its model.
    queryset = BankingConnection.objects.none()
    site_request: HttpRequest

    @cached_property
    def adapter(self) -> BankingAdapter:
        """The site's adapter, made once for a request."""
        return get_adapter()

    @property
    def operation(self) -> str:
        method = str(self.site_request.method)
        return self.operations.get("GET" if method == "HEAD" else method, "")

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # The adapter's hooks take this; Django REST framework sets its user when it has authenticated one.
        self.site_request = request
        return super().initialize_request(request, *args, **kwargs)

    def get_authenticators(self) -> list[Any]:
        return self._instances(
            conf.settings.api_authentication_classes, api_settings.DEFAULT_AUTHENTICATION_CLASSES
        )

    def get_permissions(self) -> list[Any]:
        default_classes: Any = api_settings.DEFAULT_PERMISSION_CLASSES
        classes = [cls for cls in default_classes if cls is not AllowAny]
        return self._instances(conf.settings.api_permission_classes, [*classes, IsAuthenticated])

    def get_throttles(self) -> list[Any]:
        return self._instances(conf.settings.api_throttle_classes, api_settings.DEFAULT_THROTTLE_CLASSES)

    def get_exception_handler(self) -> Any:
        return lambda error, _context: handle(error)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        return final

    def _instances(self, by_operation: Mapping[str, Sequence[str]], default_classes: Any) -> list[Any]:
        """Return an instance of each class that the settings name for this operation, else of the default ones."""
        paths = by_operation.get(self.operation)
        return [cls() for cls in (default_classes if paths is None else map(import_string, paths))]
