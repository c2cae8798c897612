"""Salt Edge's own signature: RSA over ``url|body``, as upstream fact 4 has it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from django.core.exceptions import ImproperlyConfigured

from business_os_banking.conf import Account, make_account
from business_os_banking.webhooks import saltedge
from business_os_banking.webhooks.verifiers import SaltEdgeSignature, WebhookRejected
from tests.webhooks.contract import BODY, NEW, Contract, account, delivery

PRIVATE, OLD_PRIVATE, OTHER_PRIVATE = (rsa.generate_private_key(65537, 2048) for _ in range(3))
KEYS = {"7.0": PRIVATE, "6.5": OLD_PRIVATE, "8.0": OTHER_PRIVATE}
CALLBACK = "https://site.example/banking/webhook/"
OLD_CALLBACK = "https://old.example/hook?from=saltedge"


def pem(key: Any) -> str:
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, public).decode())


def signed(
    body: bytes = BODY, url: str = CALLBACK, version: str = "7.0", key: Any = PRIVATE
) -> dict[str, str]:
    signature = key.sign(url.encode() + b"|" + body, padding.PKCS1v15(), hashes.SHA256())
    headers = {"Signature": base64.b64encode(signature).decode(), "Signature-key-version": version}
    return {name: value for name, value in headers.items() if value}


class TestSaltEdgeKeys(Contract):
    """A secret is a key by its version: a rotation is two versions at the same time."""

    verifier = SaltEdgeSignature
    new, old, foreign = "7.0", "6.5", "8.0"
    optional_header = "Signature-key-version"
    compares_secrets = False

    def account(self, *secrets: str) -> Account:
        keys = {version: pem(KEYS[version]) for version in secrets}
        return make_account("default", {"SALTEDGE_CALLBACK_URLS": [CALLBACK], "SALTEDGE_PUBLIC_KEYS": keys})

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return signed(body, version=secret, key=KEYS[secret])

    def test_a_known_key_under_the_version_of_another_is_refused(self) -> None:
        for version in ("6.5", "6.0", "5.0", "7", "7.0.0", "7.0,7.0", "\uff17.0", "7.0\n"):
            assert not self.accepts(signed(version=version))

    @pytest.mark.parametrize("version", [None, "", " \t "])
    def test_without_a_version_every_key_is_tried(self, version: str | None) -> None:
        told = {} if version is None else {"Signature-key-version": version}
        for known in (PRIVATE, OLD_PRIVATE):
            assert self.accepts({**signed(version="", key=known), **told})
        assert not self.accepts({**signed(version="", key=OTHER_PRIVATE), **told})

    def test_a_key_of_which_nothing_is_known_is_said_so(self) -> None:
        with pytest.raises(WebhookRejected, match="SALTEDGE_PUBLIC_KEYS"):
            SaltEdgeSignature(self.account("7.0")).verify(delivery(signed(version="8.0")))

    def test_another_padding_or_digest_is_refused(self) -> None:
        text = CALLBACK.encode() + b"|" + BODY
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        for made in (
            PRIVATE.sign(text, pss, hashes.SHA256()),
            PRIVATE.sign(text, padding.PKCS1v15(), hashes.SHA1()),
            PRIVATE.sign(text, padding.PKCS1v15(), hashes.SHA512()),
        ):
            assert not self.accepts({**signed(), "Signature": base64.b64encode(made).decode()})


class TestSaltEdgeAddresses(Contract):
    """A secret is an address: a change of it is two of them registered at the same time."""

    verifier = SaltEdgeSignature
    new, old, foreign = CALLBACK, OLD_CALLBACK, "https://evil.example/banking/webhook/"
    optional_header = "Signature-key-version"
    compares_secrets = False

    def account(self, *secrets: str) -> Account:
        return make_account(
            "default",
            {"SALTEDGE_CALLBACK_URLS": list(secrets), "SALTEDGE_PUBLIC_KEYS": {"7.0": pem(PRIVATE)}},
        )

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return signed(body, url=secret)

    @pytest.mark.parametrize(
        "url",
        [
            CALLBACK.rstrip("/"),
            CALLBACK.replace("https", "http"),
            CALLBACK.upper(),
            CALLBACK + "?",
            CALLBACK.replace("site.example", "site.example:443"),
            "/banking/webhook/",
            "",
        ],
    )
    def test_the_address_counts_to_the_letter(self, url: str) -> None:
        assert not self.accepts(signed(url=url))

    def test_the_bar_belongs_to_neither(self) -> None:
        """What was signed for a longer address must not do for a longer body."""
        longer = signed(b"rest", url=f"{CALLBACK}|x")
        assert not self.accepts(longer, b"rest")
        assert self.accepts(longer, b"x|rest"), "the signed text is the same; a JSON object cannot begin so"


@pytest.mark.parametrize(
    ("version", "fingerprint"),
    [
        ("5.0", "84525000c5a5c62167281583c00fe6f65a93f6d50e53c4f4356fdfb183759fe1"),
        ("6.0", "ac83f5844f78557742f8991ee8c6d8dd8c8c330fa5521bff968bc4711171fe2e"),
    ],
)
def test_the_built_in_keys_are_the_published_ones(version: str, fingerprint: str) -> None:
    der = saltedge.load(saltedge.PUBLISHED[version]).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert hashlib.sha256(der).hexdigest() == fingerprint


def test_both_published_keys_and_no_others_are_built_in() -> None:
    assert set(saltedge.PUBLISHED) == set(saltedge.keys({})) == {"5.0", "6.0"}


def test_a_key_in_the_settings_wins_over_a_published_one() -> None:
    values = {"SALTEDGE_CALLBACK_URLS": [CALLBACK], "SALTEDGE_PUBLIC_KEYS": {"6.0": pem(PRIVATE)}}
    sent = delivery(signed(version="6.0"))
    SaltEdgeSignature(make_account("default", values)).verify(sent)
    with pytest.raises(WebhookRejected):
        SaltEdgeSignature(make_account("default", {**values, "SALTEDGE_PUBLIC_KEYS": {}})).verify(sent)


def test_what_a_stranger_can_make_us_verify_is_bounded_by_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []

    def counted(key: str, text: bytes, signature: bytes) -> bool:
        tried.append(signature)
        return False

    monkeypatch.setattr(saltedge, "is_signed", counted)
    values = {
        "SALTEDGE_CALLBACK_URLS": [CALLBACK, OLD_CALLBACK],
        "SALTEDGE_PUBLIC_KEYS": {"7.0": pem(PRIVATE)},
    }
    verifier = SaltEdgeSignature(make_account("default", values))
    one = signed(version="")["Signature"]
    for signature in (one, one * 500, ",".join([one] * 500), " ".join([one] * 500)):
        with pytest.raises(WebhookRejected):
            verifier.verify(delivery({"Signature": signature}))
    assert len(tried) == 3 * 2, "three keys for two addresses, and one signature only"


@pytest.mark.parametrize("wrong", ["", "nonsense", pem(PRIVATE)[:200], "\ud800"])
def test_a_key_that_is_none_is_said_clearly(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SALTEDGE_PUBLIC_KEYS"):
        saltedge.is_signed(wrong, b"", b"")


@pytest.mark.parametrize(
    "other", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())]
)
def test_a_key_of_another_kind_is_refused(other: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="not RSA"):
        saltedge.load(pem(other))


def test_it_needs_no_secret_but_the_registered_address() -> None:
    assert SaltEdgeSignature(make_account("default", {"SALTEDGE_CALLBACK_URLS": [CALLBACK]})).is_configured()
    assert not SaltEdgeSignature(account(NEW)).is_configured()


@pytest.mark.parametrize(
    ("body", "is_ours"),
    [
        (b'{"data": {"customer_id": "222", "connection_id": "1"}, "meta": {}}', True),
        (b'{"data": {"customer_id": 222, "connection_id": "1"}}', True),
        (b'{"data": {"customer_id": "223", "connection_id": "1"}}', False),
        (b'{"data": {"connection_id": "1"}}', False),
        (b'{"customer_id": "222"}', False),
        (b"[]", False),
        (b"no json", False),
    ],
)
def test_of_all_that_salt_edge_signs_only_what_is_about_our_customers(body: bytes, is_ours: bool) -> None:
    """Its key signs for all its clients, so somebody else's callback has a good signature, too."""
    values = {"SALTEDGE_CALLBACK_URLS": [CALLBACK], "SALTEDGE_PUBLIC_KEYS": {"7.0": pem(PRIVATE)}}
    SaltEdgeSignature(make_account("default", values)).verify(delivery(signed(body), body))
    verifier = SaltEdgeSignature(make_account("default", {**values, "SALTEDGE_CUSTOMER_IDS": ["1", "222"]}))
    if is_ours:
        verifier.verify(delivery(signed(body), body))
        return
    with pytest.raises(WebhookRejected, match="customer_id"):
        verifier.verify(delivery(signed(body), body))
