"""The way to a server: how every connection to Redis or Valkey is made."""

from typing import Any, NamedTuple, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError, ResponseError

from llmctx.errors import ServerError

OLDEST = (7, 0)
"""Functions are needed: Redis from 7.0, Valkey from 7.2 on (which says it is Redis 7.2)."""

_CONNECTIONS = 64


def connect(url: str, *, retries: int = 3) -> Redis:
    """A client for a redis:// URL; it waits for a free connection rather than fail.

    Writes that go through it must be idempotent: a lost reply makes it send the command again. With `retries` 0 it
    never does.

    Raises ServerError for a URL that names no server.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            protocol=2,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
        )
    except (ValueError, RedisError) as error:
        raise ServerError(
            f"{url!r} is no Redis address: {error}.",
            "Write it as redis://HOST:PORT/DB, for example redis://127.0.0.1:6379/0.",
        ) from error
    return Redis.from_pool(pool)


async def check(redis: Redis, url: str) -> str:
    """The server's name and version, where llmctx can work with it.

    Raises ServerError where nothing answers, or where the version is too old.
    """
    try:
        info = await redis.info("server")
    except ResponseError as error:
        raise ServerError(f"The server at {url} refuses: {error}.", "See user and password in --redis-url.") from error
    except (RedisError, OSError) as error:
        raise ServerError(
            f"No Redis answers at {url}: {error}.",
            "Start one (`llmctx redis`, or `redis-server redis.conf`), or name another with --redis-url.",
        ) from error
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ServerError(f"The server at {url} is Redis {version}.", "llmctx needs Redis >= 7.0 or Valkey >= 7.2.")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {version}"


class StreamEntry(NamedTuple):
    """One entry of a stream, as the server keeps it."""

    id: str
    """Its id, MS-SEQUENCE or INDEX-1."""
    fields: dict[bytes, bytes]
    """Its fields."""

    @property
    def number(self) -> int:
        """The part of the id before the dash: an index, or milliseconds."""
        return int(self.id.partition("-")[0])


async def read_stream(
    redis: Redis, key: str, first: str = "-", last: str = "+", *, count: int | None = None
) -> list[StreamEntry]:
    """The entries from `first` to `last`, oldest first."""
    return _entries(await redis.xrange(key, first, last, count=count))


async def read_stream_back(redis: Redis, key: str, last: str = "+", *, count: int | None = None) -> list[StreamEntry]:
    """The entries up to `last`, newest first."""
    return _entries(await redis.xrevrange(key, last, "-", count=count))


def _entries(reply: Any) -> list[StreamEntry]:
    # The client's types allow for decoded texts and for None; these connections never decode.
    found = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply or [])
    return [StreamEntry(entry_id.decode(), fields) for entry_id, fields in found]
