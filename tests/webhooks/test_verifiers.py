"""Each verifier accepts what a holder of a secret sends, and nothing else, whatever the bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from django.core.exceptions import ImproperlyConfigured
from django.utils.datastructures import CaseInsensitiveMapping
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from business_os_banking.conf import Account, make_account
from business_os_banking.webhooks import saltedge
from business_os_banking.webhooks.verifiers import (
    Delivery,
    HMACSignature,
    SaltEdgeSignature,
    SharedSecret,
    StandardWebhooks,
    Verifier,
    WebhookRejected,
)

NEW, OLD, FOREIGN = ("whsec_" + base64.b64encode(name * 8).decode() for name in (b"new-", b"old-", b"not-"))
BODY = b'{"data": {"stage": "finish"}, "text": "\xc3\xa4"}'
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def account(*secrets: str) -> Account:
    return make_account("default", {"WEBHOOK_SECRETS": list(secrets)})


def delivery(headers: Mapping[str, str], body: bytes = BODY, url_secret: str = "") -> Delivery:
    return Delivery(
        body=body, headers=CaseInsensitiveMapping(dict(headers)), url_secret=url_secret, received_at=NOW
    )


class Contract:
    """What every verifier must keep to; a subclass says how its sender signs."""

    verifier: type[Verifier]
    signs_the_body = True

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        raise NotImplementedError

    def accepts(
        self, headers: Mapping[str, str], body: bytes = BODY, secrets: tuple[str, ...] = (NEW, OLD)
    ) -> bool:
        try:
            self.verifier(account(*secrets)).verify(delivery(headers, body))
        except WebhookRejected as rejection:
            assert not any(secret in str(rejection) for secret in (NEW, OLD, FOREIGN))
            return False
        return True

    def test_the_secret_is_accepted(self) -> None:
        assert self.accepts(self.headers(NEW))

    def test_during_a_rotation_the_new_and_the_old_secret_are_both_accepted(self) -> None:
        """The promise: add the new secret first, change the sender, then take the old one away."""
        assert self.accepts(self.headers(OLD))
        assert self.accepts(self.headers(NEW), secrets=(OLD, NEW))
        assert not self.accepts(self.headers(OLD), secrets=(NEW,))

    def test_a_foreign_secret_is_refused(self) -> None:
        assert not self.accepts(self.headers(FOREIGN))

    def test_nothing_is_accepted_where_there_is_no_secret(self) -> None:
        assert not self.accepts(self.headers(NEW), secrets=())

    def test_a_delivery_without_a_word_is_refused(self) -> None:
        assert not self.accepts({})

    def test_the_case_of_headers_does_not_matter(self) -> None:
        assert self.accepts({name.upper(): value for name, value in self.headers(NEW).items()})

    def test_a_body_that_was_changed_by_one_byte_is_refused(self) -> None:
        accepted = self.accepts(self.headers(NEW), BODY.replace(b"finish", b"finisH"))
        assert accepted is not self.signs_the_body

    @pytest.mark.parametrize(
        "value", ["", " ", "sha256=", "=", "v1,", "Bearer", "Basic !", "é", "\x00", "a" * 9999]
    )
    def test_malformed_headers_are_refused(self, value: str) -> None:
        for name in self.headers(NEW):
            assert not self.accepts({**self.headers(NEW), name: value})


class TestSharedSecretHeader(Contract):
    verifier = SharedSecret
    signs_the_body = False

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"X-Webhook-Secret": secret}


class TestBearer(TestSharedSecretHeader):
    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"Authorization": f"Bearer {secret}"}


class TestBasic(TestSharedSecretHeader):
    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"anybody:{secret}".encode()).decode()}


class TestHMACHex(Contract):
    verifier = HMACSignature

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class TestHMACWithPrefix(Contract):
    verifier = HMACSignature

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"X-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class TestHMACBase64(Contract):
    verifier = HMACSignature

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {"X-Signature": base64.b64encode(digest).decode()}


class TestStandardWebhooks(Contract):
    """Against the signatures of the `standardwebhooks` library."""

    verifier = StandardWebhooks

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return self.at(NOW, secret, body)

    def at(self, moment: datetime, secret: str = NEW, body: bytes = BODY) -> dict[str, str]:
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign("msg_1", moment, body.decode()),
        }

    def test_one_good_signature_among_several_is_enough(self) -> None:
        good = self.headers(NEW)
        bad = self.headers(FOREIGN)["webhook-signature"]
        assert self.accepts({**good, "webhook-signature": f"{bad} v1a,abc {good['webhook-signature']}"})
        assert not self.accepts({**good, "webhook-signature": f"{bad} v2,{good['webhook-signature'][3:]}"})

    @pytest.mark.parametrize(("seconds", "fresh"), [(-301, False), (-299, True), (299, True), (301, False)])
    def test_a_timestamp_more_than_five_minutes_off_is_refused(self, seconds: int, fresh: bool) -> None:
        moment = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)
        assert self.accepts(self.at(moment)) is fresh

    def test_the_id_is_signed(self) -> None:
        assert not self.accepts({**self.headers(NEW), "webhook-id": "msg_2"})

    def test_a_secret_without_the_prefix_is_not_a_key_of_this_scheme(self) -> None:
        plain = NEW.removeprefix("whsec_")
        assert not self.accepts(self.headers(NEW), secrets=(plain, "whsec_not base64"))


PRIVATE, OTHER_PRIVATE = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CALLBACK = "https://site.example/banking/webhook/"


def pem(key: rsa.RSAPrivateKey) -> str:
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, public).decode()


def signed(
    body: bytes = BODY, url: str = CALLBACK, version: str = "7.0", key: Any = PRIVATE
) -> dict[str, str]:
    signature = key.sign(url.encode() + b"|" + body, padding.PKCS1v15(), hashes.SHA256())
    headers = {"Signature": base64.b64encode(signature).decode(), "Signature-key-version": version}
    return {name: value for name, value in headers.items() if value}


class TestSaltEdgeSignature:
    """RSA over ``url|body``, as upstream fact 4 has it."""

    def accepts(self, headers: Mapping[str, str], body: bytes = BODY, *urls: str) -> bool:
        values = {
            "SALTEDGE_CALLBACK_URLS": list(urls) or ["https://old.example/", CALLBACK],
            "SALTEDGE_PUBLIC_KEYS": {"7.0": pem(PRIVATE)},
        }
        try:
            SaltEdgeSignature(make_account("default", values)).verify(delivery(headers, body))
        except WebhookRejected:
            return False
        return True

    def test_what_was_signed_for_a_registered_address_is_accepted(self) -> None:
        assert self.accepts(signed())
        assert self.accepts(signed(url="https://old.example/"))
        assert self.accepts({name.lower(): f" {value} " for name, value in signed().items()})

    def test_without_a_version_every_key_is_tried(self) -> None:
        assert self.accepts(signed(version=""))
        assert not self.accepts(signed(version="", key=OTHER_PRIVATE))

    def test_anything_else_is_refused(self) -> None:
        assert not self.accepts(signed(), BODY + b" ")
        assert not self.accepts(signed(url=CALLBACK.rstrip("/")))
        assert not self.accepts(signed(url="http://site.example/banking/webhook/"))
        assert not self.accepts(signed(key=OTHER_PRIVATE))
        assert not self.accepts(signed(version="6.0"))
        assert not self.accepts({})

    def test_a_key_of_which_nothing_is_known_is_said_so(self) -> None:
        account = make_account("default", {"SALTEDGE_CALLBACK_URLS": [CALLBACK]})
        with pytest.raises(WebhookRejected, match="SALTEDGE_PUBLIC_KEYS"):
            SaltEdgeSignature(account).verify(delivery(signed(version="8.0")))

    @given(signature=st.text() | st.binary().map(lambda b: base64.b64encode(b).decode()), version=st.text())
    def test_no_input_raises_anything_else(self, signature: str, version: str) -> None:
        assert not self.accepts({"Signature": signature, "Signature-key-version": version})

    @pytest.mark.parametrize(
        ("version", "fingerprint"),
        [
            ("5.0", "84525000c5a5c62167281583c00fe6f65a93f6d50e53c4f4356fdfb183759fe1"),
            ("6.0", "ac83f5844f78557742f8991ee8c6d8dd8c8c330fa5521bff968bc4711171fe2e"),
        ],
    )
    def test_the_built_in_keys_are_the_published_ones(self, version: str, fingerprint: str) -> None:
        der = saltedge.load(saltedge.PUBLISHED[version]).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert hashlib.sha256(der).hexdigest() == fingerprint

    @pytest.mark.parametrize("wrong", ["", "nonsense", pem(PRIVATE)[:200]])
    def test_a_key_that_is_none_is_said_clearly(self, wrong: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="SALTEDGE_PUBLIC_KEYS"):
            saltedge.is_signed(wrong, b"", b"")

    def test_a_key_of_another_kind_is_refused(self) -> None:
        other = ed25519.Ed25519PrivateKey.generate().public_key()
        text = other.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        with pytest.raises(ImproperlyConfigured, match="not RSA"):
            saltedge.load(text)

    def test_it_needs_no_secret_but_the_registered_address(self) -> None:
        assert SaltEdgeSignature(
            make_account("default", {"SALTEDGE_CALLBACK_URLS": [CALLBACK]})
        ).is_configured()
        assert not SaltEdgeSignature(account(NEW)).is_configured()
        assert StandardWebhooks(account(NEW)).is_configured()
        assert not StandardWebhooks(account("plain")).is_configured()
        assert SharedSecret(account("plain")).is_configured()


@pytest.mark.parametrize(
    "case", [TestSharedSecretHeader(), TestBearer(), TestBasic(), TestHMACHex(), TestStandardWebhooks()]
)
@given(values=st.lists(st.text(), min_size=3, max_size=3), body=st.binary())
def test_no_input_raises_anything_but_a_rejection(case: Contract, values: list[str], body: bytes) -> None:
    headers = dict(zip(case.headers(NEW), values, strict=False))
    assert not case.accepts(headers, body)


def test_a_secret_in_the_url_is_accepted_and_a_wrong_one_is_not() -> None:
    verifier = SharedSecret(account("plain-secret"))
    verifier.verify(delivery({}, url_secret="plain-secret"))
    with pytest.raises(WebhookRejected):
        verifier.verify(delivery({}, url_secret="plain-secret-"))


def test_the_hmac_header_can_be_another_one() -> None:
    settings = make_account(
        "default", {"WEBHOOK_SECRETS": ["plain"], "WEBHOOK_SIGNATURE_HEADER": "X-Hub-Signature-256"}
    )
    signature = hmac.new(b"plain", BODY, hashlib.sha256).hexdigest()
    HMACSignature(settings).verify(delivery({"X-Hub-Signature-256": f"sha256={signature}"}))
    with pytest.raises(WebhookRejected, match="X-Hub-Signature-256"):
        HMACSignature(settings).verify(delivery({"X-Signature": signature}))


def test_the_base_class_accepts_nothing() -> None:
    with pytest.raises(WebhookRejected):
        Verifier(account(NEW)).verify(delivery({}))


def test_a_delivery_shows_no_secret() -> None:
    shown = repr(delivery({"X-Webhook-Secret": NEW}, url_secret=OLD))
    assert NEW not in shown
    assert OLD not in shown
