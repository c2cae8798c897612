"""The connection list, a page at a time, in the ways in which real ones may differ."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Reverse
from django.utils import timezone

from . import callbacks, conf, payloads
from .models import SandboxConnection, SandboxSession
from .scenarios import SCENARIOS

# Whose rows the list shows with LIST_OF = "another": no caller has this key.
ANOTHER = "the key of another organisation"
_ROWS_OF_ANOTHER = 3
# The ids of all connections have as many digits, so that the order of the texts is the order of the numbers.
_DIGITS = 19


def of_key(key: str) -> QuerySet[SandboxConnection]:
    """Return the connections made with an API key that are still there, and their sessions."""
    return SandboxConnection.objects.filter(api_key=key, removed_at=None).select_related("session")


def page(key: str, from_id: str) -> tuple[list[SandboxConnection], str | None]:
    """Return one page of the list that this key is shown, and the id for ``from_id`` that leads to the next one.

    ``from_id`` is where to start, or empty. It need not be the id of a connection that is there.
    """
    whose = _whose(key)
    rows = _in_order(of_key(whose))
    if conf.settings.list_of == "nobody":
        rows = rows.none()
    size = conf.settings.page_size
    ahead = list(_after(rows, from_id)[: size + 1])
    shown, further = ahead[:size], ahead[size:]
    next_id = _next_id(rows, shown, further)
    for _ in range(conf.settings.list_grows):
        _invent(whose)
    return shown, next_id


def _in_order(rows: QuerySet[SandboxConnection]) -> QuerySet[SandboxConnection]:
    """Put the rows in the order that ``LIST_ORDER`` says."""
    if conf.settings.list_order == "mixed":
        # Ids end at random. Read backwards, they give an order that looks like none, and yet each row, and one that
        # comes later, too, has its place in it: pages neither repeat rows nor leave any out.
        return rows.annotate(place=Reverse("connection_id")).order_by("place")
    rows = rows.annotate(place=F("connection_id"))
    return rows.order_by("-place" if conf.settings.list_order == "descending" else "place")


def _after(rows: QuerySet[SandboxConnection], from_id: str) -> QuerySet[SandboxConnection]:
    """Leave out the rows before the start, and with ``FROM_ID = "exclusive"`` the one at it, too."""
    if not from_id or conf.settings.from_id == "ignored":
        return rows
    place = from_id.zfill(_DIGITS)
    if conf.settings.list_order == "mixed":
        place = place[::-1]
    lookup = "lt" if conf.settings.list_order == "descending" else "gt"
    if conf.settings.from_id == "inclusive":
        lookup += "e"
    return rows.filter(**{f"place__{lookup}": place})


def _next_id(
    rows: QuerySet[SandboxConnection],
    shown: Sequence[SandboxConnection],
    further: Sequence[SandboxConnection],
) -> str | None:
    if not further and conf.settings.list_circles:
        return rows.values_list("connection_id", flat=True).first()
    if not further:
        return None
    # Where the start itself is left out, the last row that was shown leads on, or else a row would be lost.
    return (shown[-1] if conf.settings.from_id == "exclusive" else further[0]).connection_id


def _whose(key: str) -> str:
    """Return the key whose connections are shown; those of another organisation are invented when first asked for."""
    if conf.settings.list_of != "another":
        return key
    for _ in range(of_key(ANOTHER).count(), _ROWS_OF_ANOTHER):
        _invent(ANOTHER)
    return ANOTHER


@transaction.atomic
def _invent(key: str) -> None:
    """Make a connection of a customer whom the caller knows nothing of. No callback tells of it."""
    bank = SCENARIOS["succeed"]
    now = timezone.now()
    session = SandboxSession(
        api_key=key,
        owner_user_id=payloads.owner_user_id(key),
        api=bank.api,
        scopes=["accounts"],
        scenario=bank.slug,
        expires_at=now + timedelta(minutes=conf.settings.session_minutes),
        ended_at=now,
    )
    session.customer_id = payloads.customer_id(key, session.api, "", str(session.pending_token))
    session.save()
    SandboxConnection.objects.create(
        session=session,
        api_key=key,
        provider_code=bank.provider_code,
        provider_name=bank.bank,
        country_code=bank.country_code,
        stage=callbacks.FINISH,
        succeeded_at=now,
    )
