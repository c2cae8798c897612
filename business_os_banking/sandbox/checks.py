"""System checks of the sandbox."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from . import conf

NOT_ALLOWED = (
    "The Business OS banking sandbox does not run with DEBUG = False: anybody could "
    "'connect' an invented bank."
)
HOW_TO_ALLOW = (
    "Take business_os_banking.sandbox out of INSTALLED_APPS, or, on a demo or test site, set "
    'BUSINESS_OS_SANDBOX = {"ALLOW_WITHOUT_DEBUG": True}.'
)


@register("business_os_banking")
def check_sandbox(**_: Any) -> list[CheckMessage]:
    """Say at start-up what would otherwise be found out by a 503 or by a missing webhook."""
    mistakes = conf.problems()
    if mistakes:
        return [
            Error(mistake, hint="See the settings of the sandbox.", id=f"{_LABEL}.E002")
            for mistake in mistakes
        ]
    found: list[CheckMessage] = []
    if not conf.settings.allowed:
        found.append(Error(NOT_ALLOWED, hint=HOW_TO_ALLOW, id=f"{_LABEL}.E001"))
    signing = conf.settings.webhook_signing
    # A shared secret may also stand in WEBHOOK_URL, so it alone may be left out.
    needed = {
        "hmac": ("WEBHOOK_SECRET", conf.settings.webhook_secret),
        "standard_webhooks": ("WEBHOOK_SECRET", conf.settings.webhook_secret),
        "salt_edge": ("WEBHOOK_PRIVATE_KEY", conf.settings.webhook_private_key),
    }.get(signing)
    if needed and not needed[1]:
        found.append(
            Error(
                f"The sandbox cannot sign callbacks by {signing!r}.",
                hint=f"Set BUSINESS_OS_SANDBOX[{needed[0]!r}].",
                id=f"{_LABEL}.E003",
            )
        )
    return found


_LABEL = "business_os_banking_sandbox"
