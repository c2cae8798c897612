"""One request and its answer over one connection: timeouts, keep-alive, size, and how the key gets in."""

import contextlib
import gzip
import io
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError
from urllib3.util import Retry

from business_os_banking import __version__, conf
from business_os_banking.conf import Account, addresses
from business_os_banking.exceptions import (
    BusinessOSError,
    InvalidRequest,
    NotReachable,
    TimedOut,
    Unintelligible,
)
from business_os_banking.upstream import answers

USER_AGENT: Final = f"django-business-os-banking/{__version__}"
ANSWER_MAX_BYTES: Final = 5_000_000
_CHUNK_BYTES: Final = 65_536
_GZIP: Final = {"gzip", "x-gzip"}  # the older name is the same thing (RFC 9110 8.4.1.3)
# What is kept open for longer without being used may have been dropped by something in between, in silence.
_IDLE_SECONDS: Final = 15
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whatever its status. ``headers`` ignores case; ``content`` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


def send(
    account: Account,
    method: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> Answer:
    """Send one request with the account's key; *body* becomes JSON. Redirects are answers like any other.

    With *fresh* it opens a connection of its own: a kept one that was dropped in silence would cost a customer who
    waits the whole timeout. All else uses what this thread keeps open.

    Raises `NotReachable`, `TimedOut`, or `Unintelligible` for an answer that breaks HTTP or is too large;
    `ImproperlyConfigured` for an account with which no call may be made, `InvalidRequest` for a *path* that could
    lead elsewhere than below ``BASE_URL``. The last two are raised before anything is sent.
    """
    conf.require_usable(account)
    if not addresses.is_path(path):
        raise InvalidRequest("Not sent: the path could lead elsewhere.")
    http = _new_session() if fresh else _kept_session()
    try:
        with http.request(
            method,
            account.base_url + path,
            params=params,
            json=body,
            auth=_KeyHeader(account),
            timeout=account.timeout,
            # Plain http is for this machine alone, and a proxy is another one.
            proxies={"http": ""},
            # A redirect would take the key, and the customer's data, to wherever it points.
            allow_redirects=False,
            stream=True,
        ) as response:
            try:
                content = _read(response)
            except BusinessOSError as error:
                error.request_id = answers.request_id_of(response.headers)
                raise
    except (OSError, HTTPError) as error:
        # `from None`: the frames below hold what was sent, in bytes, and a report of the error (Django's debug page, an
        # error tracker) would show them.
        raise _transport_error(error) from None
    finally:
        if fresh:
            http.close()
    return Answer(status=response.status_code, headers=response.headers, content=content)


class _KeyHeader(requests.auth.AuthBase):
    """Adds the key to the request at the last moment. Frames of libraries that keep it show it as ``***``."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-api-key"] = self.account.api_key.open()
        return request


def _read(response: requests.Response) -> bytes:
    """Return the body, at most `ANSWER_MAX_BYTES` of it. It is unpacked piece by piece, and no further than that."""
    named = response.headers.get("Content-Encoding", "").lower().split(",")
    packings = [packing for name in named if (packing := name.strip()) not in {"", "identity"}]
    if packings not in ([], *([packing] for packing in _GZIP)):
        raise Unintelligible("The answer is compressed in a way that was not asked for.")
    response.raw.enforce_content_length = True  # as urllib3 2 does, and 1.26 only if it is told
    source = gzip.GzipFile(fileobj=response.raw) if packings else response.raw
    content = bytearray()
    try:
        while chunk := source.read(_CHUNK_BYTES):
            content += chunk
            if len(content) > ANSWER_MAX_BYTES:
                raise Unintelligible("The answer is too large.")
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise Unintelligible("The answer is not compressed as it says.") from None
    except HTTPError as error:
        # urllib3 raises its own kinds here; `requests` would have translated them in its own reader.
        raise TimedOut(f"The answer broke off ({type(error).__name__}).") from None
    return bytes(content)


def _transport_error(error: Exception) -> BusinessOSError:
    name = type(error).__name__
    # The account's address has been looked at, so it is not the one that cannot be read.
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
        return NotReachable(
            "The proxy that HTTPS_PROXY names cannot be used: no address, or SOCKS without requests[socks]."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        tunnel = _TUNNEL.search(str(error))
        what = f"answered {tunnel[1]} itself" if tunnel else "could not be reached"
        return NotReachable(f"The proxy that HTTPS_PROXY names {what}.")
    if isinstance(error, requests.exceptions.SSLError):
        return NotReachable(
            "The TLS handshake failed: broken off, or the certificate, its authority, or the host's name is wrong."
        )
    if not isinstance(error, requests.RequestException | HTTPError):
        return NotReachable(f"No request can be made ({name}): does REQUESTS_CA_BUNDLE name a file?")
    if isinstance(error, requests.ConnectTimeout) or _never_connected(error):
        return NotReachable("No connection to Business OS could be made.")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return TimedOut("Business OS did not answer.")
    return Unintelligible(f"The answer is not HTTP as it should be ({name}).")


def _never_connected(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, NewConnectionError | SSLError)


class _Session(requests.Session):
    """A session that sees no redirects. Even one that it does not follow, `requests` would read whole, and unpack."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Local(threading.local):
    pid: int = 0
    used_at: float = 0.0
    http: requests.Session


_local = _Local()


def _kept_session() -> requests.Session:
    """Return this thread's keep-alive session.

    A `requests.Session` is not promised to be safe between threads, and two processes after a fork would
    read each other's answers from one socket: hence one per thread and process.
    """
    now = time.monotonic()
    if _local.pid != os.getpid():
        _local.http, _local.pid = _new_session(), os.getpid()
    elif now - _local.used_at > _IDLE_SECONDS:
        _local.http.close()  # its connections; it opens new ones
    _local.used_at = now
    return _local.http


def close_kept() -> None:
    """Close the connection that this thread keeps to the upstream, if it has one; the next call opens another."""
    if _local.pid == os.getpid():
        _local.http.close()
        _local.pid = 0


def _new_session() -> requests.Session:
    http = _Session()
    http.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"})
    # The session serves all accounts: a cookie set for one must not go out with the key of another.
    http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Connect errors alone are tried again: nothing was sent yet, so nothing can be done twice.
    retry = Retry(total=None, connect=1, read=0, redirect=0, status=0, other=0, backoff_factor=0.2)
    adapter = _Adapter(max_retries=retry)
    http.mount("https://", adapter)
    http.mount("http://", adapter)
    return http


class _Within(io.RawIOBase):
    """The bytes of one answer, headers included, all of which must come within the socket's timeout.

    The timeout of a socket is only the longest pause: a sender that drips a byte now and then could hold a
    worker of the site for as long as it likes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._timeout = sock.gettimeout()
        self._end = time.monotonic() + (self._timeout or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._timeout is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer did not end in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):  # closed already, and so of no use for another request
                self._sock.settimeout(self._timeout)
            self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Within(sock))

    def begin(self) -> None:
        """Read on to the answer itself: one that is left behind would be taken for that to the next request."""
        super().begin()
        while HTTPStatus.CONTINUE <= self.status < HTTPStatus.OK:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class _Connection(HTTPConnection):
    response_class = _Response


class _TLSConnection(HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        """Connect; what breaks the handshake off is no answer that did not come, since nothing was sent yet."""
        try:
            super().connect()
        except (TimeoutError, ConnectionError) as error:
            raise SSLError(f"broken off ({type(error).__name__})") from None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Connections that keep to `_Within`, direct ones and those through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
