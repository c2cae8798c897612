"""The endpoint that Business OS calls: bytes in, a trusted report out, and always the right answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from business_os_banking import conf, signals, throttle
from business_os_banking.adapter import get_adapter
from business_os_banking.flows.record import record
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected

logger = logging.getLogger(__name__)

_LENGTH_DIGITS: Final = 18  # of more, Python will not make a number


# The order of the decorators matters: the sender has no CSRF token and no login, whatever middleware the site
# runs, and a failed event must survive the answer 500, which under ATOMIC_REQUESTS would roll it back.
@csrf_exempt
@login_not_required
@transaction.non_atomic_requests
def webhook(request: HttpRequest, account: str = "default", secret: str = "") -> HttpResponse:
    """Receive one event and answer.

    200: recorded, whether or not it changed anything. 400: not a JSON object. 403: nobody we know; nothing is
    stored and no query made. 404: no such account. 405: not a POST. 413: too large. 429: nobody we
    know, again and again. 500: our fault; the event is kept, and a
    redelivery helps. 503: the account has no webhook secret yet. Bodies of answers are empty.
    """
    response = _answer(request, account, secret)
    # Django would log answers of 400 and more with the path, which may hold the secret, and mail those of 500 to
    # the admins. What there is to say has been said, without it.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way
    return response


def _answer(request: HttpRequest, account: str, secret: str) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        return HttpResponse(status=_receive(request, account, secret))
    except Exception:
        # A sender that hangs up, an adapter whose database is away. Django would log and mail that with the path.
        logger.exception("A webhook could not be answered")
        return HttpResponse(status=500)


def _receive(request: HttpRequest, account: str, secret: str) -> int:
    """Do what the request asks for; return the status of the answer."""
    body = _body(request, conf.settings.webhook_max_bytes)
    if body is None:
        return 413
    try:
        credentials = get_adapter().get_credentials(account, None)
        verifiers: list[Verifier] = [
            import_string(path)(credentials) for path in credentials.webhook_verifiers
        ]
    except (ImproperlyConfigured, ImportError) as error:
        if _is_unknown(account):
            # Not by its name: a secret may have been put in the account's place.
            return _rejected("", "there is no such account", status=404)
        # Set up, but wrongly: a sender that is told 503 tries again, and finds it mended.
        return _rejected(account, f"the settings are not right: {error}", status=503)
    verifiers = [verifier for verifier in verifiers if verifier.is_configured()]
    if not verifiers:
        return _rejected(account, "no verifier is configured: set WEBHOOK_SECRETS", status=503)
    delivery = Delivery(body=body, headers=request.headers, url_secret=secret, received_at=timezone.now())
    try:
        _verify(delivery, verifiers)
    except WebhookRejected as rejection:
        # Only those who fail are counted, and they go on being verified: behind a proxy all senders may have one
        # address, and a stranger's noise must not keep Business OS out. It is the log that is spared.
        address = request.META.get("REMOTE_ADDR", "")
        if not throttle.within("webhook", address, conf.settings.rejected_webhooks_per_minute, 60):
            return 429
        return _rejected(account, str(rejection), status=403)
    try:
        report = payloads.read(delivery, credentials.alias)
    except payloads.NotUnderstoodError as error:
        logger.warning("Webhook for account %s: %s", account, error)
        return 400
    try:
        record(report)
    except Exception:
        logger.exception("Webhook for account %s: the event could not be applied", account)
        return 500
    return 200


def _is_unknown(account: str) -> bool:
    try:
        get_adapter()
        return account not in conf.settings.accounts
    except ImproperlyConfigured:
        return False


def _body(request: HttpRequest, limit: int) -> bytes | None:
    """Return the raw body, or ``None`` if it is larger than *limit* bytes; no more than that is ever read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and (len(length) > _LENGTH_DIGITS or int(length) > limit):
        return None
    # Some middleware may have read the body before us; reading the stream again would find nothing.
    body: bytes = request.body if hasattr(request, "_body") else request.read(limit + 1)
    return body if len(body) <= limit else None


def _verify(delivery: Delivery, verifiers: Sequence[Verifier]) -> None:
    """Return if one of the account's verifiers accepts; else raise with what each of them missed."""
    reasons = []
    for verifier in verifiers:
        try:
            verifier.verify(delivery)
        except WebhookRejected as rejection:
            reasons.append(str(rejection))
        else:
            return
    raise WebhookRejected("; ".join(reasons))


def _rejected(account: str, reason: str, *, status: int) -> int:
    logger.warning("Webhook for account %s rejected: %s", account, reason)
    signals.webhook_rejected.send_robust(sender=Delivery, account=account, reason=reason)
    return status
