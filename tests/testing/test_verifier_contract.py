"""The contract for verifiers passes good ones, and tells of a bad one what is wrong with it and what to do."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unittest
from typing import Any

import pytest

from business_os_banking.conf import Account
from business_os_banking.testing import VerifierContract
from business_os_banking.webhooks.verifiers import (
    Delivery,
    HMACSignature,
    SharedSecret,
    Verifier,
    WebhookRejected,
)

pytest_plugins = ["pytester"]

HEADER = "X-Signature-512"


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()


class Good(Verifier):
    """What is right; each of the bad ones differs from it in one thing."""

    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get(HEADER, "").encode()
        if not any(
            hmac.compare_digest(sent, signature(key, delivery.body).encode()) for key in self.secrets()
        ):
            raise WebhookRejected("the signature does not match")


class Signs(Good):
    def sign(self, body: bytes, now: Any) -> dict[str, str]:
        return {HEADER: signature(self.secrets()[0], body)}


class Bare(Good):
    """With the header itself for a secret, as a base for those that need no body."""

    def verify(self, delivery: Delivery) -> None:
        if not any(
            hmac.compare_digest(delivery.headers.get(HEADER, "").encode(), key.encode())
            for key in self.secrets()
        ):
            raise WebhookRejected("the secret is not the right one")


class Answers(Good):
    def verify(self, delivery: Delivery) -> bool:  # type: ignore[override]
        super().verify(delivery)
        return True


class AnswersNo(Good):
    def verify(self, delivery: Delivery) -> bool | None:  # type: ignore[override]
        try:
            return super().verify(delivery)
        except WebhookRejected:
            return False


class KeyErrors(Good):
    def verify(self, delivery: Delivery) -> None:
        delivery.headers[HEADER]
        super().verify(delivery)


class ComparesTexts(Good):
    """`compare_digest` raises for a text that is not ASCII."""

    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get(HEADER, "")
        if not any(hmac.compare_digest(sent, signature(key, delivery.body)) for key in self.secrets()):
            raise WebhookRejected("no")


class Decodes(Good):
    def verify(self, delivery: Delivery) -> None:
        delivery.body.decode()
        super().verify(delivery)


class Parses(Good):
    """It signs what it makes of the body."""

    def verify(self, delivery: Delivery) -> None:
        try:
            body = json.dumps(json.loads(delivery.body)).encode()
        except ValueError:
            body = delivery.body
        sent = delivery.headers.get(HEADER, "").encode()
        for key in self.secrets():
            for known in {body, body.strip(), delivery.body.strip()}:
                if hmac.compare_digest(sent, signature(key, known).encode()):
                    return
        raise WebhookRejected("no")


class UsesOperators(Good):
    def verify(self, delivery: Delivery) -> None:
        if delivery.headers.get(HEADER, "") not in [signature(key, delivery.body) for key in self.secrets()]:
            raise WebhookRejected("no")


class KnowsTheNewestOnly(Good):
    def secrets(self) -> list[str]:
        return super().secrets()[:1]


class TakesAnySecret(Good):
    def is_configured(self) -> bool:
        return bool(self.secrets())

    def secrets(self) -> list[str]:
        return [secret.open() for secret in self.account.webhook_secrets]


class TakesNone(Good):
    def verify(self, delivery: Delivery) -> None:
        if self.secrets():
            super().verify(delivery)


class TakesAnybody(Good):
    def verify(self, delivery: Delivery) -> None:
        if not delivery.headers.get(HEADER):
            raise WebhookRejected("no")


class TakesNoHeader(Good):
    def verify(self, delivery: Delivery) -> None:
        if delivery.headers.get(HEADER):
            super().verify(delivery)


class KnowsOneCase(Good):
    def verify(self, delivery: Delivery) -> None:
        headers = {name: value for name, value in delivery.headers.items() if name == HEADER}
        super().verify(Delivery(body=delivery.body, headers=headers, received_at=delivery.received_at))


class LooksAtTheBeginning(Good):
    def verify(self, delivery: Delivery) -> None:
        sent = delivery.headers.get(HEADER, "")[:32].encode()
        if len(sent) < 32 or not any(
            hmac.compare_digest(sent, signature(key, delivery.body)[:32].encode()) for key in self.secrets()
        ):
            raise WebhookRejected("no")


class Quotes(Good):
    def verify(self, delivery: Delivery) -> None:
        try:
            super().verify(delivery)
        except WebhookRejected:
            raise WebhookRejected(f"{delivery.headers.get(HEADER)} does not match") from None


class TellsTheSecret(Good):
    def verify(self, delivery: Delivery) -> None:
        try:
            super().verify(delivery)
        except WebhookRejected:
            raise WebhookRejected(f"expected one of {', '.join(self.secrets())}") from None


class NeverConfigured(Good):
    def is_configured(self) -> bool:
        return False


class AlwaysConfigured(Good):
    def is_configured(self) -> bool:
        return True


class SignsWithTheOldest(Signs):
    def sign(self, body: bytes, now: Any) -> dict[str, str]:
        return {HEADER: signature(self.secrets()[-1], body)}


class NotAVerifier:
    def __init__(self, account: Account) -> None:
        self.verify = Good(account).verify
        self.is_configured = Good(account).is_configured


class GoodTest(VerifierContract, unittest.TestCase):
    verifier = Good

    def headers(self, secret: str, body: bytes) -> dict[str, str]:
        return {HEADER: signature(secret, body)}


class TestSigns(VerifierContract):
    """Under pytest the class alone will do, and what has `sign` needs no headers."""

    verifier = Signs


class TestOurs(VerifierContract):
    verifier = HMACSignature


class TestOursForTheSenderAlone(VerifierContract):
    verifier = SharedSecret
    signs_the_body = False


BAD = {
    Answers: "returned True at .* raise WebhookRejected for all else",
    AnswersNo: "returned False at .* raise WebhookRejected for all else",
    KeyErrors: "raised KeyError at no headers.*It must raise WebhookRejected",
    ComparesTexts: "raised TypeError at .*It must raise WebhookRejected",
    Decodes: "raised UnicodeDecodeError at .*It must raise WebhookRejected",
    Parses: "accepts the bodies .*sign delivery.body, all its bytes",
    UsesOperators: "accepts without hmac.compare_digest.*compare with hmac.compare_digest",
    KnowsTheNewestOnly: "accepts one of two secrets only.*try all of self.secrets",
    TakesAnySecret: "takes the secret ' ' for one: use self.secrets",
    TakesNone: "accepts where the account has no secret: raise WebhookRejected at the end",
    TakesAnybody: "accepts a secret that the account does not have: compare with each",
    TakesNoHeader: "accepts a delivery without any header",
    KnowsOneCase: "knows its headers in one case only.*delivery.headers.get",
    LooksAtTheBeginning: "accepts a X-Signature-512 .*: compare the whole of it",
    Quotes: "quotes in its WebhookRejected what was sent",
    TellsTheSecret: "says a secret in its WebhookRejected",
    NeverConfigured: "says that it is not configured although there is a secret",
    AlwaysConfigured: "says that it is configured where there is no secret",
    SignsWithTheOldest: ".* has signed with an old secret: sign with self.secrets",
    NotAVerifier: "is no subclass of Verifier: make it one",
}


def problems(case: type[VerifierContract]) -> list[str]:
    """Run the contract on *case*, as unittest does, and return what it has to say."""
    result = unittest.TestResult()
    contract = type("Contract", (case, unittest.TestCase), {})
    unittest.TestLoader().loadTestsFromTestCase(contract).run(result)
    assert result.testsRun
    return [trace for _case, trace in [*result.failures, *result.errors]]


@pytest.mark.parametrize(("bad", "problem"), BAD.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_each_breach_is_told_with_what_to_do(bad: Any, problem: str) -> None:
    class Case(VerifierContract):
        verifier = bad

        def headers(self, secret: str, body: bytes) -> dict[str, str]:
            return {HEADER: signature(secret, body)}

    found = problems(Case)
    wanted = re.compile(f"AssertionError: {bad.__name__} {problem}", re.DOTALL)
    assert any(wanted.search(trace) for trace in found), found


def test_good_ones_have_no_problems() -> None:
    assert problems(GoodTest) == problems(TestSigns) == []


def test_who_claims_that_the_body_is_not_signed_is_contradicted_where_it_is() -> None:
    class Case(GoodTest):
        signs_the_body = False

    assert any("leave signs_the_body as it was" in trace for trace in problems(Case))


def test_a_contract_that_lacks_something_says_what() -> None:
    class NoVerifier(VerifierContract):
        pass

    class NoHeaders(VerifierContract):
        verifier = Good

    assert all("write verifier = YourVerifier" in trace for trace in problems(NoVerifier))
    assert any("write a method headers(self, secret, body)" in trace for trace in problems(NoHeaders))


def test_the_contract_itself_is_not_collected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("from business_os_banking.testing import VerifierContract")
    pytester.runpytest_subprocess("-p", "no:django", "-p", "no:cacheprovider").assert_outcomes()
