"""The OpenAPI description: valid, the one that is in the documentation, and true."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import User

from business_os_banking.api import examples, schema
from tests.api.conftest import CONNECTIONS, Page, a_connection, a_session, url_of
from tests.docs.pages import DOCS, ROOT
from tests.upstream.fake import Upstream

COMMITTED = DOCS / "openapi.yaml"
GENERATE = "python -m django spectacular --settings tests.api.settings --file docs/openapi.yaml"


def generated(settings: str = "tests.api.settings") -> str:
    command = [sys.executable, "-W", "error", "-m", "django", "spectacular", "--validate", "--fail-on-warn"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.once
def test_it_is_valid_and_the_one_that_is_in_the_documentation() -> None:
    assert generated() == COMMITTED.read_text(encoding="utf-8"), f"Write it anew: {GENERATE}"


def test_every_operation_is_described() -> None:
    from business_os_banking import conf

    assert tuple(schema.OPERATIONS) == conf.API_OPERATIONS
    assert set(examples.ERRORS) == set(schema.ERRORS)
    assert {status for operation in schema.OPERATIONS.values() for status in operation.errors} == set(
        schema.ERRORS
    )


def test_examples_have_the_keys_of_real_answers(page: Page, user: User, upstream: Upstream) -> None:
    started = page.create().json()
    assert list(started) == list(examples.STARTED)
    assert list(started["session"]) == list(examples.SESSION)
    connection = a_connection(user)
    shown = page.get(url_of(connection)).json()
    assert list(shown) == list(examples.CONNECTION)
    assert list(page.get(CONNECTIONS).json()) == list(examples.PAGE)
    texts = ("label", "tone", "title", "message", "next_step")
    assert {name: shown[name] for name in texts} == {name: examples.CONNECTION[name] for name in texts}
    session = page.get(url_of(a_session(connection, returned_at=None))).json()
    assert {name: session[name] for name in texts[1:]} == {name: examples.SESSION[name] for name in texts[1:]}
    ended = page.post(url_of(connection, "disconnect/")).json()
    assert {name: ended[name] for name in texts} == {name: examples.ENDED[name] for name in texts}
