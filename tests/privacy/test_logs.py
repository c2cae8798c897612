"""The filter for handlers: it masks what it should, leaves the rest alone, and never stands in the way of a line."""

from __future__ import annotations

import io
import logging
import logging.config
import random
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings
from django.urls import resolve

from business_os_banking.logs import MaskedReporter, MaskSecrets, masked
from business_os_banking.upstream import masking
from tests.docs.pages import samples
from tests.privacy.journey import BANKING
from tests.privacy.markers import API_KEY, SECRETS, iban

IBAN = iban(4711)
SPACED = " ".join(IBAN[i : i + 4] for i in range(0, len(IBAN), 4))
TOKEN = "8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f"
IN_ADDRESS = "MARKERsecret%2Bin%3Dthe%26address-0123456789"

MASKED: dict[str, tuple[str, str]] = {
    "key": (f"key {API_KEY} is wrong", "key *** is wrong"),
    "webhook secret": (f"secret is {SECRETS[0]}", "secret is ***"),
    "secret in an address": (f"POST /a/{IN_ADDRESS}/", "POST /a/***/"),
    "webhook": (
        '"POST /any/prefix/webhook/default/not-in-the-settings/ HTTP/1.1" 200 0',
        '"POST /any/prefix/webhook/default/*** HTTP/1.1" 200 0',
    ),
    "webhook, with a slash in it": ("/webhook/berlin-2/a/b/c/?x=1", "/webhook/berlin-2/***?x=1"),
    "connect URL": (
        "https://www.saltedge.com/connect?token=GAGjOTMTIyR0mMPqa&locale=de",
        "https://www.saltedge.com/connect?token=***&locale=de",
    ),
    "encoded": ("/x?next=%2Fc%3Ftoken%3Dabcdef%26a%3D1", "/x?next=%2Fc%3Ftoken%3D***%26a%3D1"),
    "secret of a return": ("/return/1/?connection_secret=abc", "/return/1/?connection_secret=***"),
    "mapping": ("{'access_token': 'abc', 'a': 1}", "{'access_token': '***', 'a': 1}"),
    "json": (f'{{"pending_token": "{TOKEN}"}}', '{"pending_token": "***"}'),
    "json in json": (r"\"api_key\": \"abc\"", r"\"api_key\": \"***\""),
    "uuid": (f"{{'pending_token': UUID('{TOKEN}')}}", "{'pending_token': UUID('***')}"),
    "token that starts as bytes do": ("?token=b1c2&a=1", "?token=***&a=1"),
    "argument": (f"Report(pending_token=UUID('{TOKEN}'))", "Report(pending_token=UUID('***'))"),
    "html": ("&#x27;token&#x27;: &#x27;abc&#x27;", "&#x27;token&#x27;: &#x27;***&#x27;"),
    "header": ("Authorization: Bearer abc.def", "Authorization: ***"),
    "headers": (
        "{'authorization': 'Basic dTpw', 'x-api-key': 'abc'}",
        "{'authorization': '***', 'x-api-key': '***'}",
    ),
    "header as a pair": ("putheader('X-Webhook-Secret', 'abc')", "putheader('X-Webhook-Secret', '***')"),
    "e-mail": ("for Ada.Müller+x@mail.kunde.example, please", "for ***, please"),
    "e-mail, encoded": ("/?q=ada%40kunde.example&a=1", "/?q=***&a=1"),
    "IBAN": (f"from {IBAN}.", "from ***."),
    "IBAN in groups": (f"from {SPACED} TO YOU", "from *** TO YOU"),
    "IBAN in small letters": (f"iban={IBAN.lower()}", "iban=***"),
    "IBAN in an address": (f"?iban={SPACED.replace(' ', '%20')}&x", "?iban=***&x"),
    "IBAN in a form": (f"?iban={SPACED.replace(' ', '+')}&x", "?iban=***&x"),
    "IBAN, encoded": (f"iban%3D{IBAN}%26", "iban%3D***%26"),
    "two of them": (f"{IBAN} to GB82WEST12345698765432", "*** to ***"),
}
LEFT_ALONE = [
    "Webhook for account default rejected: the secret is not one of WEBHOOK_SECRETS",
    "Webhook for account default rejected: no verifier is configured: set WEBHOOK_SECRETS",
    f'"GET /banking/return/{TOKEN}/?error_class=InvalidCredentials&connection_id=1111222233334444555 HTTP/1.1" 200 7',
    '"POST /banking/webhook/default/ HTTP/1.1" 403 0',
    f"Connect session {TOKEN} could not be opened: HTTP 401 ApiKeyNotFound",
    "DE00370400440000004711 is no IBAN, nor is " + IBAN[:-1] + ", nor " + IBAN + "1",
    "digest de22af0b11223344556677889900aabbccddeeff00112233445566778899aabb",
    "user@localhost, a@b, @decorator, price: 5 @ 3.20, package@1.2.3",
    "Unexpected tokens: 3",
    "",
]


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with override_settings(BUSINESS_OS_BANKING=BANKING):
        yield


@pytest.mark.parametrize("case", MASKED)
def test_what_is_secret_or_personal_is_masked_once_and_for_all(case: str) -> None:
    text, expected = MASKED[case]
    assert masked(text) == expected
    assert masked(masked(text)) == expected


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_neither_is_left_alone(text: str) -> None:
    assert masked(text) == text


def test_ids_are_not_taken_for_account_numbers() -> None:
    some = random.Random(7)
    ids = [uuid.UUID(int=some.getrandbits(128)) for _ in range(20_000)]
    ids_in_hex = [f"{some.getrandbits(64):016x}" for _ in range(20_000)]
    text = " ".join([*map(str, ids), *ids_in_hex])
    assert masking.masked(text) == text


# Examples of the IBAN registry (SWIFT), one for each shape of digits and letters.
@pytest.mark.parametrize(
    "number",
    ["NO9386011117947", "BE68539007547034", "GB29NWBK60161331926819", "FR1420041010050500013M02606"]
    + ["MT84MALT011000012345MTLCAST001S", "LC55HEMM000100010012001200023015", "CH9300762011623852957"],
)
def test_an_iban_of_any_country_is_one(number: str) -> None:
    assert masking.masked(f"({number})") == "(***)"
    wrong = number[:2] + f"{(int(number[2:4]) + 1) % 100:02d}" + number[4:]
    assert masking.masked(wrong) == wrong


class Atoms(dict[str, Any]):
    """As gunicorn's are: what is missing is a hyphen."""

    def __getitem__(self, key: str) -> Any:
        return super().get(key, "-")


def record_of(message: Any, *args: Any, **more: Any) -> logging.LogRecord:
    return logging.LogRecord(
        "any", logging.INFO, __file__, 1, message, args, more.pop("exc_info", None), **more
    )


def written(record: logging.LogRecord) -> str:
    assert MaskSecrets().filter(record) is True
    return logging.Formatter("%(message)s").format(record)


@pytest.mark.parametrize(
    ("message", "args", "expected"),
    [
        ("%s %d", (f"/?token={TOKEN}", 200), "/?token=*** 200"),
        ("%(r)s %(missing)s", (Atoms(r=f"/?token={TOKEN}"),), "/?token=*** -"),
        (f"key {API_KEY}: 100 %", (), "key ***: 100 %"),
        (ValueError("for ada@kunde.example"), (), "for ***"),
        ("%s", (ValueError(f"for {SPACED}"),), "for ***"),
        ("%r", ({"token": "abc"},), "{'token': '***'}"),
        ("%r", (f"{API_KEY}".encode(),), "b'***'"),
        ("%s@%s", ("ada", "kunde.example"), "***"),
        ("%s", (None,), "None"),
    ],
)
def test_message_and_arguments_are_masked(message: Any, args: tuple[Any, ...], expected: str) -> None:
    assert written(record_of(message, *args)) == expected


def test_arguments_that_a_formatter_takes_apart_keep_their_shape() -> None:
    given = ("127.0.0.1:1", "GET", f"/banking/webhook/default/{IN_ADDRESS}/", "1.1", 405)
    record = record_of('%s - "%s %s HTTP/%s" %d', *given)
    assert MaskSecrets().filter(record)
    assert isinstance(record.args, tuple)
    assert (record.args[:2], record.args[3:]) == (given[:2], given[3:])
    assert record.args[2] == "/banking/webhook/default/***"
    atoms = record_of("%(r)s", Atoms(r=f"?token={TOKEN}"))
    assert MaskSecrets().filter(atoms)
    assert isinstance(atoms.args, Atoms)


def test_a_record_without_secrets_is_not_touched() -> None:
    given = ("text", 1, None)
    record = record_of("%s %s %s", *given)
    before = dict(vars(record))
    assert MaskSecrets().filter(record)
    assert vars(record) == before


def raised(text: str, cause: str = "") -> Any:
    error = RuntimeError(text)
    error.__cause__ = ValueError(cause) if cause else None
    try:
        raise error
    except RuntimeError:
        return sys.exc_info()


def told_too_much() -> Any:
    return raised(f"/webhook/default/{IN_ADDRESS}/", cause=f"{API_KEY} for ada@kunde.example")


@pytest.mark.parametrize("formatted_before", [False, True])
def test_tracebacks_are_masked(formatted_before: bool) -> None:
    record = record_of("failed", exc_info=told_too_much(), sinfo=f"stack of {API_KEY}")
    if formatted_before:
        logging.Formatter().format(record)
    text = written(record)
    assert "Traceback" in text
    assert "ValueError: *** for ***" in text
    assert "RuntimeError: /webhook/default/***" in text
    assert "stack of ***" in text
    # Who looks at the exception itself still finds it.
    assert record.exc_info


def test_a_traceback_without_secrets_is_left_to_the_formatter() -> None:
    record = record_of("failed", exc_info=raised("harmless"))
    assert MaskSecrets().filter(record)
    assert record.exc_text is None


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("cannot be printed")


@pytest.mark.parametrize(
    "record", [record_of("%d", "no number"), record_of("%s", Unprintable()), record_of("%s %s", "one")]
)
def test_it_never_raises(record: logging.LogRecord) -> None:
    assert MaskSecrets().filter(record) is True


@pytest.mark.parametrize(
    "wrong",
    [None, "text", {"ACCOUNTS": 5}, {"ACCOUNTS": {"a": 5}}, {"ACCOUNTS": {"a": {"WEBHOOK_SECRETS": 5}}}]
    + [{"ACCOUNTS": {"a": {"API_KEY": None, "WEBHOOK_SECRETS": [None, 5, "short"]}}}],
)
def test_whatever_the_settings_are_the_rest_is_masked(wrong: Any) -> None:
    with override_settings(BUSINESS_OS_BANKING=wrong):
        assert written(record_of("short %s %s", "ada@kunde.example", SPACED)) == "short *** ***"


def test_a_key_is_masked_as_soon_as_it_is_set() -> None:
    new = "a-brand-new-key"
    assert masked(new) == new
    with override_settings(BUSINESS_OS_BANKING={"ACCOUNTS": {"default": {"API_KEY": new}}}):
        assert masked(f"x{new}x") == "x***x"


def test_long_texts_take_no_long_time() -> None:
    for text in ("a" * 50_000 + "@", "DE12" * 12_000, "a.a." * 12_000 + "@token", "authorization " * 4_000):
        assert masked(masked(text)) == masked(text)


# --- as the page says ---


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Log as the sample of docs/privacy.md says, and give back what the console shows."""
    [sample] = [item for item in samples() if item.page == "privacy.md"]
    made: dict[str, Any] = {}
    exec(sample.code, made)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    touched = [root, *map(logging.getLogger, made["LOGGING"]["loggers"])]
    before = [(item, item.level, item.propagate, list(item.handlers)) for item in touched]
    logging.config.dictConfig(made["LOGGING"])
    yield stream
    for item, level, propagate, handlers in before:
        item.setLevel(level)
        item.propagate = propagate
        item.handlers = handlers


def test_the_sample_of_the_page_masks_what_web_servers_and_django_log(output: io.StringIO) -> None:
    path = f"/banking/webhook/default/{IN_ADDRESS}/"
    extra = {"request": RequestFactory().get(path), "status_code": 200, "server_time": "now"}
    logging.getLogger("django.server").info('"%s" %s %s', f"POST {path} HTTP/1.1", "200", "0", extra=extra)
    Client().post(f"{path}more/", secure=True)
    Client(enforce_csrf_checks=True).post(
        "/login/", secure=True, headers={"Referer": f"https://www.saltedge.com/connect?token={TOKEN}"}
    )
    logging.getLogger("urllib3.connectionpool").warning(
        "Retrying: %s", f"https://x.example/?api_key={API_KEY}"
    )
    said = output.getvalue()
    assert "POST /banking/webhook/default/*** HTTP/1.1" in said
    assert "Not Found: /banking/webhook/default/***" in said
    assert "https://www.saltedge.com/connect?token=***" in said
    assert "?api_key=***" in said
    for secret in (SECRETS[1], IN_ADDRESS, TOKEN, API_KEY):
        assert secret not in said


@pytest.mark.parametrize("made_as", ["get_traceback_text", "get_traceback_html"])
def test_reports_of_faults_leave_requests_to_the_app_out(made_as: str) -> None:
    ours = RequestFactory().get("/banking/", {"holder": "Eva Markermann"})
    others = RequestFactory().get("/login/", {"page": "number-7", "mail": "ada@kunde.example"})
    for request in (ours, others):
        request.resolver_match = resolve(request.path)
    texts = [
        getattr(MaskedReporter(request, *told_too_much(), is_email=True), made_as)()
        for request in (ours, others)
    ]
    for text in texts:
        assert "RuntimeError" in text
        # Local variables are in the HTML.
        for secret in (API_KEY, IN_ADDRESS, "ada@kunde.example"):
            assert secret not in text
    assert "Request data not supplied" in texts[0]
    assert "Eva Markermann" not in texts[0]
    assert "number-7" in texts[1]
