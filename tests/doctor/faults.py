"""Middleware that stands between the public and the app in ways that sites have been set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware

Next = Callable[[HttpRequest], HttpResponse]


def login_wall(get_response: Next) -> Next:
    """Everybody must log in, whatever the view says."""
    return lambda request: HttpResponseRedirect(f"/login/?next={request.path}")


def login_wall_around_the_return(get_response: Next) -> Next:
    return lambda request: (
        HttpResponseRedirect("/login/") if "/return/" in request.path else get_response(request)
    )


def basic_authentication(get_response: Next) -> Next:
    def middleware(request: HttpRequest) -> HttpResponse:
        return HttpResponse("Authorization required", status=401, headers={"WWW-Authenticate": "Basic"})

    return middleware


def _not_exempt(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class StrictCSRF(CsrfViewMiddleware):
    """Knows no exemption."""

    def process_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Any:
        return super().process_view(request, _not_exempt, args, kwargs)


def firewall(get_response: Next) -> Next:
    return lambda request: HttpResponseForbidden("<h1>Your request looks suspicious.</h1>")


def moved(get_response: Next) -> Next:
    return lambda request: HttpResponseRedirect(f"https://www.shop.example{request.path}?secret=1")


def out_of_order(get_response: Next) -> Next:
    return lambda request: HttpResponse("<h1>Server Error</h1>", status=502)


def without_headers_of_its_own(get_response: Next) -> Next:
    """A proxy that passes on only the headers that it knows."""

    def middleware(request: HttpRequest) -> HttpResponse:
        for name in [name for name in request.META if name.startswith("HTTP_X_")]:
            del request.META[name]
        return get_response(request)

    return middleware


def another_host(get_response: Next) -> Next:
    """A proxy that asks the site under its internal name."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META["HTTP_HOST"] = "internal.example"
        return get_response(request)

    return middleware


def another_scheme(get_response: Next) -> Next:
    """A proxy with TLS in front of a site that does not know it, the other way round."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META["wsgi.url_scheme"] = request.environ["wsgi.url_scheme"] = "https"  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


class EmptyAnswer:
    """The running site answers as the app does; the test says with which status."""

    status = 403

    def __init__(self, get_response: Next) -> None: ...

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=self.status)
