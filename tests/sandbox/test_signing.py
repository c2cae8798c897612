"""Signatures, each verified by means other than our own."""

import base64
import hashlib
import hmac
import json
import sys

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.core.exceptions import ImproperlyConfigured
from standardwebhooks.webhooks import Webhook

from business_os_banking.sandbox import simulate

from .conftest import Configure

BODY = '{"data": {"name": "Müller"}}'.encode()
URL = "https://shop.test/banking/webhook/?a=1"
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def test_shared_secret(configure: Configure) -> None:
    configure(WEBHOOK_SECRET="s3cret")
    assert simulate.sign(BODY, URL) == {"X-Webhook-Secret": "s3cret"}


def test_shared_secret_may_stand_in_the_url(configure: Configure) -> None:
    assert simulate.sign(BODY, URL) == {}


def test_hmac(configure: Configure) -> None:
    configure(WEBHOOK_SIGNING="hmac", WEBHOOK_SECRET="whsec_schlüssel")
    expected = hmac.digest("whsec_schlüssel".encode(), BODY, "sha256").hex()
    assert simulate.sign(BODY, URL) == {"X-Signature": expected}


def test_standard_webhooks(configure: Configure) -> None:
    configure(WEBHOOK_SIGNING="standard_webhooks", WEBHOOK_SECRET=WHSEC)
    headers = simulate.sign(BODY, URL)
    assert Webhook(WHSEC).verify(BODY, headers) == json.loads(BODY)
    assert headers["webhook-signature"].startswith("v1,")
    # A redelivery is known by its id.
    assert simulate.sign(BODY, URL)["webhook-id"] == headers["webhook-id"]
    other = simulate.sign(BODY, URL, message_id="msg_1", timestamp=1700000000)
    assert (other["webhook-id"], other["webhook-timestamp"]) == ("msg_1", "1700000000")


def test_salt_edge(configure: Configure) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    configure(WEBHOOK_SIGNING="salt_edge", WEBHOOK_PRIVATE_KEY=pem(key), WEBHOOK_KEY_VERSION="7.0")
    headers = simulate.sign(BODY, URL)
    assert set(headers) == {"Signature", "Signature-key-version"}
    assert headers["Signature-key-version"] == "7.0"
    signature = base64.b64decode(headers["Signature"], validate=True)
    text = URL.encode() + b"|" + BODY
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("signing", "secret"),
    [
        ("hmac", ""),
        ("standard_webhooks", ""),
        ("standard_webhooks", WHSEC.removeprefix("whsec_")),
        ("standard_webhooks", "whsec_"),
        ("standard_webhooks", "whsec_no base64"),
    ],
)
def test_unusable_secret(configure: Configure, signing: str, secret: str) -> None:
    configure(WEBHOOK_SIGNING=signing, WEBHOOK_SECRET=secret)
    with pytest.raises(ImproperlyConfigured):
        simulate.sign(BODY, URL)


@pytest.mark.parametrize("text", ["", "no key", "EC"])
def test_unusable_key(configure: Configure, text: str) -> None:
    if text == "EC":
        text = pem(ec.generate_private_key(ec.SECP256R1()))
    configure(WEBHOOK_SIGNING="salt_edge", WEBHOOK_PRIVATE_KEY=text)
    with pytest.raises(ImproperlyConfigured, match="RSA key"):
        simulate.sign(BODY, URL)


def test_salt_edge_without_cryptography(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(WEBHOOK_SIGNING="salt_edge")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ImproperlyConfigured, match="cryptography"):
        simulate.sign(BODY, URL)


def test_digest_is_of_the_raw_bytes(configure: Configure) -> None:
    configure(WEBHOOK_SIGNING="hmac", WEBHOOK_SECRET="s")
    signature = simulate.sign(b"\xff\x00", URL)["X-Signature"]
    assert signature == hmac.new(b"s", b"\xff\x00", hashlib.sha256).hexdigest()
