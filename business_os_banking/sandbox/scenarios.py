"""The banks of the sandbox. Each one is a scenario: what it does stands in its description."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One bank and the way it behaves.

    ``api`` is ``partner`` or ``openbanking``: the picker shows a bank only to sessions of its api.
    """

    slug: str
    bank: str
    provider_code: str
    description: str | Promise
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
    # Callbacks late by LATE_SECONDS, not at all, or the success before the earlier stages.
    late: bool = False
    silent: bool = False
    success_first: bool = False


_ALL = (
    Scenario(
        slug="succeed",
        bank="Demobank",
        provider_code="demobank_xf",
        description=_("Everything works."),
    ),
    Scenario(
        slug="wrong_login",
        bank="Sternberg Savings Bank",
        provider_code="sternberg_savings_xf",
        description=_("Refuses the first login, whatever you type, and accepts the second."),
        refuses_first_login=True,
    ),
    Scenario(
        slug="cancel",
        bank="Nordhafen Bank",
        provider_code="nordhafen_xf",
        description=_("Does not grant access after the login, and sends you back."),
        error_class="ProviderAccessNotGranted",
        error_message="Access to the provider was not granted.",
    ),
    Scenario(
        slug="bank_trouble",
        bank="Altstadt Cooperative",
        provider_code="altstadt_xf",
        description=_("Is down for maintenance: fails after the login."),
        error_class="ProviderUnavailable",
        error_message="The provider is temporarily unavailable.",
    ),
    Scenario(
        slug="vanish",
        bank="Fernblick Bank",
        provider_code="fernblick_xf",
        description=_("Works, but never sends you back. The webhook is sent all the same."),
        returns=False,
    ),
    Scenario(
        slug="webhook_twice",
        bank="Echo Bank",
        provider_code="echo_xf",
        description=_("Works, and delivers the very same success webhook twice."),
        successes=2,
        repeats_bytes=True,
    ),
    Scenario(
        slug="webhook_thrice",
        bank="Dreiklang Bank",
        provider_code="dreiklang_xf",
        description=_("Works, and reports success three times, each time anew."),
        successes=3,
    ),
    Scenario(
        slug="webhook_late",
        bank="Schneckenpost Bank",
        provider_code="schneckenpost_xf",
        description=_("Works, but its webhooks come some seconds after you are back."),
        late=True,
    ),
    Scenario(
        slug="webhook_never",
        bank="Stille Bank",
        provider_code="stille_xf",
        description=_("Works, but sends no webhook. Only the connection list shows the success."),
        silent=True,
    ),
    Scenario(
        slug="out_of_order",
        bank="Kunterbunt Bank",
        provider_code="kunterbunt_xf",
        description=_("Works, but the success webhook arrives before the earlier stages."),
        success_first=True,
    ),
    Scenario(
        slug="openbanking_card",
        bank="Atlantic Express Cards",
        provider_code="atlantic_express_xf",
        api="openbanking",
        description=_("A card issuer. Everything works."),
    ),
    Scenario(
        slug="openbanking_neobank",
        bank="Evolvo",
        provider_code="evolvo_xf",
        api="openbanking",
        description=_("A phone-only bank. Works, and its webhooks come some seconds late."),
        late=True,
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.slug: scenario for scenario in _ALL}


def for_api(api: str) -> list[Scenario]:
    """The banks that a session of this api may choose from."""
    return [scenario for scenario in _ALL if scenario.api == api]
