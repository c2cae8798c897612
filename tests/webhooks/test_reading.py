"""What strangers, servers and middleware can do to the endpoint: nothing much."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import Client

from business_os_banking.models import ConnectionEvent
from tests import callbacks
from tests.callbacks import SECRET

URL = "/banking/webhook/"
LIMIT = 65_536
NAMED = {"X-Webhook-Secret": SECRET}
BODY = callbacks.raw(callbacks.notify())


class Stream(io.BytesIO):
    """A server's input: it notes how much was asked for, and may end as that of a client who hangs up."""

    def __init__(self, content: bytes, *, breaks: bool = False) -> None:
        super().__init__(content)
        self.breaks = breaks
        self.given = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.breaks:
            raise ConnectionResetError("the client is gone")
        content = super().read(size)
        self.given += len(content)
        return content


def send(stream: Stream, headers: dict[str, str] | None = None, **environ: Any) -> int:
    environ = {"CONTENT_LENGTH": "", "CONTENT_TYPE": "application/json", "wsgi.input": stream, **environ}
    return Client(headers=NAMED if headers is None else headers).generic("POST", URL, **environ).status_code


# --- the body ---


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["", "0"])
def test_chunks_that_the_server_puts_together_are_read_to_their_end_or_the_limit(length: str) -> None:
    ended: dict[str, Any] = {
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_LENGTH": length,
    }
    assert send(Stream(BODY), **ended) == 200
    stream = Stream(BODY * 10_000)
    assert send(stream, **ended) == 413
    assert stream.given <= LIMIT + 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "length", ["", "0", "-1", "-99999999999999999999", "1e3", "0x10", " 5 5", "\xb2", "1.5", "nonsense"]
)
def test_a_length_that_is_none_is_no_body(length: str) -> None:
    """Django does not read one, so it is no JSON; and no length makes us read without end."""
    stream = Stream(BODY * 10_000)
    assert send(stream, CONTENT_LENGTH=length) == 400
    assert stream.given <= LIMIT + 1


@pytest.mark.django_db
@pytest.mark.parametrize(("length", "status"), [(len(BODY) + 1000, 200), (len(BODY) - 1, 400), (LIMIT, 200)])
def test_a_length_that_lies_is_no_more_than_a_limit(length: int, status: int) -> None:
    stream = Stream(BODY)
    assert send(stream, CONTENT_LENGTH=str(length)) == status
    assert stream.given <= length


@pytest.mark.parametrize("length", [LIMIT + 1, 10**17, "9" * 5000, "٩" * 30])
def test_of_a_body_that_is_too_large_nothing_is_read(length: object) -> None:
    stream = Stream(b"x" * LIMIT * 2)
    assert send(stream, CONTENT_LENGTH=str(length)) == 413
    assert stream.given == 0


def test_chunks_that_the_server_does_not_put_together_are_said_clearly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert send(Stream(b"5\r\nhello\r\n0\r\n\r\n"), HTTP_TRANSFER_ENCODING="gzip, Chunked") == 411
    assert "buffer" in caplog.text


@pytest.mark.parametrize(
    "body", [b"{}" * LIMIT, b"x" * LIMIT, b""], ids=["too large", "large enough", "none"]
)
@pytest.mark.parametrize("chunks", [1, 7])
def test_under_asgi_a_body_without_a_length_is_read_no_further(body: bytes, chunks: int) -> None:
    size = len(body) // chunks + 1
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    assert asyncio.run(asgi(parts)) == (413 if len(body) > LIMIT else 403)


async def asgi(parts: list[bytes]) -> int:
    """Post these parts of a body, without a length and without a secret; return the status."""
    messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def answer(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": URL, "headers": [(b"host", b"testserver")]}
    await ASGIHandler()({**scope, "query_string": b"", "client": ["127.0.0.1", 1]}, receive, answer)
    return int(sent[0]["status"])


def test_a_sender_that_hangs_up_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert send(Stream(BODY, breaks=True), CONTENT_LENGTH="500") == 400
    assert "broke off" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.django_db
def test_a_compressed_body_stays_compressed() -> None:
    bomb = gzip.compress(b"{" + b" " * 10_000_000 + b"}")
    assert len(bomb) < LIMIT
    answer = Client(headers={**NAMED, "Content-Encoding": "gzip"}).post(URL, bomb, "application/json")
    assert answer.status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "",
        "\xff",
    ],
)
def test_the_type_of_the_content_does_not_matter(kind: str) -> None:
    assert Client(headers=NAMED).post(URL, BODY, kind).status_code == 200
    assert ConnectionEvent.objects.get().kind == "progressed"


# --- a middleware of the site's own that reads before us ---


def reads_the_form(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.POST is not None
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


def reads_the_body(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        assert isinstance(request.body, bytes)
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


def reads_a_little(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.read(3)
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'


@pytest.mark.django_db
@pytest.mark.parametrize("middleware", [reads_the_body, reads_the_form])
def test_a_middleware_may_have_read_the_body(settings: Any, middleware: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.{middleware.__name__}", *settings.MIDDLEWARE]
    assert Client(headers=NAMED).post(URL, BODY, "application/json").status_code == 200
    assert Client(headers=NAMED).post(URL, b"x" * (LIMIT + 1), "application/json").status_code == 413


@pytest.mark.parametrize(
    ("middleware", "kind", "body"),
    [
        (reads_the_form, "multipart/form-data; boundary=x", MULTIPART),
        (reads_the_form, "multipart/form-data; boundary=x", BODY),
        (reads_a_little, "application/json", BODY),
    ],
)
def test_a_middleware_that_leaves_nothing_of_the_body_is_named(
    settings: Any, caplog: pytest.LogCaptureFixture, middleware: Any, kind: str, body: bytes
) -> None:
    """503: the sender tries again. Without the whole body nothing can be verified."""
    settings.MIDDLEWARE = [f"{__name__}.{middleware.__name__}", *settings.MIDDLEWARE]
    assert Client(headers=NAMED).post(URL, body, kind).status_code == 503
    assert "middleware has read the body" in caplog.text
    assert "Traceback" not in caplog.text


# --- what our log says ---


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options", "trace"])
def test_no_method_makes_django_log_the_path_with_the_secret(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = getattr(Client(), method)(f"/banking/webhook/default/{SECRET}/")
    assert (answer.status_code, answer["Allow"], answer.content) == (405, "POST, HEAD", b"")
    assert SECRET not in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("body", [BODY, b"{", b"x" * (LIMIT + 1)])
@pytest.mark.parametrize("account", ["default", "nowhere"])
@pytest.mark.parametrize("secret", [SECRET, "a-wrong-secret", "%00", "%ff%fe", "a%0Ab"])
def test_no_answer_makes_anybody_log_the_secret_of_the_address(
    body: bytes, account: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = Client().post(f"/banking/webhook/{account}/{secret}/", body, "application/json")
    assert answer.status_code in {200, 400, 403, 404, 413}
    for word in (SECRET, "a-wrong-secret", "\x00", "a\nb"):
        assert word not in caplog.text


def test_a_stranger_cannot_fill_the_log_whatever_it_is_that_is_refused(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "REJECTED_WEBHOOKS_PER_MINUTE": 3}
    for _ in range(5):
        for url, body in ((URL, BODY), (URL, b"x" * (LIMIT + 1)), ("/banking/webhook/nowhere/", BODY)):
            Client().post(url, body, "application/json")
    assert len(caplog.records) == 3


def test_the_reason_is_known_to_the_log_and_not_to_the_sender(reasons: list[str]) -> None:
    answer = Client(headers={"X-Signature": "0" * 64}).post(URL, BODY, "application/json")
    assert (answer.status_code, answer.content) == (403, b"")
    assert reasons == ["no secret was sent; the signature of the body does not match any of WEBHOOK_SECRETS"]
