"""One thing that happened. Pure, as :mod:`business_os_banking.facts.lifecycle` is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from business_os_banking.vocabulary import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that happened, as far as the merge cares.

    ``dated`` is false where the source names a time that cannot be read: ``at`` is then the time of receipt.
    ``final`` is for a removal that is proved. ``link_works`` tells that the upstream shows the link as one that works:
    of a failure, that it is the session's alone; of a reading, that what was wrong with the link is over.
    ``succeeded_at`` is when the session had succeeded before the link stopped working, as a reading of that tells.
    ``session`` is the reference of the connect session that the fact names through a token or our own key,
    or ``""``; ``link`` is the upstream ``upstream_id``, or ``""``. ``details`` holds values for the
    names in :data:`vocabulary.DETAILS` (texts; times in ISO 8601).

    ``renews`` is the link that the connection stood on when a session opened, ``proof_required`` whether that was to be
    proved. ``doubt`` is a nonce for a browser that came back and did not prove that it belongs to who began, ``proof``
    one that is lifted, or of a browser that did. Of an answer about a held success, ``reason`` is why it was held.
    """

    kind: Kind
    at: datetime
    session: str = ""
    link: str = ""
    error_class: str = ""
    stage: str = ""
    reason: str = ""
    ended_by: str = ""
    provider_code: str = ""
    provider_active: bool | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    dated: bool = True
    final: bool = False
    link_works: bool = False
    succeeded_at: datetime | None = None
    renews: str = ""
    proof_required: bool = False
    doubt: str = ""
    proof: str = ""
