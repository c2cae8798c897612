"""Each verifier accepts what a holder of a secret sends, and nothing else, whatever the bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from django.utils.datastructures import CaseInsensitiveMapping
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from business_os_banking.conf import Account, make_account
from business_os_banking.webhooks.verifiers import (
    Delivery,
    HMACSignature,
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
