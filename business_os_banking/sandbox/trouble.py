"""A gateway in front of the fake API that fails as the setting ``TROUBLE`` says."""

import threading
from collections.abc import Callable, Iterator
from functools import wraps
from time import sleep
from typing import Any

from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from . import conf
from .guard import View

# No call hangs or drips for longer than this, whatever the settings say.
LONGEST = 300  # seconds
_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
)


class _Calls:
    """The number of calls since the setting was changed, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def is_troubled(self) -> bool:
        """Count a call; return whether the trouble still lasts for it."""
        limit = conf.settings.trouble_calls
        with self._lock:
            self._count += 1
            return not limit or self._count <= limit

    def reset(self) -> None:
        with self._lock:
            self._count = 0


_calls = _Calls()


def troubled(view: Callable[..., HttpResponse]) -> View:
    """Put a view behind a gateway that fails as ``TROUBLE`` says, for the first ``TROUBLE_CALLS`` calls.

    A request that the gateway refuses never reaches the view; what drips is the view's own response.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        trouble = conf.settings.trouble
        if not trouble or not _calls.is_troubled():
            return view(request, *args, **kwargs)
        seconds = min(conf.settings.trouble_seconds, LONGEST)
        if trouble == "drip":
            return _dripping(view(request, *args, **kwargs), seconds)
        if trouble == "hang":
            sleep(seconds)
            return _page(504, "504 Gateway Time-out")
        return _page(502, "502 Bad Gateway")

    return wrapper


def _page(status: int, title: str) -> HttpResponse:
    return HttpResponse(_PAGE.format(title), status=status, content_type="text/html")


def _dripping(response: HttpResponse, seconds: float) -> StreamingHttpResponse:
    """Return the same response, a byte at a time, all of it within ``seconds``."""
    headers = {name: value for name, value in response.items() if name.lower() != "content-length"}
    content = _drops(response.content, seconds)
    return StreamingHttpResponse(content, status=response.status_code, headers=headers)


def _drops(content: bytes, seconds: float) -> Iterator[bytes]:
    for index in range(len(content)):
        sleep(seconds / len(content))
        yield content[index : index + 1]


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "BUSINESS_OS_SANDBOX":
        _calls.reset()


setting_changed.connect(_on_setting_changed)
