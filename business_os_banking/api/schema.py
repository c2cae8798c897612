"""The OpenAPI description of each operation, for drf-spectacular. Imported only where a site uses that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.serializers import Serializer

from business_os_banking.api import examples, serializers
from business_os_banking.api.parsing import KEY, KEY_HEADER

Kind = type[Serializer[Any]]

KEY_PARAMETER: Final = OpenApiParameter(
    KEY_HEADER,
    {"type": "string", "minLength": 1, "maxLength": 257, "pattern": f"^{KEY}$"},
    OpenApiParameter.HEADER,
    description="Makes the request safe to repeat: the same key of the same person with the same request answers "
    "with the session that the first one made. Any text that is new for each intention; a UUID, say.",
    examples=[OpenApiExample("A UUID", "8e03978e-40d5-43e8-bc93-6894a57f9324")],
)
RETRY_AFTER: Final = OpenApiParameter(
    "Retry-After",
    int,
    OpenApiParameter.HEADER,
    response=[429, 503],
    description="Seconds to wait, where known.",
)
ERRORS: Final = {
    400: "Something in the request is not as it should be; `fields` says what.",
    401: "Nobody is signed in, and the site's way of signing in has a challenge.",
    403: "Nobody is signed in, or this is not allowed to them, or the CSRF token is missing.",
    404: "There is none, or it is another person's.",
    406: "`Accept` leaves out JSON.",
    409: "The connection was ended for good.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The Idempotency-Key came before, with another request.",
    429: "Too many requests, or too many sessions begun within an hour.",
    503: "The session could not be opened: see `group`, and quote `session`.",
}
_ALWAYS: Final = (401, 403, 406, 429)
_STARTING: Final = (*_ALWAYS, 400, 413, 415, 422, 503)


@dataclass(frozen=True)
class Operation:
    """One operation: its id and texts, the serializers of its body and its response, and how it can fail."""

    id: str
    summary: str
    description: str
    status: int
    response: Kind
    example: Any
    errors: tuple[int, ...] = _ALWAYS
    body: Kind | None = None
    parameters: tuple[Any, ...] = ()


OPERATIONS: Final = {
    "list": Operation(
        "bank_connection_list",
        "List bank connections",
        "The connections of the person who asks, the newest first. Follow `next` to read on: new connections shift "
        "nothing. A parameter that is not known, or given twice, is refused.",
        200,
        serializers.PageSerializer,
        examples.PAGE,
        (*_ALWAYS, 400, 404),
        parameters=(serializers.QuerySerializer,),
    ),
    "create": Operation(
        "bank_connection_create",
        "Connect a bank",
        "Opens a session at the bank service. Send the browser to `session.connect_url`, and ask for the session "
        "until it tells what became of it. Asked twice for the same thing, it answers with the same session.",
        201,
        serializers.StartedSerializer,
        examples.STARTED,
        _STARTING,
        serializers.ConnectSerializer,
        (KEY_PARAMETER,),
    ),
    "detail": Operation(
        "bank_connection_detail",
        "Show a bank connection",
        "How one connection stands, in words and in figures.",
        200,
        serializers.ConnectionSerializer,
        examples.CONNECTION,
        (*_ALWAYS, 404),
    ),
    "renew": Operation(
        "bank_connection_renew",
        "Renew a bank connection",
        "Opens a new session on the same connection: to renew the consent, or to try again what has not worked. The "
        "old link keeps working until the new one does.",
        201,
        serializers.StartedSerializer,
        examples.STARTED,
        (*_STARTING, 404, 409),
        serializers.ConnectSerializer,
        (KEY_PARAMETER,),
    ),
    "disconnect": Operation(
        "bank_connection_disconnect",
        "Disconnect a bank",
        "Ends the connection at once, and removes it at the provider, now or as soon as that works. Doing it again "
        "changes nothing.",
        200,
        serializers.ConnectionSerializer,
        examples.ENDED,
        (*_ALWAYS, 404),
    ),
    "answer": Operation(
        "bank_connection_answer",
        "Answer for what is held",
        "Says whether a success that is held was meant. Of another bank, the owner may accept or refuse; whatever else "
        "is held, refuse. What is refused counts no more, and its access is ended at the provider.",
        200,
        serializers.ConnectionSerializer,
        examples.CONNECTION,
        (*_ALWAYS, 400, 404, 409, 413, 415),
        serializers.AnswerSerializer,
    ),
    "session": Operation(
        "bank_session_detail",
        "Show how a session stands",
        "For polling: ask again after `poll_after` seconds, until `final`. A setback is not final, since a success "
        "wins over it however late it comes; show it, and go on asking.",
        200,
        serializers.SessionSerializer,
        examples.SESSION,
        (*_ALWAYS, 404),
    ),
    "finish": Operation(
        "bank_session_finish",
        "Finish in an app",
        "Proves that who is signed in has finished at the bank: with the key, the last part of the address that the "
        "bank led back to. Needed where `RETURN_PROOF` is `required`.",
        200,
        serializers.SessionSerializer,
        examples.SESSION,
        (*_ALWAYS, 400, 404, 413, 415),
        serializers.FinishSerializer,
    ),
}
NAMES: Final[dict[Kind, str]] = {
    serializers.ConnectionSerializer: "BankConnection",
    serializers.SessionSerializer: "BankSession",
    serializers.StartedSerializer: "StartedBankConnection",
    serializers.PageSerializer: "BankConnectionPage",
    serializers.ConnectSerializer: "ConnectBank",
    serializers.ErrorSerializer: "BankErrorAnswer",
    serializers.ProblemSerializer: "BankError",
}


class BankingSchema(AutoSchema):
    """Looks everything up in `OPERATIONS`, but the authentication, which is that of the view."""

    @property
    def operation(self) -> Operation:
        view: Any = self.view
        return OPERATIONS[view.operations[self.method]]

    def get_operation_id(self) -> str:
        return self.operation.id

    def get_tags(self) -> list[str]:
        return ["bank connections"]

    def get_summary(self) -> str:
        return self.operation.summary

    def get_description(self) -> str:  # type: ignore[override]
        return self.operation.description

    def get_override_parameters(self) -> list[Any]:
        return [*self.operation.parameters, RETRY_AFTER]

    def get_request_serializer(self) -> Any:
        return self.operation.body

    def get_response_serializers(self) -> Any:
        operation = self.operation
        response = OpenApiResponse(
            operation.response, operation.summary, [OpenApiExample("An answer", operation.example)]
        )
        error_responses = {
            status: OpenApiResponse(
                serializers.ErrorSerializer,
                ERRORS[status],
                [OpenApiExample("An error", examples.error(status))],
            )
            for status in sorted(operation.errors)
        }
        return {operation.status: response, **error_responses}

    def get_serializer_name(self, serializer: Serializer[Any], direction: Any) -> str:
        return NAMES.get(type(serializer)) or super().get_serializer_name(serializer, direction)


class VocabularyExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Each vocabulary is a component of its own, whose name generated clients use."""

    target_class = "business_os_banking.api.fields.Word"
    match_subclasses = True

    def get_name(self) -> str:
        return f"Bank{self.target.name}"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.target.choices)}


class StrictExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Unknown names are refused."""

    target_class = "business_os_banking.api.serializers.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - as advised
        return {**schema, "additionalProperties": False}


class TextExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """No text may contain a NUL: not every database can store one."""

    target_class = "business_os_banking.api.fields.Text"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - as advised
        return {**schema, "pattern": r"^[^\u0000]+$"}
