"""The only place that speaks HTTP to Business OS.

Facts about the API come from its public pages (docs.business-os.de: banking connect, banking connection
delete); what is not written there is read tolerantly and can be corrected in the settings.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from business_os_banking import conf
from business_os_banking.conf import Account, addresses
from business_os_banking.conf.secret import Secret, Token
from business_os_banking.exceptions import BusinessOSError, InvalidRequest, Unintelligible
from business_os_banking.upstream import answers, http, masking, values
from business_os_banking.upstream.objects import (
    ConnectionObject,
    ConnectionPage,
    object_of,
    page_of,
    parts_of,
)
from business_os_banking.upstream.times import time_of
from business_os_banking.vocabulary import SESSION_MAX_LIFE

T = TypeVar("T")

EMAIL_MAX_LENGTH: Final = 254  # what the column holds, and a mail server takes (RFC 5321)
CUSTOM_FIELDS_MAX_BYTES: Final = 1024  # Salt Edge: CustomFieldsSizeTooBig
RETURN_TO_MAX_LENGTH: Final = 2040  # Salt Edge: ReturnURLTooLong
CONNECT_URL_MAX_LENGTH: Final = 8000  # what servers and browsers are bound to take (RFC 9110 4.1)


# What a copied address may bring along, and nobody sees.
_INVISIBLE: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """What Business OS answers to a connect call. Times are aware and in UTC.

    ``expires_at`` and ``owner_user_id`` are ``None`` where the answer lacks them or they cannot be read:
    nothing depends on them, so that is no reason to lose a good session.
    """

    connect_url: Secret
    pending_token: Token
    expires_at: datetime | None
    owner_user_id: UUID | None


class BusinessOSClient:
    """Calls to Business OS with the credentials of one account. Cheap to make; make one per use."""

    def __init__(self, account: Account | None = None) -> None:
        self.account = account or conf.account()

    def __repr__(self) -> str:
        return f"<BusinessOSClient {self.account.alias} {self.account.base_url}>"

    def connect(
        self,
        *,
        return_to: str,
        email: str = "",
        api: str = "",
        scopes: Sequence[str] = (),
        custom_fields: Mapping[str, Any] | None = None,
    ) -> OpenedSession:
        """Open a connect session (``POST /v2/banking/connect``) and return what was opened.

        *api* is ``partner`` or ``openbanking``; *scopes* are some of ``accounts``, ``holder_info``,
        ``transactions``; both default to the account's settings. *custom_fields* come back in callbacks.
        The call is not idempotent, so it is tried again only while no TCP connection could be made.
        Raises a `BusinessOSError`; `InvalidRequest` also for what is refused here, before the call.
        """
        api = api or self.account.api
        body: dict[str, Any] = {
            "return_to": return_to,
            "scopes": list(scopes or self.account.scopes),
            "custom_fields": dict(custom_fields or {}),
        }
        if email:
            body["email"] = email
        check_connect(api=api, body=body)
        path = self.account.connect_path
        return self._call("POST", path, self._opened, params={"api": api}, body=body, fresh=True)

    def delete_connection(self, upstream_id: str) -> bool:
        """Remove a connection at the provider (``DELETE /v2/banking/connections/{id}``); return whether it says so.

        Documented is ``removed: true`` beside the id. Any other 2xx returns `False`: it proves nothing. Raises
        `NotFound`, whose ``from_api`` tells whether the API itself says so; `Unintelligible` for what says otherwise,
        and for what is no JSON; and any other `BusinessOSError`.
        """
        return self._call(
            "DELETE", self._path_of(upstream_id), lambda answer: answers.says_removed(answer, upstream_id)
        )

    def probe(self) -> http.Answer:
        """Ask for a bank account that does not exist (``GET /v2/banking/accounts/{id}``); return the answer as it is.

        Documented to cost no credits. 401 or 403 tell that the key is not accepted. Raises `NotReachable`,
        `TimedOut` or `Unintelligible` where there is no answer to speak of.
        """
        return http.send(self.account, "GET", self.account.account_path.replace("{id}", "0"))

    def list_connections(self) -> Iterator[ConnectionObject]:
        """Yield every connection that the upstream lists, page after page (``GET /v2/banking/connections``).

        The path is inferred (setting ``CONNECTIONS_PATH``); raises `NotFound` where there is no such list.
        """
        from_id, followed = "", {""}
        while True:
            page = self.list_connections_page(from_id)
            yield from (row for row in page.rows if row.id)
            if page.next_id in followed:
                return
            from_id = page.next_id
            followed.add(from_id)

    def list_connections_page(self, from_id: str = "") -> ConnectionPage:
        """Return one page of the list, the one that starts at *from_id*. Each page may cost credits.

        ``meta.next_id`` is followed, not ``meta.next_page``: that is a path of Salt Edge's own API.
        """
        params = {"from_id": from_id} if from_id else None
        path = self.account.connections_path
        return self._call("GET", path, lambda answer: page_of(answer, timezone.now()), params=params)

    def read_connection(self, upstream_id: str) -> ConnectionObject:
        """Return one connection (``GET /v2/banking/connections/{id}``, setting ``CONNECTION_PATH``).

        That it can be read is inferred from the path of its removal. Raises `NotFound`, whose ``from_api`` tells
        whether the API itself says so, and `Unintelligible` for anything but an object with this very id.
        """
        return self._call("GET", self._path_of(upstream_id), lambda answer: _the_one(answer, upstream_id))

    def _path_of(self, upstream_id: str) -> str:
        # Nothing, or dots, would name the list of all connections, or what is above it.
        if not upstream_id.strip("."):
            raise InvalidRequest("Not sent: this is no id of a connection.")
        return self.account.connection_path.replace("{id}", quote(upstream_id, safe=""))

    def _opened(self, answer: Any) -> OpenedSession:
        # Documented flat; a field that happens to be called `data` must not hide that.
        answer = values.something(answer)
        flat = isinstance(answer, Mapping) and "connect_url" in answer
        data = answer if flat else answers.data_of(answer)
        if not isinstance(data, Mapping):
            raise Unintelligible("The answer to connect is not an object.")
        url, token = data.get("connect_url"), values.uuid_of(data.get("pending_token"), Token)
        if not isinstance(url, str) or token is None:
            raise Unintelligible("The answer to connect lacks a connect_url or a pending_token.")
        if len(url) > CONNECT_URL_MAX_LENGTH:
            raise Unintelligible(f"The connect_url is longer than {CONNECT_URL_MAX_LENGTH} characters.")
        check_connect_url(url, self.account.connect_url_hosts)
        return OpenedSession(
            connect_url=Secret(url),
            pending_token=token,
            expires_at=_session_end(data.get("expires_at")),
            owner_user_id=values.uuid_of(data.get("owner_user_id")),
        )

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[Any], T],
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> T:
        """Return what *read* makes of the JSON of a 2xx answer, ``None`` if it is empty; raise for everything else."""
        answer = http.send(self.account, method, path, params=params, body=body, fresh=fresh)
        try:
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                raise answers.error_of(answer.status, answer.headers, self._without_key(answer.content))
            return read(answers.json_of(answer.content) if answer.content.strip() else None)
        except BusinessOSError as error:
            error.request_id = answers.request_id_of(answer.headers)
            raise

    def _without_key(self, content: bytes) -> bytes:
        """Return *content* without the key, should the upstream repeat it where an error's class stands."""
        key = self.account.api_key
        return content.replace(key.encode(), b"***") if masking.is_secret(key.open()) else content


def _the_one(answer: Any, upstream_id: str) -> ConnectionObject:
    """Return the connection with this very id, which *answer* is or wraps."""
    now, content = timezone.now(), values.something(answer)
    parts = parts_of(content) if isinstance(content, dict) else ()
    item = next((item for part in parts if (item := object_of(part, now)).id == upstream_id), None)
    if item is None:
        raise Unintelligible("The answer is not the connection that was asked for.")
    return item


def sendable_email(address: str) -> str:
    """Return *address* as it can be sent to Business OS, ``""`` if it is no address that mail could reach."""
    address = address.strip().strip(_INVISIBLE).strip()
    try:
        validate_email(address)
    except ValidationError:
        return ""
    is_sendable = (
        len(address) <= EMAIL_MAX_LENGTH and address.isprintable() and "." in address.rpartition("@")[2]
    )
    return address if is_sendable else ""


def check_connect(*, api: str, body: Mapping[str, Any]) -> None:
    """Check a connect call against the documented limits; raise `InvalidRequest` that names the field."""
    problems: dict[str, list[str]] = {}
    if api not in conf.APIS:
        problems["api"] = [f"must be one of {', '.join(conf.APIS)}"]
    if unknown := sorted(set(body["scopes"]) - set(conf.SCOPES)):
        problems["scopes"] = [f"unknown: {', '.join(unknown)}"]
    if problem := _return_to_problem(body["return_to"]):
        problems["return_to"] = [problem]
    if problem := _custom_fields_problem(body["custom_fields"]):
        problems["custom_fields"] = [problem]
    if "email" in body and sendable_email(body["email"]) != body["email"]:
        problems["email"] = ["is not an e-mail address"]
    if problems:
        names = ", ".join(sorted(problems))
        raise InvalidRequest(f"Not sent: {names} would be refused.", fields=problems)


def _return_to_problem(return_to: str) -> str:
    try:
        parts = urlsplit(return_to)
    except ValueError:
        return "is not an address"
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return "must be an absolute http(s) address"
    if len(return_to) > RETURN_TO_MAX_LENGTH:
        return f"is longer than {RETURN_TO_MAX_LENGTH} characters"
    return ""


def _custom_fields_problem(custom_fields: Mapping[str, Any]) -> str:
    try:
        size = len(json.dumps(custom_fields, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        return "must be JSON"
    return f"is larger than {CUSTOM_FIELDS_MAX_BYTES} bytes of JSON" if size > CUSTOM_FIELDS_MAX_BYTES else ""


def check_connect_url(url: str, hosts: Sequence[str]) -> None:
    """Raise `Unintelligible` unless *url* is https and its host is allowed by *hosts*.

    An entry with a leading dot allows all hosts below it, but for names in other scripts (``xn--``): those must be
    in the list themselves. Plain http is taken for a loopback host that the list names: that is the sandbox, and
    nothing else.
    """
    address = addresses.parse(url)
    if address is None:
        raise Unintelligible("The connect_url is not a plain address.")
    if not _is_allowed(address.host, [entry.lower() for entry in hosts]):
        raise Unintelligible("The host of the connect_url is not in CONNECT_URL_HOSTS.")
    if address.scheme != "https" and not addresses.is_loopback(address.host):
        raise Unintelligible("The connect_url is not https.")


def _is_allowed(host: str, entries: Sequence[str]) -> bool:
    below = [entry for entry in entries if entry.startswith(".") and host.endswith(entry)]
    return host in entries or any("xn--" not in host.removesuffix(entry) for entry in below)


def _session_end(value: Any) -> datetime | None:
    """Return when a session ends, a day from now at most; ``None`` where the answer does not say so readably."""
    now = timezone.now()
    end = time_of(value, now, is_end=True)
    return min(end, now + SESSION_MAX_LIFE) if isinstance(end, datetime) else None
