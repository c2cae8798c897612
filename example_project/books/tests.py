# ruff: noqa: PT009 - these are written as Django's own tests are
"""The adviser's pages and receivers, tested with the kit alone: `manage.py test` needs no key and no network."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

from business_os_banking.testing import (
    FakeUpstream,
    capture_signals,
    make_connection,
    report_consent_end,
    report_failure,
    report_removed,
    report_success,
)
from example_project.books.models import Client, Note


class BooksTestCase(TestCase):
    """An adviser with one client, and a Business OS in this process."""

    def setUp(self) -> None:
        self.upstream = self.enterContext(FakeUpstream())
        self.adviser = get_user_model().objects.create_user("dana", "dana@kontor.example")
        self.bakery = Client.objects.create(owner=self.adviser, name="Bäckerei Lindemann", number="10001")
        self.client.force_login(self.adviser)

    def connect(self, client: Client) -> None:
        """Press the button on the client's page, and come back from the bank successfully."""
        page = client.get_absolute_url()
        answer = self.client.post(reverse("business_os_banking:connect"), {"next": page})
        self.assertEqual(answer.status_code, 303)
        report_success(self.adviser.banking_connections.latest("pk"))


class ReceiverTest(BooksTestCase):
    def test_the_client_whose_page_it_began_on_has_the_bank_and_a_note(self) -> None:
        self.connect(self.bakery)

        self.bakery.refresh_from_db()
        self.assertEqual(self.bakery.bank, self.adviser.banking_connections.get())
        text = "The bank is connected. Account movements can be booked from now on."
        self.assertEqual([note.text for note in self.bakery.notes.all()], [text])

    def test_further_successes_leave_no_further_note(self) -> None:
        self.connect(self.bakery)

        for _ in range(2):
            report_success(self.adviser.banking_connections.get())

        self.assertEqual(self.bakery.notes.count(), 1)

    def test_the_note_names_the_bank_where_it_is_known(self) -> None:
        connection = make_connection(self.adviser, status="inactive", bank="Sparkasse")
        self.bakery.bank = connection
        self.bakery.save()

        report_success(connection)

        self.assertIn("Sparkasse is connected.", self.bakery.notes.get().text)

    def test_a_client_of_somebody_else_is_never_linked(self) -> None:
        other = get_user_model().objects.create_user("erik")
        practice = Client.objects.create(owner=other, name="Praxis Dr. Sommer", number="10003")

        self.connect(practice)

        practice.refresh_from_db()
        self.assertIsNone(practice.bank)
        self.assertFalse(Note.objects.exists())

    def test_an_attempt_that_fails_links_nothing(self) -> None:
        self.client.post(reverse("business_os_banking:connect"), {"next": self.bakery.get_absolute_url()})

        with capture_signals() as signals:
            report_failure(self.adviser.banking_connections.get(), "InvalidCredentials")

        self.assertEqual([signal.name for signal in signals], ["connect_session_finished", "event_recorded"])
        self.bakery.refresh_from_db()
        self.assertIsNone(self.bakery.bank)


class PageTest(BooksTestCase):
    def test_who_has_no_bank_is_offered_to_connect_one(self) -> None:
        for page in (reverse("dashboard"), self.bakery.get_absolute_url()):
            self.assertContains(self.client.get(page), "Connect bank")

    def test_each_status_has_its_own_word(self) -> None:
        words = {
            "active": "Connected",
            "inactive": "Needs you",
            "disconnected": "Disconnected",
            "pending": "Not finished",
        }
        for status, word in words.items():
            self.bakery.bank = make_connection(self.adviser, status=status)
            self.bakery.save()
            with self.subTest(status):
                self.assertContains(self.client.get(self.bakery.get_absolute_url()), word)

    def test_a_bank_that_is_gone_may_be_connected_anew(self) -> None:
        connection = make_connection(self.adviser)
        self.bakery.bank = connection
        self.bakery.save()
        self.assertNotContains(self.client.get(reverse("dashboard")), "Connect bank")

        report_removed(connection)

        self.assertContains(self.client.get(reverse("dashboard")), "Connect bank")

    def test_a_consent_that_ended_is_renewed_on_the_same_connection(self) -> None:
        connection = make_connection(self.adviser)
        report_consent_end(connection)

        self.client.post(reverse("business_os_banking:connection-renew", args=[connection.reference]))
        report_success(connection)

        self.assertEqual(connection.status, "active")
        self.assertEqual(self.adviser.banking_connections.get(), connection)

    def test_without_business_os_nobody_is_left_without_a_way_on(self) -> None:
        self.upstream.fail_with(503)

        page = self.client.post(reverse("business_os_banking:connect"))

        self.assertTemplateUsed(page, "business_os_banking/error.html")
        self.assertContains(page, "Try again", status_code=page.status_code)
