"""Keeps secrets and personal data out of a site's logs, and out of Django's mails about faults.

The app itself logs none. This is for what others write about its requests: web servers, Django and HTTP libraries
log addresses, and errors quote their arguments. docs/privacy.md has a ``LOGGING`` to copy.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from copy import copy
from typing import Any, Final
from urllib.parse import quote

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from business_os_banking import conf
from business_os_banking.upstream import masking
from business_os_banking.upstream.masking import MASK

__all__ = ["MaskSecrets", "MaskedReporter", "masked"]

_FORMATTER: Final = logging.Formatter()
# As Python and JSON write them, and as JSON or HTML escapes them.
_QUOTE: Final = r"(?:\\?['\"]|&\#x27;|&\#39;|&quot;)"
_SEPARATOR: Final = rf"(?:{_QUOTE}\s*[:=,]|\s*[:=])\s*"
_OPENS: Final = rf"(?:UUID\()?(?:b?{_QUOTE})?"
# Ends where an address, a quotation or a list goes on.
_VALUE: Final = r"(?:(?!%26)[^&#\s\"'<>,;)\]}\\])+"
_NAME: Final = r"(?:token|secret|passw(?:or)?d|api[_-]?key)s?"
_PATTERNS: Final = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # …/webhook/<account>/<secret>/, whatever the prefix and however the secret is written
        r"(/webhook/[-\w]+/)[^\s\"'?<>&]+",
        # …/invitations/<token>/: whoever has it may renew a connection
        r"(/invitations/)[^\s\"'?<>&]+",
        # Authorization: Bearer …   'Authorization': 'Basic …'   ('x-api-key', '…')
        rf"(authorization{_SEPARATOR}{_OPENS})[^'\"&\r\n\\]+",
        rf"(x-(?:api-key|webhook-secret){_SEPARATOR}{_OPENS}){_VALUE}",
        # token=…   access_token%3D…   api_key='…'
        rf"({_NAME}(?:=|%3D){_OPENS}){_VALUE}",
        # "pending_token": "…"   'pending_token': UUID('…')
        rf"({_NAME}{_QUOTE}\s*:\s*(?:UUID\()?b?{_QUOTE}){_VALUE}",
    )
]
# A text without any of these matches none of the patterns.
_QUICK_CHECK: Final = re.compile(
    r"/webhook/|/invitations/|authorization|token|secret|passw|api.?key", re.IGNORECASE
)


class MaskSecrets(logging.Filter):
    """A filter for handlers: it lets every record through, with what `masked` masks masked in it.

    That is done in the message, its arguments, the traceback and the stack. Only a record in which something was
    masked is changed, for the handlers after this one as well, and its arguments keep their number and kind where
    they can: some formatters take them apart. Put it on handlers; a logger's own filter does not see the records of the
    loggers below. It never raises.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            _mask_traceback(record)
            _mask_arguments(record)
            message = record.getMessage()
            if (masked_message := masked(message)) != message:
                # In the text itself, in something that is no text, or made of several arguments.
                record.msg, record.args = masked_message, None
        except Exception:  # noqa: BLE001 - arguments that do not fit the message, say: handlers report that
            return True
        return True


class MaskedReporter(ExceptionReporter):
    """Django's report of a fault, masked: a ``reporter_class`` for `django.utils.log.AdminEmailHandler`.

    Where the request was to a page of this app, its form, query and headers are left out: they are a customer's.
    """

    def __init__(self, request: HttpRequest | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None if _is_ours(request) else request, *args, **kwargs)

    def get_traceback_text(self) -> SafeString:
        return SafeString(masked(super().get_traceback_text()))

    def get_traceback_html(self) -> SafeString:
        return SafeString(masked(super().get_traceback_html()))


def masked(text: str) -> str:
    """Return *text* with what looks secret or personal masked. Masking it again changes nothing.

    Masked are the API keys and webhook secrets of the settings; the secret in a webhook's address; what is called
    token, secret, password or API key, in addresses and mappings; headers that authenticate; e-mail addresses; IBANs.
    """
    for secret in _secrets():
        text = text.replace(secret, MASK)
    if _QUICK_CHECK.search(text):
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\1{MASK}", text)
    return masking.masked(text)


def _secrets() -> list[str]:
    """Return the secrets of the settings, as they are and as addresses encode them, the longest first."""
    try:
        accounts = list(conf.settings.accounts.values())
    except Exception:  # noqa: BLE001 - settings that are wrong must not silence the log that reports them
        return []
    secrets: set[str] = set()
    for account in accounts:
        values = account if isinstance(account, Mapping) else {}
        webhook_secrets = values.get("WEBHOOK_SECRETS")
        texts = (
            values.get("API_KEY"),
            *(webhook_secrets if isinstance(webhook_secrets, list | tuple) else ()),
        )
        secrets.update(text for text in texts if masking.is_secret(text))
    return sorted(secrets | {quote(text, safe="") for text in secrets}, key=len, reverse=True)


def _mask_arguments(record: logging.LogRecord) -> None:
    arguments = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(masked(value) if isinstance(value, str) else value for value in arguments)
    elif isinstance(arguments, dict):
        texts = {key: masked(value) for key, value in arguments.items() if isinstance(value, str)}
        if any(arguments[key] != text for key, text in texts.items()):
            # A copy of the same class: gunicorn's gives "-" for what is not there.
            record.args = copy(arguments)
            record.args.update(texts)


def _mask_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and not record.exc_text:
        text = _FORMATTER.formatException(record.exc_info)
        if (masked_text := masked(text)) != text:
            # Where there is a text, formatters do not make their own.
            record.exc_text = masked_text
    elif record.exc_text:
        record.exc_text = masked(record.exc_text)
    if record.stack_info:
        record.stack_info = masked(record.stack_info)


def _is_ours(request: HttpRequest | None) -> bool:
    match = getattr(request, "resolver_match", None)
    return match is not None and "business_os_banking" in match.app_names
