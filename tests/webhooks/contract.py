"""What every verifier must keep to, and what its tests have in common.

A subclass of `Contract` says how its sender signs, and with what; a "secret" may as well be a key, or an address.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils.datastructures import CaseInsensitiveMapping

from business_os_banking.conf import Account, make_account
from business_os_banking.webhooks.verifiers import Delivery, Verifier, WebhookRejected

NEW, OLD, FOREIGN = ("whsec_" + base64.b64encode(name * 8).decode() for name in (b"new-", b"old-", b"not-"))
BODY = b'{"data": {"stage": "finish"}, "text": "\xc3\xa4"}'
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FULL_WIDTH = {ord(char): ord(char) + 0xFEE0 for char in "0123456789abcdefABCDEF"}

# What may become of a header's value on its way, or in the hands of somebody who tries.
DAMAGES: dict[str, Callable[[str], str]] = {
    "empty": lambda value: "",
    "blanks": lambda value: " \t ",
    "too short": lambda value: value[:-1],
    "longer": lambda value: value + "A",
    "longer in front": lambda value: "A" + value,
    "padded inside": lambda value: value[:8] + "=" + value[8:],
    "one character changed": lambda value: ("A" if value[0] != "A" else "B") + value[1:],
    "doubled": lambda value: value * 2,
    "quoted": lambda value: f'"{value}"',
    "with a line break at its end": lambda value: value + "\n",
    "with a line break inside": lambda value: f"{value[:-3]}\n{value[-3:]}",
    "with a blank inside": lambda value: f"{value[:-3]} {value[-3:]}",
    "with a NUL": lambda value: value + "\x00",
    "with a NUL in front": lambda value: "\x00" + value,
    "with a semicolon": lambda value: value + ";",
    "in hex once more": lambda value: value.encode().hex(),
    "in full-width characters": lambda value: value.translate(FULL_WIDTH),
    "with a Latin-1 character": lambda value: value + "é",
    "with a character of four bytes": lambda value: value + "😀",
    "with half a character": lambda value: value + "\ud800",
    "a mere prefix": lambda value: "sha256=",
    "a mere version": lambda value: "v1,",
    "a mere scheme": lambda value: "Bearer",
    "a broken scheme": lambda value: "Basic !",
    "enormous": lambda value: value + "A" * 60_000,
}


def account(*secrets: str) -> Account:
    return make_account("default", {"WEBHOOK_SECRETS": list(secrets)})


def delivery(headers: Mapping[str, str], body: bytes = BODY, url_secret: str = "") -> Delivery:
    return Delivery(
        body=body, headers=CaseInsensitiveMapping(dict(headers)), url_secret=url_secret, received_at=NOW
    )


class Contract:
    """What every verifier must keep to."""

    verifier: type[Verifier]
    new, old, foreign = NEW, OLD, FOREIGN
    signs_the_body = True
    takes_several_in = ""  # the header that may hold several signatures, separated by blanks
    optional = ""  # the header that may be missing

    def account(self, *secrets: str) -> Account:
        return account(*secrets)

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        raise NotImplementedError

    def accepts(
        self, headers: Mapping[str, str], body: bytes = BODY, secrets: tuple[str, ...] | None = None
    ) -> bool:
        known = (self.new, self.old) if secrets is None else secrets
        try:
            self.verifier(self.account(*known)).verify(delivery(headers, body))
        except WebhookRejected as rejection:
            assert not any(secret in str(rejection) for secret in (NEW, OLD, FOREIGN))
            return False
        return True

    def test_the_secret_is_accepted(self) -> None:
        assert self.accepts(self.headers(self.new))
        assert self.accepts(self.headers(self.new, b""), b"")

    def test_during_a_rotation_the_new_and_the_old_secret_are_both_accepted(self) -> None:
        """The promise: add the new secret first, change the sender, then take the old one away."""
        assert self.accepts(self.headers(self.old))
        assert self.accepts(self.headers(self.new), secrets=(self.old, self.new))
        assert self.accepts(self.headers(self.old), secrets=(self.old, self.new))
        assert not self.accepts(self.headers(self.old), secrets=(self.new,))
        assert not self.accepts(self.headers(self.new), secrets=(self.old,))

    def test_a_foreign_secret_is_refused(self) -> None:
        assert not self.accepts(self.headers(self.foreign))

    def test_a_refusal_quotes_nothing_of_what_was_sent(self) -> None:
        verifier = self.verifier(self.account(self.new))
        for sent in (self.headers(self.foreign), dict.fromkeys(self.headers(self.new), "Bearer marker")):
            with pytest.raises(WebhookRejected) as refused:
                verifier.verify(delivery(sent, b"marker"))
            assert "marker" not in str(refused.value)
            assert not any(value in str(refused.value) for value in sent.values() if len(value) > 5)

    def test_nothing_is_accepted_where_there_is_no_secret(self) -> None:
        assert not self.accepts(self.headers(self.new), secrets=())

    def test_no_header_may_be_missing(self) -> None:
        sent = self.headers(self.new)
        assert not self.accepts({})
        for name in sent:
            rest = {other: value for other, value in sent.items() if other != name}
            assert self.accepts(rest) is (name == self.optional)

    def test_the_case_of_headers_does_not_matter(self) -> None:
        for change in (str.upper, str.lower, str.title):
            assert self.accepts({change(name): value for name, value in self.headers(self.new).items()})

    def test_blanks_around_a_header_do_not_matter(self) -> None:
        assert self.accepts({name: f" \t{value} " for name, value in self.headers(self.new).items()})

    def test_a_body_that_was_changed_by_one_byte_is_refused(self) -> None:
        changed = [BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :] for at in range(len(BODY))]
        changed += [BODY + b"\n", BODY[:-1], b" " + BODY, b""]
        accepted = [self.accepts(self.headers(self.new), body) for body in changed]
        assert accepted == [not self.signs_the_body] * len(changed)

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_header_is_refused(self, damage: str) -> None:
        sent = self.headers(self.new)
        for name, value in sent.items():
            damaged = DAMAGES[damage](value)
            left = damaged.strip(" \t")
            harmless = left == value or (not left and name == self.optional)
            assert self.accepts({**sent, name: damaged}) is harmless

    @pytest.mark.parametrize("between", [",", ", ", " ", "; "])
    def test_a_header_that_was_sent_twice_is_refused(self, between: str) -> None:
        """Servers join what was sent twice; proxies may have looked at the one, and the application at the other."""
        mine, other = self.headers(self.new), self.headers(self.foreign)
        for name in set(mine) - {self.takes_several_in}:
            for pair in ((mine, mine), (mine, other), (other, mine)):
                both = between.join(headers[name] for headers in pair)
                assert not self.accepts({**mine, name: both})

    def test_several_signatures_in_one_header(self) -> None:
        mine, other, name = self.headers(self.new), self.headers(self.foreign), self.takes_several_in
        for name in mine:
            for values in ([other[name], mine[name]], [mine[name], other[name]]):
                accepted = self.accepts({**mine, name: " ".join(values)})
                assert accepted is (name == self.takes_several_in)


class SecretContract(Contract):
    """What those verifiers must keep to that compare something with a secret, or with what is made of one."""

    def comparisons(self, monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str], *secrets: str) -> int:
        """Return how many comparisons in constant time a delivery costs."""
        made: list[bool] = []
        compare = hmac.compare_digest

        def counted(a: Any, b: Any) -> bool:
            made.append(compare(a, b))
            return made[-1]

        with monkeypatch.context() as patch:
            patch.setattr(hmac, "compare_digest", counted)
            self.accepts(headers, secrets=secrets)
        return len(made)

    def test_what_it_signs_itself_it_accepts_and_with_the_newest_secret(self) -> None:
        """For `banking_doctor`, whose self-test must go the way of a real delivery."""
        headers = self.verifier(self.account(NEW, OLD)).sign(BODY, NOW)
        assert headers is not None
        assert self.accepts(headers, secrets=(NEW,))
        assert not self.accepts(headers, secrets=(OLD,))

    def test_all_secrets_are_compared_whichever_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.comparisons(monkeypatch, self.headers(NEW), NEW, OLD, FOREIGN)
        last = self.comparisons(monkeypatch, self.headers(NEW), FOREIGN, OLD, NEW)
        none = self.comparisons(monkeypatch, self.headers(NEW), OLD, FOREIGN, OLD)
        assert first == last >= 3
        assert none >= first

    def test_what_a_stranger_can_make_us_compare_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bad = self.headers(FOREIGN)
        for name, value in bad.items():
            for many in (value + " " + value * 5000, " ".join([value] * 5000), ",".join([value] * 5000)):
                assert self.comparisons(monkeypatch, {**bad, name: many}, NEW, OLD) <= 40

    @pytest.mark.parametrize("nothing", ["", " ", "\t", "whsec_", " whsec_ "])
    def test_a_secret_with_nothing_in_it_proves_nothing(self, nothing: str) -> None:
        bare = Account(**{**vars_of(account(NEW)), "webhook_secrets": (nothing,)})
        assert not self.verifier(bare).is_configured()
        for secret in (nothing, nothing.strip()):
            with pytest.raises(WebhookRejected):
                self.verifier(bare).verify(delivery(self.headers_of_bytes(secret)))

    def headers_of_bytes(self, secret: str) -> dict[str, str]:
        """Return what a sender would send whose secret is *secret*, which holds no key."""
        return self.headers(secret)


def vars_of(known: Account) -> dict[str, Any]:
    return {name: getattr(known, name) for name in known.__slots__}
