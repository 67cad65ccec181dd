"""One connection for many callers: the commands of one turn of the event loop go out in one write.

A single task owns the connection. It sends every command that waits, reads exactly as many replies, and begins again;
so commands that arrive meanwhile form the next batch. A caller that is cancelled only stops waiting: its reply is
still read, and no other caller can get it. If the connection breaks, every command in flight fails, because nobody
knows whether the server has run it; whoever called decides whether to send it again.
"""

import asyncio
import builtins
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError  # noqa: A004

MAX_BATCH = 500
"""The most commands that go out in one write."""

_CONNECT_S = 10.0
_CLOSED = "the connection was closed"

_Call = tuple[bytes, "asyncio.Future[Any]"]


class SharedConnection:
    """Connects when it is first used, and again after a failure."""

    def __init__(self, make_connection: Callable[[], AbstractConnection], *, timeout_s: float = 5.0) -> None:
        """`make_connection` makes an unconnected connection without a socket timeout.

        A batch of commands must be answered within `timeout_s`.
        """
        self._connection = make_connection()
        self._timeout_s = timeout_s
        self._waiting: list[_Call] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def send(self, *command: bytes | str | int) -> "asyncio.Future[Any]":
        """Queue a command; the future gets its reply.

        The future raises ResponseError if the server refuses the command, ConnectionError or TimeoutError if the
        connection breaks or stays silent; then the server may or may not have run it.
        """
        if self._closed:
            raise ConnectionError(_CLOSED)
        packed = b"".join(self._connection.pack_command(*command))
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append((packed, reply))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        self._wake.set()
        return reply

    async def aclose(self) -> None:
        """Close the connection; commands that wait for a reply fail."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._break(self._waiting, ConnectionError, _CLOSED)  # a task that never began has not done it

    async def _run(self) -> None:
        batch: list[_Call] = []
        try:
            while True:
                await self._wake.wait()
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                if not self._waiting:
                    self._wake.clear()
                try:
                    await self._exchange(batch)
                except RedisError as error:
                    await self._break(batch, type(error), str(error))
                except builtins.TimeoutError:
                    await self._break(batch, TimeoutError, f"no reply within {self._timeout_s:g} s")
                except OSError as error:
                    await self._break(batch, ConnectionError, str(error))
                batch = []
        finally:
            await self._break([*batch, *self._waiting], ConnectionError, _CLOSED)

    async def _exchange(self, batch: list[_Call]) -> None:
        """Send commands in one write and hand out their replies, in order."""
        connection, demoted = self._connection, False
        if not connection.is_connected:
            async with asyncio.timeout(_CONNECT_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
        async with asyncio.timeout(self._timeout_s):
            await connection.send_packed_command([packed for packed, _ in batch])
            for _, reply in batch:
                try:
                    answer = await connection.read_response()
                except ResponseError as error:
                    demoted = demoted or isinstance(error, ReadOnlyError)
                    if not reply.done():
                        reply.set_exception(error)
                else:
                    if not reply.done():
                        reply.set_result(answer)
        if demoted:  # a replica stays read-only: reconnect, to the current primary
            await connection.disconnect(nowait=True)

    async def _break(self, calls: list[_Call], kind: type[RedisError], why: str) -> None:
        """Drop the connection, and let every call that has no reply fail."""
        await self._connection.disconnect(nowait=True)
        for _, reply in calls:
            if not reply.done():
                reply.set_exception(kind(why))
