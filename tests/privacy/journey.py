"""Everything that can happen to a customer, with the customer's data in every input there is."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from itertools import count
from typing import Any, Final
from urllib.parse import quote, urlencode

import django
import requests
from django.contrib.auth import get_user_model
from django.test import Client, override_settings
from django.utils import timezone

from business_os_banking import signals
from business_os_banking.flows.reconcile import reconcile
from business_os_banking.models import AccountState, BankingConnection, ConnectSession
from business_os_banking.webhooks import payloads
from tests import callbacks
from tests.privacy.evidence import Browser, Evidence
from tests.privacy.markers import ADMIN, API_KEY, NOWHERE, SECRETS, Person
from tests.privacy.site import Faults, HangsUp, no_mail_gets_through
from tests.upstream.fake import Upstream, connect_answer, row

BANKING: Final = {
    "ACCOUNTS": {
        "default": {
            "API_KEY": API_KEY,
            "WEBHOOK_SECRETS": list(SECRETS),
            "BASE_URL": "https://api.business-os.test",
        }
    },
    "ADAPTER": "tests.privacy.site.Adapter",
    "SITE_URL": "https://site.example",
    "CONSENT_MAILS": True,
    # A customer types another address than the one that the site knows.
    "EMAIL_FROM_FORM": True,
}
SETTINGS: Final[dict[str, Any]] = {
    "BUSINESS_OS_BANKING": BANKING,
    "ADMINS": [("Admin", ADMIN)] if django.VERSION < (6, 0) else [ADMIN],
}
COMMON_BANK: Final = "common_xf"
BROKEN: Final = {"links": {"A": "broken"}}


class Journey:
    """One customer's life with the app. Each method is a stretch of it, and may be taken alone."""

    def __init__(self, person: Person, upstream: Upstream, evidence: Evidence) -> None:
        self.person, self.upstream, self.evidence = person, upstream, evidence
        email = f"{person.name}.konto@marker.example"
        self.user = get_user_model().objects.create_user(person.name, email, "pw")
        self.browser = Browser(evidence, person)
        self.browser.force_login(self.user)
        self.visits = count()
        self.addresses: dict[int, str] = {}  # where each session leads back to
        self.times = count()

    @property
    def connected(self) -> BankingConnection:
        """A connection of the customer that has worked."""
        return BankingConnection.objects.filter(user=self.user, connected_at__isnull=False).earliest("pk")

    @property
    def unfinished(self) -> ConnectSession:
        """A session of the customer that has not succeeded."""
        sessions = ConnectSession.objects.filter(connection__user=self.user, status="failed")
        return sessions.exclude(pending_token=None).earliest("pk")

    def owns(self) -> None:
        """Note every reference that has been made for this customer."""
        sessions = ConnectSession.objects.filter(connection__user=self.user)
        for reference, of_connection in sessions.values_list("reference", "connection__reference"):
            self.person.own("reference", str(reference), str(of_connection))

    # --- the pieces ---

    def connect(self, place: str = "connect form", url: str = "/banking/connect/") -> Any:
        """Post the form, as somebody does who has more to tell than is asked."""
        number = next(self.visits)
        person = self.person
        posted = {
            "email": person.typed_email,
            "next": f"/books/{number}/?q={person.one('next address')}",
            "api": "partner",
            "scopes": ["accounts", "holder_info"],
            "iban": person.compact_iban,
            "holder_name": person.one("holder name"),
            "api_key": API_KEY,
            "custom_fields": json.dumps(person.everything()),
        }
        return self.browser.send(place, url, posted)

    def opened(self, url: str = "/banking/connect/", token: str = "") -> ConnectSession:
        """Press *Connect*, have the upstream open a session, and return it."""
        token = token or self.person.new_token()
        known = self.person.everything()
        answer = connect_answer(connect_url=self.person.new_connect_url(), pending_token=token)
        self.upstream.connect_answers(200, {**known, **answer, "business-os": known})
        assert self.connect(url=url).status_code == 303
        session = ConnectSession.objects.select_related("connection").get(pending_token=token)
        called = json.loads(self.upstream.calls("POST")[-1].body or "")
        self.addresses[session.pk] = called["return_to"].removeprefix("https://site.example")
        self.person.own("return key", self.addresses[session.pk].split("/")[-2])
        return session

    def told(
        self, body: dict[str, Any], *, answer: int = 200, url: str = "/banking/webhook/", **more: Any
    ) -> None:
        """Deliver a webhook that tells far more than it should."""
        known = self.person.everything()
        data = body.get("data")
        if isinstance(data, dict):
            data = {**known, **data}
            fields = {
                **data.get("custom_fields", {}),
                "note": self.person.one("custom fields"),
                "known": known,
            }
            body = {**body, "data": {**data, "custom_fields": fields}}
        self.raw(callbacks.raw({**known, **body}), answer=answer, url=url, **more)

    def raw(self, body: bytes, *, answer: int, url: str, secret: str = SECRETS[1], **more: Any) -> None:
        headers = {"X-Webhook-Secret": secret, "User-Agent": f"MarkerBrowser/{self.person.name}"}
        client = Client(raise_request_exception=False)
        found = client.post(url, body, "application/json", headers=headers, **more)
        assert found.status_code == answer
        self.evidence.saw("error pages", found.content)

    def time(self) -> str:
        return (timezone.now() + timedelta(seconds=next(self.times))).isoformat()

    def success(self, session: ConnectSession | None, link: str, **more: Any) -> None:
        token = session.pending_token if session else None
        about = {"provider_name": self.person.one("bank"), "provider_code": self.person.code, **more}
        self.told(callbacks.success(token, link, time=self.time(), **about))

    def contradicts(self, token: Any, link: str) -> None:
        """Have a webhook name two sessions."""
        self.told(
            {**callbacks.success(token, link, time=self.time()), "pending_token": self.person.new_token()}
        )

    def returns(self, session: ConnectSession) -> None:
        """Come back from the bank with an address full of what should not be there."""
        person = self.person
        told = {
            **{name: json.dumps(value) for name, value in person.everything().items()},
            "error_class": person.compact_iban,
            "connection_id": person.typed_email,
            "pending_token": str(session.pending_token),
            "connection_secret": SECRETS[0],
            "next": f"/books/?q={person.one('next address')}",
        }
        back = self.browser.see("return page", f"{self.addresses[session.pk]}?{urlencode(told)}")
        assert self.browser.see("return page", back["Location"]).status_code == 200
        stranger = Browser(self.evidence)
        stranger.see("return page", f"/banking/return/{session.reference}/")
        stranger.see("return page", f"/banking/sessions/{session.reference}/status/")

    # --- the stretches ---

    def is_refused(self) -> None:
        """Try to connect, and meet everything that may go wrong on the way to the bank."""
        person, known = self.person, self.person.everything()
        secret = [text for kind in sorted(NOWHERE) for text in sorted(person.texts.get(kind, ()))]
        refusal = {
            **known,
            "error": {"class": API_KEY, "message": known["message"], "code": person.one("holder name")},
            "errors": {text: [text] for text in [*secret, API_KEY, person.typed_email]},
            "detail": [{"loc": ["body", person.compact_iban], "msg": person.one("error message")}],
        }
        for status in (400, 401, 402, 403, 404, 409, 422, 429, 500, 503):
            self.upstream.connect_answers(status, refusal, headers={"Retry-After": "7"})
            assert self.connect("error pages").status_code == 503
        for text in (
            f"<html>{known}</html>",
            json.dumps([known]),
            "",
            json.dumps({**known, "pending_token": 1}),
        ):
            self.upstream.connect_answers(200 if text else 502, text)
            assert self.connect("error pages").status_code == 503
        answer = connect_answer(pending_token=person.new_token())
        for url in (
            person.new_connect_url().replace("saltedge.com", "evil.example"),
            f"x{person.new_connect_url()}",
        ):
            self.upstream.connect_answers(200, {**answer, "connect_url": url})
            assert self.connect("error pages").status_code == 503
        for error in (requests.ReadTimeout, requests.ConnectTimeout, requests.ConnectionError):
            self.upstream.connect_fails(error(f"{API_KEY} {known}"))
            assert self.connect("error pages").status_code == 503
        self.browser.see("connect form", f"/banking/connect/?next=/books/?q={person.one('next address')}")
        wrong = {"email": person.spaced_iban, "api": API_KEY, "scopes": [person.one("holder name")]}
        # What is wrong is shown again to who typed it, and to nobody else.
        assert self.browser.post("/banking/connect/", wrong).status_code == 400
        with override_settings(BUSINESS_OS_BANKING={**BANKING, "CONNECTS_PER_HOUR": 1}):
            assert self.connect("error pages").status_code == 429
        strict = Browser(self.evidence, person)
        strict.handler.enforce_csrf_checks = True
        strict.force_login(self.user)
        assert strict.send("error pages", "/banking/connect/", wrong).status_code == 403

    def meets_faults(self) -> None:
        """Meet faults of the site itself."""
        session = self.opened()
        query = urlencode(
            {"error_message": self.person.one("error message"), "iban": self.person.spaced_iban}
        )
        Faults.hooks = True
        assert self.connect("error pages").status_code == 500
        address = f"/banking/return/{session.reference}/?{query}"
        assert self.browser.see("error pages", address).status_code == 500
        Faults.hooks, Faults.keys = False, True
        in_address = f"/banking/webhook/default/{quote(SECRETS[1], safe='')}/"
        self.told(callbacks.success(session.pending_token), url=in_address, answer=503)
        Faults.keys = False
        for page in ("return/nothing", f"return/{uuid.uuid4()}", f"connections/{session.reference}"):
            url = f"/banking/{page}/?{query}"
            assert self.browser.see("error pages", url).status_code == 404

    def strangers_call(self) -> None:
        """Deliver what is not to be trusted, or is not to be read."""
        known = self.person.everything()
        body = callbacks.raw(callbacks.success(self.person.new_token(), **known))
        address = "/banking/webhook/default/"
        self.raw(body, url=address, answer=403, secret=self.person.compact_iban)
        self.raw(body, url=f"{address}{self.person.one('holder name')}/", answer=403, secret="")
        self.raw(body, url=f"/banking/webhook/{API_KEY}/", answer=403)
        self.raw(b"x" * 70_000 + body, url=f"{address}{quote(SECRETS[1], safe='')}/", answer=413)
        for broken in (body[:-2], b"[" + body + b"]", repr(known).encode()):
            self.raw(broken, url=f"{address}{quote(SECRETS[1], safe='')}/", answer=400)
        with override_settings(BUSINESS_OS_BANKING={**BANKING, "REJECTED_WEBHOOKS_PER_MINUTE": 1}):
            for answer in (403, 429):
                self.raw(body, url=address, answer=answer, secret="wrong", REMOTE_ADDR=self.person.address)
        url = f"{address}{quote(SECRETS[1], safe='')}/"
        assert Browser(self.evidence).see("error pages", url).status_code == 405
        gone: dict[str, Any] = {"wsgi.input": HangsUp()}
        self.raw(body, url=url, answer=400, **gone)

    def life(self) -> None:
        """Connect in every way there is, renew, and have it end."""
        person, links = self.person, iter(self.person.links)
        # a webhook that is faster than the answer, in each wrapping, twice
        token = person.new_token()
        first = next(links)
        body = callbacks.success(token, first, time=self.time(), provider_name=person.one("bank"))
        for _ in range(2):
            self.told({"event": "success", "payload": {"body": body["data"]}, "meta": body["meta"]})
        session = self.opened(token=token)
        self.returns(session)
        # every kind, on a session of its own
        for more in (
            {"stage": "start"},
            {"error_class": "InvalidCredentials"},
            {"error_class": "ProviderAccessNotGranted"},
            {"error_class": "ConnectionDuplicated", "duplicated_connection_id": first},
            {"error_class": "ConsentRevoked"},
        ):
            other = self.opened()
            self.told(callbacks.body(token=other.pending_token, connection_id=next(links), **more))
            self.returns(other)
        # words that are none
        last = self.opened()
        for text in (person.compact_iban, person.spaced_iban, person.one("holder name"), person.typed_email):
            words: dict[str, Any] = dict.fromkeys([*payloads.KEPT, "type", "action", "pendingToken"], text)
            self.told(callbacks.body(**{**words, "time": self.time(), "session": last.reference}))
        for text in (person.compact_iban, person.typed_email):
            self.told(callbacks.success(last.pending_token, provider_name=f"Bank {text}", connection_id=text))
        self.success(last, next(links))
        self.success(last, next(links))
        # a renewal whose answer is late, one of somebody else's link, and a link that is not ours
        renewal = self.opened(f"/banking/connections/{last.connection.reference}/renew/")
        ends = timezone.now() + timedelta(days=6)
        renewed = next(links)
        self.success(renewal, renewed, consent_expires_at=ends.isoformat())
        self.contradicts(renewal.pending_token, renewed)
        self.told(callbacks.success(renewal.pending_token, next(links), session=uuid.uuid4()))
        change = {"provider_code": COMMON_BANK, "provider_status": "inactive"}
        self.told(callbacks.body(token=renewal.pending_token, connection_id=renewed, **change))
        # a fault of ours, and a redelivery
        broken = self.opened()
        BankingConnection.objects.filter(pk=broken.connection_id).update(state=BROKEN)
        self.told(callbacks.success(broken.pending_token, next(links)), answer=500)
        BankingConnection.objects.filter(pk=broken.connection_id).update(state={})
        self.listens(lambda: self.told(callbacks.destroy(broken.pending_token, next(links))))
        self.is_read_back(links)
        self.ends(renewal, links)

    def calls_the_api(self) -> None:
        """Do with the API what the pages do, and ask it for what it does not give."""
        person = self.person
        upstream = {**person.everything(), **connect_answer(connect_url=person.new_connect_url())}
        self.upstream.connect_answers(200, {**upstream, "pending_token": person.new_token()})
        asked = {
            "email": person.typed_email,
            "api": "partner",
            "scopes": ["accounts"],
            "next": f"/books/?q={person.one('next address')}&by=api",
        }
        api, key = "/banking/api/connections/", {"Idempotency-Key": person.compact_iban}
        for _ in range(2):
            created = self.calls(api, asked, key)
            assert created.status_code == 201
        about, session = created.json()["reference"], created.json()["session"]["reference"]
        for path in ("", f"{about}/", f"{about}/renew/"):
            self.browser.see("API", f"{api}{path}?iban={person.compact_iban}")
            self.browser.see("API", f"{api}{path}")
        self.browser.see("API", f"/banking/api/sessions/{session}/")
        assert self.calls(api, {**asked, "scopes": ["transactions"]}, key).status_code == 422
        for wrong in (
            {**person.everything(), **asked},
            {**asked, "email": person.spaced_iban},
            [person.everything()],
        ):
            assert self.calls(api, wrong).status_code == 400
        assert self.calls(api, asked, {"Idempotency-Key": person.spaced_iban}).status_code == 400
        # What is wrong is shown again to who sent it, and to nobody else.
        choice = {**asked, "scopes": [person.one("holder name")]}
        assert self.browser.post(api, choice, "application/json").status_code == 400
        answer = self.browser.post(api, person.spaced_iban, "application/json")
        assert answer.status_code == 400
        self.evidence.saw("API", answer.content)
        for status in (422, 500):
            self.upstream.connect_answers(status, {"error": {"class": API_KEY, "message": str(upstream)}})
            assert self.calls(api, {**asked, "email": person.one("e-mail")}).status_code == 503
        Faults.hooks = True
        assert self.calls(api, {**asked, "email": person.one("e-mail")}).status_code == 500
        Faults.hooks = False
        self.calls(f"{api}{about}/disconnect/", None)

    def calls(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        sent = b"" if body is None else json.dumps(body)
        answer = self.browser.post(url, sent, "application/json", headers=headers or {})
        self.evidence.saw("API", answer.content)
        return answer

    def is_sent_a_link(self, operator: Browser) -> None:
        """Renew with a link that an operator made, and have it fail in every way."""
        person = self.person
        renewed = BankingConnection.objects.filter(user=self.user, status="active").earliest("pk")
        admin = f"/admin/business_os_banking/bankingconnection/{renewed.pk}"
        shown = operator.post(f"{admin}/renew/", {"confirmed": "1"})
        [token] = {*re.findall(r"/banking/invitations/([^/\s\"<&]+)/", shown.content.decode())}
        person.own("renewal link", token)
        self.evidence.saw("renewal link, when made", shown.content)
        link = f"/banking/invitations/{token}/"
        stranger = Browser(self.evidence)
        stranger.see("renewal link", f"{link}?q={person.compact_iban}")
        self.upstream.connect_answers(503, person.everything())
        assert stranger.send("renewal link", link, person.everything()).status_code == 503
        for fault in ("hooks", "keys"):
            setattr(Faults, fault, True)
            assert stranger.send("renewal link", link, {}).status_code >= 500
            setattr(Faults, fault, False)
        stranger.see("renewal link", f"{link[:-2]}/")
        assert stranger.put(link, person.everything()).status_code == 405
        with override_settings(BUSINESS_OS_BANKING={**BANKING, "CONNECTS_PER_HOUR": 1}):
            assert stranger.send("renewal link", link, {}).status_code == 429
        answer = connect_answer(connect_url=person.new_connect_url(), pending_token=person.new_token())
        self.upstream.connect_answers(200, {**person.everything(), **answer})
        assert stranger.send("renewal link", link, {}).status_code == 303
        operator.see("admin", f"{admin}/change/")
        operator.see("admin", f"{admin}/history/")
        operator.send("admin", f"{admin}/withdraw/", {"confirmed": "1"})
        assert stranger.see("renewal link", link).status_code == 410

    def listens(self, happens: Any) -> None:
        """Have a receiver raise while something happens."""

        def receiver(**_: Any) -> None:
            raise RuntimeError("a fault of the site's own receiver")

        signals.event_recorded.connect(receiver)
        try:
            happens()
        finally:
            signals.event_recorded.disconnect(receiver)

    def is_read_back(self, links: Any) -> None:
        """Have reconcile do each of its steps, the mails included, with an upstream that tells everything."""
        known = self.person.everything()
        waiting, silent = self.opened(), self.opened()
        attempt = {
            **known,
            "success_at": "2026-11-01T10:00:00Z",
            "fail_message": self.person.one("error message"),
            "last_stage": {"interactive_html": known["interactive_html"]},
            "custom_fields": {**known, "pending_token": str(waiting.pending_token)},
        }
        told = {**known, "provider_name": self.person.one("bank"), "provider_code": self.person.code}
        rows = [row(next(links), attempt=attempt, **told), row(next(links), status="inactive", **told)]
        ConnectSession.objects.filter(pk=silent.pk).update(expires_at=timezone.now() - timedelta(hours=30))
        for status in (401, 429, 502):
            self.upstream.lists(status=status, body={"error": {"class": API_KEY, "message": str(known)}})
            with no_mail_gets_through():
                reconcile(timezone.now() + timedelta(minutes=1))
            AccountState.objects.update(paused_until=None)
        self.upstream.lists(*rows, left=7)
        reconcile(timezone.now() + timedelta(minutes=2))
        # And a whole reading that is left under way, for want of budget.
        self.upstream.lists(body={"data": rows, "meta": {"next_id": rows[0]["id"]}})
        left = {"sweep": {"left": 1, "at": (timezone.now() + timedelta(minutes=2)).isoformat()}}
        AccountState.objects.update(read_at=timezone.now(), list_wanted_at=timezone.now(), buckets=left)
        ConnectSession.objects.filter(pk=waiting.pk).update(look_at=timezone.now(), status="open")
        reconcile(timezone.now() + timedelta(minutes=2))

    def ends(self, session: ConnectSession, links: Any) -> None:
        """Look at everything, disconnect, and have a late success turn up."""
        connection = session.connection
        page = f"/banking/connections/{connection.reference}/"
        late = self.opened(f"{page}renew/")
        for url in ("/banking/", page, f"{page}renew/", f"{page}disconnect/"):
            assert self.browser.see("own pages", url).status_code == 200
        for link in self.person.links:
            self.upstream.deletes(link, 503, self.person.everything())
        assert self.browser.send("own pages", f"{page}disconnect/", {}).status_code == 303
        self.browser.see("own pages", "/banking/")
        self.success(late, next(links))
        reconcile(timezone.now() + timedelta(minutes=3))
