"""The fake Business OS API: plain JSON views that refuse what the real one would refuse."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from hmac import compare_digest

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.csrf import csrf_exempt

from . import conf, listing, outcomes, payloads
from .behaviour import Change
from .guard import View, sandbox_view
from .models import SandboxBank, SandboxConnection, SandboxSession
from .scenarios import SCENARIOS
from .trouble import troubled
from .validation import NotJSONError, Problem, check_connect, read_json

Endpoint = Callable[..., HttpResponse]


def endpoint(*methods: str) -> Callable[[Endpoint], View]:
    """Decorate a view for these HTTP methods, which takes the caller's API key as its second argument."""

    def decorate(view: Endpoint) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if request.method not in methods:
                allowed = ", ".join(methods)
                response = _error(405, "MethodNotAllowed", f"Only {allowed} is possible here.")
                response["Allow"] = allowed
                return response
            header = request.headers.get("x-api-key", "").encode()
            for key in conf.settings.api_keys:
                if compare_digest(header, key.encode()):
                    return view(request, key, *args, **kwargs)
            return _error(401, "ApiKeyNotFound", "The API key is missing or unknown.")

        exempt: View = csrf_exempt(sandbox_view(troubled(checked)))
        return exempt

    return decorate


@endpoint("POST")
def connect(request: HttpRequest, key: str) -> HttpResponse:
    """Open a connect session."""
    if request.content_type != "application/json":
        return _error(400, "WrongRequestFormat", "The Content-Type must be application/json.")
    try:
        body = read_json(request.body)
    except NotJSONError as error:
        return _error(400, "WrongRequestFormat", f"The body is not JSON. {error}")
    connect_request, problems = check_connect(request.GET.get("api", "partner"), body)
    if connect_request is None:
        return _invalid(problems)
    now = timezone.now()
    session = SandboxSession(
        api_key=key,
        owner_user_id=payloads.owner_user_id(key),
        api=connect_request.api,
        email=connect_request.email,
        return_to=connect_request.return_to,
        scopes=connect_request.scopes,
        custom_fields=connect_request.custom_fields,
        webhook_url=outcomes.webhook_url(request),
        expires_at=now + timedelta(minutes=conf.settings.session_minutes),
    )
    session.customer_id = payloads.customer_id(key, session.api, session.email, str(session.pending_token))
    session.save()
    if conf.settings.early_webhook:
        outcomes.succeed_early(session, SCENARIOS["succeed"])
    path = reverse("business_os_banking_sandbox:connect")
    query = urlencode({"token": session.token})
    return JsonResponse(
        {
            "connect_url": f"{request.build_absolute_uri(path)}?{query}",
            "expires_at": payloads.iso(session.expires_at),
            "owner_user_id": str(session.owner_user_id),
            "pending_token": str(session.pending_token),
        }
    )


@endpoint("GET")
def connection_list(request: HttpRequest, key: str) -> HttpResponse:
    """Return the connections made with this key, a page at a time."""
    if conf.settings.list_missing:
        return _nothing_here(conf.settings.list_missing)
    from_id = request.GET.get("from_id", "")
    if from_id and not _is_id(from_id):
        return _invalid([Problem("from_id", "WrongRequestFormat", "from_id must be an id.")])
    rows, next_id = listing.page(key, from_id)
    off = _switched_off()
    # The path is Salt Edge's own, handed through by Business OS: no use to a caller, and so here.
    next_page = f"/api/v6/connections?from_id={next_id}" if next_id else None
    return JsonResponse(
        {
            "data": [payloads.connection(row, is_switched_off=row.provider_code in off) for row in rows],
            "meta": {"next_id": next_id, "next_page": next_page},
        }
    )


@endpoint("GET", "DELETE")
def connection_detail(request: HttpRequest, key: str, connection_id: str) -> HttpResponse:
    """Return a connection, or remove it."""
    if request.method == "GET" and conf.settings.by_id_missing:
        return _nothing_here(conf.settings.by_id_missing)
    row = _find(key, Q(connection_id=connection_id), connection_id)
    if row is None:
        return _error(404, "ConnectionNotFound", "There is no such connection.")
    if request.method == "GET":
        is_switched_off = row.provider_code in _switched_off()
        return JsonResponse({"data": payloads.connection(row, is_switched_off=is_switched_off)})
    row.session.webhook_url = row.session.webhook_url or outcomes.webhook_url(request)
    outcomes.change(row, Change.REMOVED)
    return JsonResponse(
        {
            "data": {
                "connection_id": row.connection_id,
                "customer_id": row.session.customer_id,
                "removed": True,
            }
        }
    )


@endpoint("GET")
def account_detail(_request: HttpRequest, key: str, account_id: str) -> HttpResponse:
    """Return one account, by its own id, or by its connection's: no path of the sandbox lists accounts."""
    row = _find(key, Q(account_id=account_id) | Q(connection_id=account_id), account_id)
    if row is None:
        return _error(404, "AccountNotFound", "There is no such account.")
    return JsonResponse({"data": payloads.account(row)})


def _switched_off() -> set[str]:
    """Return the codes of the banks that are switched off."""
    return set(SandboxBank.objects.filter(is_switched_off=True).values_list("provider_code", flat=True))


def _find(key: str, condition: Q, id_: str) -> SandboxConnection | None:
    # Only ids reach the database: PostgreSQL raises for a NUL in a text.
    return listing.of_key(key).filter(condition).first() if _is_id(id_) else None


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19


def _invalid(problems: list[Problem]) -> JsonResponse:
    errors = [{"field": problem.field, "message": problem.message} for problem in problems]
    return _error(422, problems[0].error_class, problems[0].message, errors=errors)


def _nothing_here(status: int) -> JsonResponse:
    """Answer as if nobody had built this."""
    return _error(status, "NotFound", "There is nothing here.")


def _error(status: int, error_class: str, message: str, **fields: object) -> JsonResponse:
    error = {"class": error_class, "message": message, "documentation_url": None}
    return JsonResponse({"error": error, **fields}, status=status)
