"""Business OS as a test has it: in process, without sockets and without a library for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from business_os_banking.testing import bodies

if TYPE_CHECKING:
    from business_os_banking.conf import Account
    from business_os_banking.exceptions import BusinessOSError
    from business_os_banking.models import BankingConnection, ConnectSession
    from business_os_banking.upstream.http import Answer

_HOST: Final = "www.saltedge.com"
_entered: Final[list[FakeUpstream]] = []


@dataclass(frozen=True)
class Call:
    """One call that the app made. ``path`` is what follows ``BASE_URL``; ``body`` is ``None`` where none was sent."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    params: dict[str, str] = field(default_factory=dict)


class FakeUpstream:
    """Business OS in place of the real one, for as long as it is entered: ``with FakeUpstream() as upstream``.

    ``calls`` are those that the app has made. ``connections`` is what its list holds, as dicts: yours to fill (see
    `add`) and to empty; a DELETE takes out what it names. What `make_connection` makes and the ``report_…`` functions
    report meanwhile is in it by itself. Each connect call opens a session. Brings an account where the site's settings
    have none.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections: list[dict[str, Any]] = []
        self._failure: int | BusinessOSError | None = None
        self._error_class = ""

    def __enter__(self) -> FakeUpstream:
        from unittest import mock

        from business_os_banking.testing.overriding import OverrideBanking
        from business_os_banking.upstream import http

        with ExitStack() as stack:
            stack.enter_context(OverrideBanking())
            stack.enter_context(mock.patch.object(http, "send", self._send))
            self._exit = stack.pop_all()
        _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _entered.remove(self)
        self._exit.close()

    def fail_with(self, failure: int | BusinessOSError | None, error_class: str = "") -> None:
        """Fail all calls from now on, until another *failure* is given; ``None`` ends it.

        *failure* is an HTTP status, or what is raised where there is no answer, `TimedOut()` say or `NotReachable()`
        (see `business_os_banking.exceptions`). *error_class* is the class that the body of the answer names. Raises
        `ValueError` for a status that is no failure, and `TypeError` for anything else.
        """
        from business_os_banking.exceptions import BusinessOSError

        if isinstance(failure, int) and failure < HTTPStatus.MULTIPLE_CHOICES:
            raise ValueError(f"{failure} is no failure: name a status of 300 or more.")
        if not isinstance(failure, int | BusinessOSError | None):
            raise TypeError(f"A call fails with a status or with a BusinessOSError, not with {failure!r}.")
        self._failure, self._error_class = failure, error_class

    def add(self, x: BankingConnection | ConnectSession, **changes: Any) -> dict[str, Any]:
        """Put what the bank would have of *x* into ``connections``, with *changes*, and return it.

        For a session this is how a success looks whose webhook was lost: reading the list finds it, ten minutes after
        the session was opened (`tasks.banking_reconcile` takes a ``now``).
        """
        row = _row(x, changes)
        self.remove(row["id"])
        self.connections.append(row)
        return row

    def remove(self, upstream_id: str) -> None:
        """Take what has this id out of ``connections``, if it is there."""
        self.connections[:] = [row for row in self.connections if row.get("id") != upstream_id]

    # --- Answers ---------------------------------------------------------------------------------------

    def _send(
        self,
        account: Account,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """Stand in for `upstream.http.send`."""
        from business_os_banking import conf

        conf.require_usable(account)
        self.calls.append(Call(method, path, None if body is None else dict(body), dict(params or {})))
        if isinstance(self._failure, int):
            return _answer(self._failure, _error(self._error_class))
        if self._failure is not None:
            raise self._failure
        return self._route(account, method, path, params or {})

    def _route(self, account: Account, method: str, path: str, params: Mapping[str, str]) -> Answer:
        if (method, path) == ("POST", account.connect_path):
            return _answer(HTTPStatus.OK, bodies.connect_answer(_host(account)))
        if (method, path) == ("GET", account.connections_path):
            return self._list(params.get("from_id", ""))
        upstream_id = _id_in(path, account.connection_path)
        if method == "DELETE" and upstream_id:
            return self._delete(upstream_id)
        if method == "GET" and upstream_id:
            return self._one(upstream_id)
        return _answer(HTTPStatus.NOT_FOUND, _error("NotFound"))

    def _list(self, from_id: str) -> Answer:
        ids = [row.get("id") for row in self.connections]
        start = ids.index(from_id) if from_id in ids else 0
        page = {"data": self.connections[start:], "meta": {"next_id": None, "next_page": None}}
        return _answer(HTTPStatus.OK, page)

    def _one(self, upstream_id: str) -> Answer:
        row = next((row for row in self.connections if row.get("id") == upstream_id), None)
        if row is None:
            return _answer(HTTPStatus.NOT_FOUND, _error("ConnectionNotFound"))
        return _answer(HTTPStatus.OK, {"data": row})

    def _delete(self, upstream_id: str) -> Answer:
        # One that is not in the list may have been made before this fake was entered: it is removed, too.
        self.remove(upstream_id)
        data = {"connection_id": upstream_id, "customer_id": bodies.CUSTOMER, "removed": True}
        return _answer(HTTPStatus.OK, {"data": data})


def mirror(connection: BankingConnection) -> None:
    """Let the fakes that are entered list *connection* as it is now, or no more."""
    for fake in _entered:
        if connection.status in {"active", "inactive"}:
            fake.add(connection)
        else:
            fake.remove(connection.upstream_id)


def session_of_link(connection: BankingConnection) -> ConnectSession | None:
    """Return the session that made the present link of *connection*, as far as there is one."""
    made = connection.sessions.exclude(upstream_id="").filter(upstream_id=connection.upstream_id)
    return made.order_by("-pk").first()


def _row(x: BankingConnection | ConnectSession, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the upstream's row of *x*: of a session that waits, as if it had just succeeded."""
    from django.utils import timezone

    from business_os_banking.models import ConnectSession

    connection = x.connection if isinstance(x, ConnectSession) else x
    session = (
        x if isinstance(x, ConnectSession) else connection.sessions.order_by("succeeded_at", "pk").last()
    )
    succeeded_at = (session and session.succeeded_at) or timezone.now()
    attempt: dict[str, Any] = {"success_at": succeeded_at.isoformat()}
    if connection.status == "inactive" and x is connection:
        error_class = bodies.ERROR_CLASSES.get(connection.status_reason, connection.last_error_class)
        failed_at = max(timezone.now(), succeeded_at + timedelta(milliseconds=1))
        attempt |= {"fail_at": failed_at.isoformat(), "fail_error_class": error_class}
        changes = {"status": "inactive", **changes}
    bank = {"provider_code": connection.provider_code, "provider_name": connection.provider_name}
    named = {name: value for name, value in bank.items() if value}
    return bodies.connection_object(
        (session.upstream_id if session else connection.upstream_id) or bodies.new_upstream_id(),
        custom_fields=bodies.custom_fields(session) if session else {},
        attempt=attempt,
        **{"updated_at": timezone.now().isoformat(), **named, **changes},
    )


def _host(account: Account) -> str:
    """Return the host that people are sent to: Salt Edge's, or where the settings allow another one only, that."""
    from business_os_banking.exceptions import Unintelligible
    from business_os_banking.upstream.client import check_connect_url

    try:
        check_connect_url(f"https://{_HOST}/", account.connect_url_hosts)
    except Unintelligible:
        return next((host for host in account.connect_url_hosts if not host.startswith(".")), _HOST)
    return _HOST


def _id_in(path: str, template: str) -> str:
    """Return the id that *path* has where *template* has ``{id}``, or an empty text."""
    start, _, end = template.partition("{id}")
    middle = path.removeprefix(start).removesuffix(end)
    return unquote(middle) if path == f"{start}{middle}{end}" and "/" not in middle else ""


def _error(error_class: str) -> dict[str, Any]:
    named = {"class": error_class} if error_class else {}
    return {"error": {**named, "message": "It failed, as the test wants it."}}


def _answer(status: int, content: Mapping[str, Any]) -> Answer:
    from requests.structures import CaseInsensitiveDict

    from business_os_banking.upstream.http import Answer

    headers = CaseInsensitiveDict({"Content-Type": "application/json"})
    return Answer(status=int(status), headers=headers, content=json.dumps(content).encode())
