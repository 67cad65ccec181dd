"""Where a trail lives: the server that keeps it, and the local folder with its spool, anchors and keys."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx.connection import open_redis
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.people import NameTable
from llmctx.trail.proof.writer import Writer, load_or_make_writer
from llmctx.worker.eviction import check_eviction

TICKS_KEPT_MS = 30 * 86_400_000
"""How long the ticks of archived records stay known by default."""


class TrailHome(NamedTuple):
    """One trail: its server and its folder."""

    redis: Redis
    """A client for the server with the live keys and the trail."""
    url: str
    """The server's address, for connections that must not be shared."""
    instance: Instance
    """The trail's id and number of partitions."""
    state_dir: Path
    """The folder with the instance file, spool, anchors and keys."""
    replicas: int = 0
    """How many replicas of the server must have a record before it is published."""
    people: Mapping[str, tuple[str, ...]] = {}
    """Who may approve and override: each name with its roles; empty for everybody."""
    ticks_kept_ms: int = TICKS_KEPT_MS
    """How long the ticks of archived records stay known; ticks that have waited longer are skipped."""

    @property
    def names(self) -> NameTable:
        """The table of the people whom records name by id."""
        return NameTable(self.redis, self.state_dir)

    @property
    def writer(self) -> Writer:
        """The key with which this folder signs, made when first needed. Raises KeyFileError if it cannot be used."""
        return load_or_make_writer(self.state_dir, self.instance.id)


@asynccontextmanager
async def open_home(
    redis_url: str = "redis://127.0.0.1:6379/0", state_dir: Path = Path("var"), *, partitions: int = 1
) -> AsyncIterator[TrailHome]:
    """Connect to a trail; an empty server gets a new one with this many partitions.

    Raises ServerError if no usable server answers or it would evict the trail, InstanceError if server and folder
    belong to different trails.
    """
    async with open_redis(redis_url) as redis:
        yield await bind_home(redis, redis_url, state_dir, partitions=partitions)


async def bind_home(
    redis: Redis, url: str, state_dir: Path, *, partitions: int = 1, new_instance: bool = False
) -> TrailHome:
    """The trail of a server and a folder, once the server is known not to evict it.

    With `new_instance` a folder leaves the trail that it belongs to (see `bind_instance`). Raises ServerError if the
    server would evict the trail, InstanceError if server and folder belong to different trails, TrailError if the
    server does not answer.
    """
    await check_eviction(redis)
    instance, _ = await bind_instance(redis, state_dir, partitions=partitions, new=new_instance)
    return TrailHome(redis, url, instance, state_dir)
