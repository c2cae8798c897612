"""The behaviour of the sandbox's banks."""

from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Group(TextChoices):
    """The headings under which the picker shows the banks, in this order."""

    WORKS = "works", _("Everything works")
    AT_THE_BANK = "at_the_bank", _("Something goes wrong at the bank")
    ON_THE_WAY_BACK = "on_the_way_back", _("Something goes wrong on the way back")
    LATER = "later", _("Something changes later")


class Change(TextChoices):
    """The changes of a connection that works."""

    CONSENT_EXPIRED = "consent_expired"
    CONSENT_REVOKED = "consent_revoked"
    REMOVED = "removed"
    BANK_OFF = "bank_off"
    BANK_ON = "bank_on"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One bank and the way it behaves.

    ``api`` is ``partner`` or ``openbanking``: the picker shows a bank only to sessions of its api.
    """

    slug: str
    bank: str
    provider_code: str
    description: str | Promise
    group: Group
    api: str = "partner"
    country_code: str = "XF"

    # Refuse the first login, whatever was typed.
    refuses_first_login: bool = False
    # The error class with which the bank ends the session after the login; empty: it goes on.
    error_class: str = ""
    error_message: str = ""
    # Whether the browser is sent back to ``return_to``.
    returns: bool = True
    # How many success callbacks there are, and whether the further ones repeat the first
    # byte for byte (a redelivery) or are callbacks of their own, as Salt Edge is known to send.
    successes: int = 1
    repeats_bytes: bool = False
    # Callbacks late by LATE_SECONDS, by a day, not at all, or the success before the earlier stages.
    late: bool = False
    day_late: bool = False
    silent: bool = False
    success_first: bool = False
    # Reach one stage after the other in the course of SLOW_SECONDS, not all of them at once.
    slow: bool = False
    # What happens after the success, one after the other, AFTERMATH_SECONDS apart.
    aftermath: tuple[Change, ...] = ()
