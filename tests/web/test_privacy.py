"""What a public page gives away to whoever has its address, or guesses: nothing that its address did not say."""

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.messages import constants
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from business_os_banking.models import BankingConnection, ConnectionEvent, ConnectSession
from business_os_banking.vocabulary import Group, SessionStatus

from .conftest import Browser, a_connection, a_session, actions_of, soup

TOKEN = uuid.UUID("5ec2e700-1111-4222-8333-444455556666")
MARKERS = {
    "user name": "marker-name",
    "owner's e-mail": "marker-owner@kunde.example",
    "session's e-mail": "marker-session@kunde.example",
    "token": str(TOKEN),
    "token in hex": TOKEN.hex,
    "address of the widget": "MARKERWIDGET",
    "custom field": "MARKERFIELD",
    "tenant": "MARKERTENANT",
    "bank": "Marker Bank",
    "bank's code": "marker_bank_de",
    "upstream connection": "4711004711004711",
    "other connection upstream": "8822008822008822",
    "metadata": "MARKERMETADATA",
    "stage": "MARKERSTAGE",
    "error class": "MarkerError",
}
CONNECTIONS: list[dict[str, Any]] = [
    {"status": "pending"},
    {"status": "active"},
    {"status": "inactive", "status_reason": "consent_expired"},
    {"status": "disconnected", "ended_by": "provider"},
    {"status": "disconnected", "ended_by": "operator"},
]


def addresses(reference: object) -> tuple[str, str]:
    return f"/banking/return/{reference}/", f"/banking/sessions/{reference}/status/"


def planted(**values: Any) -> ConnectSession:
    """An attempt and all around it, full of what nobody else may read."""
    user = get_user_model().objects.create_user(MARKERS["user name"], MARKERS["owner's e-mail"])
    mine = {"tenant": MARKERS["tenant"], "provider_name": MARKERS["bank"]}
    # The only other one, so that the page may offer to renew it.
    a_connection(user, upstream_id=MARKERS["other connection upstream"], **mine)
    status = values.pop("connection", {"status": "pending"})
    connection = a_connection(
        user,
        upstream_id=MARKERS["upstream connection"],
        provider_code=MARKERS["bank's code"],
        metadata={"a": MARKERS["metadata"]},
        owner_user_id=uuid.uuid4(),
        **{**mine, **status},
    )
    return a_session(
        connection,
        email=MARKERS["session's e-mail"],
        pending_token=TOKEN,
        connect_url=f"https://www.saltedge.com/?token={MARKERS['address of the widget']}",
        custom_fields={"a": MARKERS["custom field"]},
        upstream_id=MARKERS["upstream connection"],
        stage=MARKERS["stage"],
        owner_user_id=uuid.uuid4(),
        **{"next_url": "/books/", **values},
    )


def assert_clean(answer: Any, session: ConnectSession) -> None:
    said = answer.content.decode() + str(answer.headers)
    for name, marker in MARKERS.items():
        assert marker not in said, name
    everything = (BankingConnection.objects.all(), ConnectSession.objects.exclude(pk=session.pk))
    for row in (row for rows in everything for row in rows):
        assert str(row.reference) not in said
        assert row.reference.hex not in said
    for known in (session.owner_user_id, session.connection.owner_user_id):
        assert str(known) not in said


@pytest.mark.django_db
@pytest.mark.parametrize("connection", CONNECTIONS, ids=lambda values: "-".join(values.values()))
@pytest.mark.parametrize("status", SessionStatus)
def test_whoever_has_the_address_reads_how_it_stands_and_nothing_more(
    stranger: Browser, status: str, connection: dict[str, Any]
) -> None:
    for group in ("", *Group):
        ConnectSession.objects.all().delete()
        BankingConnection.objects.all().delete()
        get_user_model().objects.all().delete()
        session = planted(
            connection=connection, status=status, error_group=group, error_class=MARKERS["error class"]
        )
        for url in addresses(session.reference):
            answer = stranger.get(url)
            assert answer.status_code == 200
            assert_clean(answer, session)


def test_only_the_next_page_of_the_attempt_itself_is_linked(stranger: Browser, db: None) -> None:
    session = planted(next_url="/books/")
    a_session(session.connection, next_url="/elsewhere/")
    html = soup(stranger.get(addresses(session.reference)[0]))
    assert {str(link["href"]) for link in html.select("a")} == {
        "/books/",
        "/banking/",
        "/banking/connect/",
        f"/banking/return/{session.reference}/",
        f"/banking/sessions/{session.reference}/retry/",
    }


def guesses(session: ConnectSession) -> list[object]:
    return [
        uuid.uuid4(),
        uuid.UUID(int=0),
        session.pending_token,
        session.connection.reference,
        session.pk,
        session.connection.pk,
        session.upstream_id,
        str(session.reference)[:-1],
        f"{session.reference}0",
        session.reference.hex,
        str(session.reference).replace("-", "_"),
        "%00",
        "%2e%2e",
        "' OR 1=1 --",
        "x" * 3000,
    ]


def test_who_guesses_learns_nothing(
    stranger: Browser, db: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    session = planted(status="succeeded")
    pages, statuses = set(), set()
    for guess in guesses(session):
        page_url, status_url = addresses(guess)
        with django_assert_max_num_queries(1):
            page = stranger.get(page_url)
        with django_assert_max_num_queries(1):
            status = stranger.get(status_url)
        assert (page.status_code, status.status_code) == (404, 404), guess
        assert page["Referrer-Policy"] == status["Referrer-Policy"] == "no-referrer"
        assert_clean(page, session)
        pages.add(page.content)
        statuses.add(status.content)
    assert len(pages) == len(statuses) == 1
    assert not ConnectionEvent.objects.exists()


def test_of_somebody_who_is_gone_the_page_still_says_how_it_stands(stranger: Browser, db: None) -> None:
    session = planted(status="failed", error_group="already_connected", error_class="ConnectionDuplicated")
    get_user_model().objects.all().delete()
    page, status = (stranger.get(url) for url in addresses(session.reference))
    assert_clean(page, session)
    assert "This bank is already connected" in page.content.decode()
    assert " hidden>Renew that connection<" in page.content.decode()
    assert (status.json()["status"], status.json()["connection_status"]) == ("failed", "pending")
    other = Client()
    other.force_login(get_user_model().objects.create_user("other"))
    assert other.get(f"/banking/sessions/{session.reference}/retry/").status_code == 404


@pytest.mark.parametrize(
    "error_class",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "';alert(1)//",
        "MarkerError",
        "MarkerError" * 1000,
        "ProviderUnavailable",
        "marker\0",
        "javascript:MarkerError",
        "MarkerError\r\nSet-Cookie: a=b",
    ],
)
def test_what_stands_in_the_address_is_never_written_back(
    stranger: Browser, db: None, error_class: str
) -> None:
    session = a_session(returned_at=None)
    url, _status = addresses(session.reference)
    sent = {"error_class": error_class, "error_message": error_class, "connection_id": error_class, "n": "1"}
    page = stranger.get(url, sent)
    assert page.status_code == 200
    assert "Your bank reported a difficulty" in page.content.decode()
    said = (page.content.decode() + str(page.headers)).lower()
    for echo in ("marker", "alert", "onerror", "set-cookie", "providerunavailable"):
        assert echo not in said
    assert len(page.content) < 10_000


def test_the_answer_to_other_methods_tells_no_more(stranger: Browser, db: None) -> None:
    session = planted(status="open")
    for url in (*addresses(session.reference), *addresses(uuid.uuid4())):
        head, options = stranger.head(url), stranger.options(url)
        assert head.content == b""
        assert head.status_code == stranger.get(url).status_code
        assert (options.status_code, options["Allow"], options.content) == (405, "GET, HEAD", b"")


def test_the_public_pages_leave_cookies_alone(eva: Any, settings: Any) -> None:
    """Not one is set, and none is read: the answers do not vary by cookie, and waiting messages go on waiting."""
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
    browser = Client()
    browser.force_login(eva)
    connection = a_connection(eva)
    browser.post(f"/banking/connections/{a_connection(eva).reference}/disconnect/")  # leaves a message
    before = list(Session.objects.values())
    sent = dict(browser.cookies)
    urls = [
        *addresses(a_session(connection, "open", returned_at=None).reference),
        *addresses(a_session(connection, "succeeded").reference),
        *addresses(a_session(connection, "failed", error_group="already_connected").reference),
        *addresses(uuid.uuid4()),
        *addresses("nonsense"),
    ]
    for url in urls:
        for answer in (browser.get(url), browser.head(url), browser.post(url)):
            assert not answer.cookies
            assert "Cookie" not in answer.get("Vary", "")
    assert list(Session.objects.values()) == before
    assert dict(browser.cookies) == sent
    shown = browser.get("/banking/").content.decode()
    assert constants.DEFAULT_TAGS[constants.SUCCESS] in shown
    assert "Sparkasse is disconnected." in shown


def test_the_other_pages_set_no_cookie_but_that_of_their_form(eva: Any) -> None:
    browser = Client()
    browser.force_login(eva)
    connection = a_connection(eva)
    mine = f"/banking/connections/{connection.reference}/"
    for url, own in {
        "/banking/": set(),
        mine: set(),
        "/banking/connect/": {"csrftoken"},
        f"{mine}renew/": {"csrftoken"},
        f"{mine}disconnect/": {"csrftoken"},
    }.items():
        before = list(Session.objects.values())
        assert set(browser.get(url).cookies) == own, url
        assert list(Session.objects.values()) == before


def test_the_webhook_knows_no_cookies() -> None:
    answer = Client().post("/banking/webhook/", b"{}", "application/json")
    assert (answer.status_code, answer.content, dict(answer.cookies)) == (403, b"", {})
    assert "Vary" not in answer.headers or "Cookie" not in answer["Vary"]


def test_a_sites_cache_keeps_none_of_it(eva: Any, stranger: Browser, settings: Any) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    session = a_session(a_connection(eva, "pending"), "open")
    page, status = addresses(session.reference)
    assert "Checking with your bank" in stranger.get(page).content.decode()
    assert stranger.get(status).json()["status"] == "open"
    ConnectSession.objects.update(status="succeeded", succeeded_at=timezone.now())
    assert "Your bank is connected" in stranger.get(page).content.decode()
    assert stranger.get(status).json()["status"] == "succeeded"


def test_the_customers_page_of_somebody_elses_has_a_way_on(stranger: Browser, eva: Any) -> None:
    other = Browser()
    other.force_login(get_user_model().objects.create_user("other"))
    session = planted(status="failed")
    page = other.get(f"/banking/sessions/{session.reference}/retry/")
    assert page.status_code == 404
    assert actions_of(page) == {"See your connections": "/banking/"}
    assert_clean(page, session)
