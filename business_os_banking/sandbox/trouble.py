"""The gateway in front of the fake API, and what it does wrong when the settings say so."""

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
    """How many calls have met the present trouble, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def may_have_one_more(self) -> bool:
        lasts = conf.settings.trouble_calls
        with self._lock:
            self._count += 1
            return not lasts or self._count <= lasts

    def start_again(self) -> None:
        with self._lock:
            self._count = 0


_calls = _Calls()


def troubled(view: Callable[..., HttpResponse]) -> View:
    """The view behind a gateway that does what ``TROUBLE`` says, for the first ``TROUBLE_CALLS`` calls.

    What the gateway refuses never reaches the view; what drips is the view's own answer.
    """

    @wraps(view)
    def behind_the_gateway(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        trouble = conf.settings.trouble
        if not trouble or not _calls.may_have_one_more():
            return view(request, *args, **kwargs)
        seconds = min(conf.settings.trouble_seconds, LONGEST)
        if trouble == "drip":
            return _dripping(view(request, *args, **kwargs), seconds)
        if trouble == "hang":
            sleep(seconds)
            return _page(504, "504 Gateway Time-out")
        return _page(502, "502 Bad Gateway")

    return behind_the_gateway


def _page(status: int, title: str) -> HttpResponse:
    return HttpResponse(_PAGE.format(title), status=status, content_type="text/html")


def _dripping(answer: HttpResponse, seconds: float) -> StreamingHttpResponse:
    """The same answer, a byte at a time, all of it within ``seconds``."""
    headers = {name: value for name, value in answer.items() if name.lower() != "content-length"}
    return StreamingHttpResponse(_drops(answer.content, seconds), status=answer.status_code, headers=headers)


def _drops(content: bytes, seconds: float) -> Iterator[bytes]:
    for index in range(len(content)):
        sleep(seconds / len(content))
        yield content[index : index + 1]


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "BUSINESS_OS_SANDBOX":
        _calls.start_again()


setting_changed.connect(_on_setting_changed)
