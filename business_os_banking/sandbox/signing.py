"""The four ways in which a callback can prove where it comes from."""

import base64
import hashlib
import hmac
import time

from django.core.exceptions import ImproperlyConfigured

from . import conf


def sign(
    body: bytes, url: str, *, message_id: str | None = None, timestamp: int | None = None
) -> dict[str, str]:
    """Return the headers that sign ``body`` for ``url``, by the method in the settings.

    ``message_id`` and ``timestamp`` (seconds since 1970) matter to Standard Webhooks only. The
    default id is made from the body, so that a redelivery carries the id of the first delivery.
    Raises ``ImproperlyConfigured`` if the secret or key is missing or unusable.
    """
    signing = conf.settings.webhook_signing
    secret = conf.settings.webhook_secret
    if signing == "shared_secret":
        # Without a secret here it may stand in WEBHOOK_URL.
        return {"X-Webhook-Secret": secret} if secret else {}
    if signing == "salt_edge":
        return _salt_edge(body, url)
    if not secret:
        raise ImproperlyConfigured(f"{signing} needs BUSINESS_OS_SANDBOX['WEBHOOK_SECRET'].")
    if signing == "hmac":
        return {"X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    message_id = message_id or "msg_" + hashlib.sha256(body).hexdigest()[:24]
    return _standard_webhooks(body, secret, message_id, timestamp or int(time.time()))


def _standard_webhooks(body: bytes, secret: str, message_id: str, timestamp: int) -> dict[str, str]:
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not key or not secret.startswith("whsec_"):
        raise ImproperlyConfigured("A Standard Webhooks secret is whsec_ followed by base64.")
    text = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _salt_edge(body: bytes, url: str) -> dict[str, str]:
    # Imported here: only this method needs cryptography, which is an optional dependency.
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise ImproperlyConfigured("salt_edge needs the package cryptography.") from None

    try:
        pem = conf.settings.webhook_private_key.encode()
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ImproperlyConfigured(
            "salt_edge needs an RSA key, as PEM text, in BUSINESS_OS_SANDBOX['WEBHOOK_PRIVATE_KEY']."
        )
    signature = key.sign(url.encode() + b"|" + body, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Signature": base64.b64encode(signature).decode(),
        "Signature-key-version": conf.settings.webhook_key_version,
    }
