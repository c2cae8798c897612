"""Who sent this? Each verifier knows one way in which a sender can prove that it shares a secret with us.

How Business OS authenticates what it sends is not documented, so several ways are on by default and any
one that is configured may accept. There is no "none". A verifier of your own is a subclass of `Verifier`,
named in ``WEBHOOK_VERIFIERS``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from django.utils.module_loading import import_string

from business_os_banking.conf import Account
from business_os_banking.conf.secret import Secret
from business_os_banking.exceptions import BankingError
from business_os_banking.webhooks import saltedge

__all__ = [
    "Delivery",
    "HMACSignature",
    "SaltEdgeSignature",
    "SharedSecret",
    "StandardWebhooks",
    "Verifier",
    "WebhookRejected",
]

# What a stranger can make us do must be little: one header this long, this many signatures in it.
HEADER_MAX_LENGTH: Final = 4096
MAX_SIGNATURES: Final = 20
_WHSEC: Final = "whsec_"
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_SCHEME: Final = re.compile(r"^sha256=", re.IGNORECASE)
_URL_SAFE: Final = str.maketrans("-_", "+/")


class WebhookRejected(BankingError):
    """The delivery did not prove who sent it. The message is for our log and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What arrived, before anything of it is believed. ``headers`` ignores case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    url_secret: Secret | str = field(default="", repr=False)
    received_at: datetime


class Verifier:
    """Base of all verifiers. An instance serves one delivery for one account.

    You implement `verify`, and `is_configured` if something else than ``WEBHOOK_SECRETS`` makes it usable.
    `verify` is called only where `is_configured` says yes. It must return, and return nothing, only if the raw
    body (never a parsed one) is proved to come from somebody who holds the secret or key of the account, must
    compare in constant time, and must raise `WebhookRejected`, and nothing else, for every other input, whatever
    its bytes. One that breaks, or returns something, accepts nothing.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    def is_configured(self) -> bool:
        """Return whether the account's settings hold what this verifier needs."""
        return bool(self.secrets())

    def secrets(self) -> list[str]:
        """Return the account's secrets. One with nothing in it, which anybody could name, is none."""
        texts = [secret.open() for secret in self.account.webhook_secrets]
        return [text for text in texts if text.strip().removeprefix(_WHSEC)]

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless *delivery* is proved to come from who holds the account's secret or key."""
        raise WebhookRejected("this verifier accepts nothing")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        """Return the headers with which a sender who holds the newest secret proves *body*.

        For the self-test of ``banking_doctor``; ``None`` where only somebody else can sign.
        """
        return None


class SharedSecret(Verifier):
    """The secret itself: as last segment of the URL, in ``X-Webhook-Secret``, as ``Authorization: Bearer``,
    or as the password of Basic authentication.

    It proves the sender, not the body, so use it over https only. A secret in the URL ends up in the logs
    of web servers and proxies.
    """

    def verify(self, delivery: Delivery) -> None:
        given = [value for value in self._given(delivery) if value]
        if not given:
            raise WebhookRejected("no secret was sent")
        secrets = [_utf8(secret) for secret in self.secrets()]
        if not any(_is_one_of(value, secrets) for value in given):
            raise WebhookRejected("the secret is not one of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        return {"X-Webhook-Secret": self.secrets()[0]}

    def _given(self, delivery: Delivery) -> Iterable[bytes]:
        yield Secret(delivery.url_secret).encode()
        yield from _readings(_sent(delivery, "X-Webhook-Secret"))
        scheme, _, credentials = _sent(delivery, "Authorization").partition(" ")
        if scheme.lower() == "bearer":
            yield from _readings(credentials.strip(" "))
        elif scheme.lower() == "basic":
            password = (_base64(credentials.strip(" ")) or b"").partition(b":")[2]
            yield from _readings(password.decode("latin-1"))


class HMACSignature(Verifier):
    """HMAC-SHA256 of the raw body, as hex or base64, in ``X-Signature``.

    ``WEBHOOK_SIGNATURE_HEADER`` names another header. A ``sha256=`` before the signature is allowed, in any case, and
    so is base64 of either alphabet, with its padding or without; two signatures in one header are not. The key is the
    secret's text in UTF-8, just as it is written.
    """

    def verify(self, delivery: Delivery) -> None:
        sent = _sent(delivery, self.account.webhook_signature_header)
        if not sent:
            raise WebhookRejected(f"no {self.account.webhook_signature_header} header was sent")
        text = _SCHEME.sub("", sent)
        signature = bytes.fromhex(text) if _HEX.fullmatch(text) else _base64_of_any_kind(text)
        expected = [_hmac(_utf8(secret), delivery.body) for secret in self.secrets()]
        if not signature or not _is_one_of(signature, expected):
            raise WebhookRejected("the signature of the body does not match any of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        return {self.account.webhook_signature_header: _hmac(_utf8(self.secrets()[0]), body).hex()}


class StandardWebhooks(Verifier):
    """The scheme of standardwebhooks.com: HMAC-SHA256 over id, timestamp and body.

    Secrets are ``whsec_`` and base64; others in ``WEBHOOK_SECRETS`` are left to the other verifiers. There
    may be several signatures, separated by spaces. A timestamp more than five minutes off is refused. Svix calls
    its headers ``svix-id`` and so on, unless a customer pays for the standard's names; headers of one name each.
    """

    TOLERANCE_SECONDS: Final = 300
    FAMILIES: Final = ("webhook", "svix")

    def is_configured(self) -> bool:
        return bool(self._keys())

    def verify(self, delivery: Delivery) -> None:
        message_id, timestamp, signatures = self._headers(delivery)
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            raise WebhookRejected("webhook-timestamp is not a number of seconds")
        if abs(delivery.received_at.timestamp() - int(timestamp)) > self.TOLERANCE_SECONDS:
            raise WebhookRejected("webhook-timestamp is more than five minutes off: check both clocks")
        parts = signatures.split(" ")
        if len(parts) > MAX_SIGNATURES:
            raise WebhookRejected(f"webhook-signature holds more than {MAX_SIGNATURES} signatures")
        signed = b".".join([_raw(message_id), _raw(timestamp), delivery.body])
        expected = [_hmac(key, signed) for key in self._keys()]
        sent = (part.partition(",") for part in parts)
        given = [_base64(value) for version, _, value in sent if version == "v1"]
        if not any(_is_one_of(signature, expected) for signature in given if signature):
            raise WebhookRejected("webhook-signature does not match any whsec_ secret of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        message_id, timestamp = f"msg_{uuid4().hex}", str(int(now.timestamp()))
        signature = _hmac(self._keys()[0], f"{message_id}.{timestamp}.".encode() + body)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        }

    def _keys(self) -> list[bytes]:
        return [key for secret in self.secrets() if (key := whsec_key(secret))]

    def _headers(self, delivery: Delivery) -> list[str]:
        """Return id, timestamp and signatures, all of one family: a mixture was put together by somebody."""
        families = [
            [_sent(delivery, f"{family}-{name}") for name in ("id", "timestamp", "signature")]
            for family in self.FAMILIES
        ]
        used = [values for values in families if any(values)]
        if len(used) > 1:
            raise WebhookRejected("there are both webhook- and svix- headers")
        if not used or not all(used[0]):
            raise WebhookRejected(
                "the webhook-id, webhook-timestamp and webhook-signature headers were not sent"
            )
        return used[0]


class SaltEdgeSignature(Verifier):
    """Salt Edge's own signature: RSA, SHA-256 and PKCS#1 v1.5 over ``url|body``, in ``Signature`` (base64).

    *url* is the address just as it is registered with Salt Edge, so this proves something only where callbacks
    come from Salt Edge itself, or through a relay that leaves the body untouched: name these addresses in
    ``SALTEDGE_CALLBACK_URLS``. ``Signature-key-version`` picks the key; both published ones (5.0 for API v5 and
    Partners v1, 6.0 for v6) are built in, ``SALTEDGE_PUBLIC_KEYS`` adds others. Nothing that is signed is bound to
    a time, so an old delivery can be sent again; it changes nothing then. Salt Edge signs for all its clients with
    one key, so ``SALTEDGE_CUSTOMER_IDS``, if set, must name the ``data.customer_id``. Needs the extra ``saltedge``.
    """

    def is_configured(self) -> bool:
        return bool(self.account.saltedge_callback_urls)

    def verify(self, delivery: Delivery) -> None:
        signature = _base64(_sent(delivery, "Signature"))
        if not signature:
            raise WebhookRejected("no Signature header in base64 was sent")
        version = _sent(delivery, "Signature-key-version")
        keys = saltedge.keys(self.account.saltedge_public_keys)
        if version and version not in keys:
            # Key rotation upstream looks just like this.
            raise WebhookRejected(
                "Signature-key-version is unknown: is there a new key for SALTEDGE_PUBLIC_KEYS?"
            )
        candidates = [keys[version]] if version else list(keys.values())
        signed = [_utf8(url) + b"|" + delivery.body for url in self.account.saltedge_callback_urls]
        if not any(saltedge.is_signed(pem, text, signature) for pem in candidates for text in signed):
            raise WebhookRejected("Signature does not match the body and any of SALTEDGE_CALLBACK_URLS")
        customers = self.account.saltedge_customer_ids
        if customers and saltedge.customer_of(delivery.body) not in customers:
            raise WebhookRejected("customer_id in the body is none of SALTEDGE_CUSTOMER_IDS")


def configured(account: Account) -> list[Verifier]:
    """Return the verifiers of *account* that its settings make usable; `ImportError` if one cannot be found."""
    verifiers: list[Verifier] = [import_string(path)(account) for path in account.webhook_verifiers]
    return [verifier for verifier in verifiers if verifier.is_configured()]


def whsec_key(secret: str) -> bytes | None:
    """Return the key of a Standard Webhooks secret, ``None`` if it is none. The padding may be missing."""
    text = secret.strip()
    if not text.startswith(_WHSEC):
        return None
    encoded = text.removeprefix(_WHSEC)
    return _base64(encoded + "=" * (-len(encoded) % 4)) or None


def _sent(delivery: Delivery, name: str) -> str:
    """Return the header *name*, or an empty text; raise `WebhookRejected` for one that is too long."""
    value = delivery.headers.get(name, "").strip(" \t")
    if len(value) > HEADER_MAX_LENGTH:
        raise WebhookRejected(f"the {name} header is longer than {HEADER_MAX_LENGTH} characters")
    return value


def _raw(value: str) -> bytes:
    """Return the bytes of a header as they were sent: servers hand them over as text in Latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # from no server, but from whoever calls the view by hand
        return _utf8(value)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _readings(value: str) -> tuple[bytes, bytes]:
    """Return in UTF-8 what a header says, if it was sent in UTF-8, and if it was sent in Latin-1: senders do either."""
    return _raw(value), _utf8(value)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _is_one_of(given: bytes, expected: Iterable[bytes]) -> bool:
    # A list, not any(): the time taken must not tell which of the secrets it was.
    return any([hmac.compare_digest(given, value) for value in expected])  # noqa: C419


def _base64(text: str) -> bytes | None:
    """Return the decoded bytes of strict, standard base64, or ``None``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _base64_of_any_kind(text: str) -> bytes | None:
    """Return the decoded bytes of standard or URL-safe base64, with its padding or without, or ``None``."""
    text = text.rstrip("=").translate(_URL_SAFE)
    return _base64(text + "=" * (-len(text) % 4))
