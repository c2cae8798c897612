"""What every verifier must keep to, as tests that a host runs on a verifier of its own."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final

from business_os_banking.testing.verifier_case import BODY, SHORT, VerifierCase

_BLANK_SECRETS: Final = (" ", "\t", "whsec_", " whsec_ ")
# What strangers send: of headers, servers make texts in Latin-1.
_RUBBISH: Final = (
    *("é", "\xff\xfe", "\x00", "\x00\xff", "%", "=", "==", ",", "v1,", "sha256=", "t=,v1="),
    *("0", "-1", "nan", "9" * 5000, "[]", "{}", "Bearer", "Bearer é", "Basic !", "Basic é:", "A" * 60_000),
)


class VerifierContract(VerifierCase):
    """Tests for a verifier: ``class TestMine(VerifierContract, unittest.TestCase)``; under pytest without the latter.

    You give ``verifier``, the class; and, unless it has a `sign` of its own, `headers`. You may change the other
    attributes, and `account` where the verifier knows its senders by something else than ``WEBHOOK_SECRETS``. What
    fails says what is wrong and what to do.
    """

    def test_it_is_a_verifier_that_can_be_configured(self) -> None:
        from business_os_banking.webhooks.verifiers import Verifier

        verifier = self.made(self.account(self.new))
        self.check(isinstance(verifier, Verifier), "is no subclass of Verifier: make it one.")
        self.check(
            verifier.is_configured(),
            "says that it is not configured although there is a secret, so it is never asked: return True from "
            "is_configured(), or give the contract an account() with all that it needs.",
        )
        self.check(
            not self.compares_secrets or not self.made(self.account()).is_configured(),
            "says that it is configured where there is no secret: return bool(self.secrets()) from is_configured().",
        )

    def test_the_secret_is_accepted(self) -> None:
        for body in (BODY, b""):
            self.check(
                self.accepts(self.headers(self.new, body), body, about=f"the body {body!r}"),
                f"refuses the body {body!r}, rightly signed: look at delivery.body as it is, never decoded or parsed; "
                "and see that headers() of the contract signs as your senders do.",
            )

    def test_while_a_secret_is_being_changed_the_new_and_the_old_one_are_both_accepted(self) -> None:
        """The promise: add the new secret first, change the sender, then take the old one away."""
        for secrets in ((self.new, self.old), (self.old, self.new)):
            for secret in secrets:
                self.check(
                    self.accepts(self.headers(secret, BODY), secrets=secrets),
                    "accepts one of two secrets only, so a delivery is lost while one is changed: try all of "
                    "self.secrets().",
                )

    def test_another_secret_is_refused(self) -> None:
        for sent, known in (
            (self.foreign, (self.new, self.old)),
            (self.old, (self.new,)),
            (self.new, (self.old,)),
        ):
            self.check(
                not self.accepts(self.headers(sent, BODY), secrets=known),
                "accepts a secret that the account does not have: compare with each of self.secrets(), and raise "
                "WebhookRejected where none is the same.",
            )

    def test_where_there_is_no_secret_nothing_is_accepted(self) -> None:
        for headers in (self.headers(self.new, BODY), {}):
            self.check(
                not self.accepts(headers, secrets=(), about="an account without secrets"),
                "accepts where the account has no secret: raise WebhookRejected at the end, whatever has happened.",
            )

    def test_a_secret_with_nothing_in_it_is_none(self) -> None:
        if not self.compares_secrets:
            return
        from business_os_banking.conf.secret import Secret

        for blank in _BLANK_SECRETS:
            verifier = self.made(replace(self.account(self.new), webhook_secrets=(Secret(blank),)))
            self.check(
                not verifier.is_configured(),
                f"takes the secret {blank!r} for one: use self.secrets(), which leaves such ones out, and not "
                "self.account.webhook_secrets.",
            )
            for headers in ({}, *self.with_blank_secret(blank), *self.with_blank_secret(blank.strip())):
                self.check(
                    not self.is_accepted(verifier, headers, BODY, f"the secret {blank!r}"),
                    f"accepts what anybody can send, since the account's secret is {blank!r}: use self.secrets().",
                )

    def test_no_header_may_be_missing(self) -> None:
        self.check(not self.accepts({}, about="no headers"), "accepts a delivery without any header.")
        sent = self.headers(self.new, BODY)
        for name in sent:
            rest = {other: value for other, value in sent.items() if other != name}
            self.check(
                self.accepts(rest, about=f"no {name}") is (name == self.optional_header),
                f"does not need {name}: raise WebhookRejected where it is missing, leave it out of headers(), or name "
                "it as optional_header. (Named so already, it must do without.)",
            )

    def test_the_case_of_a_headers_name_does_not_matter(self) -> None:
        for change in (str.upper, str.lower, str.title):
            headers = {change(name): value for name, value in self.headers(self.new, BODY).items()}
            self.check(
                self.accepts(headers, about="header names in another case"),
                "knows its headers in one case only, and servers change that: ask delivery.headers.get(name).",
            )

    def test_a_body_that_was_changed_is_refused(self) -> None:
        changed = [BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :] for at in range(len(BODY))]
        changed += [BODY + b"\n", BODY[:-1], b" " + BODY, b""]
        accepted = [
            body
            for body in changed
            if self.accepts(self.headers(self.new, BODY), body, about=f"the body {body!r}")
        ]
        if not self.signs_the_body:
            self.check(accepted == changed, "does look at the body: leave signs_the_body as it was.")
            return
        self.check(
            not accepted,
            f"accepts the bodies {accepted!r}, and another one was signed: sign delivery.body, all its bytes. If it "
            "proves the sender alone, set signs_the_body = False, and have senders use https.",
        )

    def test_a_damaged_header_is_refused(self) -> None:
        sent = self.headers(self.new, BODY)
        for name, value in sent.items():
            for damage, damaged in _damages(value).items():
                may_be_missing = name == self.optional_header and not damaged.strip()
                self.check(
                    self.accepts({**sent, name: damaged}, about=f"a {name} {damage}") is may_be_missing,
                    f"accepts a {name} {damage}: compare the whole of it.",
                )

    def test_nothing_breaks_it(self) -> None:
        sent = self.headers(self.new, BODY)
        for rubbish in _RUBBISH:
            self.check(
                not self.accepts(dict.fromkeys(sent, rubbish), about=f"headers of {rubbish[:20]!r}"),
                f"accepts {rubbish[:20]!r} in all its headers.",
            )
            for name, value in sent.items():
                for text in (rubbish, value + rubbish, rubbish + value):
                    # Accepted or not, as long as it does not break: a blank or a sign more may be harmless.
                    self.accepts({**sent, name: text}, b"\xff\x00", about=f"a {name} with {rubbish[:20]!r}")

    def test_a_refusal_quotes_nothing_of_what_was_sent(self) -> None:
        from business_os_banking.webhooks.verifiers import WebhookRejected

        for headers in (
            self.headers(self.foreign, BODY),
            dict.fromkeys(self.headers(self.new, BODY), "Bearer marker"),
        ):
            try:
                self.made(self.account(self.new)).verify(self.delivery(headers, b"marker"))
            except WebhookRejected as rejection:
                sent = [text for text in ("marker", *headers.values()) if len(text) > SHORT]
                self.check(
                    not any(text in str(rejection) for text in sent),
                    "quotes in its WebhookRejected what was sent, and that goes to the log: do not.",
                )

    def test_secrets_are_compared_in_constant_time(self) -> None:
        if not self.compares_secrets:
            return
        headers = self.headers(self.new, BODY)
        with _counted_comparisons() as equal:
            self.accepts(headers)
        self.check(
            any(equal),
            "accepts without hmac.compare_digest. == and in stop at the first difference, and how long they took tells "
            "a stranger how much was right: compare with hmac.compare_digest(sent, expected), both as bytes. If no "
            "secret is compared (a public key, say), set compares_secrets = False.",
        )

    def test_what_it_signs_it_accepts(self) -> None:
        """For `banking_doctor`, whose self-test must go the way of a real delivery."""
        if not self.compares_secrets:
            return
        signed = self.made(self.account(self.new, self.old)).sign(BODY, self.now)
        if signed is None:
            return
        self.check(
            self.accepts(signed, secrets=(self.new,)) and not self.accepts(signed, secrets=(self.old,)),
            "does not accept what its own sign() has signed, or has signed with an old secret: sign with "
            "self.secrets()[0], in the way that verify() expects.",
        )


def _damages(value: str) -> dict[str, str]:
    """Return what a header's value must not be taken for any more."""
    # Not one of the last characters: what they are may not matter in base64.
    at = max(len(value) - 8, 0)
    return {
        "that is empty": "",
        "of blanks": " \t ",
        "that was cut in half": value[: len(value) // 2],
        "with one character changed": value[:at] + ("A" if value[at] not in "aA" else "B") + value[at + 1 :],
        "of the right length and nothing else": "A" * len(value),
    }


@contextmanager
def _counted_comparisons() -> Iterator[list[bool]]:
    """Give a list that fills with what each `hmac.compare_digest` says, whatever name a module has for it."""
    from unittest import mock

    equal: list[bool] = []
    original = hmac.compare_digest

    def counted(a: Any, b: Any) -> bool:
        equal.append(original(a, b))
        return equal[-1]

    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            names = [name for name, value in getattr(module, "__dict__", {}).items() if value is original]
            for name in names:
                stack.enter_context(mock.patch.object(module, name, counted))
        yield equal
