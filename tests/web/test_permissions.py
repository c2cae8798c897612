"""Who may do what: every address, with every method, for everybody who might come by."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from business_os_banking.adapter import BankingAdapter
from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession

from .conftest import Upstream, a_connection, a_session

pytestmark = pytest.mark.long

METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POST")
LOGIN = "login"  # sent there, and back here afterwards
BACK = "list"  # done, and back to the list


class Tenants(BankingAdapter):
    """Somebody who works for several companies chooses one when signing in."""

    def get_owner(self, request: HttpRequest) -> Any:
        return request.user, request.session.get("company", "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an address answers: to its owner, to others who are signed in, and to those who are not.

    A method that is not named here is answered 405.
    """

    owner: dict[str, int | str]
    others: dict[str, int | str]
    anonymous: dict[str, int | str]
    argument: str = ""


def page(*, others: int, post: str = "", argument: str = "connection") -> Row:
    """A page that needs a login, and perhaps takes a form."""
    methods = ["GET", "HEAD", *(["POST"] if post else [])]
    return Row(
        owner={"GET": 200, "HEAD": 200, **({"POST": post} if post else {})},
        others=dict.fromkeys(methods, others),
        anonymous=dict.fromkeys(METHODS, LOGIN),
        argument=argument,
    )


def public() -> Row:
    shown: dict[str, int | str] = {"GET": 200, "HEAD": 200}
    return Row(owner=shown, others=shown, anonymous=shown, argument="session")


PUBLIC = {"return", "return-finish", "return-answer", "session-status", "invitation"}
REFUSED: dict[str, int | str] = {"POST": 403, "HEAD": 200}
# Whether or not the key is right, all are led on to the page; only the right one is noted (tests/held).
LED_ON: dict[str, int | str] = {"GET": "/banking/return/", "HEAD": "/banking/return/"}
# Only a browser that came with the key may answer.
UNASKED: dict[str, int | str] = {"POST": 403}
GUESSED: dict[str, int | str] = {"GET": 404, "HEAD": 404, "POST": 404}
BANK = "https://www.saltedge.com/"
ROWS: dict[str, Row] = {
    "connection-list": page(others=200, argument=""),
    "connect": Row(
        owner={"GET": 200, "HEAD": 200, "POST": BANK},
        others={"GET": 200, "HEAD": 200, "POST": BANK},  # for themselves
        anonymous=dict.fromkeys(METHODS, LOGIN),
    ),
    "connection-detail": page(others=404),
    "connection-renew": page(others=404, post=BANK),
    "connection-disconnect": page(others=404, post=BACK),
    "session-retry": Row(
        owner={"GET": "/banking/connections/", "HEAD": "/banking/connections/"},
        others={"GET": 404, "HEAD": 404},
        anonymous=dict.fromkeys(METHODS, LOGIN),
        argument="session",
    ),
    "return": public(),
    "return-finish": Row(owner=LED_ON, others=LED_ON, anonymous=LED_ON, argument="key"),
    "return-answer": Row(owner=UNASKED, others=UNASKED, anonymous=UNASKED, argument="session"),
    # What is answered, and by whom: tests/held.
    "connection-answer": Row(
        owner={"POST": 400},
        others={"POST": 404},
        anonymous=dict.fromkeys(METHODS, LOGIN),
        argument="connection",
    ),
    "session-status": public(),
    # Whoever has a link may use it (tests/web/test_invitation.py); nobody can guess one.
    "invitation": Row(owner=GUESSED, others=GUESSED, anonymous=GUESSED, argument="guess"),
    "webhook": Row(owner=REFUSED, others=REFUSED, anonymous=REFUSED),
}
VISITORS = (
    "owner",
    "owner in another company",
    "colleague",
    "user of another company",
    "staff without permission",
    "superuser",
    "anonymous",
)
HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@pytest.fixture(autouse=True)
def _tenants(settings: Any, upstream: Upstream) -> None:
    settings.BUSINESS_OS_BANKING = {**settings.BUSINESS_OS_BANKING, "ADAPTER": f"{__name__}.Tenants"}
    # Nothing but the views' own headers.
    settings.MIDDLEWARE = [
        name
        for name in settings.MIDDLEWARE
        if not name.endswith(("SecurityMiddleware", "XFrameOptionsMiddleware"))
    ]
    upstream.opens()


@pytest.fixture
def connection(eva: Any) -> BankingConnection:
    return a_connection(eva, tenant="muster", provider_name="Marker Bank", upstream_id="4711004711")


@pytest.fixture
def session(connection: BankingConnection) -> ConnectSession:
    return a_session(connection, "failed", email="eva@example.com", error_class="InvalidCredentials")


def visitor(kind: str, eva: Any) -> Client:
    client = Client()
    if kind == "anonymous":
        return client
    user = eva
    if not kind.startswith("owner"):
        user = get_user_model().objects.create_user("visitor", "visitor@example.com")
        user.is_superuser = kind == "superuser"
        user.is_staff = user.is_superuser or kind.startswith("staff")
        user.save()
    client.force_login(user)
    session = client.session
    session["company"] = "other" if "another company" in kind else "muster"
    session.save()
    return client


def stored() -> list[Any]:
    """All that is known of Eva's connection."""
    mine: dict[str, Any] = {"connection__provider_name": "Marker Bank"}
    return [
        list(
            BankingConnection.objects.filter(provider_name="Marker Bank", upstream_id="4711004711").values()
        ),
        list(ConnectSession.objects.filter(**mine).values()),
        list(ConnectionEvent.objects.filter(**mine).values()),
    ]


@pytest.mark.parametrize("kind", VISITORS)
@pytest.mark.parametrize("name", ROWS)
def test_everybody_gets_what_is_theirs_and_nothing_else(
    eva: Any, connection: BankingConnection, session: ConnectSession, name: str, kind: str
) -> None:
    row, client = ROWS[name], visitor(kind, eva)
    subjects: dict[str, list[Any]] = {
        "connection": [connection.reference],
        "session": [session.reference],
        "guess": [connection.reference.hex],
        "key": [session.reference, "a-key-that-is-wrong"],
    }
    subject = subjects.get(row.argument)
    url = reverse(f"business_os_banking:{name}", args=subject)
    allowed = {"owner": row.owner, "anonymous": row.anonymous}.get(kind, row.others)
    before = stored()
    for method in METHODS:
        answer = client.generic(method, url)
        expected = allowed.get(method, 405)
        if isinstance(expected, int):
            assert answer.status_code == expected, method
        else:
            leads_to = {LOGIN: f"/login/?next={url}", BACK: "/banking/"}.get(expected, expected)
            assert answer["Location"].startswith(leads_to), method
            assert answer.status_code in {302, 303}
        if expected == 405:
            assert set(answer["Allow"].split(", ")) == set(row.owner)
        assert HEADERS.items() <= dict(answer.headers).items(), method
        assert answer["Referrer-Policy"] == ("no-referrer" if name in PUBLIC else "same-origin")
        if kind != "owner":
            assert_nothing_of_eva(answer, connection, url)
        if kind != "owner" or method != "POST":
            assert stored() == before, method


def assert_nothing_of_eva(answer: Any, connection: BankingConnection, url: str) -> None:
    said = (answer.content.decode() + json.dumps(dict(answer.headers))).replace(url, "")
    for secret in ("Marker", "eva", "muster", str(connection.reference), connection.upstream_id):
        assert secret not in said, secret


def patterns(found: Any) -> Iterator[tuple[str, URLPattern]]:
    for pattern in found:
        if isinstance(pattern, URLResolver):
            for name, below in patterns(pattern.url_patterns):
                yield f"{pattern.namespace}:{name}" if pattern.namespace else name, below
        else:
            yield str(pattern.name or ""), pattern


def test_no_address_is_left_out() -> None:
    """Whoever adds an address says here who may use it."""
    _prefix, resolver = get_resolver("tests.web.urls").namespace_dict["business_os_banking"]
    # Those of the API have a table of their own: tests/api/test_permissions.py.
    found = [item for item in patterns(resolver.url_patterns) if not item[0].startswith("api:")]
    assert {name for name, _pattern in found if name} == set(ROWS)
    # Those without a name are other spellings of those with one.
    named = {pattern.callback for name, pattern in found if name}
    assert {pattern.callback for name, pattern in found if not name} <= named


def test_the_list_shows_each_company_its_own(eva: Any, connection: BankingConnection) -> None:
    assert "Marker Bank" in visitor("owner", eva).get("/banking/").content.decode()
    assert "Marker Bank" not in visitor("owner in another company", eva).get("/banking/").content.decode()


def test_two_people_who_press_the_button_get_two_connections(
    eva: Any, connection: BankingConnection, upstream: Upstream
) -> None:
    upstream.opens()
    for kind in ("owner", "colleague", "owner in another company"):
        upstream.opens()
        assert visitor(kind, eva).post("/banking/connect/").status_code == 303
    made = BankingConnection.objects.exclude(pk=connection.pk)
    assert {(made_by.user.username, made_by.tenant) for made_by in made if made_by.user} == {
        ("eva", "muster"),
        ("visitor", "muster"),
        ("eva", "other"),
    }
