"""Thousands of requests made up from the OpenAPI description, good ones and bad ones: every answer is as described."""

from __future__ import annotations

import base64
import uuid
from hashlib import sha256
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, settings
from schemathesis import openapi
from schemathesis.config import SchemathesisConfig

from business_os_banking.api.parsing import KEY_HEADER
from business_os_banking.models import BankingConnection
from tests.api.conftest import a_connection, a_session
from tests.docs.pages import DOCS
from tests.upstream.fake import Upstream

pytestmark = pytest.mark.long

# As it is by default, and 413: what is wrong may be too long besides.
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
KEY = "the-key-that-leads-back"
config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}})
schema = openapi.from_dict(yaml.safe_load((DOCS / "openapi.yaml").read_text(encoding="utf-8")), config=config)
schema.app = get_wsgi_application()


@schema.auth()
class SignedIn:
    """Basic authentication, which is one of the two that a site has by default."""

    def get(self, case: Any, context: Any) -> str:
        return "Basic " + base64.b64encode(b"ada:secret").decode()

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = data


@pytest.fixture
def site(upstream: Upstream, settings: Any) -> None:
    settings.BUSINESS_OS_BANKING = {
        **settings.BUSINESS_OS_BANKING,
        "CONNECTS_PER_HOUR": 0,
        "EMAIL_FROM_FORM": True,
    }


@pytest.fixture
def places(user: User) -> dict[str, str]:
    """What exists, so that not every address made up leads nowhere, and the key that leads back to it."""
    connection = a_connection(user)
    session = a_session(connection, return_key=sha256(KEY.encode()).hexdigest())
    return {"connections": str(connection.reference), "sessions": str(session.reference)}


@pytest.mark.once
@pytest.mark.django_db
@schema.parametrize()
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: Any, site: None, places: dict[str, str]) -> None:
    if case.meta is not None and case.meta.generation.mode.is_positive:
        kind = case.path.split("/")[3]
        case.path_parameters = dict.fromkeys(case.path_parameters, places[kind])
        # What the description cannot say of a good key: that it has not come before.
        case.headers.update({name: uuid.uuid4().hex for name in case.headers if name == KEY_HEADER})
        if case.path.endswith("/finish/"):
            case.body = {"key": KEY}  # nor which one belongs to the session
    case.call_and_validate()
    # What one request has ended, the next may try again.
    BankingConnection.objects.update(status="active", ended_by="", state={})
