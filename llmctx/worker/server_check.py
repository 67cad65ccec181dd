"""Whether the server is still the one that an owner began with: its functions are ours, its instance is the same, and
no key of the partition holds a value of another type.
"""

import logging
from pathlib import Path

from redis.asyncio import Redis

from llmctx.errors import InstanceError
from llmctx.functions import ServerFunction, restore_libraries
from llmctx.schema import keys
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_TYPES = {
    "archived": "hash", "base": "hash", "dictionaries": "hash", "durable": "string", "effects": "hash",
    "kept": "hash", "lease": "hash", "log": "stream", "log:copy": "stream", "repairs": "hash", "ticks": "hash",
}  # fmt: skip
"""The type of each audit key that every record needs; a symbol's list is replaced when it is written."""
_REMOVE = ServerFunction(Path(__file__).with_name("remove_wrong_types.lua"))


class ServerCheck:
    """Checks the server of one partition's owner."""

    def __init__(self, redis: Redis, log: Log, instance: Instance) -> None:
        self._redis = redis
        self._log = log
        self._instance = instance

    async def contents(self) -> bool:
        """Repair what somebody else has changed: the functions, and the types of the partition's keys.

        Returns whether a key was removed, so that its content has to come back from the spool. Raises TrailError if the
        server does not answer.
        """
        await self._functions()
        return await self._types()

    async def _functions(self) -> None:
        """Delete functions that somebody else loaded in place of ours, and load ours that are missing."""
        with redis_errors("The server's functions could not be checked"):
            found = await restore_libraries(self._redis)
            if found:
                await self._redis.hincrby(self._log.key("repairs"), "functions", len(found))
        for name in found:
            _log.error(
                f"The server's function library {name} was not ours and is deleted. Since the last check it may have "
                "changed what was read and recorded: run `llmctx verify`, and see who may load functions "
                "(docs/threat-model.md).",
                extra={"alert": "foreign", "subject": "functions"},
            )

    async def _types(self) -> bool:
        """Remove values of another type: they would keep ticks from being decided, or decisions from being published.

        Their content is restored from the log and the spool.
        """
        partition = self._log.partition
        expected = {self._log.key(name): kind for name, kind in _TYPES.items()}
        expected |= {keys.ticks(partition): "stream", keys.attempts(partition): "hash", keys.WORKERS: "zset"}
        expected |= {keys.decisions_made(partition): "stream", keys.effects(partition): "stream"}
        expected |= {keys.RESERVED: "hash", keys.BUDGET: "hash"}
        with redis_errors("The types of the trail's keys could not be checked"):
            removed = await _REMOVE(self._redis, [self._log.key("repairs"), *expected], list(expected.values()))
        wrong = [each.decode() for each in removed]
        for name, kind in zip(wrong[::2], wrong[1::2], strict=True):
            _log.error(
                f"{name} held a {kind}, not a {expected[name]}, and was removed. Somebody else writes to it: "
                "see who may (docs/threat-model.md), and run `llmctx verify`.",
                extra={"alert": "foreign", "subject": name},
            )
        return bool(wrong)

    async def instance(self) -> None:
        """Check that the server has the same instance as before.

        Raises InstanceError if it came back as another one or without its data, TrailError if it does not answer.
        """
        now = await read_instance(self._redis)
        if now != self._instance:
            found = now.id if now else "none: it lost its data"
            if now and now.id == self._instance.id:
                found = f"it in {now.partitions} partitions, not {self._instance.partitions}"
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has {found}.",
                "Stop, and restore the server's data from a backup (docs/operations.md); or start a new trail with "
                "--new-instance.",
            )
