"""Whether the server is still the one that an owner began with: its functions are ours, its instance is the same."""

import logging

from redis.asyncio import Redis

from llmctx.errors import InstanceError
from llmctx.functions import restore_libraries
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)


class ServerCheck:
    """Checks the server of one partition's owner."""

    def __init__(self, redis: Redis, log: Log, instance: Instance) -> None:
        self._redis = redis
        self._log = log
        self._instance = instance

    async def functions(self) -> None:
        """Delete functions that somebody else loaded in place of ours, and load ours that are missing.

        Raises TrailError if the server does not answer.
        """
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

    async def instance(self) -> None:
        """Check that the server has the instance that it had.

        Raises InstanceError if it came back as another one or without its data, TrailError if it does not answer.
        """
        now = await read_instance(self._redis)
        if now != self._instance:
            raise InstanceError(
                f"Redis had instance {self._instance.id}, now it has {now.id if now else 'none: it lost its data'}.",
                "Stop, and restore the server's data from a backup (docs/operations.md); or start a new trail with "
                "--new-instance.",
            )
