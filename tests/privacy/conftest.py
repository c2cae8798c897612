"""Two customers whose whole life is followed once, and what is left of it, for all tests of this directory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import responses
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.exceptions import Unintelligible
from business_os_banking.flows.prune import prune
from business_os_banking.flows.remove import due_removals, remove
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.upstream import http
from business_os_banking.upstream.client import BusinessOSClient
from tests.privacy.evidence import Browser, Evidence, listening
from tests.privacy.journey import SETTINGS, Journey
from tests.privacy.markers import API_KEY, Person
from tests.privacy.office import look_at, run, run_commands
from tests.upstream.fake import BASE_URL, Upstream
from tests.upstream.server import Server, serve


@pytest.fixture(scope="package")
def evidence(django_db_setup: None, django_db_blocker: Any) -> Evidence:
    """What two journeys left behind, at each step of forgetting them. The database is empty again afterwards."""
    found = Evidence()
    with django_db_blocker.unblock(), override_settings(**SETTINGS), listening(found):
        try:
            with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
                _follow(found, Upstream(mock))
                for call in mock.calls:
                    sent = call.request
                    found.saw("Business OS", sent.url, *sent.headers.values(), sent.body)
            _speak_for_real(found.people[0])
        finally:
            call_command("flush", verbosity=0, interactive=False)
            cache.clear()
    return found


def _follow(found: Evidence, upstream: Upstream) -> None:
    operator = Browser(found)
    operator.force_login(get_user_model().objects.create_superuser("operator"))
    eva, otto, ida = (Journey(person, upstream, found) for person in found.people)
    eva.is_refused()
    eva.meets_faults()
    eva.strangers_call()
    eva.life()
    otto.life()
    eva.calls_the_api()
    eva.is_sent_a_link(operator)
    run_commands(eva)
    look_at(eva, operator)
    eva.opened()
    # Of Ida's banks the site has never heard.
    ida.success(None, ida.person.links[0])
    ida.contradicts(ida.person.new_token(), ida.person.links[1])
    for url in ("/banking/", eva.connected.get_absolute_url(), f"{eva.connected.get_absolute_url()}renew/"):
        otto.browser.see("pages of others", url)
    eva.owns()
    otto.owns()
    found.belongs_to_nobody = str(otto.unfinished.reference)
    forgotten, kept = eva.unfinished, otto.unfinished
    found.dump("before")
    # Eva wants to be forgotten.
    _lets_go(upstream, eva.person)
    found.saw("commands", run("banking_erase", "--user", str(eva.user.pk)))
    found.dump("eva is erased")
    eva.success(forgotten, eva.person.links[0])
    found.dump("eva is heard of again")
    for removal in due_removals(timezone.now()).filter(connection=None):
        assert remove(removal)
    # Otto's grows old.
    now = timezone.now()
    prune(now + timedelta(days=31))
    found.dump("31 days later")
    prune(now + timedelta(days=401))
    found.dump("401 days later")
    # The site deletes him first; then what belongs to nobody is to be forgotten, and then his tenant.
    otto.user.delete()
    BankingConnection.objects.filter(pk=kept.connection_id).update(tenant="")
    _lets_go(upstream, otto.person)
    found.saw("commands", run("banking_erase", "--without-user"))
    found.dump("what belongs to nobody is erased")
    found.saw("commands", run("banking_erase", "--tenant", f"markertenant-{otto.person.name}"))
    found.dump("otto's tenant is erased")


def _speak_for_real(person: Person) -> None:
    """Have the HTTP library log what it does, which it does not where `responses` stands in for it."""
    script = Server(behave=lambda exchange: exchange.answer(person.everything()))
    stop = serve(script)
    client = BusinessOSClient(conf.make_account("default", {"API_KEY": API_KEY, "BASE_URL": script.url}))
    with pytest.raises(Unintelligible):
        client.delete_connection(person.links[0])
    with pytest.raises(Unintelligible):
        client.connect(
            return_to="https://site.example/", email=person.typed_email, custom_fields=person.everything()
        )
    http.close_kept()
    stop()


def _lets_go(upstream: Upstream, person: Person) -> None:
    """Have the provider remove what it did not before, and the time of open sessions be over."""
    for link in person.links:
        upstream.mock.replace(
            responses.DELETE, f"{BASE_URL}/v2/banking/connections/{link}", json={"removed": True}
        )
    ConnectSession.objects.update(expires_at=timezone.now())
