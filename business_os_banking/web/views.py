"""The customer's pages. They ask the adapter who may do what, call a flow, and show what is stored."""

import logging
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from business_os_banking import conf, wording
from business_os_banking.adapter import BankingAdapter, get_adapter
from business_os_banking.exceptions import BusinessOSError, NotAllowed, NotYourEmail, Refused, TooManyAttempts
from business_os_banking.flows import disconnect as disconnect_flow
from business_os_banking.flows.answer import NothingHeld, NotYoursToAccept, accept, refuse
from business_os_banking.flows.begin import HOUR, NOT_YOUR_EMAIL, account_for, begin, safe_next
from business_os_banking.flows.connect import agreed_scopes
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.guards import throttle
from business_os_banking.guards.responses import SeeOther, keep_opener, private
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import Group
from business_os_banking.web import proof
from business_os_banking.web.asking import question_about
from business_os_banking.web.forms import ConnectForm, scopes_in_words
from business_os_banking.web.pages import error_page, number, page, retry_after, retry_url
from business_os_banking.wording import texts

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 50
SESSIONS_SHOWN: Final = 10


@private
@require_safe
def connection_list(request: HttpRequest) -> HttpResponse:
    """The customer's connections, the ended ones last."""
    adapter = get_adapter()
    current = max(number(request, "page"), 1)
    start = (current - 1) * PAGE_SIZE
    ended = Case(When(status="disconnected", then=Value(1)), default=Value(0), output_field=IntegerField())
    # An attempt that was given up before it ever worked is nothing to keep looking at.
    queryset = adapter.visible_connections(request).exclude(status="disconnected", connected_at__isnull=True)
    queryset = queryset.with_checking().defer("state", "metadata").order_by(ended, "-pk")
    # One row more than is shown tells whether there is a next page, with no count.
    rows = list(queryset[start : start + PAGE_SIZE + 1])
    if not rows and current > 1:
        return SeeOther(request.path)  # past the end: what stood there has gone since
    return page(
        request,
        "connection_list.html",
        connections=rows[:PAGE_SIZE],
        can_connect=adapter.can_connect(request),
        previous_page=current - 1,
        next_page=current + 1 if len(rows) > PAGE_SIZE else None,
    )


@private
@require_safe
def connection_detail(request: HttpRequest, reference: UUID) -> HttpResponse:
    """One connection: how it stands, since when, and what was tried."""
    adapter = get_adapter()
    connection = _visible(request, reference, adapter)
    if connection is None:
        return _unknown_connection(request)
    return page(
        request,
        "connection_detail.html",
        connection=connection,
        wording=wording.for_connection(connection),
        question=question_about(connection),
        sessions=list(connection.sessions.order_by("-pk")[:SESSIONS_SHOWN]),
        can_connect=adapter.can_connect(request),
    )


# An answer of 503 is mailed to the admins with what was posted: the customer's e-mail address.
@sensitive_post_parameters()
@transaction.non_atomic_requests
@private
@require_http_methods(["GET", "HEAD", "POST"])
def connect(request: HttpRequest) -> HttpResponse:
    """Say what will happen (GET), or go to the bank (POST)."""
    return _start(request, None, get_adapter())


@sensitive_post_parameters()
@transaction.non_atomic_requests
@private
@require_http_methods(["GET", "HEAD", "POST"])
def renew(request: HttpRequest, reference: UUID) -> HttpResponse:
    """The same for a connection that exists: its consent is renewed, or its first attempt repeated."""
    adapter = get_adapter()
    connection = _visible(request, reference, adapter)
    if connection is None:
        return _unknown_connection(request)
    if not connection.can_renew:
        return SeeOther(connection.get_absolute_url())
    return _start(request, connection, adapter)


@transaction.non_atomic_requests
@private
@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Say what will happen (GET), or end the connection (POST)."""
    connection = _visible(request, reference, get_adapter())
    if connection is None:
        return _unknown_connection(request)
    if not connection.can_disconnect:
        return SeeOther(reverse("business_os_banking:connection-list"))
    if request.method != "POST":
        return page(request, "disconnect.html", connection=connection)
    disconnect_flow.disconnect(connection, by="owner")
    if connection.connected_at:
        text = _("%(bank)s is disconnected.") % {"bank": connection.display_name}
    else:
        text = _("The connection is removed from your list.")
    messages.success(request, text, fail_silently=True)
    return SeeOther(reverse("business_os_banking:connection-list"))


@transaction.non_atomic_requests
@private
@require_POST
def answer(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Take the answer whether what is held was meant, and lead on to the connection."""
    connection = _visible(request, reference, get_adapter())
    if connection is None:
        return _unknown_connection(request)
    question = request.POST.get("question", "")
    try:
        match request.POST.get("answer"):
            case "accept":
                accept(connection, question=question)
                text = _("Thank you. The connection goes on with this bank.")
            case "refuse":
                refuse(connection, question=question)
                text = _(
                    "Thank you. Everything stays as it was. The other bank can have a connection of its own: "
                    "connect it anew."
                )
            case _:
                return error_page(request, texts.UNKNOWN_CONNECTION, status=400)
        messages.success(request, text, fail_silently=True)
    except NothingHeld:
        messages.info(request, _("This has been answered, or has changed meanwhile."), fail_silently=True)
    except NotYoursToAccept:
        return error_page(request, texts.NOT_YOURS_TO_ACCEPT, status=403)
    return SeeOther(connection.get_absolute_url())


@private
@require_safe
def retry(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Lead on from the landing page, which is public and names no connection, to where a bank is tried again."""
    session = ConnectSession.objects.filter(reference=reference).select_related("connection").first()
    if session is None or _visible(request, session.connection.reference, get_adapter()) is None:
        return _unknown_connection(request)
    return SeeOther(retry_url(known_connection(session) or session.connection, session.next_url))


def _start(
    request: HttpRequest, connection: BankingConnection | None, adapter: BankingAdapter
) -> HttpResponse:
    try:
        account = account_for(request, connection, adapter)
    except NotAllowed:
        return error_page(request, texts.NOT_ALLOWED, status=403)
    except Refused:
        return error_page(request, texts.GROUPS[Group.SETUP], status=503)
    if request.method != "POST":
        last = connection.sessions.order_by("-pk").first() if connection else None
        initial = {"api": last.api if last else account.api, "next": request.GET.get("next", "")}
        return _connect_page(request, ConnectForm(account=account, initial=initial), connection, account)
    form = ConnectForm(request.POST, account=account)
    if not form.is_valid():
        return _connect_page(request, form, connection, account, status=400)
    next_url = form.cleaned_data["next"] or ""
    try:
        session = begin(
            request,
            connection,
            adapter=adapter,
            account=account,
            api=form.cleaned_data["api"],
            email=form.cleaned_data["email"],
            scopes=form.cleaned_data["scopes"],
            next_url=next_url,
            has_cookie=True,
        )
    except NotAllowed:
        return error_page(request, texts.NOT_ALLOWED, status=403)
    except NotYourEmail:
        form.add_error("email", NOT_YOUR_EMAIL)
        return _connect_page(request, form, connection, account, status=400)
    except TooManyAttempts:
        response = error_page(request, texts.TOO_MANY, status=429)
        response["Retry-After"] = str(throttle.seconds_left(HOUR))
        return response
    except BusinessOSError as error:
        return _unavailable(request, error, connection, safe_next(request, next_url))
    return proof.remember_starter(keep_opener(SeeOther(session.connect_url)), session)


def _connect_page(
    request: HttpRequest,
    form: ConnectForm,
    connection: BankingConnection | None,
    account: conf.Account,
    *,
    status: int = 200,
) -> HttpResponse:
    cancel_url = safe_next(request, form["next"].value() or "")
    return page(
        request,
        "connect.html",
        status=status,
        form=form,
        connection=connection,
        scopes=scopes_in_words(form.offered_scopes or agreed_scopes(connection, account)),
        # Once it has worked, the kind of bank is known, and only the consent is new.
        renewing=connection is not None and connection.connected_at is not None,
        cancel_url=cancel_url or reverse("business_os_banking:connection-list"),
    )


def _unavailable(
    request: HttpRequest, error: BusinessOSError, connection: BankingConnection | None, next_url: str
) -> HttpResponse:
    session = error.session
    known = known_connection(session) if session else None
    response = error_page(
        request,
        wording.for_exception(error),
        status=503,
        retry_url=retry_url(known or (session.connection if session else connection), next_url),
        reference=session.reference if session else None,
    )
    return retry_after(response, error)


def _visible(request: HttpRequest, reference: UUID, adapter: BankingAdapter) -> BankingConnection | None:
    return adapter.visible_connections(request).filter(reference=reference).first()


def _unknown_connection(request: HttpRequest) -> HttpResponse:
    return error_page(request, texts.UNKNOWN_CONNECTION, status=404)
