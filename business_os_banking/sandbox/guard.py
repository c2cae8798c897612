"""A decorator for every view of the sandbox: public, never cached, and off in production."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

from . import conf
from .checks import HOW_TO_ALLOW, NOT_ALLOWED

View = Callable[..., HttpResponseBase]


def sandbox_view(view: View) -> View:
    """Answer 503 in plain text where the sandbox is not allowed, and ask nobody to log in."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not conf.settings.allowed:
            text = f"{NOT_ALLOWED}\n{HOW_TO_ALLOW}\n"
            return HttpResponse(text, status=503, content_type="text/plain; charset=utf-8")
        return view(request, *args, **kwargs)

    public: View = login_not_required(never_cache(guarded))
    return public
