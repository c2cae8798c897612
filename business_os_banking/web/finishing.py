"""Where Business OS sends the browser back to: who finished at the bank, and what is asked if that is not who began."""

import logging
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from business_os_banking.conf.secret import Secret
from business_os_banking.facts.record import record_return
from business_os_banking.flows.answer import disown, prove
from business_os_banking.guards.responses import SeeOther, keep_opener, public, unlogged, without_secret
from business_os_banking.models import ConnectSession
from business_os_banking.web import proof
from business_os_banking.web.pages import error_page
from business_os_banking.wording import texts

logger = logging.getLogger(__name__)


@public
@require_safe
def finish(request: HttpRequest, reference: UUID, key: Secret) -> HttpResponse:
    """Note who has finished at the bank, and lead on at once to the address without the key."""
    return unlogged(_finish(without_secret(request, key), reference, key))


def _finish(request: HttpRequest, reference: UUID, key: Secret) -> HttpResponse:
    page = reverse("business_os_banking:return", args=[reference])
    query = request.META.get("QUERY_STRING", "")
    response = keep_opener(SeeOther(f"{page}?{query}" if query else page))
    session = _session(reference)
    if request.method != "GET" or session is None or not session.is_key(key):
        return response
    evidence = proof.of_return(request, session)
    try:
        record_return(session, request.GET.dict(), doubt=evidence.doubt, proof=evidence.proof)
    except DatabaseError:
        logger.exception("The return of connect session %s could not be recorded", session.reference)
    if evidence.doubt:
        # Also where it could not be recorded: a reload tries again, with the same nonce.
        proof.remember_visitor(response, session, evidence.doubt)
    return response


# Middleware, not this page, checks for CSRF: what posts here is a form on the landing page.
@public
@require_POST
def answer(request: HttpRequest, reference: UUID) -> HttpResponse:
    """Take the answer of who finished in another browser: it was they who began, or they did not.

    Only in the browser that came with the key. The first counts only from somebody who may see the connection.
    """
    session = _session(reference)
    if session is None or not proof.visitor_of(request, session):
        return error_page(request, texts.UNKNOWN_ATTEMPT, status=404 if session is None else 403, public=True)
    page = keep_opener(SeeOther(session.get_absolute_url()))
    doubt = proof.doubt_of(request, session)
    if not doubt:
        return page  # it has been answered before: a button was pressed twice
    match request.POST.get("answer"):
        case "not_mine":
            disown(session)
        case "mine" if proof.is_who_began(request, session):
            prove(session, doubt)
        case "mine" if not session.by_link:
            # They come back to the page, with the same question, and signed in.
            return redirect_to_login(session.get_absolute_url())
        case "mine":
            pass
        case _:
            return error_page(request, texts.UNKNOWN_ATTEMPT, status=400, public=True)
    return page


def _session(reference: UUID) -> ConnectSession | None:
    return ConnectSession.objects.select_related("connection").filter(reference=reference).first()
