"""The landing page: where the bank sends the browser back to. Public, a pure read of what is stored."""

import logging
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from business_os_banking import wording
from business_os_banking.adapter import get_adapter
from business_os_banking.facts.record import record_return
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.guards.responses import keep_opener, public
from business_os_banking.models import ConnectSession
from business_os_banking.vocabulary import Group, group_of
from business_os_banking.web.asking import Question, question_for
from business_os_banking.web.pages import error_page, number, page
from business_os_banking.wording import texts

logger = logging.getLogger(__name__)

# Seconds between two reloads of the landing page without JavaScript: two minutes in all.
REFRESH_SECONDS: Final = (1, 2, 3, 5, 8, 13, 21, 30, 37)
# What the bank's side may hint at, in its own words.
CANCELLED: Final = "ProviderAccessNotGranted"
OTHER: Final = "ProviderError"


@public
@require_safe
def returned(request: HttpRequest, reference: UUID | str) -> HttpResponse:
    """Where the bank sends the browser back to. Public, and it shows nothing but what is stored."""
    session = _session(reference)
    if session is None:
        return error_page(request, texts.UNKNOWN_ATTEMPT, status=404, public=True)
    if session.returned_at is None and request.method == "GET":
        _note_return(request, session)
    stored = shown = wording.for_session(session)
    if question := question_for(request, session):
        return _question(request, session, question, stored)
    hint = ""
    visit = number(request, "n")
    slow = visit >= len(REFRESH_SECONDS)
    waiting = stored.tone == "waiting"
    if waiting:
        hint = _hint(request)
        shown = texts.SLOW if slow else wording.for_hint(hint)
    stored_phase = _phase(session, stored)
    phase = "slow" if waiting and slow else "hinted" if hint else stored_phase
    next_page = {"n": visit + 1, **({"error_class": hint} if hint else {})}
    list_url = reverse("business_os_banking:connection-list")
    retry_url = reverse("business_os_banking:session-retry", args=[session.reference])
    response = page(
        request,
        "return.html",
        session=session,
        connection=session.connection,
        wording=shown,
        question=None,
        stored=f"{stored_phase} {stored.title} {stored.text}",
        phase=phase,
        final=session.is_final,
        slow=texts.SLOW,
        next_url=get_adapter().get_next_url(request, session) or list_url,
        leave_url=session.next_url or list_url,
        retry_url=retry_url,
        list_url=list_url,
        connect_url=reverse("business_os_banking:connect"),
        status_url=reverse("business_os_banking:session-status", args=[session.reference]),
        check_url=request.path,
        refresh_url=f"{request.path}?{urlencode(next_page)}",
        refresh_seconds=REFRESH_SECONDS[visit] if waiting and not slow else None,
        public=True,
    )
    return keep_opener(response)


def _question(
    request: HttpRequest, session: ConnectSession, question: Question, stored: wording.Wording
) -> HttpResponse:
    """Return the page that asks who finished, or whether it was meant. Its script only looks whether that is over."""
    list_url = reverse("business_os_banking:connection-list")
    response = page(
        request,
        "return.html",
        session=session,
        connection=session.connection,
        wording=question.wording,
        question=question,
        stored=f"{_phase(session, stored)} {stored.title} {stored.text}",
        phase="question",
        final=False,
        slow=texts.SLOW,
        leave_url=session.next_url or list_url,
        list_url=list_url,
        status_url=reverse("business_os_banking:session-status", args=[session.reference]),
        check_url=request.path,
        refresh_seconds=None,
        public=True,
    )
    # A browser that may not say where it comes from fails Django's CSRF check. The address holds no secret.
    response["Referrer-Policy"] = "same-origin"
    return keep_opener(response)


@public
@require_safe
def session_status(_request: HttpRequest, reference: UUID | str) -> JsonResponse:
    """How an attempt stands, for the script on the landing page. Public, nothing personal.

    One query, but where the bank says that it is connected already.
    """
    session = _session(reference)
    if session is None:
        gone = {"status": "unknown", "connection_status": None, "group": None, "final": True}
        return JsonResponse({**gone, **_words(texts.UNKNOWN_ATTEMPT), "phase": "attention"}, status=404)
    stored = wording.for_session(session)
    data = {
        "status": session.status,
        "connection_status": session.connection.status,
        "group": session.error_group or None,
        "final": session.is_final,
        **_words(stored),
        "phase": _phase(session, stored),
    }
    return JsonResponse(data)


def _words(shown: wording.Wording) -> dict[str, str]:
    return {
        "title": str(shown.title),
        "message": str(shown.text),
        "next_step": str(shown.next_step),
        "tone": shown.tone,
    }


def _session(reference: UUID | str) -> ConnectSession | None:
    if isinstance(reference, str):
        return None  # an address that was cut off on its way
    sessions = ConnectSession.objects.select_related("connection").filter(reference=reference)
    return sessions.defer("connection__state", "connection__metadata").first()


def _phase(session: ConnectSession, stored: wording.Wording) -> str:
    """Return which actions the page offers: those with this word in their ``data-when``."""
    if session.connection.held_reason and session.connection.held_session_id == session.pk:
        return "held"
    if session.refused_at:
        return "refused"
    if stored.tone == "waiting":
        return "waiting"
    if stored.tone == "good":
        return "done"
    if session.error_group == Group.ALREADY_CONNECTED and known_connection(session):
        return "known"
    return "attention" if session.is_final or session.error_group == Group.ALREADY_CONNECTED else "problem"


def _hint(request: HttpRequest) -> str:
    """Return an error class that means what the one in the address does: nothing of the address is written back."""
    error_class = request.GET.get("error_class", "")
    if not error_class:
        return ""
    return CANCELLED if group_of(error_class) == Group.YOU_CANCELLED else OTHER


def _note_return(request: HttpRequest, session: ConnectSession) -> None:
    """Record that the browser came back, with what the bank's side put into the address."""
    try:
        record_return(session, request.GET.dict())
    except DatabaseError:
        # Nothing hangs on it, and the person is waiting to see how their bank connection stands.
        logger.exception("The return of connect session %s could not be recorded", session.reference)
