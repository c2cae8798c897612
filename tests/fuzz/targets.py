"""What is fuzzed, and what must hold of any bytes. Needs no atheris, so that the suite can run it, too."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from typing import Final

from django.core.management import call_command
from django.db import transaction
from django.test import Client, TestCase
from django.utils.datastructures import CaseInsensitiveMapping

from business_os_banking.conf import make_account
from business_os_banking.models import ConnectionEvent
from business_os_banking.webhooks import payloads
from business_os_banking.webhooks.body import NotUnderstoodError
from business_os_banking.webhooks.saltedge import PUBLISHED
from business_os_banking.webhooks.verifiers import (
    Delivery,
    HMACSignature,
    SaltEdgeSignature,
    SharedSecret,
    StandardWebhooks,
    WebhookRejected,
)
from tests import callbacks

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT: Final = make_account(
    "default",
    {
        "WEBHOOK_SECRETS": [
            "whsec_" + base64.b64encode(b"no fuzzer guesses this").decode(),
            "nor this: schlüssel",
        ],
        "SALTEDGE_CALLBACK_URLS": ["https://site.example/banking/webhook/"],
        "SALTEDGE_PUBLIC_KEYS": {"7.0": PUBLISHED["6.0"]},
    },
)
VERIFIERS: Final = [
    SharedSecret(ACCOUNT),
    HMACSignature(ACCOUNT),
    StandardWebhooks(ACCOUNT),
    SaltEdgeSignature(ACCOUNT),
]
HEADERS: Final = (
    *(
        "X-Webhook-Secret",
        "Authorization",
        "X-Signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ),
    *("svix-id", "svix-timestamp", "svix-signature", "Signature", "Signature-key-version"),
)
# Where a fuzzer starts from.
SEEDS: Final = [
    *(
        callbacks.raw(body)
        for body in (
            callbacks.success("8c4a8b18-9b7c-4f9d-9a3e-1a2b3c4d5e6f"),
            callbacks.fail(),
            callbacks.destroy(),
        )
    ),
    b'{"data": {"provider_code": "a", "provider_status": "inactive"}, "data": {"a": 1}}',
    b"Bearer x\nBasic YTpi\nsha256=00\nmsg_1\n1795348800\nv1,AAAA v1,BBBB\nmsg\n1\nv1,\nAAAA\n7.0\nbody",
]
# What it puts together; in the form of a libFuzzer dictionary.
WORDS: Final = [
    *(rf"\"{key}\":" for key in sorted(payloads.READ)),
    *(
        r"\"\\ud800\"",
        r"\"\\u0000\"",
        "null",
        "NaN",
        "1e999",
        r"\x00",
        "[[[[",
        "{}",
        r"\"9999-12-31T23:59:59Z\"",
    ),
    *("whsec_", "Bearer ", "Basic ", "sha256=", "v1,", " v1,", "=", "=="),
]


def prepare(name: str) -> None:
    """Make what the target *name* needs: for the view, tables in memory."""
    logging.disable()
    if name == "webhook":
        call_command("migrate", verbosity=0)


def payload(data: bytes) -> None:
    """A body gives a report that can be stored, or a clear refusal."""
    headers = CaseInsensitiveMapping({"X-Event-Type": data[:40].decode("latin-1")})
    try:
        report = payloads.read(Delivery(body=data, headers=headers, received_at=NOW), "default")
    except NotUnderstoodError:
        return
    kept = json.dumps(dict(report.payload)) + json.dumps(report.assertions())
    assert "\\u0000" not in kept
    assert "\\ud8" not in kept.lower()
    for text, longest in (
        (report.fact.stage, 64),
        (report.fact.error_class, 128),
        (report.fact.link, 64),
        (report.fact.provider_code, 128),
        (report.conflict, 255),
        (report.fact.reason, 32),
    ):
        assert len(text) <= longest
        assert text.isascii()
    if report.fact.kind != "provider_changed":
        report.of_session("reference")


def verifiers(data: bytes) -> None:
    """Lines of headers, and the rest as the body, are accepted by nobody and raise nothing else."""
    *lines, body = data.split(b"\n", len(HEADERS))
    headers = {name: line.decode("latin-1") for name, line in zip(HEADERS, lines, strict=False) if line}
    delivery = Delivery(
        body=body,
        headers=CaseInsensitiveMapping(headers),
        url_secret=body.decode("utf-8", "replace"),
        received_at=NOW,
    )
    for verifier in VERIFIERS:
        try:
            verifier.verify(delivery)
        except WebhookRejected as rejection:
            assert str(rejection)
        else:
            raise AssertionError(f"{type(verifier).__name__} accepted it")


def webhook(data: bytes) -> None:
    """A body with a valid secret gets the right answer, and leaves one event or none."""
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks(execute=True):
            client = Client(headers={"X-Webhook-Secret": callbacks.SECRET})
            answer = client.post("/banking/webhook/", data, "application/json")
        events = ConnectionEvent.objects.count()
        assert (answer.status_code, events) in {(200, 1), (400, 0), (413, 0)}, answer.status_code
        transaction.set_rollback(True)
