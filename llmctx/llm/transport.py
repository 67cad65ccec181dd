"""One POST to an endpoint: the response as it came, or why there is none.

Two transports send the same bytes to the same address: aiohttp by default, and any httpx client that is passed in.
Neither retries, follows redirects or judges a status; each holds the body to one limit while it is decoded.
"""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from llmctx.errors import EndpointError
from llmctx.limits import MAX_BODY_BYTES
from llmctx.llm.address import Address, environment_proxy
from llmctx.llm.body_room import SMALL_BYTES, room_for_body

if TYPE_CHECKING:
    import aiohttp
    import httpx
    import httpx2

CONNECT_TIMEOUT_S = 10.0
"""How long one connection may take, TLS included; the deadline over all attempts is the client's."""
KEEP_ALIVE_S = 4.0
"""How long an idle connection is kept: less than the 5 s after which common servers close theirs."""
MAX_CONNECTIONS = 1000
REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
"""The headers in which providers name a request."""
_HEADERS_READ = (*REQUEST_IDS, "retry-after-ms", "retry-after", "location")


class Reply(NamedTuple):
    """A response."""

    status: int
    """The HTTP status."""
    headers: dict[str, str]
    """The headers that are read here, by their lower-case names."""
    body: bytes | None
    """The decoded body; None if it is larger than the limit."""

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004


class NoReply(NamedTuple):
    """An attempt that brought no complete response."""

    result: Literal["connection", "timeout", "limited"]
    """What failed; limited if nothing was sent because of the client's own limits."""
    why: str
    """The reason, without addresses, queries and keys."""


class Transport(Protocol):
    """Whatever can post to one address."""

    async def post(self, body: bytes) -> Reply | NoReply:
        """Post these bytes once."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class AiohttpTransport:
    """Posts over aiohttp, with one session per event loop."""

    def __init__(self, address: Address, *, max_body_bytes: int = MAX_BODY_BYTES, trust_env: bool = True) -> None:
        """`trust_env` takes proxies and certificates from the environment, as the SDK's own client does.

        Raises EndpointError for a proxy that aiohttp cannot use.
        """
        import aiohttp  # noqa: PLC0415  only who asks a model pays for the import
        import httpx2  # noqa: PLC0415  the same
        import yarl  # noqa: PLC0415  the same

        self._aiohttp = aiohttp
        self._url = yarl.URL(address.url, encoded=True)
        self._max_body_bytes = max_body_bytes
        self._sign = address.sign
        # The headers go with each request. As a session's headers, aiohttp would send them to the proxy as well, with
        # the key as Proxy-Authorization.
        self._options: dict[str, Any] = {"allow_redirects": False, "headers": dict(address.headers)}
        if trust_env and (proxy := environment_proxy(address.url)):
            self._use_proxy(proxy)
        # A port that speaks TLS answers plain HTTP with an alert, or hangs up.
        self._tls_hint = "" if self._url.scheme == "https" else "; if it speaks TLS, its address begins with https://"
        # The trusted certificates are those of the SDK's client; aiohttp's own default finds none on some systems.
        self._ssl: ssl.SSLContext | bool = (
            httpx2.create_ssl_context(trust_env=trust_env) if self._url.scheme == "https" else True
        )
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def post(self, body: bytes) -> Reply | NoReply:
        """Post these bytes once."""
        options = self._options
        if self._sign is not None:  # it may ask for fresh credentials
            options = options | {"headers": options["headers"] | await asyncio.to_thread(self._sign, body)}
        try:
            async with self._session().post(self._url, data=body, **options) as response:
                headers = {
                    name: _text(", ".join(response.headers.getall(name)))
                    for name in _HEADERS_READ
                    if name in response.headers
                }
                return Reply(response.status, headers, await _read(response.content.iter_any(), self._max_body_bytes))
        except (self._aiohttp.ClientError, OSError, UnicodeError) as error:
            return self._failure(error)

    async def aclose(self) -> None:
        """Close the connections that the running event loop opened."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _session(self) -> "aiohttp.ClientSession":
        """The session of the running event loop."""
        loop = asyncio.get_running_loop()
        if (session := self._sessions.get(loop)) is None:
            for closed in [other for other in self._sessions if other.is_closed()]:
                del self._sessions[closed]
            session = self._sessions[loop] = self._aiohttp.ClientSession(
                connector=self._aiohttp.TCPConnector(
                    limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S, ssl=self._ssl
                ),
                timeout=self._aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=self._aiohttp.DummyCookieJar(),
                # Its own trust_env would read the environment at every call, and take passwords from ~/.netrc.
                trust_env=False,
            )
        return session

    def _failure(self, error: Exception) -> NoReply:
        aiohttp = self._aiohttp
        match error:
            case aiohttp.ConnectionTimeoutError():
                why = f"no connection within {CONNECT_TIMEOUT_S:g} s"
            case aiohttp.ServerTimeoutError():
                return NoReply("timeout", "no answer in time")
            case aiohttp.ClientHttpProxyError():
                why = f"the proxy answered http {error.status}"
            case aiohttp.ClientProxyConnectionError():
                why = f"the proxy cannot be reached: {_reason(error)}"
            case aiohttp.ClientResponseError():  # its own text would name the URL
                why = f"the response is not valid HTTP: {error.message}{self._tls_hint}"
            case aiohttp.ServerDisconnectedError():
                why = f"the endpoint closed the connection without an answer{self._tls_hint}"
            case aiohttp.ClientPayloadError():
                why = f"the response body is broken: {_reason(error)}"
            case _:
                why = _reason(error)
        return NoReply("connection", why)

    def _use_proxy(self, proxy: str) -> None:
        try:
            parts = urlsplit(proxy)
            self._options["proxy"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            if parts.username is not None:
                credentials = self._aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))
                # A tunnel's proxy sees only the CONNECT; without TLS it reads the request itself.
                where = "proxy_headers" if self._url.scheme == "https" else "headers"
                self._options.setdefault(where, {})["Proxy-Authorization"] = credentials
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise EndpointError(
                f"The environment names a proxy ({proxy.partition(':')[0]}://...) that aiohttp cannot use.",
                "Name an HTTP proxy, list the endpoint's host in NO_PROXY, or pass an http_client that can use it.",
            )


class HttpxTransport:
    """Posts over an httpx or httpx2 client; its proxies, certificates and hooks are its owner's."""

    def __init__(
        self,
        client: "httpx2.AsyncClient | httpx.AsyncClient",
        address: Address,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """`client` is closed by `aclose`."""
        self._client = client
        self._address = address
        self._max_body_bytes = max_body_bytes
        # Whoever made the client has imported its library, and that library raises the errors.
        libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
        self._connect_timeouts = tuple(library.ConnectTimeout for library in libraries)
        self._timeouts = tuple(library.TimeoutException for library in libraries)
        self._errors = tuple(library.HTTPError for library in libraries)

    async def post(self, body: bytes) -> Reply | NoReply:
        """Post these bytes once."""
        sign = self._address.sign
        signed = {} if sign is None else await asyncio.to_thread(sign, body)
        try:
            async with self._client.stream(
                "POST",
                self._address.url,
                content=body,
                headers=self._address.headers | signed,
                timeout=(CONNECT_TIMEOUT_S, None, None, None),
                follow_redirects=False,
            ) as response:
                headers = {name: response.headers[name] for name in _HEADERS_READ if name in response.headers}
                return Reply(response.status_code, headers, await _read(response.aiter_bytes(), self._max_body_bytes))
        except self._connect_timeouts:
            return NoReply("connection", f"no connection within {CONNECT_TIMEOUT_S:g} s")
        except self._timeouts:
            return NoReply("timeout", "no answer in time")
        except (*self._errors, OSError, UnicodeError) as error:
            return NoReply("connection", _reason(error))

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


async def _read(chunks: AsyncIterable[bytes], limit: int) -> bytes | None:
    """The body; None as soon as it is larger than the limit."""
    body = bytearray()
    async for chunk in chunks:
        if len(body) <= SMALL_BYTES < len(body) + len(chunk):
            await room_for_body(limit)
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _text(value: str) -> str:
    """A header value without the lone surrogates by which aiohttp carries bytes that are not UTF-8."""
    with suppress(UnicodeEncodeError):
        value.encode()
        return value
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


def _reason(error: BaseException) -> str:
    """Why a connection failed, in plain words: the deepest cause that says something."""
    for cause in reversed(list(_causes(error))):
        if isinstance(cause, ssl.SSLCertVerificationError) and (said := getattr(cause, "verify_message", "")):
            return f"the endpoint's certificate is not trusted: {said}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return f"no TLS connection ({cause.reason}); does the endpoint speak TLS on this port?"
        if isinstance(cause, socket.gaierror):
            return f"the endpoint's host name cannot be resolved: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        if message := str(getattr(cause, "message", "")):  # aiohttp's parser: without the class and a made-up status
            return message
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
