"""System checks of the sandbox."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from . import conf

_LABEL = "business_os_banking_sandbox"

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
    """Report at start-up what would otherwise show as a 503 or as a missing webhook."""
    problems = conf.problems()
    if problems:
        return [
            Error(problem, hint="See the settings of the sandbox.", id=f"{_LABEL}.E002")
            for problem in problems
        ]
    messages: list[CheckMessage] = []
    if not conf.settings.allowed:
        messages.append(Error(NOT_ALLOWED, hint=HOW_TO_ALLOW, id=f"{_LABEL}.E001"))
    signing = conf.settings.webhook_signing
    # A shared secret may also stand in WEBHOOK_URL, so it alone may be left out.
    required = {
        "hmac": ("WEBHOOK_SECRET", conf.settings.webhook_secret),
        "standard_webhooks": ("WEBHOOK_SECRET", conf.settings.webhook_secret),
        "salt_edge": ("WEBHOOK_PRIVATE_KEY", conf.settings.webhook_private_key),
    }.get(signing)
    if required and not required[1]:
        messages.append(
            Error(
                f"The sandbox cannot sign callbacks by {signing!r}.",
                hint=f"Set BUSINESS_OS_SANDBOX[{required[0]!r}].",
                id=f"{_LABEL}.E003",
            )
        )
    return messages
