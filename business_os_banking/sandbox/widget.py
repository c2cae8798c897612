"""The fake bank's widget: choose a bank, log in, consent, and go back to the site.

The server keeps the step; every form posts to the same URL and is answered by a redirect, so that
reloading and going back never post anything twice.
"""

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_protect

from . import outcomes
from .guard import sandbox_view
from .models import SandboxSession
from .scenarios import SCENARIOS, grouped

USERNAME = "username"
PASSWORD = "secret"  # noqa: S105  (printed on the login page)

_TEMPLATES = "business_os_banking_sandbox"
_SCOPES = {
    "accounts": (
        gettext_lazy("Your accounts"),
        gettext_lazy("Names, numbers and balances"),
    ),
    "holder_info": (
        gettext_lazy("Who you are"),
        gettext_lazy("Your name and contact details, as the bank knows them"),
    ),
    "transactions": (
        gettext_lazy("Your transactions"),
        gettext_lazy("Dates, amounts, descriptions and the other party"),
    ),
}


@sandbox_view
@csrf_protect
def connect(request: HttpRequest) -> HttpResponse:
    """Show the session's present step, or handle its form."""
    session = _find(request)
    if session is None:
        return _gone(request, None)
    if session.is_over(timezone.now()):
        return _gone(request, session)
    if request.method != "POST":
        return _show(request, session)
    session.webhook_url = outcomes.webhook_url(request)
    session.save(update_fields=["webhook_url"])
    try:
        return _handle_form(request, session)
    except outcomes.SessionOverError:
        # The other of two clicks came first.
        session.refresh_from_db()
        return _gone(request, session)


@sandbox_view
def finished(request: HttpRequest) -> HttpResponse:
    """Show the closing page, for sessions that send the browser nowhere."""
    session = _find(request)
    if session is None or session.ended_url:
        return _gone(request, session)
    if session.ended_at is None:
        return _see_other(_url("connect", session))
    return _page(request, session, "finished")


def _handle_form(request: HttpRequest, session: SandboxSession) -> HttpResponse:
    action = request.POST.get("action", "")
    scenario = SCENARIOS.get(session.scenario)
    if action == "cancel":
        return _leave(session, outcomes.fail(session))
    if action == "choose":
        return _choose(session, request.POST.get("bank", ""))
    if action == "back":
        return _go(session, SandboxSession.Step.CHOOSE)
    if action == "login" and scenario and session.step == SandboxSession.Step.LOGIN:
        correct = (request.POST.get("username"), request.POST.get("password")) == (
            USERNAME,
            PASSWORD,
        )
        if not outcomes.log_in(session, scenario, correct=correct):
            return _show(request, session, error=True)
        error_class, error_message = outcomes.error_of(scenario)
        if error_class:
            return _leave(session, outcomes.fail(session, error_class, error_message))
        return _go(session, SandboxSession.Step.CONSENT)
    if scenario and session.step == SandboxSession.Step.CONSENT:
        if action == "allow":
            return _leave(session, outcomes.succeed(session, scenario))
        if action == "refuse":
            return _leave(session, outcomes.fail(session))
    # A form of a step that another tab has left behind: show where things stand.
    return _see_other(_url("connect", session))


def _choose(session: SandboxSession, slug: str) -> HttpResponse:
    scenario = SCENARIOS.get(slug)
    if scenario is None or scenario.api != session.api:
        return _see_other(_url("connect", session))
    session.scenario = slug
    # Each bank counts its own logins: coming back to one starts afresh.
    session.logins = 0
    session.save(update_fields=["scenario", "logins"])
    return _go(session, SandboxSession.Step.LOGIN)


def _go(session: SandboxSession, step: SandboxSession.Step) -> HttpResponse:
    session.step = step
    session.save(update_fields=["step"])
    return _see_other(_url("connect", session))


def _leave(session: SandboxSession, url: str) -> HttpResponse:
    return _see_other(url or _url("finished", session))


def _see_other(url: str) -> HttpResponse:
    # Not Django's redirect class: it refuses URLs longer than 2048 characters, and a return_to
    # of the length that is allowed may well come to that.
    return HttpResponse(status=303, headers={"Location": url})


def _url(name: str, session: SandboxSession) -> str:
    query = urlencode({"token": session.token})
    return f"{reverse(f'business_os_banking_sandbox:{name}')}?{query}"


def _find(request: HttpRequest) -> SandboxSession | None:
    token = request.GET.get("token", "")
    # PostgreSQL raises for a NUL in a text, and no token of ours has one.
    if "\0" in token:
        return None
    return SandboxSession.objects.filter(token=token).first()


def _show(request: HttpRequest, session: SandboxSession, *, error: bool = False) -> HttpResponse:
    context: dict[str, Any] = {
        "scenario": SCENARIOS.get(session.scenario),
        "email": session.email,
    }
    if session.step == SandboxSession.Step.CHOOSE:
        context["groups"] = grouped(session.api)
    elif session.step == SandboxSession.Step.LOGIN:
        context.update(username=USERNAME, password=PASSWORD, error=error)
        context["entered"] = request.POST.get("username", "") if error else ""
    else:
        context["scopes"] = [_SCOPES[scope] for scope in session.scopes]
    return _page(request, session, session.step, **context)


def _gone(request: HttpRequest, session: SandboxSession | None) -> HttpResponse:
    if session is None:
        title, text = _("This link is not known"), _("Perhaps it was cut off on its way to you.")
        return _page(request, None, "gone", 404, title=title, text=text)
    if session.ended_at is not None:
        title, text = _("This link has been used"), _("Each link works for one connection only.")
    else:
        title, text = _("This link has run out"), _("It took longer than a link stays good.")
    back = session.ended_url or session.return_to
    return _page(request, session, "gone", 410, title=title, text=text, back_url=back)


def _page(
    request: HttpRequest,
    session: SandboxSession | None,
    name: str,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    host = urlsplit(session.return_to).netloc if session else ""
    context = {"step": name, "host": host, **context}
    response = render(request, f"{_TEMPLATES}/{name}.html", context, status=status)
    # The token stands in the URL and is nobody else's business. Not "no-referrer": browsers would
    # then post the forms with "Origin: null", which Django's CSRF check refuses.
    response["Referrer-Policy"] = "same-origin"
    return response
