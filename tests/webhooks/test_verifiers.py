"""Each verifier accepts what a holder of a secret sends, and nothing else, whatever the bytes."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import inspect
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from business_os_banking.conf import make_account
from business_os_banking.webhooks import verifiers
from business_os_banking.webhooks.verifiers import (
    MAX_SIGNATURES,
    HMACSignature,
    SharedSecret,
    StandardWebhooks,
    Verifier,
    WebhookRejected,
    whsec_key,
)
from tests.webhooks import test_saltedge
from tests.webhooks.contract import (
    BODY,
    FOREIGN,
    NEW,
    NOW,
    OLD,
    Contract,
    SecretContract,
    account,
    delivery,
)

UMLAUT = "ein-schlüssel-für-alle"


def as_wsgi(text: str) -> str:
    """Return what a server makes of a header that was sent in UTF-8."""
    return text.encode().decode("latin-1")


class TestSharedSecretHeader(SecretContract):
    verifier = SharedSecret
    signs_the_body = False

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"X-Webhook-Secret": secret}

    @pytest.mark.parametrize("sent", [UMLAUT, as_wsgi(UMLAUT)], ids=["Latin-1", "UTF-8"])
    def test_a_secret_may_be_sent_in_utf_8_and_in_latin_1(self, sent: str) -> None:
        assert self.accepts(self.headers(sent), secrets=(UMLAUT,))
        assert not self.accepts(self.headers(sent), secrets=(UMLAUT.replace("ü", "u"), UMLAUT + "ü"))
        assert not self.accepts(self.headers(sent[:-1]), secrets=(UMLAUT,))

    def test_no_character_stands_for_another(self) -> None:
        for secret in ("what?is?it", "what\ufffdis\ufffdit", r"what\u20acis\u20acit"):
            for sent in ("what\ud800is\ud800it", "what€is€it", "what\x81is\x81it"):
                assert not self.accepts(self.headers(sent), secrets=(secret,))


class TestBearer(TestSharedSecretHeader):
    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"Authorization": f"Bearer {secret}"}

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
    def test_the_case_of_the_scheme_does_not_matter(self, scheme: str) -> None:
        assert self.accepts({"Authorization": f"{scheme}  {NEW}"})

    @pytest.mark.parametrize(
        "value", [NEW, f"Token {NEW}", f"Bearer{NEW}", f"Bearer\t{NEW}", f"Bearer, {NEW}"]
    )
    def test_another_scheme_is_refused(self, value: str) -> None:
        assert not self.accepts({"Authorization": value})


class TestBasic(TestSharedSecretHeader):
    user = "anybody"

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        text = f"{self.user}:{secret}"
        sent = text.encode("latin-1" if max(text) < "\u0100" else "utf-8", "surrogatepass")
        return {"Authorization": "Basic " + base64.b64encode(sent).decode()}


class TestBasicWithoutAUser(TestBasic):
    user = ""


def test_the_user_of_basic_authentication_proves_nothing() -> None:
    sent = base64.b64encode(f"{NEW}:".encode()).decode()
    with pytest.raises(WebhookRejected, match="no secret"):
        SharedSecret(account(NEW)).verify(delivery({"Authorization": f"Basic {sent}"}))


class TestHMACHex(SecretContract):
    verifier = HMACSignature

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {"X-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}

    def test_any_text_is_a_key(self) -> None:
        assert self.accepts(self.headers(UMLAUT), secrets=(UMLAUT,))


class TestHMACInCapitals(TestHMACHex):
    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {name: value.upper() for name, value in super().headers(secret, body).items()}


class TestHMACWithPrefix(TestHMACHex):
    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return {name: f"sha256={value}" for name, value in super().headers(secret, body).items()}


class TestHMACBase64(SecretContract):
    verifier = HMACSignature
    padding = "="

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {"X-Signature": base64.b64encode(digest).decode()}

    def test_the_alphabet_for_addresses_is_as_good(self) -> None:
        """Senders disagree: base64, base64url, and either without its padding."""
        for number in range(50):
            body = str(number).encode()
            text = self.headers(NEW, body)["X-Signature"]
            for other in (text, text.translate(str.maketrans("+/", "-_"))):
                assert self.accepts({"X-Signature": other}, body)
                assert self.accepts({"X-Signature": other.rstrip("=")}, body)
                assert not self.accepts({"X-Signature": other}, body + b"1")

    @pytest.mark.parametrize("prefix", ["sha256=", "SHA256=", "Sha256="])
    def test_a_prefix_in_any_case(self, prefix: str) -> None:
        assert self.accepts({"X-Signature": prefix + self.headers(NEW)["X-Signature"]})

    @pytest.mark.parametrize("prefix", ["sha256=sha256=", "sha1=", "sha512=", "sha256:", "sha256"])
    def test_no_other_prefix(self, prefix: str) -> None:
        assert not self.accepts({"X-Signature": prefix + self.headers(NEW)["X-Signature"]})


class TestStandardWebhooks(SecretContract):
    """Against the signatures of the `standardwebhooks` library."""

    verifier = StandardWebhooks
    family = "webhook"
    other_family = "svix"
    takes_several_in = "webhook-signature"

    def sign(self, secret: str, message_id: str, moment: datetime, body: bytes) -> str:
        return Webhook(secret).sign(message_id, moment, body.decode())

    def headers(self, secret: str, body: bytes = BODY) -> dict[str, str]:
        return self.at(NOW, secret, body)

    def at(
        self, moment: datetime, secret: str = NEW, body: bytes = BODY, message_id: str = "msg_1"
    ) -> dict[str, str]:
        return {
            f"{self.family}-id": message_id,
            f"{self.family}-timestamp": str(int(moment.timestamp())),
            f"{self.family}-signature": self.sign(secret, message_id, moment, body),
        }

    def with_blank_secret(self, blank: str) -> list[dict[str, str]]:
        digest = hmac.new(b"", f"msg_1.{NOW.timestamp():.0f}.".encode() + BODY, hashlib.sha256).digest()
        signature = "v1," + base64.b64encode(digest).decode()
        return [{**self.headers(NEW), f"{self.family}-signature": signature}]

    def test_only_v1_signatures_count(self) -> None:
        good, name = self.headers(NEW), f"{self.family}-signature"
        for version in ("v1a", "v2", "V1", "", "v1 ", "v", "1"):
            assert not self.accepts({**good, name: f"{version},{good[name].removeprefix('v1,')}"})
        assert self.accepts({**good, name: f"v1a,abc {good[name]} v2,abc nonsense"})

    def test_so_many_signatures_and_no_more(self) -> None:
        good, name = self.headers(NEW), f"{self.family}-signature"
        bad = " ".join([self.headers(FOREIGN)[name]] * (MAX_SIGNATURES - 1))
        assert self.accepts({**good, name: f"{bad} {good[name]}"})
        assert not self.accepts({**good, name: f"{bad} v1, {good[name]}"})

    @pytest.mark.parametrize(
        ("seconds", "fresh"),
        [(-301, False), (-300, True), (300, True), (301, False), (-86_400, False), (86_400, False)],
    )
    def test_a_timestamp_more_than_five_minutes_off_is_refused(self, seconds: int, fresh: bool) -> None:
        moment = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)
        assert self.accepts(self.at(moment)) is fresh

    @pytest.mark.parametrize(
        "form", ["+{}", "-{}", "{}.0", "{}e0", "{} ", "0x{:x}", "{:_}", "{}0" + "0" * 400]
    )
    def test_a_timestamp_is_digits_and_no_more_than_a_dozen(self, form: str) -> None:
        """Whatever it is that was signed."""
        sent = form.format(int(NOW.timestamp()))
        key = whsec_key(NEW)
        assert key
        digest = hmac.new(key, f"msg_1.{sent}.".encode() + BODY, hashlib.sha256).digest()
        headers = {
            **self.headers(NEW),
            f"{self.family}-timestamp": sent,
            f"{self.family}-signature": "v1," + base64.b64encode(digest).decode(),
        }
        assert not self.accepts(headers)
        assert not self.accepts({**headers, f"{self.family}-timestamp": "١٧٩٥٣٤٨٨٠٠"})

    def test_the_id_is_signed(self) -> None:
        assert not self.accepts({**self.headers(NEW), f"{self.family}-id": "msg_2"})

    def test_an_id_is_any_text(self) -> None:
        sent = self.at(NOW, message_id="msg_ü-1.2")
        assert self.accepts({name: as_wsgi(value) for name, value in sent.items()})

    def test_a_secret_without_the_prefix_is_not_a_key_of_this_scheme(self) -> None:
        plain = NEW.removeprefix("whsec_")
        assert not self.accepts(self.headers(NEW), secrets=(plain, "whsec_not base64"))

    @pytest.mark.parametrize("length", [24, 25, 26, 32, 64])
    def test_keys_of_any_length_with_and_without_their_padding(self, length: int) -> None:
        padded = "whsec_" + base64.b64encode(b"\xfbkey?" * 20)[: -(-length // 3) * 4].decode()
        secret = "whsec_" + base64.b64encode((b"\xfbkey?" * 20)[:length]).decode()
        assert len(padded) == len(secret)
        for written in (secret, secret.rstrip("="), f" {secret}\n"):
            assert self.accepts(self.headers(secret), secrets=(written,))
            assert self.accepts(self.headers(secret.rstrip("=")), secrets=(written,))

    def test_headers_of_two_families_are_a_mixture_and_refused(self) -> None:
        mine = self.headers(NEW)
        theirs = {name.replace(self.family, self.other_family): value for name, value in mine.items()}
        assert self.accepts(theirs)
        assert not self.accepts({**mine, **theirs})
        for name in mine:
            other = name.replace(self.family, self.other_family)
            assert not self.accepts({**mine, other: theirs[other]})
            assert not self.accepts({**{n: v for n, v in mine.items() if n != name}, other: theirs[other]})


class TestSvix(TestStandardWebhooks):
    """Against the signatures of the `svix` library; its headers bear its name unless a customer pays for others."""

    family = "svix"
    other_family = "webhook"
    takes_several_in = "svix-signature"

    def sign(self, secret: str, message_id: str, moment: datetime, body: bytes) -> str:
        return SvixWebhook(secret).sign(message_id, moment, body.decode())


def test_what_these_libraries_accept_is_what_they_signed() -> None:
    """So that the two test classes above do not agree with us alone."""
    now = datetime.now(UTC)
    for webhook, family in ((Webhook(NEW), "webhook"), (SvixWebhook(NEW), "svix")):
        case = TestSvix() if family == "svix" else TestStandardWebhooks()
        webhook.verify(BODY, case.at(now))


CASES: list[Contract] = [
    *(TestSharedSecretHeader(), TestBearer(), TestBasic(), TestHMACHex(), TestHMACBase64()),
    *(
        TestStandardWebhooks(),
        TestSvix(),
        test_saltedge.TestSaltEdgeKeys(),
        test_saltedge.TestSaltEdgeAddresses(),
    ),
]
VALUES = st.text() | st.binary().map(lambda b: b.decode("latin-1")) | st.binary().map(lambda b: b.hex())
VALUES |= st.binary().map(lambda b: base64.b64encode(b).decode())
VALUES |= st.sampled_from(["Bearer ", "Basic ", "v1,", "sha256="]).flatmap(lambda s: st.text().map(s.__add__))


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case).__name__)
@given(values=st.lists(VALUES, min_size=3, max_size=3), body=st.binary())
def test_no_input_raises_anything_but_a_rejection(case: Contract, values: list[str], body: bytes) -> None:
    headers = dict(zip(case.headers(case.new), values, strict=False))
    assert not case.accepts(headers, body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case).__name__)
@given(data=st.data())
def test_no_part_of_a_good_delivery_can_be_left_out_or_changed(case: Contract, data: st.DataObject) -> None:
    good = case.headers(case.new)
    name = data.draw(st.sampled_from(sorted(good)))
    value = data.draw(VALUES.filter(lambda text: text.strip() != good[name]))
    # Where there is no version, every key is tried; the scheme and hex digits may be in either case.
    told = value.strip(" \t").lower() == good[name].lower() or (name, value.strip(" \t")) == (
        "Signature-key-version",
        "",
    )
    assert told or not case.accepts({**good, name: value})


def test_nothing_secret_is_compared_with_an_operator() -> None:
    """`==` and `in` stop at the first difference: what they are used for here is no secret."""
    compared = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(inspect.getsource(verifiers)))
        if isinstance(node, ast.Compare)
        and any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
    }
    assert compared == {
        "scheme.lower() == 'bearer'",
        "scheme.lower() == 'basic'",
        "version == 'v1'",
        "version not in keys",
        "saltedge.customer_of(delivery.body) not in customers",
    }


def test_a_secret_in_the_url_is_accepted_and_a_wrong_one_is_not() -> None:
    for secret in ("plain-secret", UMLAUT):
        verifier = SharedSecret(account(OLD, secret))
        verifier.verify(delivery({}, url_secret=secret))
        for wrong in (secret + "-", secret[:-1], secret.upper(), as_wsgi(secret) + "?", "\ud800", "x" * 9999):
            with pytest.raises(WebhookRejected):
                verifier.verify(delivery({}, url_secret=wrong))


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


def test_each_verifier_knows_whether_it_is_configured() -> None:
    assert SharedSecret(account("plain")).is_configured()
    assert HMACSignature(account("plain")).is_configured()
    assert StandardWebhooks(account(NEW)).is_configured()
    assert not StandardWebhooks(account("plain", "whsec_not base64")).is_configured()
    assert not SharedSecret(account()).is_configured()


@pytest.mark.parametrize(
    "text", ["", "plain", "whsec_", "whsec_A", "whsec_=", "whsec_ä", "whsec_a-_b", "whsec_AA\nAA"]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert whsec_key(text) is None


def test_a_delivery_shows_no_secret() -> None:
    shown = repr(delivery({"X-Webhook-Secret": NEW}, url_secret=OLD))
    assert NEW not in shown
    assert OLD not in shown
