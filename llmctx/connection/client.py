"""Connections to Redis or Valkey: every client is made here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from llmctx.connection.address import Watched, check_address, malformed_address, read_watched, without_password
from llmctx.connection.remedy import remedy
from llmctx.connection.sentinel import PrimaryFinder, connecting_to_primary
from llmctx.connection.shared import SharedConnection
from llmctx.errors import ServerError
from llmctx.tasks import pause

MIN_VERSION = (7, 0)
"""The oldest Redis that has functions. Valkey from 7.2 on says that it is Redis 7.2."""

SOCKET_TIMEOUT_S = 5.0
"""How long a reply may take before the connection counts as broken."""

_MAX_CONNECTIONS = 64
_BACKOFF_S, _MAX_BACKOFF_S = 0.05, 0.5
_SHARED_COMMANDS = frozenset({"FCALL", "FCALL_RO", "HMGET"})
"""The commands of a tick whose replies redis-py passes on as they are."""


class RedisClient(Redis):
    """A client whose function calls and HMGET share one connection; everything else goes through the pool.

    A tick needs no other command. Redis runs one command at a time, so they lose nothing by sharing a connection, and
    a call costs a sixth of what it costs through the pool (docs/adr/0036-one-connection-for-functions.md).
    """

    def __init__(self, *args: Any, retries: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._retries = retries
        self._backoff = ExponentialBackoff(cap=_MAX_BACKOFF_S, base=_BACKOFF_S)
        pool = self.connection_pool
        self._shared = SharedConnection(
            lambda: pool.connection_class(**(pool.connection_kwargs | {"socket_timeout": None})),
            timeout_s=SOCKET_TIMEOUT_S,
        )

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply; raises what redis-py raises."""
        try:
            return await self._send(args, options)
        except ReadOnlyError:  # connections to a demoted primary would stay read-only forever; nothing was written
            await self.connection_pool.disconnect(inuse_connections=False)
            return await self._send(args, options)

    async def _send(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args[0] in _SHARED_COMMANDS:
            return await self._send_shared(args)
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Several commands in one round trip; a read-only server is connected anew here too."""
        return _DroppingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    async def _send_shared(self, command: tuple[Any, ...]) -> Any:
        for failures in range(1, self._retries + 1):
            try:
                return await self._shared.send(*command)
            except (ConnectionError, TimeoutError):
                await pause(self._backoff.compute(failures))
        return await self._shared.send(*command)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        await self._shared.aclose()
        await super().aclose(close_connection_pool)


class _DroppingPipeline(Pipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return await super().execute(raise_on_error)
        except ReadOnlyError:
            await self.connection_pool.disconnect(inuse_connections=False)
            raise


def connect(url: str, *, retries: int = 3) -> RedisClient:
    """Make a client for a redis:// URL; it waits for a free connection rather than fail.

    With redis+sentinel:// every connection is made to the primary that the sentinels name then.

    Writes that go through it must be idempotent: after a lost reply it sends the command again, up to `retries` times.

    Raises ServerError if the URL names no server.
    """
    check_address(url)
    watched = read_watched(url)
    try:
        pool = BlockingConnectionPool.from_url(
            url if watched is None else watched.server_url(watched.sentinels[0]),  # replaced by the primary's
            max_connections=_MAX_CONNECTIONS,
            protocol=2,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=_MAX_BACKOFF_S, base=_BACKOFF_S), retries),
            driver_info=None,  # CLIENT SETINFO costs a round trip, and ACLs of Redis 7.0 cannot allow it
        )
        pool.connection_class = _cancellable(pool.connection_class)
        if watched is not None:
            pool.connection_class = connecting_to_primary(pool.connection_class, _finder(watched))
        pool.connection_class(**pool.connection_kwargs)  # does not connect, but rejects unknown options
    except (ValueError, TypeError, RedisError) as error:
        # The chain of causes is cut as well: the client's message may quote the address.
        raise malformed_address(f"the client does not accept it ({type(error).__name__})") from None
    client = RedisClient(connection_pool=pool, retries=retries)
    client.auto_close_connection_pool = True
    return client


def database_of(url: str) -> int:
    """The number of the database that an address names, without connecting. Raises ServerError if the URL names no
    server.
    """
    return int(connect(url).connection_pool.connection_kwargs.get("db", 0))


def _cancellable(connection_class: Any) -> Any:
    """A subclass of a connection class that does not swallow a cancellation.

    redis-py sends inside asyncio.wait_for, which in Python 3.11 loses a cancellation that arrives just as sending is
    done (gh-86296). A task that sends commands in a loop would then never end.
    """

    class Cancellable(connection_class):  # type: ignore[misc]
        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            task = asyncio.current_task()
            before = 0 if task is None else task.cancelling()
            if before:  # asked for while the task's own code ran, as by Ctrl-C, it is delivered here or lost below
                await asyncio.sleep(0)
            await super().send_packed_command(*args, **kwargs)
            if task is not None and task.cancelling() > before:
                await self.disconnect(nowait=True)  # nobody will read the reply
                raise asyncio.CancelledError

    return Cancellable


async def primary_url(url: str) -> str:
    """The address of the primary that the sentinels of an address name now; any other address as it is.

    Raises ServerError if the URL names no server, or no sentinel names a primary.
    """
    check_address(url)
    watched = read_watched(url)
    if watched is None:
        return url
    try:
        return watched.server_url(await _finder(watched).find())
    except RedisError as error:
        raise _no_answer(url, error) from error


def _finder(watched: Watched) -> PrimaryFinder:
    """Asks the sentinels, over TLS if the servers use TLS."""
    of_server = parse_url(watched.server_url(watched.sentinels[0]))
    tls = {name: value for name, value in of_server.items() if name.startswith("ssl_")}
    tls |= {"ssl": True} if watched.scheme == "rediss" else {}
    return PrimaryFinder(watched.sentinels, watched.service, watched.options | tls)


def _no_answer(url: str, error: Exception) -> ServerError:
    return ServerError(
        f"No Redis answers at {without_password(url)}: {str(error).rstrip('.')}.",
        remedy(error, "Start one (`llmctx redis`, or `redis-server redis.conf`), or name another with --redis-url."),
    )


async def check(redis: Redis, url: str) -> str:
    """Check that a usable server answers, and return its name and version.

    Raises ServerError if nothing answers, the version is too old, or the server is a cluster's node.
    """
    shown = without_password(url)
    try:
        info = await redis.info("server")
    except (AuthenticationError, ResponseError) as error:
        raise ServerError(
            f"The server at {shown} refuses: {str(error).rstrip('. ')}.",
            remedy(error, "Check user, password and database in --redis-url."),
        ) from error
    except (RedisError, OSError) as error:
        raise _no_answer(url, error) from error
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        raise ServerError(f"The server at {shown} is Redis {version}.", "llmctx needs Redis >= 7.0 or Valkey >= 7.2.")
    _check_mode(str(info.get("redis_mode") or info.get("server_mode")), shown)
    return f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"


def _check_mode(mode: str, shown: str) -> None:
    if mode == "cluster":
        raise ServerError(
            f"The server at {shown} is a node of a Redis Cluster, which is not supported yet: one function cannot "
            "read keys of several slots.",
            "Use a single server, or a primary with replicas (cluster-enabled no).",
        )
    if mode == "sentinel":
        raise ServerError(
            f"The server at {shown} is a Sentinel.", "Write redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB."
        )


@asynccontextmanager
async def open_redis(url: str, *, retries: int = 3) -> AsyncIterator[Redis]:
    """Connect a client, and close it at the end.

    Raises ServerError if no usable server answers.
    """
    probe = connect(url, retries=0)  # a missing server is reported at once
    try:
        await check(probe, url)
    finally:
        await probe.aclose()
    redis = connect(url, retries=retries)
    try:
        yield redis
    finally:
        await redis.aclose()


async def server_ms(redis: Redis) -> int:
    """The server's time in milliseconds since 1970."""
    seconds, micros = await redis.time()
    return seconds * 1000 + micros // 1000
