"""The only place that speaks HTTP to Business OS.

Facts about the API come from its public pages (docs.business-os.de: banking connect, banking connection
delete); what is not written there is read tolerantly and can be corrected in the settings.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import requests
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError, SSLError
from urllib3.util import Retry

from business_os_banking import __version__, answers, conf
from business_os_banking.conf import Account
from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotFound,
    NotReachable,
    TimedOut,
    Unintelligible,
)
from business_os_banking.listing import ConnectionPage, ConnectionRow, page_of

USER_AGENT: Final = f"django-business-os-banking/{__version__}"
CUSTOM_FIELDS_MAX_BYTES: Final = 1024  # Salt Edge: CustomFieldsSizeTooBig
RETURN_TO_MAX_LENGTH: Final = 2040  # Salt Edge: ReturnURLTooLong
ANSWER_MAX_BYTES: Final = 5_000_000
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """What Business OS answers to a connect call. Times are aware and in UTC.

    ``expires_at`` and ``owner_user_id`` are ``None`` where the answer lacks them or they cannot be read:
    nothing depends on them, so that is no reason to lose a good session.
    """

    connect_url: str = field(repr=False)
    pending_token: UUID = field(repr=False)
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
        answer = self._call("POST", self.account.connect_path, params={"api": api}, body=body)
        return self._opened(answer)

    def delete_connection(self, connection_id: str) -> None:
        """Remove a connection at the provider (``DELETE /v2/banking/connections/{id}``).

        Returns when it is gone, which includes that it was not there any more. Raises a `BusinessOSError`.
        """
        path = self.account.connection_path.replace("{id}", quote(connection_id, safe=""))
        try:
            answer = self._call("DELETE", path)
        except NotFound:
            return
        data = answers.data_of(answer)
        if isinstance(data, Mapping) and data.get("removed") is False:
            raise Unintelligible("The upstream says that the connection was not removed.")

    def list_connections(self) -> Iterator[ConnectionRow]:
        """Yield every connection that the upstream lists, page after page (``GET /v2/banking/connections``).

        The path is inferred (setting ``CONNECTIONS_PATH``); raises `NotFound` where there is no such list.
        """
        from_id = ""
        while True:
            page = self.list_connections_page(from_id)
            yield from page.rows
            if not page.next_id or page.next_id == from_id:
                return
            from_id = page.next_id

    def list_connections_page(self, from_id: str = "") -> ConnectionPage:
        """Return one page of the list, the one that starts at *from_id*. Each page may cost credits.

        ``meta.next_id`` is followed, not ``meta.next_page``: that is a path of Salt Edge's own API.
        """
        params = {"from_id": from_id} if from_id else None
        return page_of(self._call("GET", self.account.connections_path, params=params))

    def _opened(self, answer: Any) -> OpenedSession:
        data = answers.data_of(answer)
        if not isinstance(data, Mapping):
            raise Unintelligible("The answer to connect is not an object.")
        url, token = data.get("connect_url"), answers.uuid_of(data.get("pending_token"))
        if not isinstance(url, str) or token is None:
            raise Unintelligible("The answer to connect lacks a connect_url or a pending_token.")
        check_connect_url(url, self.account.connect_url_hosts)
        return OpenedSession(
            connect_url=url,
            pending_token=token,
            expires_at=answers.time_of(data.get("expires_at")),
            owner_user_id=answers.uuid_of(data.get("owner_user_id")),
        )

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the decoded JSON of a 2xx answer, ``None`` for an empty one; raise for everything else."""
        conf.require_key(self.account)
        connect_timeout, read_timeout = self.account.timeout
        deadline = time.monotonic() + connect_timeout + read_timeout
        try:
            response = _http().request(
                method,
                self.account.base_url + path,
                params=params,
                json=body,
                auth=_KeyHeader(self.account),
                timeout=self.account.timeout,
                # A redirect would take the key, and the customer's data, to wherever it points.
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, deadline)
        except requests.RequestException as error:
            # `from None`: the frames below hold the key among their variables, and a report of the error
            # (Django's debug page, an error tracker) would show them.
            raise _transport_error(error) from None
        if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            raise answers.error_of(response.status_code, response.headers, content)
        if not content.strip():
            return None
        return answers.json_of(content)


class _KeyHeader(requests.auth.AuthBase):
    """Adds the key to the request at the last moment, so that no other frame has it in a variable."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-api-key"] = self.account.api_key
        return request


class _Local(threading.local):
    pid: int = 0
    http: requests.Session


_local = _Local()


def _http() -> requests.Session:
    """Return this thread's keep-alive session.

    A `requests.Session` is not promised to be safe between threads, and two processes after a fork would
    read each other's answers from one socket: hence one per thread and process.
    """
    if _local.pid != os.getpid():
        http = requests.Session()
        http.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        # Connect errors alone are tried again: nothing was sent yet, so nothing can be done twice.
        retry = Retry(total=None, connect=1, read=0, redirect=0, status=0, other=0, backoff_factor=0.2)
        adapter = HTTPAdapter(max_retries=retry)
        http.mount("https://", adapter)
        http.mount("http://", adapter)
        _local.http, _local.pid = http, os.getpid()
    return _local.http


def _read(response: requests.Response, deadline: float) -> bytes:
    """Return the body, at most `ANSWER_MAX_BYTES` of it, before *deadline* (of `time.monotonic`)."""
    # read1 returns what has come; read would wait for a full block, however slowly it drips.
    read = getattr(response.raw, "read1", response.raw.read)
    chunks: list[bytes] = []
    size = 0
    while chunk := _chunk(read):
        chunks.append(chunk)
        size += len(chunk)
        if size > ANSWER_MAX_BYTES:
            raise Unintelligible("The answer is too large.")
        if time.monotonic() > deadline:
            raise TimedOut("The answer did not end in time.")
    return b"".join(chunks)


def _chunk(read: Any) -> bytes:
    try:
        chunk: bytes = read(65_536, decode_content=True)
    except Exception as error:
        # urllib3 raises its own kinds here; `requests` would have translated them in its own reader.
        raise TimedOut(f"The answer broke off ({type(error).__name__}).") from None
    return chunk


def _transport_error(error: requests.RequestException) -> BusinessOSError:
    if isinstance(error, requests.ConnectTimeout) or _never_connected(error):
        return NotReachable("No connection to Business OS could be made.")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return TimedOut("Business OS did not answer.")
    return NotReachable(f"The request could not be sent ({type(error).__name__}).")


def _never_connected(error: requests.RequestException) -> bool:
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, NewConnectionError | SSLError)


def check_connect(*, api: str, body: Mapping[str, Any]) -> None:
    """Check a connect call against the documented limits; raise `InvalidRequest` that names the field."""
    problems: dict[str, list[str]] = {}
    if api not in conf.APIS:
        problems["api"] = [f"must be one of {', '.join(conf.APIS)}"]
    if unknown := sorted(set(body["scopes"]) - set(conf.SCOPES)):
        problems["scopes"] = [f"unknown: {', '.join(unknown)}"]
    return_to = body["return_to"]
    if urlsplit(return_to).scheme not in {"http", "https"}:
        problems["return_to"] = ["must be an absolute http(s) address"]
    elif len(return_to) > RETURN_TO_MAX_LENGTH:
        problems["return_to"] = [f"is longer than {RETURN_TO_MAX_LENGTH} characters"]
    try:
        size = len(json.dumps(body["custom_fields"]).encode())
    except (TypeError, ValueError):
        problems["custom_fields"] = ["must be JSON"]
    else:
        if size > CUSTOM_FIELDS_MAX_BYTES:
            problems["custom_fields"] = [f"is larger than {CUSTOM_FIELDS_MAX_BYTES} bytes of JSON"]
    if email := body.get("email"):
        try:
            validate_email(email)
        except ValidationError:
            problems["email"] = ["is not an e-mail address"]
    if problems:
        names = ", ".join(sorted(problems))
        raise InvalidRequest(f"Not sent: {names} would be refused.", fields=problems)


def check_connect_url(url: str, hosts: Sequence[str]) -> None:
    """Raise `Unintelligible` unless *url* is https and its host is allowed by *hosts*.

    An entry with a leading dot allows all hosts below it. Plain http is taken for a loopback host that the
    list names: that is the sandbox, and nothing else.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Unintelligible("The connect_url holds characters that no address should hold.")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        raise Unintelligible("The connect_url is not an address.") from None
    allowed = any(host == entry or (entry.startswith(".") and host.endswith(entry)) for entry in hosts)
    if not host or not allowed:
        raise Unintelligible("The host of the connect_url is not in CONNECT_URL_HOSTS.")
    if "@" in parts.netloc:
        raise Unintelligible("The connect_url holds a user name.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise Unintelligible("The connect_url is not https.")
