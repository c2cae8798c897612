"""What the app's own verifiers must keep to: the contract that hosts have for theirs, and what is stricter than that.

A subclass of `Contract` says how its sender signs, and with what; a "secret" may as well be a key, or an address.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils.datastructures import CaseInsensitiveMapping

from business_os_banking.conf import Account, make_account
from business_os_banking.testing import VerifierContract
from business_os_banking.testing.verifier_case import BODY, FOREIGN, NEW, OLD
from business_os_banking.webhooks.verifiers import Delivery

__all__ = ["BODY", "FOREIGN", "NEW", "NOW", "OLD", "Contract", "SecretContract", "account", "delivery"]

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


class Contract(VerifierContract):
    """Of what was sent, nothing may be changed at all, be it harmless or not."""

    now = NOW
    padding = ""  # what a signature may lack at its end
    takes_several_in = ""  # the header that may hold several signatures, separated by blanks

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        raise NotImplementedError

    def test_blanks_around_a_header_do_not_matter(self) -> None:
        assert self.accepts({name: f" \t{value} " for name, value in self.headers(self.new).items()})

    def test_a_body_that_was_changed_by_one_byte_is_refused(self) -> None:
        """Whichever of its bits it is."""
        sent = self.headers(self.new)
        changed = [
            BODY[:at] + bytes([BODY[at] ^ 1 << bit]) + BODY[at + 1 :]
            for at in range(len(BODY))
            for bit in range(8)
        ]
        assert {self.accepts(sent, body) for body in changed} == {not self.signs_the_body}

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_header_with_any_damage_is_refused(self, damage: str) -> None:
        sent = self.headers(self.new)
        for name, value in sent.items():
            damaged = DAMAGES[damage](value)
            left = damaged.strip(" \t")
            is_whole = left in {value, value.removesuffix(self.padding)}
            harmless = is_whole or (not left and name == self.optional_header)
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

    def test_it_can_sign(self) -> None:
        """For `banking_doctor`, whose self-test must go the way of a real delivery."""
        assert self.verifier(self.account(NEW)).sign(BODY, NOW)

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
