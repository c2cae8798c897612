"""Finding the rows that a report is about. Ownership comes from our own rows only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from business_os_banking.facts import notes
from business_os_banking.facts.lookup import Candidates, SessionRow, candidates
from business_os_banking.facts.report import Report
from business_os_banking.models import BankingConnection
from business_os_banking.vocabulary import Kind


@dataclass(frozen=True, slots=True)
class Match:
    """The connections that a report changes, and the session that it is filed under, if it names one.

    With ``conflict`` the report names rows that cannot both be meant, and nothing may be changed.
    """

    connections: frozenset[int] = frozenset()
    session: int | None = None
    reference: str = ""
    session_connection: int | None = None  # the connection of that session
    conflict: str = ""
    new_bank: str = ""  # the bank that the report names, if nobody has told yet whether it is switched on
    repeated: int | None = None  # the event that says the same


def match(report: Report) -> Match:
    """Return what *report* is about: by its token, else our own key, else the upstream connection.

    One query; and one more each if the upstream connection is a further one of a session, and if several connections
    share it.
    """
    if report.conflict:
        return Match(conflict=report.conflict)
    if report.fact.kind is Kind.PROVIDER_CHANGED:
        return Match()  # concerns all connections at a bank; see flows.banks
    meant = candidates(report)
    new_bank = "" if meant.bank_has_changed else report.fact.details.get("provider_code", "")
    return replace(_decide(report, meant), new_bank=new_bank, repeated=meant.repeated)


def _decide(report: Report, meant: Candidates) -> Match:
    rows = meant.sessions
    token, reference = report.pending_token, str(report.session_reference or "")
    named = {row.pk: row for row in rows if row.token and row.token == token}
    named |= {row.pk: row for row in rows if row.reference == reference}
    if len(named) > 1:
        return Match(conflict=notes.OTHER_SESSION)
    linked = [row for row in rows if report.fact.link and row.link == report.fact.link]
    if not named and (token or reference):
        # Not by the link instead: a session of this token may turn up (its answer is still on the way), and
        # what the fact says of that session must not depend on which of the two came first.
        return Match()
    if not named:
        return _by_link(report, linked, meant.connections)
    session = next(iter(named.values()))
    if (token and session.token and session.token != token) or (reference and session.reference != reference):
        return Match(conflict=notes.NO_PAIR)
    connections = meant.connections | {session.connection, *(row.connection for row in linked)}
    if len(connections) > 1 and not _of_one_owner(connections):
        return Match(conflict=notes.OTHER_OWNER)
    return Match(connections, session.pk, session.reference, session.connection)


def _by_link(report: Report, linked: Sequence[SessionRow], standing: frozenset[int]) -> Match:
    connections = standing | {row.connection for row in linked}
    if report.connection_id is not None:
        return Match(connections | {report.connection_id})
    if linked:
        return Match(connections, linked[-1].pk, "", linked[-1].connection)
    return Match(connections)


def _of_one_owner(connections: frozenset[int]) -> bool:
    rows = BankingConnection.objects.filter(pk__in=connections)
    owners: set[tuple[int | None, str]] = set(rows.values_list("user_id", "tenant"))
    # Nobody is not one person; but within a tenant rows without a user belong to the tenant. None at all if the
    # connections have been erased meanwhile.
    return len(owners) <= 1 and (None, "") not in owners
