"""The landing page: where the bank sends the browser back to. Public, a pure read of what is stored."""

import logging
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from business_os_banking import answers, wording
from business_os_banking.adapter import get_adapter
from business_os_banking.flows import record as record_flow
from business_os_banking.flows.duplicates import known_connection
from business_os_banking.models import ConnectSession
from business_os_banking.pages import error_page, number, page, public, retry_url
from business_os_banking.vocabulary import EndedBy, Group, SessionStatus

logger = logging.getLogger(__name__)

# Seconds between two reloads of the landing page without JavaScript: two minutes in all.
REFRESH_SECONDS: Final = (1, 2, 3, 5, 8, 13, 21, 30, 37)
HINT_LENGTH: Final = 255


@login_not_required
@require_safe
def returned(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Where the bank sends the browser back to. Public, and it shows nothing but what is stored."""
    session = _session(reference)
    if session is None:
        return public(error_page(request, wording.UNKNOWN_ATTEMPT, status=404))
    if session.returned_at is None and request.method == "GET":
        _note_return(request, session)
    found, hint, group = wording.for_session(session), "", session.error_group
    visit = number(request, "n")
    slow = visit >= len(REFRESH_SECONDS)
    waiting = found.tone == "waiting"
    if waiting:
        hint = request.GET.get("error_class", "")[:HINT_LENGTH]
        found = wording.SLOW if slow else wording.for_hint(hint)
    final = _is_final(session)
    phase = ("slow" if slow else "hinted" if hint else "waiting") if waiting else _phase(found, group, final)
    # Into the page, which others may come to see, goes no more of the address than a plain word.
    next_page = {"n": visit + 1, **({"error_class": word} if (word := answers.word_of(hint)) else {})}
    list_url = reverse("business_os_banking:connection-list")
    answer = page(
        request,
        "return.html",
        session=session,
        connection=session.connection,
        wording=found,
        phase=phase,
        final=final,
        slow=wording.SLOW,
        next_url=get_adapter().get_next_url(request, session) or list_url,
        leave_url=session.next_url or list_url,
        retry_url=retry_url(session.connection, session.next_url),
        list_url=list_url,
        renew_url=_renew_url(session),
        status_url=reverse("business_os_banking:session-status", args=[session.reference]),
        check_url=request.path,
        refresh_url=f"{request.path}?{urlencode(next_page)}",
        refresh_seconds=REFRESH_SECONDS[visit] if waiting and not slow else None,
    )
    # As a pop-up it comes from the bank's site; Django's default, same-origin, would cut it off its opener.
    answer["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return public(answer)


@login_not_required
@require_safe
def session_status(_request: HttpRequest, reference: UUID) -> JsonResponse:
    """How an attempt stands, for the script on the landing page. Public, one query, nothing personal."""
    session = _session(reference)
    if session is None:
        gone = {"status": "unknown", "message": str(wording.UNKNOWN_ATTEMPT.text), "final": True}
        return public(JsonResponse(gone, status=404))
    found = wording.for_session(session)
    answer = {
        "status": session.status,
        "connection_status": session.connection.status,
        "group": session.error_group or None,
        "message": str(found.text),
        "final": _is_final(session),
        "title": str(found.title),
        "next_step": str(found.next_step),
        "tone": found.tone,
    }
    return public(JsonResponse(answer))


def _session(reference: UUID) -> ConnectSession | None:
    found = ConnectSession.objects.select_related("connection").filter(reference=reference)
    return found.defer("connection__state", "connection__metadata").first()


def _is_final(session: ConnectSession) -> bool:
    # Anything else can still change: a success wins over every setback, however late it comes.
    ended_by_us = session.connection.ended_by in {EndedBy.OWNER, EndedBy.OPERATOR}
    return session.status == SessionStatus.SUCCEEDED or ended_by_us


def _phase(found: wording.Wording, group: str, final: bool) -> str:
    if found.tone == "good":
        return "done"
    return "attention" if final or group == Group.ALREADY_CONNECTED else "problem"


def _renew_url(session: ConnectSession) -> str:
    """Return where to renew the connection that the bank says exists already, or ``""``."""
    known = known_connection(session)
    return reverse("business_os_banking:connection-renew", args=[known.reference]) if known else ""


def _note_return(request: HttpRequest, session: ConnectSession) -> None:
    """Record that the browser came back, with what the bank's side put into the address."""
    try:
        record_flow.returned(session, request.GET.dict())
    except DatabaseError:
        # Nothing hangs on it, and the person is waiting to see how their bank connection stands.
        logger.exception("The return of connect session %s could not be recorded", session.reference)
