"""The banks of the sandbox. Each one is a scenario: what it does stands in its description."""

from django.utils.translation import gettext_lazy as _

from .behaviour import Change, Group, Scenario

_ALL = (
    Scenario(
        slug="succeed",
        bank="Demobank",
        provider_code="demobank_xf",
        group=Group.WORKS,
        description=_("Everything works."),
    ),
    Scenario(
        slug="slow",
        bank="Gemach Bank",
        provider_code="gemach_xf",
        group=Group.WORKS,
        description=_("Works, but takes its time: one stage after the other, over some seconds."),
        slow=True,
    ),
    Scenario(
        slug="wrong_login",
        bank="Sternberg Savings Bank",
        provider_code="sternberg_savings_xf",
        group=Group.AT_THE_BANK,
        description=_("Refuses the first login, whatever you type, and accepts the second."),
        refuses_first_login=True,
    ),
    Scenario(
        slug="cancel",
        bank="Nordhafen Bank",
        provider_code="nordhafen_xf",
        group=Group.AT_THE_BANK,
        description=_("Does not grant access after the login, and sends you back."),
        error_class="ProviderAccessNotGranted",
        error_message="Access to the provider was not granted.",
    ),
    Scenario(
        slug="bank_trouble",
        bank="Altstadt Cooperative",
        provider_code="altstadt_xf",
        group=Group.AT_THE_BANK,
        description=_("Is down for maintenance: fails after the login."),
        error_class="ProviderUnavailable",
        error_message="The provider is temporarily unavailable.",
    ),
    Scenario(
        slug="vanish",
        bank="Fernblick Bank",
        provider_code="fernblick_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, but never sends you back. The webhook is sent all the same."),
        returns=False,
    ),
    Scenario(
        slug="webhook_twice",
        bank="Echo Bank",
        provider_code="echo_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, and delivers the very same success webhook twice."),
        successes=2,
        repeats_bytes=True,
    ),
    Scenario(
        slug="webhook_thrice",
        bank="Dreiklang Bank",
        provider_code="dreiklang_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, and reports success three times, each time anew."),
        successes=3,
    ),
    Scenario(
        slug="webhook_late",
        bank="Schneckenpost Bank",
        provider_code="schneckenpost_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, but its webhooks come some seconds after you are back."),
        late=True,
    ),
    Scenario(
        slug="webhook_day_late",
        bank="Flaschenpost Bank",
        provider_code="flaschenpost_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, but its webhooks come a day later. Only the connection list knows sooner."),
        day_late=True,
    ),
    Scenario(
        slug="webhook_never",
        bank="Stille Bank",
        provider_code="stille_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, but sends no webhook. Only the connection list shows the success."),
        silent=True,
    ),
    Scenario(
        slug="out_of_order",
        bank="Kunterbunt Bank",
        provider_code="kunterbunt_xf",
        group=Group.ON_THE_WAY_BACK,
        description=_("Works, but the success webhook arrives before the earlier stages."),
        success_first=True,
    ),
    Scenario(
        slug="consent_ends",
        bank="Herbstlaub Bank",
        provider_code="herbstlaub_xf",
        group=Group.LATER,
        description=_("Works, until the consent runs out some seconds later."),
        aftermath=(Change.CONSENT_EXPIRED,),
    ),
    Scenario(
        slug="switched_off",
        bank="Wackelkontakt Bank",
        provider_code="wackelkontakt_xf",
        group=Group.LATER,
        description=_("Works, is switched off some seconds later, and on again after as long."),
        aftermath=(Change.BANK_OFF, Change.BANK_ON),
    ),
    Scenario(
        slug="removed",
        bank="Zugvogel Bank",
        provider_code="zugvogel_xf",
        group=Group.LATER,
        description=_("Works, and removes the connection some seconds later."),
        aftermath=(Change.REMOVED,),
    ),
    Scenario(
        slug="openbanking_card",
        bank="Atlantic Express Cards",
        provider_code="atlantic_express_xf",
        api="openbanking",
        group=Group.WORKS,
        description=_("A card issuer. Everything works."),
    ),
    Scenario(
        slug="openbanking_neobank",
        bank="Evolvo",
        provider_code="evolvo_xf",
        api="openbanking",
        group=Group.ON_THE_WAY_BACK,
        description=_("A phone-only bank. Works, and its webhooks come some seconds late."),
        late=True,
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.slug: scenario for scenario in _ALL}


def grouped(api: str) -> list[tuple[Group, list[Scenario]]]:
    """Return the banks that a session of this api may choose from, under their headings."""
    mine = [scenario for scenario in _ALL if scenario.api == api]
    groups = [(group, [scenario for scenario in mine if scenario.group == group]) for group in Group]
    return [(group, scenarios) for group, scenarios in groups if scenarios]
