"""Whether two banks are the same one, as far as this site knows: by what they are called, its settings, its adapter."""

from __future__ import annotations

import logging

from business_os_banking import conf
from business_os_banking.adapter import get_adapter
from business_os_banking.facts import held
from business_os_banking.vocabulary import Bank

logger = logging.getLogger(__name__)


def is_same_bank(old: Bank, new: Bank) -> bool | None:
    """Return whether *old* and *new* are the same bank; `None` if it is unknown, or not to be asked."""
    is_same = held.same_bank(old, new)
    if is_same is not False:
        return is_same
    codes = {old.code, new.code}
    if any(set(pair) == codes for pair in conf.settings.same_banks):
        return True
    try:
        if get_adapter().is_same_bank(old, new):
            return True
    except Exception:
        # The site's own code: without its answer, the owner is asked.
        logger.exception("The adapter's is_same_bank() raised")
    return False if conf.settings.hold_other_bank else None
