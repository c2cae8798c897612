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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from django.utils.module_loading import import_string

from business_os_banking.conf import Account
from business_os_banking.exceptions import BankingError
from business_os_banking.webhooks import saltedge


class WebhookRejected(BankingError):
    """The delivery did not prove who sent it. The message is for our log and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What arrived, before anything of it is believed. ``headers`` ignores case."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    url_secret: str = field(default="", repr=False)
    received_at: datetime


class Verifier:
    """Base of all verifiers. An instance serves one delivery for one account.

    You implement `verify`, and `is_configured` if something else than ``WEBHOOK_SECRETS`` makes it usable.
    `verify` is called only where `is_configured` says yes. It must return only if the raw body (never a
    parsed one) is proved to come from somebody who holds the secret or key of the account, must compare in
    constant time, and must raise `WebhookRejected`, and nothing else, for every other input, whatever its bytes.
    """

    def __init__(self, account: Account) -> None:
        self.account = account

    def is_configured(self) -> bool:
        """Return whether the account's settings hold what this verifier needs."""
        return bool(self.account.webhook_secrets)

    def verify(self, delivery: Delivery) -> None:
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
        if not any(_is_one_of(value.encode("utf-8", "replace"), _utf8(self.account)) for value in given):
            raise WebhookRejected("the secret is not one of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        return {"X-Webhook-Secret": self.account.webhook_secrets[0]}

    def _given(self, delivery: Delivery) -> Iterable[str]:
        yield delivery.url_secret
        yield delivery.headers.get("X-Webhook-Secret", "")
        scheme, _, credentials = delivery.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()
        elif scheme.lower() == "basic":
            decoded = _base64(credentials.strip()) or b""
            yield decoded.decode("utf-8", "replace").partition(":")[2]


class HMACSignature(Verifier):
    """HMAC-SHA256 of the raw body, as hex or base64, in ``X-Signature``.

    ``WEBHOOK_SIGNATURE_HEADER`` names another header. A ``sha256=`` before the signature is allowed. The
    key is the secret's text in UTF-8, just as it is written.
    """

    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get(self.account.webhook_signature_header, "").strip()
        if not sent:
            raise WebhookRejected(f"no {self.account.webhook_signature_header} header was sent")
        signature = _hex_or_base64(sent.removeprefix("sha256="))
        expected = [
            hmac.new(secret, delivery.body, hashlib.sha256).digest() for secret in _utf8(self.account)
        ]
        if signature is None or not _is_one_of(signature, expected):
            raise WebhookRejected("the signature of the body does not match any of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        signature = hmac.new(_utf8(self.account)[0], body, hashlib.sha256).hexdigest()
        return {self.account.webhook_signature_header: signature}


class StandardWebhooks(Verifier):
    """The scheme of standardwebhooks.com (also Svix): HMAC-SHA256 over id, timestamp and body.

    Secrets are ``whsec_`` and base64; others in ``WEBHOOK_SECRETS`` are left to the other verifiers. There
    may be several signatures, separated by spaces. A timestamp more than five minutes off is refused.
    """

    TOLERANCE_SECONDS: Final = 300

    def is_configured(self) -> bool:
        return any(secret.startswith("whsec_") for secret in self.account.webhook_secrets)

    def verify(self, delivery: Delivery) -> None:
        message_id = delivery.headers.get("webhook-id", "")
        timestamp = delivery.headers.get("webhook-timestamp", "")
        signatures = delivery.headers.get("webhook-signature", "")
        if not (message_id and timestamp and signatures):
            raise WebhookRejected(
                "the webhook-id, webhook-timestamp and webhook-signature headers were not sent"
            )
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            raise WebhookRejected("webhook-timestamp is not a number of seconds")
        if abs(delivery.received_at.timestamp() - int(timestamp)) > self.TOLERANCE_SECONDS:
            raise WebhookRejected("webhook-timestamp is more than five minutes off: check both clocks")
        secrets = [key for secret in self.account.webhook_secrets if (key := _whsec(secret))]
        signed = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + delivery.body
        expected = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
        sent = (part.partition(",") for part in signatures.split())
        given = [_base64(value) for version, _, value in sent if version == "v1"]
        if not any(_is_one_of(signature, expected) for signature in given if signature):
            raise WebhookRejected("webhook-signature does not match any whsec_ secret of WEBHOOK_SECRETS")

    def sign(self, body: bytes, now: datetime) -> dict[str, str] | None:
        key = next(key for secret in self.account.webhook_secrets if (key := _whsec(secret)))
        message_id, timestamp = f"msg_{uuid4().hex}", str(int(now.timestamp()))
        text = f"{message_id}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        }


class SaltEdgeSignature(Verifier):
    """Salt Edge's own signature: RSA, SHA-256 and PKCS#1 v1.5 over ``url|body``, in ``Signature`` (base64).

    *url* is the address just as it is registered with Salt Edge, so this proves something only where callbacks
    come from Salt Edge itself, or through a relay that leaves the body untouched: name these addresses in
    ``SALTEDGE_CALLBACK_URLS``. ``Signature-key-version`` picks the key; both published ones (5.0 for API v5 and
    Partners v1, 6.0 for v6) are built in, ``SALTEDGE_PUBLIC_KEYS`` adds others. Nothing that is signed is bound to
    a time, so an old delivery can be sent again; it changes nothing then. Needs the extra ``saltedge``.
    """

    def is_configured(self) -> bool:
        return bool(self.account.saltedge_callback_urls)

    def verify(self, delivery: Delivery) -> None:
        signature = _base64(delivery.headers.get("Signature", "").strip())
        if not signature:
            raise WebhookRejected("no Signature header in base64 was sent")
        version = delivery.headers.get("Signature-key-version", "").strip()
        keys = saltedge.keys(self.account.saltedge_public_keys)
        if version and version not in keys:
            # Key rotation upstream looks just like this.
            raise WebhookRejected(
                "Signature-key-version is unknown: is there a new key for SALTEDGE_PUBLIC_KEYS?"
            )
        candidates = [keys[version]] if version else list(keys.values())
        signed = [url.encode() + b"|" + delivery.body for url in self.account.saltedge_callback_urls]
        if not any(saltedge.is_signed(pem, text, signature) for pem in candidates for text in signed):
            raise WebhookRejected("Signature does not match the body and any of SALTEDGE_CALLBACK_URLS")


def configured(account: Account) -> list[Verifier]:
    """Return the verifiers of *account* that its settings make usable; `ImportError` if one cannot be found."""
    found: list[Verifier] = [import_string(path)(account) for path in account.webhook_verifiers]
    return [verifier for verifier in found if verifier.is_configured()]


def _utf8(account: Account) -> list[bytes]:
    return [secret.encode() for secret in account.webhook_secrets]


def _is_one_of(given: bytes, expected: Iterable[bytes]) -> bool:
    # A list, not any(): the time taken must not tell which of the secrets it was.
    return any([hmac.compare_digest(given, value) for value in expected])  # noqa: C419


def _whsec(secret: str) -> bytes | None:
    prefix = "whsec_"
    return _base64(secret.removeprefix(prefix)) if secret.startswith(prefix) else None


def _base64(text: str) -> bytes | None:
    """Return the decoded bytes of strict, standard base64, or ``None``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _hex_or_base64(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return _base64(text)
