"""The API's views. The adapter decides whose connection it is, and who may begin a session."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.utils.urls import replace_query_param

from business_os_banking.api.base import BankingView
from business_os_banking.api.errors import UnknownConnection, UnknownSession
from business_os_banking.api.listing import page_of
from business_os_banking.api.parsing import idempotency_key, single_values
from business_os_banking.api.serializers import (
    AnswerSerializer,
    ConnectionSerializer,
    ConnectSerializer,
    FinishSerializer,
    QuerySerializer,
    SessionSerializer,
)
from business_os_banking.conf.secret import Secret
from business_os_banking.flows.answer import accept, finish, refuse
from business_os_banking.flows.begin import begin
from business_os_banking.flows.disconnect import disconnect
from business_os_banking.models import BankingConnection, ConnectSession


def _valid(serializer_class: type[Serializer[Any]], data: Any) -> dict[str, Any]:
    """Return what *data* says; raise `ValidationError` where that cannot be."""
    serializer = serializer_class(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class _ConnectionView(BankingView):
    def get_connection(self, reference: UUID) -> BankingConnection:
        """Return the connection with this reference; raise `UnknownConnection` unless this person may see it."""
        rows = self.adapter.visible_connections(self.site_request)
        connection = rows.filter(reference=reference).first()
        if connection is None:
            raise UnknownConnection
        return connection

    def begin_session(self, request: Request, connection: BankingConnection | None) -> Response:
        """Open a session on *connection*, or on a new one, and respond with both: 201."""
        key = idempotency_key(request)
        values = _valid(ConnectSerializer, request.data)
        values["next_url"] = values.pop("next", "")
        session = begin(self.site_request, connection, adapter=self.adapter, idempotency_key=key, **values)
        data = {**self.describe(session.connection), "session": SessionSerializer(session).data}
        return Response(data, status=201)

    def describe(self, connections: BankingConnection | list[BankingConnection]) -> Any:
        """Return a connection, or several, as JSON for whoever asks: on them depends what may be done with it."""
        context = {"request": self.site_request, "adapter": self.adapter}
        many = isinstance(connections, list)
        return ConnectionSerializer(connections, many=many, context=context).data


class Connections(_ConnectionView):
    operations = {"GET": "list", "POST": "create"}

    def get(self, request: Request) -> Response:
        asked = _valid(QuerySerializer, single_values(request.query_params))
        page = page_of(self.adapter.visible_connections(self.site_request), asked)
        return Response(
            {
                "next": self._link(page.next),
                "previous": self._link(page.previous),
                "results": self.describe(page.rows),
            }
        )

    def post(self, request: Request) -> Response:
        return self.begin_session(request, None)

    def _link(self, cursor: str | None) -> str | None:
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor) if cursor else None


class Connection(_ConnectionView):
    operations = {"GET": "detail"}

    def get(self, request: Request, reference: UUID) -> Response:
        return Response(self.describe(self.get_connection(reference)))


class Renew(_ConnectionView):
    operations = {"POST": "renew"}

    def post(self, request: Request, reference: UUID) -> Response:
        return self.begin_session(request, self.get_connection(reference))


class Disconnect(_ConnectionView):
    operations = {"POST": "disconnect"}

    def post(self, request: Request, reference: UUID) -> Response:
        connection = self.get_connection(reference)
        if connection.can_disconnect:
            connection = disconnect(connection)
        return Response(self.describe(connection))


class Answer(_ConnectionView):
    operations = {"POST": "answer"}

    def post(self, request: Request, reference: UUID) -> Response:
        connection = self.get_connection(reference)
        given = _valid(AnswerSerializer, request.data)
        do = accept if given["answer"] == "accept" else refuse
        return Response(self.describe(do(connection, question=given.get("question", ""))))


class _SessionView(BankingView):
    def get_session(self, reference: UUID) -> ConnectSession:
        """Return the session with this reference; raise `UnknownSession` unless this person may see it."""
        connections = self.adapter.visible_connections(self.site_request)
        rows = ConnectSession.objects.select_related("connection").filter(
            reference=reference, connection__in=connections
        )
        unread = [f"connection__{name}" for name in ("state", "baseline", "metadata")]
        session = rows.defer(*unread, "custom_fields").first()
        if session is None:
            raise UnknownSession
        return session


class Session(_SessionView):
    operations = {"GET": "session"}

    def get(self, request: Request, reference: UUID) -> Response:
        return Response(SessionSerializer(self.get_session(reference)).data)


class Finish(_SessionView):
    operations = {"POST": "finish"}

    def post(self, request: Request, reference: UUID) -> Response:
        session = self.get_session(reference)
        if not finish(session, Secret(_valid(FinishSerializer, request.data)["key"])):
            raise ValidationError({"key": [_("This is not the key of the address that led back here.")]})
        return Response(SessionSerializer(self.get_session(reference)).data)


class UnknownAddress(BankingView):
    """Any other address below the API: 404, with the body of every error."""

    schema = None

    def get_permissions(self) -> list[Any]:
        return []

    def get_throttles(self) -> list[Any]:
        return []

    def get(self, request: Request, **_kwargs: str) -> NoReturn:
        raise NotFound

    post = get
