"""What stands in front of every view of the live server while browser tests run."""

import threading
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

View = Callable[[HttpRequest], HttpResponse]

POLICY: Final = "default-src 'self'"
PATIENCE: Final = 30.0  # seconds


class Traffic:
    """Counts the requests under way, and can hold back the webhook's: a bank takes its time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._webhooks = threading.Event()
        self._webhooks.set()

    def enter(self) -> None:
        with self._changed:
            self._under_way += 1

    def leave(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def hold_webhooks(self) -> None:
        self._webhooks.clear()

    def let_webhooks_pass(self) -> None:
        self._webhooks.set()

    def wait_for_passage(self) -> None:
        self._webhooks.wait(PATIENCE)

    def wait_until_idle(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._under_way == 0, PATIENCE), "a request does not end"


traffic = Traffic()


def counted(get_response: View) -> View:
    def view(request: HttpRequest) -> HttpResponse:
        traffic.enter()
        try:
            if request.path.startswith("/banking/webhook/"):
                traffic.wait_for_passage()
            return get_response(request)
        finally:
            traffic.leave()

    return view


def strict_policies(get_response: View) -> View:
    """Send the strictest useful Content-Security-Policy with every page, and what a test adds to it."""

    def view(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "; ".join([POLICY, *getattr(settings, "MORE_POLICY", [])])
        # Read here and not by Django's SecurityMiddleware, which asks once, when the server starts.
        chosen = settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
        is_by_django = response.get("Cross-Origin-Opener-Policy") == "same-origin"
        if not chosen or request.path.startswith("/sandbox/"):  # the bank is a site of its own
            del response["Cross-Origin-Opener-Policy"]
        elif is_by_django:
            response["Cross-Origin-Opener-Policy"] = chosen
        return response

    return view
