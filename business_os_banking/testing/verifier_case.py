"""How a verifier is asked, and what it must never do, whatever it is asked."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from business_os_banking.conf import Account
    from business_os_banking.webhooks.verifiers import Delivery, Verifier

# Blanks and letters beyond ASCII: whoever verifies a parsed or a decoded body, and not the raw one, shows it here.
BODY: Final = b'{"data": {"stage": "finish"}, "text": "\xc3\xa4"}'
NEW, OLD, FOREIGN = ("whsec_" + base64.b64encode(name * 8).decode() for name in (b"new-", b"old-", b"not-"))
SHORT: Final = 5  # characters; a text as short as that may stand in a message by accident


class VerifierCase:
    """One verifier, with what its senders do. See `VerifierContract`, which has the tests."""

    # --- You give ----------------------------------------------------------------------------------------

    verifier: type[Verifier]

    def headers(self, secret: str, body: bytes) -> dict[str, str]:
        """Return the headers with which a sender who holds *secret* proves *body* at the time `now`."""
        signed = self.made(self.account(secret)).sign(body, self.now)
        if signed is None:
            raise AssertionError(
                f"{self.name} has no sign(), so the contract does not know how its senders prove themselves: "
                "write a method headers(self, secret, body) that returns their headers."
            )
        return signed

    # --- You may -----------------------------------------------------------------------------------------

    # Three secrets: two that the account knows, and one that it does not.
    new, old, foreign = NEW, OLD, FOREIGN
    # Whether the headers prove the body, too, and not the sender alone.
    signs_the_body: bool = True
    # Whether something secret is compared: not so for the signature of a public key.
    compares_secrets: bool = True
    # A header that is sent, but may be missing.
    optional_header: str = ""

    def account(self, *secrets: str) -> Account:
        """Return an account that knows *secrets*, the newest first."""
        from business_os_banking.conf import make_account

        return make_account("default", {"WEBHOOK_SECRETS": list(secrets)})

    @cached_property
    def now(self) -> datetime:
        """The time at which everything is sent and received."""
        return datetime.now(UTC)

    # --- Leave alone -------------------------------------------------------------------------------------

    def delivery(self, headers: Mapping[str, str], body: bytes = BODY) -> Delivery:
        """Return what the verifier is asked about when *headers* and *body* arrive."""
        from django.utils.datastructures import CaseInsensitiveMapping

        from business_os_banking.webhooks.verifiers import Delivery

        return Delivery(body=body, headers=CaseInsensitiveMapping(dict(headers)), received_at=self.now)

    def accepts(
        self,
        headers: Mapping[str, str],
        body: bytes = BODY,
        secrets: tuple[str, ...] | None = None,
        *,
        about: str = "a delivery",
    ) -> bool:
        """Return whether the verifier accepts what arrives for an account with *secrets* (by default, new and old).

        Raises `AssertionError` where it neither returns nothing nor raises `WebhookRejected`, or says a secret.
        """
        known = (self.new, self.old) if secrets is None else secrets
        return self.is_accepted(self.made(self.account(*known)), headers, body, about)

    def is_accepted(self, verifier: Verifier, headers: Mapping[str, str], body: bytes, about: str) -> bool:
        """Return whether *verifier* accepts; as `accepts` in all else."""
        from business_os_banking.webhooks.verifiers import WebhookRejected

        verify: Callable[[Delivery], Any] = verifier.verify
        try:
            answer = verify(self.delivery(headers, body))
        except WebhookRejected as rejection:
            secrets = [one for one in (self.new, self.old, self.foreign) if len(one) > SHORT]
            is_silent = not any(one in str(rejection) for one in secrets)
            self.check(is_silent, "says a secret in its WebhookRejected, and that goes to the log: do not.")
            return False
        except Exception as error:
            raise AssertionError(
                f"{self.name} raised {type(error).__name__} at {about}: {error}. It must raise WebhookRejected, and "
                "nothing else, for all that it does not accept: catch what decoding and comparing can raise."
            ) from error
        self.check(
            answer is None,
            f"returned {answer!r} at {about}. It must return nothing where it accepts, and raise WebhookRejected for "
            "all else: one that returns something accepts nothing.",
        )
        return True

    def with_blank_secret(self, blank: str) -> list[dict[str, str]]:
        """Return what somebody would send who holds the secret *blank*, as far as that can be."""
        try:
            return [self.headers(blank, BODY)]
        except Exception:  # noqa: BLE001 - the host's own code, which need not do this
            return []

    def made(self, account: Account) -> Verifier:
        """Return the verifier as it is made for one delivery."""
        if not hasattr(self, "verifier"):
            raise AssertionError(
                "The contract does not know your verifier: write verifier = YourVerifier in the class."
            )
        return self.verifier(account)

    def check(self, is_kept: bool, problem: str) -> None:
        """Raise `AssertionError` with *problem*, which says what to do, unless the rule *is_kept*."""
        if not is_kept:
            raise AssertionError(f"{self.name} {problem}")

    @property
    def name(self) -> str:
        return self.verifier.__name__
