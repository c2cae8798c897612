"""Living with a connection: renewing and ending it."""

from playwright.sync_api import Page, expect

from business_os_banking.models import BankingConnection, ConnectionEvent
from business_os_banking.sandbox.models import SandboxConnection

from . import journey
from .conftest import Site


def test_renew_an_active_connection(page: Page, site: Site) -> None:
    first = journey.connect(page)
    page.goto(f"{site.url}/banking/")
    page.get_by_role("link", name="Renew").click()
    expect(page.locator("h1")).to_contain_text("Renew")
    site.hold_webhooks()
    journey.leave_for_the_bank(page, "Continue to your bank")
    journey.consent_at(page, "succeed")
    journey.sees(page, journey.CHECKING)
    second = journey.latest_session()
    assert second.connection == first.connection
    assert journey.stands(second) == ("open", "active"), "the old link works until the new one does"
    site.let_webhooks_pass()
    journey.sees(page, journey.CONNECTED)
    assert journey.stands(second) == ("succeeded", "active")
    assert BankingConnection.objects.count() == 1
    second.refresh_from_db()
    first.refresh_from_db()
    assert second.connection.upstream_id == second.upstream_id != first.upstream_id


def test_a_renewal_that_is_cancelled_harms_nothing(page: Page, site: Site) -> None:
    first = journey.connect(page)
    page.goto(f"{site.url}/banking/connections/{first.connection.reference}/renew/")
    journey.leave_for_the_bank(page, "Continue to your bank")
    journey.answer(page, "cancel")
    journey.sees(page, "You stopped before the end")
    expect(page.get_by_text("Your connection with this bank keeps working.")).to_be_visible()
    assert journey.stands(journey.latest_session()) == ("cancelled", "active")


def test_disconnect_after_a_confirmation(page: Page, site: Site) -> None:
    connection = journey.connect(page).connection
    page.goto(f"{site.url}/banking/connections/{connection.reference}/")
    page.get_by_role("link", name="Disconnect").click()
    journey.sees(page, "Disconnect this bank?")
    journey.button(page, "Keep it")
    expect(page.locator(".bank-badge")).to_have_text("Connected")

    page.get_by_role("link", name="Disconnect").click()
    journey.button(page, "Disconnect")
    expect(page.locator(".bank-message")).to_contain_text("is disconnected.")
    expect(page.locator(".bank-item .bank-badge")).to_have_text("Disconnected")
    connection.refresh_from_db()
    assert (connection.status, connection.ended_by) == ("disconnected", "owner")
    assert not connection.removal_due
    assert SandboxConnection.objects.get().removed_at is not None
    journey.becomes(lambda: _removals(connection), ["read", "webhook"])


def _removals(connection: BankingConnection) -> list[str]:
    """Who has said that the link is gone: our own call, and the provider's callback."""
    # The callback has no event name, so that it only looks like a removal.
    events = ConnectionEvent.objects.filter(connection=connection, kind__in=["removed", "guessed_removal"])
    return sorted(events.values_list("source", flat=True))


def test_an_attempt_can_be_finished_or_removed(page: Page, site: Site) -> None:
    journey.start(page)
    page.goto(f"{site.url}/banking/")
    expect(page.locator(".bank-item .bank-badge")).to_have_text("Not finished")
    page.get_by_role("link", name="Remove").click()
    journey.sees(page, "Remove this connection?")
    journey.button(page, "Remove")
    expect(page.get_by_text("No bank is connected yet.")).to_be_visible()
    assert BankingConnection.objects.get().status == "disconnected"
