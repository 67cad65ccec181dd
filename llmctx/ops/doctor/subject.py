"""What the doctor examines: a server, its trail and the folders of this host; each is read once, when it is needed."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from redis.asyncio import Redis

from llmctx.schema.mapping.sections import Sections
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.log import Log
from llmctx.worker.memory import MemoryUse, MemoryWatch
from llmctx.worker.status import read_status, recent_records

T = TypeVar("T")


class Places(NamedTuple):
    """The files and folders of this host that are examined with a server."""

    state_dir: Path
    """The state directory."""
    redis_conf: Path
    """The server's settings as they should be."""
    backups: Path
    """The folder that collects backups."""
    prompts: Path
    """The folder of prompts."""
    sections: Sections | None = None
    """The sections that are read from another system's keys."""


class Subject:
    """A server with its trail, as the doctor needs it.

    Its methods raise redis.exceptions.RedisError or LlmctxError if the server does not tell: the check is then unknown.
    """

    def __init__(self, redis: Redis, url: str, places: Places) -> None:
        self.redis = redis
        """A client of the server."""
        self.url = url
        """The server's address."""
        self.places = places
        """The files and folders of this host."""
        self._read: dict[str, Any] = {}

    async def info(self) -> dict[str, Any]:
        """Everything that INFO tells."""
        return await self._once("info", lambda: self.redis.info("everything"))

    async def config(self) -> dict[str, str]:
        """The live configuration."""
        return await self._once("config", self._config)

    async def memory(self) -> MemoryUse:
        """How the server's memory is used."""
        return await self._once("memory", MemoryWatch(self.redis).measure)

    async def instance(self) -> Instance | None:
        """The trail's instance, None if there is no trail yet."""
        return await self._once("instance", lambda: read_instance(self.redis))

    async def partitions(self) -> list[dict[str, Any]]:
        """The state of each partition, as in `llmctx status`."""
        return cast("list[dict[str, Any]]", (await self.status())["partitions"])

    async def status(self) -> dict[str, Any]:
        """The output of `llmctx status`."""
        return await self._once("status", self._status)

    async def recent(self) -> list[Entry]:
        """The newest records of each partition, newest first."""
        return await self._once("recent", self._recent)

    def logs(self, instance: Instance) -> list[Log]:
        """The log of each partition."""
        return [Log(self.redis, partition) for partition in range(instance.partitions)]

    async def _config(self) -> dict[str, str]:
        found = await self.redis.config_get("*")
        return {_text(name): _text(value) for name, value in found.items()}

    async def _status(self) -> dict[str, Any]:
        return await read_status(self.redis, self.url)

    async def _recent(self) -> list[Entry]:
        instance = await self.instance()
        logs = [] if instance is None else self.logs(instance)
        return [entry for log in logs for entry in await recent_records(log)]

    async def _once(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        if name not in self._read:
            self._read[name] = await read()
        return cast("T", self._read[name])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
