"""The API's views. Whose connection it is, and who may begin a session, the adapter says."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from business_os_banking.adapter import get_adapter
from business_os_banking.api.base import BankingView
from business_os_banking.api.errors import UnknownConnection, UnknownSession
from business_os_banking.api.listing import page_of
from business_os_banking.api.parsing import idempotency_key, single_values
from business_os_banking.api.serializers import (
    ConnectionSerializer,
    ConnectSerializer,
    QuerySerializer,
    SessionSerializer,
)
from business_os_banking.flows.begin import begin
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection, ConnectSession


class _OfConnections(BankingView):
    def visible(self, reference: UUID) -> BankingConnection:
        rows = get_adapter().visible_connections(self.site_request)
        connection = rows.filter(reference=reference).first()
        if connection is None:
            raise UnknownConnection
        return connection

    def started(self, request: Request, connection: BankingConnection | None) -> Response:
        """Open a session, and answer with the connection and the address to send the browser to."""
        key = idempotency_key(request)
        asked = ConnectSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = dict(asked.validated_data)
        values["next_url"] = values.pop("next", "")
        session = begin(self.site_request, connection, idempotency_key=key, **values)
        answer = {**ConnectionSerializer(session.connection).data, "session": SessionSerializer(session).data}
        return Response(answer, status=201)


class Connections(_OfConnections):
    operations = {"GET": "list", "POST": "create"}

    def get(self, request: Request) -> Response:
        asked = QuerySerializer(data=single_values(request.query_params))
        asked.is_valid(raise_exception=True)
        page = page_of(get_adapter().visible_connections(self.site_request), asked.validated_data)
        return Response(
            {
                "next": self._link(page.next),
                "previous": self._link(page.previous),
                "results": ConnectionSerializer(page.rows, many=True).data,
            }
        )

    def post(self, request: Request) -> Response:
        return self.started(request, None)

    def _link(self, cursor: str | None) -> str | None:
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor) if cursor else None


class Connection(_OfConnections):
    operations = {"GET": "detail"}

    def get(self, request: Request, reference: UUID) -> Response:
        return Response(ConnectionSerializer(self.visible(reference)).data)


class Renew(_OfConnections):
    operations = {"POST": "renew"}

    def post(self, request: Request, reference: UUID) -> Response:
        return self.started(request, self.visible(reference))


class Disconnect(_OfConnections):
    operations = {"POST": "disconnect"}

    def post(self, request: Request, reference: UUID) -> Response:
        connection = self.visible(reference)
        if connection.can_disconnect:
            connection = disconnect(connection)
        return Response(ConnectionSerializer(connection).data)


class Session(BankingView):
    operations = {"GET": "session"}

    def get(self, request: Request, reference: UUID) -> Response:
        mine = get_adapter().visible_connections(self.site_request)
        found = ConnectSession.objects.select_related("connection").filter(
            reference=reference, connection__in=mine
        )
        unread = [f"connection__{name}" for name in ("state", "baseline", "metadata")]
        session = found.defer(*unread, "custom_fields").first()
        if session is None:
            raise UnknownSession
        return Response(SessionSerializer(session).data)


class Nothing(BankingView):
    """An address below the API that is none."""

    schema = None

    def get_permissions(self) -> list[Any]:
        return []

    def get_throttles(self) -> list[Any]:
        return []

    def get(self, request: Request, **anywhere: str) -> NoReturn:
        raise NotFound

    post = get
