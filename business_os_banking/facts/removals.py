"""What is to be removed at the provider: asked for where a state says so, and known again after an erasure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from business_os_banking import conf
from business_os_banking.facts.events import NAMING_NOBODY
from business_os_banking.facts.lifecycle import State
from business_os_banking.facts.lookup import Name
from business_os_banking.facts.report import Report
from business_os_banking.facts.same_bank import is_same_bank
from business_os_banking.facts.status import view_connection
from business_os_banking.facts.unneeded import refused, superseded, to_remove
from business_os_banking.models import (
    BankingConnection,
    ConnectionEvent,
    ConnectSession,
    Removal,
    RemovalQuerySet,
)
from business_os_banking.models.removals import digest_of, digests_of
from business_os_banking.vocabulary import Kind

_SUPERSEDED_AFTER: Final = timedelta(days=1)  # a new link that was a mistake is noticed by then


def links_to_remove(state: State) -> dict[str, datetime | None]:
    """Return the upstream connections that *state* wants removed, with the time before which they must not be."""
    has_refused = any(attempt.refused for attempt in state.attempts.values())
    if not (state.ended or has_refused or conf.settings.disconnect_superseded):
        return {}
    links: dict[str, datetime | None] = dict.fromkeys((*to_remove(state), *refused(state, is_same_bank)))
    if conf.settings.disconnect_superseded and (others := superseded(state, is_same_bank)):
        consented_at = view_connection(state, is_same_bank).consented_at
        links |= dict.fromkeys(others, consented_at + _SUPERSEDED_AFTER if consented_at else None)
    return links


def ask(connection: BankingConnection, state: State, now: datetime) -> None:
    """Ask for the removal of what *state* of *connection* wants removed and nobody has asked for yet."""
    links = links_to_remove(state)
    if not links:
        return
    known = known_links(connection.account, links)
    # What was left because this connection stood on it is its own now; and what was settled and is wanted again, since
    # it has come to be once more, is asked for again.
    others = Removal.objects.filter(digest__in=known.values()).exclude(connection=connection.pk)
    others.unsettled().exclude(left_at=None).update(
        connection=connection.pk, left_at=None, next_at=None, requested_at=now
    )
    for link, digest in known.items():
        reopen(Removal.objects.filter(digest=digest).exclude(settled_at=None), link, now, connection)
    for link in links.keys() - known.keys():
        ask_for(connection.account, link, now, links[link], connection, keys_of(connection, link))


def ask_for(
    account: str,
    link: str,
    now: datetime,
    not_before: datetime | None = None,
    connection: BankingConnection | None = None,
    keys: Collection[str] = (),
) -> None:
    """Ask for the removal of *link*, not to be tried *not_before* then, unless somebody has already."""
    row = Removal(
        connection=connection,
        account=account,
        upstream_id=link,
        digest=digest_of("link", account, link),
        known_to=sorted(keys),
        requested_at=now,
        next_at=not_before,
    )
    Removal.objects.bulk_create([row], ignore_conflicts=True)


def reopen(
    rows: RemovalQuerySet, link: str, now: datetime, connection: BankingConnection | None = None
) -> None:
    """Ask once more for what was settled: nothing that was said before counts for it."""
    rows.update(
        connection=connection,
        upstream_id=link,
        requested_at=now,
        next_at=None,
        tries=0,
        **dict.fromkeys(("asked_at", "unlisted_at", "shown_at", "left_at", "leased_until", "settled_at")),
        evidence="",
        reason="",
    )


def known_links(account: str, links: Iterable[str]) -> dict[str, str]:
    """Return those of *links* of which a removal is known, with its digest."""
    digests = {digest: link for link in links for digest in digests_of("link", account, link)}
    rows = Removal.objects.filter(digest__in=digests).values_list("digest", flat=True)
    return {digests[digest]: digest for digest in rows}


def keys_of(connection: BankingConnection, link: str) -> set[str]:
    """Return digests of the keys to which the upstream has shown *link*, or which opened a session that led to it."""
    led_to_it = Q(upstream_id=link) | Q(links__upstream_id=link)
    sessions = ConnectSession.objects.filter(led_to_it, connection=connection)
    keys = set(sessions.values_list("opened_with", flat=True))
    return (keys | ({connection.seen_by} if connection.upstream_id == link else set())) - {""}


def watch_for(connection: BankingConnection, now: datetime) -> None:
    """Keep what a late success of the sessions of *connection* would be known by, once these rows are gone."""
    rows = []
    columns = ("reference", "pending_token", "opened_with")
    for reference, token, key in connection.sessions.values_list(*columns):
        # One that is being opened just now has no token yet; its webhooks name the reference, too.
        for kind, value in (("reference", reference), ("token", token)):
            if value is None:
                continue
            digest = digest_of(kind, connection.account, str(value))
            row = Removal(account=connection.account, digest=digest, of_session=True, requested_at=now)
            row.known_to = [key] if key else []
            rows.append(row)
    Removal.objects.bulk_create(rows, ignore_conflicts=True)


def of_the_erased(report: Report) -> bool:
    """Return whether *report*, which matches nothing, is about what was erased; have removed what it brings.

    What it names is not to be kept then.
    """
    names: dict[str, Any] = {
        "token": report.pending_token,
        "reference": report.session_reference,
        "link": report.fact.link,
    }
    digests = [
        digest
        for kind, value in names.items()
        if value
        for digest in digests_of(kind, report.account, str(value) if isinstance(value, UUID) else value)
    ]
    if not digests:
        return False
    rows = list(Removal.objects.filter(digest__in=digests, connection=None))
    if any(row.of_session for row in rows):
        _learn_of_the_erased(report, {key for row in rows for key in row.known_to})
    if report.fact.kind is Kind.SUCCEEDED and report.fact.dated:
        # It works after its removal: whatever proved that was wrong.
        settled = [row.pk for row in rows if row.settled_at is not None and row.settled_at < report.fact.at]
        reopen(Removal.objects.filter(pk__in=settled), report.fact.link, report.received_at)
    return bool(rows)


def is_of_the_erased(account: str, link: str) -> bool:
    """Return whether *link* is to be kept nowhere: it was of somebody erased, and its removal is settled."""
    rows = Removal.objects.filter(digest__in=digests_of("link", account, link), connection=None)
    return bool(link) and rows.exclude(settled_at=None).exists()


def names_of_the_erased(names: Collection[Name]) -> set[Name]:
    """Return which of *names* are tokens and references of erased sessions that might still succeed."""
    accounts = {account for _kind, account, _value in names}
    watched = Removal.objects.filter(of_session=True, connection=None)
    erased: set[Name] = set()
    for account in accounts:
        if not watched.filter(account=account).exists():
            continue
        digests = {
            digest: name
            for name in names
            if name[0] != "link" and name[1] == account
            for digest in digests_of(name[0], account, str(name[2]))
        }
        rows = watched.filter(digest__in=list(digests)).values_list("digest", flat=True)
        erased |= {digests[digest] for digest in rows}
    return erased


def _learn_of_the_erased(report: Report, keys: Collection[str]) -> None:
    """Have removed what *report* names, and keep what else such a session would be known by."""
    if report.pending_token is not None:
        digest = digest_of("token", report.account, str(report.pending_token))
        row = Removal(account=report.account, digest=digest, of_session=True, requested_at=report.received_at)
        row.known_to = sorted(keys)
        Removal.objects.bulk_create([row], ignore_conflicts=True)
    if report.fact.link:
        ask_for(report.account, report.fact.link, report.received_at, keys=keys)
        # What came before, by the link alone, is about the same.
        strays = ConnectionEvent.objects.filter(
            account=report.account, upstream_id=report.fact.link, connection=None
        )
        strays.exclude(kind=Kind.PROVIDER_CHANGED).update(**NAMING_NOBODY)
