"""Finding the rows that a report is about. Ownership comes from our own rows only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.db.models import Q

from business_os_banking import notes
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.reports import Report
from business_os_banking.vocabulary import Kind

# Of a session; after them comes the link that it is found by.
_COLUMNS: Final = (
    "pk",
    "reference",
    "pending_token",
    "connection_pk",
    "connection__user_id",
    "connection__tenant",
)


@dataclass(frozen=True, slots=True)
class Match:
    """The connections that a report changes, and the session that it is filed under, if it names one.

    With ``conflict`` the report names rows that cannot both be meant, and nothing may be changed.
    """

    connections: frozenset[int] = frozenset()
    session: int | None = None
    reference: str = ""
    home: int | None = None  # the connection of that session
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """A session that the report may mean, with what is needed to tell whether it does."""

    pk: int
    reference: str
    token: str = field(repr=False)
    link: str
    connection: int
    owner: tuple[int | None, str]


def match(report: Report) -> Match:
    """Return what *report* is about: by its token, else our own key, else the upstream connection.

    One query, or none if the report names nothing.
    """
    if report.conflict:
        return Match(conflict=report.conflict)
    if report.kind is Kind.PROVIDER_CHANGED:
        return Match()  # concerns all connections at a bank; see flows.banks
    rows = _candidates(report)
    token, reference = str(report.pending_token or ""), str(report.session_reference or "")
    named = {row.pk: row for row in rows if row.token and row.token == token}
    named |= {row.pk: row for row in rows if row.reference == reference}
    if len(named) > 1:
        return Match(conflict=notes.OTHER_SESSION)
    linked = [row for row in rows if report.connection_id and row.link == report.connection_id]
    if not named and (token or reference):
        # Not by the link instead: a session of this token may turn up (its answer is still on the way), and
        # what the fact says of that session must not depend on which of the two came first.
        return Match()
    if not named:
        return _by_link(report, linked)
    session = next(iter(named.values()))
    if (token and session.token and session.token != token) or (reference and session.reference != reference):
        return Match(conflict=notes.NO_PAIR)
    if any(_foreign(row, session) for row in linked):
        return Match(conflict=notes.OTHER_OWNER)
    connections = frozenset({session.connection, *(row.connection for row in linked)})
    return Match(connections, session.pk, session.reference, session.connection)


def _candidates(report: Report) -> list[_Row]:
    condition = Q()
    if report.pending_token:
        condition |= Q(pending_token=report.pending_token)
    if report.session_reference:
        condition |= Q(reference=report.session_reference)
    if report.connection_id:
        condition |= Q(connection_id=report.connection_id)
    if not condition:
        return []
    sessions = ConnectSession.objects.filter(connection__account=report.account).order_by()
    found = sessions.filter(condition).values_list(*_COLUMNS, "connection_id")
    if report.connection_id:
        # A union, and not OR over two tables, which would use no index.
        further = sessions.filter(links__connection_id=report.connection_id)
        found = found.union(further.values_list(*_COLUMNS, "links__connection_id"), all=True)
    return sorted(
        (
            _Row(pk, str(reference), str(token or ""), link, connection, (user, tenant))
            for pk, reference, token, connection, user, tenant, link in found
        ),
        key=lambda row: row.pk,
    )


def _by_link(report: Report, linked: list[_Row]) -> Match:
    if report.connection_pk is not None:
        return Match(frozenset({report.connection_pk, *(row.connection for row in linked)}))
    if linked:
        return Match(frozenset(row.connection for row in linked), linked[-1].pk, "", linked[-1].connection)
    if not report.connection_id:
        return Match()
    # Rows that a site imported know their upstream connection without ever having had a session.
    imported = BankingConnection.objects.filter(
        account=report.account, connection_id=report.connection_id
    ).values_list("pk", flat=True)
    return Match(frozenset(imported))


def _foreign(row: _Row, session: _Row) -> bool:
    if row.connection == session.connection:
        return False
    # Nobody is not one person; but within a tenant rows without a user belong to the tenant.
    return row.owner != session.owner or row.owner == (None, "")
