"""Finding the rows that a report is about. Ownership comes from our own rows only."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import Q

from business_os_banking import notes
from business_os_banking.models import BankingConnection, ConnectSession, SessionLink
from business_os_banking.reports import Report
from business_os_banking.vocabulary import Kind


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

    One query, a second for the upstream connection, or none if the report names nothing.
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
    named: set[int] = set()
    if report.connection_id:
        condition |= Q(connection_id=report.connection_id)
        links = SessionLink.objects.filter(connection_id=report.connection_id)
        # Two queries, not a join: OR over two tables would use no index.
        if named := set(links.values_list("session_id", flat=True)):
            condition |= Q(pk__in=named)
    if not condition:
        return []
    values = ConnectSession.objects.filter(condition, connection__account=report.account).values_list(
        "pk",
        "reference",
        "pending_token",
        "connection_id",
        "connection_pk",
        "connection__user_id",
        "connection__tenant",
    )
    return [
        _Row(
            pk,
            str(reference),
            str(token or ""),
            report.connection_id if pk in named else link,
            connection,
            (user, tenant),
        )
        for pk, reference, token, link, connection, user, tenant in values.order_by("pk")
    ]


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
