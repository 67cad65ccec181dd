"""Load a snapshot into a running server: it is offered as a primary's data, and the server loads it as a replica.

The server itself reads its own format, in one step, with every key, group, TTL and function. Writing key by key would
need a writer for each type, and clients would see it half done.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import BackupError, ServerError
from llmctx.functions import execute
from llmctx.killpoint import reached
from llmctx.tasks import pause

_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 15.0
_CHUNK_BYTES = 256 * 1024


class _Offer:
    """A primary's side of the replication protocol, for one snapshot."""

    def __init__(self, file: BinaryIO, server: str) -> None:
        self._file = file
        self._server = server
        self.asked = 0
        """How often the snapshot was requested: a server that asks again could not load it."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until the replica ends it."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError), contextlib.closing(writer):
            if writer.get_extra_info("peername")[0] != self._server:
                return  # the snapshot is for the server alone
            while line := await reader.readline():
                if line.startswith(b"*"):
                    await self._answer(await _words(reader, int(line[1:])), writer)
                    await writer.drain()

    async def _answer(self, words: list[bytes], writer: asyncio.StreamWriter) -> None:
        verb = words[0].upper()
        if verb == b"PING":
            writer.write(b"+PONG\r\n")
        elif verb == b"PSYNC":
            self.asked += 1
            if self.asked == 1:
                await self._send(writer)
            else:
                writer.write(b"-NOMASTERLINK the snapshot is given once\r\n")
        elif [word.upper() for word in words[:2]] != [b"REPLCONF", b"ACK"]:  # an ACK expects no answer
            writer.write(b"+OK\r\n")

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        writer.write(b"+FULLRESYNC %s 0\r\n$%d\r\n" % (secrets.token_hex(20).encode(), size))
        while chunk := self._file.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


async def _words(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


async def load_snapshot(redis: Redis, file: BinaryIO) -> None:
    """Replace everything in the server by a snapshot, and wait until the server has it in its files too.

    Raises ServerError if the server does not come for it, BackupError if it cannot read it.
    """
    try:
        async with _offered(redis, file) as offer:
            await _until_loaded(redis, offer)
    except (RedisError, OSError) as error:
        raise ServerError(f"The snapshot could not be loaded: {error}", "See the server's log.") from error


@asynccontextmanager
async def _offered(redis: Redis, file: BinaryIO) -> AsyncIterator[_Offer]:
    """Make the server a replica of this process, and a primary again at the end."""
    ours, theirs = await _addresses(redis)
    offer = _Offer(file, theirs)
    listening = await asyncio.start_server(offer.serve, ours, 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        await execute(redis, "REPLICAOF", ours, port)
        reached("offered")
        yield offer
    finally:
        with contextlib.suppress(RedisError):
            await execute(redis, "REPLICAOF", "NO", "ONE")
        listening.close()
    await _until_written(redis)


async def _addresses(redis: Redis) -> tuple[str, str]:
    """Our address as the server sees it, and the server's."""
    options = redis.connection_pool.connection_kwargs
    if "path" in options:
        return "127.0.0.1", "127.0.0.1"
    _, writer = await asyncio.open_connection(options["host"], options["port"])
    with contextlib.closing(writer):
        return writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]


async def _until_loaded(redis: Redis, offer: _Offer) -> None:
    waited_s = 0.0
    while True:
        state = await redis.info("replication")
        if state.get("master_link_status") == "up":
            return
        if offer.asked > 1:
            raise BackupError(
                "The server could not read the snapshot.",
                "See the server's log. An older version cannot read what a newer one has written: restore into the "
                "version that the manifest names, or a newer one.",
                exit_code=1,
            )
        if not offer.asked and waited_s > _CONNECT_TIMEOUT_S:
            raise ServerError(
                "The server did not come for the snapshot.",
                "It connects to this process as a replica does, without TLS; a firewall, tls-replication or a managed "
                "service may forbid that. Run the command on the server's machine.",
            )
        await pause(_POLL_S)
        waited_s += _POLL_S


async def _until_written(redis: Redis) -> None:
    """Wait until the AOF holds what was loaded: before that a restart would bring back the old data."""
    while True:
        state = await redis.info("persistence")
        if not state["aof_enabled"] or not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]):
            return
        await pause(_POLL_S)
