"""The endpoint that Business OS calls: bytes in, a trusted report out, and always the right answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from business_os_banking import conf, signals
from business_os_banking.adapter import WrongAccount, credentials_of, get_adapter
from business_os_banking.conf.secret import Secret
from business_os_banking.exceptions import BankingError, describe
from business_os_banking.facts.record import record
from business_os_banking.guards import throttle
from business_os_banking.guards.responses import guarded, unlogged, without_secret
from business_os_banking.models import ConnectSession
from business_os_banking.vocabulary import Kind
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.body import NotUnderstoodError
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected, configured

logger = logging.getLogger(__name__)

_LENGTH_DIGITS: Final = 18  # of more, Python will not make a number
_MINUTE: Final = 60  # seconds
_NONE: Final = Secret("")


class _Refused(BankingError):
    """Nothing of this delivery is believed. The message is for our log and holds no secret.

    *account* is an alias that is known to be one: in an address that is wrong, the secret may stand in its place.
    """

    def __init__(self, status: int, reason: str, account: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.account = account


# The order of the decorators matters: the sender has no CSRF token and no login, whatever middleware the site
# runs, and a failed event must survive the answer 500, which under ATOMIC_REQUESTS would roll it back.
@csrf_exempt
@login_not_required
@transaction.non_atomic_requests
@guarded
def webhook(request: HttpRequest, account: str = "default", secret: Secret = _NONE) -> HttpResponse:
    """Receive one event and answer.

    200: recorded, whether or not it changed anything; or asked with HEAD. 400: not a JSON object that is read here, or
    it broke off. 403: nobody we know, or no such account, which are not told apart; nothing is stored and no query
    made. 405: neither POST nor HEAD. 411: a body in chunks that the server does not put together. 413: too large. 429:
    nobody we know, again and again. 500: our fault; the event is kept, and a redelivery helps. 503: the account is not,
    or not rightly, set up.
    Bodies of answers are empty.
    """
    response = _answer(without_secret(request, secret), account, secret)
    if response.status_code == 429:
        response["Retry-After"] = str(throttle.seconds_left(_MINUTE))
    # What there is to say has been said, without the secret.
    return unlogged(response)


def _answer(request: HttpRequest, account: str, secret: Secret) -> HttpResponse:
    # Some senders ask with HEAD whether there is anybody before they store an address.
    if request.method == "HEAD":
        return HttpResponse()
    # Not Django's require_POST: it would log the path.
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST", "HEAD"])
    try:
        return HttpResponse(status=_receive(request, account, secret))
    except ImproperlyConfigured as error:
        logger.error("No webhook can be received: %s", error)
        return HttpResponse(status=503)
    except Exception:
        # Django would log and mail what nobody has caught with the path.
        logger.exception("A webhook could not be answered")
        return HttpResponse(status=500)


def _receive(request: HttpRequest, account: str, secret: Secret) -> int:
    """Do what the request asks for; return the status of the answer."""
    alias = ""
    try:
        delivery = Delivery(
            body=_body(request, conf.settings.webhook_max_bytes),
            headers=request.headers,
            url_secret=secret,
            received_at=timezone.now(),
        )
        alias, verifiers = _verifiers(account)
        broken = _verify(delivery, verifiers)
    except _Refused as refusal:
        return _refused(request, alias or refusal.account, refusal)
    for reason in broken:
        logger.error("Webhook for account %s: accepted, but %s", alias, reason)
    return _keep(request, delivery, alias)


def _body(request: HttpRequest, limit: int) -> bytes:
    """Return the raw body; no more than *limit* bytes of it are ever read."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and (len(length) > _LENGTH_DIGITS or int(length) > limit):
        raise _Refused(413, "the body is larger than WEBHOOK_MAX_BYTES")
    is_terminated = length in {"", "0"} and request.META.get("wsgi.input_terminated")
    # Some middleware may have read the body before us; reading the stream again would find nothing. Of one in chunks
    # Django reads nothing, whoever asks.
    kept: bytes | None = getattr(request, "_body", None)
    try:
        if kept is not None and (kept or not is_terminated):
            body = kept
        elif is_terminated:
            body = _read_terminated(request.META["wsgi.input"], limit + 1)
        elif request._read_started:  # type: ignore[attr-defined]  # noqa: SLF001 - request.body has no limit
            raise _Refused(
                503, "a middleware has read the body as a form, or in part: let it pass by this address"
            )
        else:
            body = request.read(limit + 1)
    except (UnreadablePostError, OSError):
        raise _Refused(400, "the body broke off") from None
    if len(body) > limit:
        raise _Refused(413, "the body is larger than WEBHOOK_MAX_BYTES")
    if not body and not length and "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        raise _Refused(
            411, "the body came in chunks, which Django does not read under WSGI: let the proxy buffer it"
        )
    return body


def _read_terminated(stream: Any, most: int) -> bytes:
    """Return *most* bytes at most of a body in chunks, which the server puts together and ends.

    Django's own reading stops at CONTENT_LENGTH, which such a body has not (PEP 3333 says nothing of it; gunicorn and
    gevent set ``wsgi.input_terminated``, and ASGI needs nothing).
    """
    content = bytearray()
    while len(content) < most and (chunk := stream.read(most - len(content))):
        content += chunk
    return bytes(content)


def _verifiers(account: str) -> tuple[str, list[Verifier]]:
    """Return the alias of *account*, and those of its verifiers that are configured."""
    try:
        credentials = credentials_of(account)
        verifiers = configured(credentials)
    except Exception as error:  # noqa: BLE001 - the site's own code
        if isinstance(error, ImproperlyConfigured) and _is_unknown(account, error):
            raise _Refused(403, "there is no such account") from None
        # Set up, but wrongly: a sender that is told 503 tries again, and finds it mended.
        raise _Refused(503, f"the settings are not right: {describe(error)}", account) from None
    if not verifiers:
        raise _Refused(503, "no verifier is configured: set WEBHOOK_SECRETS", account)
    return credentials.alias, verifiers


def _is_unknown(account: str, error: ImproperlyConfigured) -> bool:
    try:
        get_adapter()
        return account not in conf.settings.accounts and not isinstance(error, WrongAccount)
    except (ImproperlyConfigured, ImportError):
        return False


def _verify(delivery: Delivery, verifiers: Sequence[Any]) -> list[str]:
    """Return if one of the account's verifiers accepts; else raise with what each of them missed.

    A verifier that breaks accepts nothing. What was wrong with those that were asked before the one that accepts
    is returned. If none does, the delivery may have been a good one: the sender is told to try again.
    """
    reasons: list[str] = []
    broken: list[str] = []
    for verifier in verifiers:
        name = type(verifier).__name__
        try:
            if verifier.verify(delivery) is None:
                return broken
            broken.append(f"{name} returned something, so it accepts nothing: it must raise WebhookRejected")
        except WebhookRejected as rejection:
            reasons.append(str(rejection))
        except Exception as error:  # noqa: BLE001 - the site's own code
            broken.append(f"{name} failed: {describe(error)}")
    raise _Refused(503 if broken else 403, "; ".join([*broken, *reasons]))


def _refused(request: HttpRequest, account: str, refusal: _Refused) -> int:
    """Say in the log, and to receivers, why nobody was believed; return the status of the answer."""
    # Only those who fail are counted, and they go on being verified: behind a proxy all senders may have one
    # address, and a stranger's noise must not keep Business OS out. It is the log that is spared.
    who = throttle.neighbourhood(request.META.get("REMOTE_ADDR", ""))
    if not throttle.within("webhook", who, conf.settings.rejected_webhooks_per_minute, _MINUTE):
        return 429
    logger.warning("Webhook for account %s rejected: %s", account, refusal)
    signals.webhook_rejected.send_robust(sender=Delivery, account=account, reason=str(refusal))
    return refusal.status


def _keep(request: HttpRequest, delivery: Delivery, alias: str) -> int:
    """Record what an authentic delivery says; return the status of the answer."""
    try:
        report = payloads.read(delivery, alias)
        if report.fact.kind is Kind.SELF_TEST:
            report = replace(report, payload={**report.payload, "return_to": _return_to(request)})
        record(report)
    except NotUnderstoodError as error:
        logger.warning("Webhook for account %s: %s", alias, error)
        return 400
    except Exception:
        logger.exception("Webhook for account %s: the event could not be applied", alias)
        return 500
    return 200


def _return_to(request: HttpRequest) -> str:
    """Return the address that this request would make for customers to come back to, ``""`` if it fails.

    Only the site itself, behind its own proxy, can tell; `banking_doctor` looks at it from outside.
    """
    try:
        return get_adapter().get_return_to(request, ConnectSession())
    except Exception:
        logger.exception("The address that customers come back to cannot be made")
        return ""
