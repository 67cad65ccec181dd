"""A program that raises ticks through all that happens to the server."""

import asyncio
import contextlib
from collections.abc import Sequence

from redis.exceptions import RedisError

from llmctx.connection import connect
from llmctx.errors import TrailError
from llmctx.schema import keys
from llmctx.trail.log.log import Log


class Raiser:
    """A feed's part: raises ticks, and raises again those that Redis forgot before they were settled."""

    def __init__(self, url: str, symbols: Sequence[str]) -> None:
        self._redis = connect(url)
        self._symbols = symbols
        self.raised: list[str] = []
        self.again = 0

    async def run(self, count: int, at_once: int) -> None:
        """Raise so many ticks, some of them every 0.15 s, and return once all are settled."""
        for first in range(0, count, at_once):
            numbers = range(first, first + at_once)
            batch = [f"chaos:{self._symbols[number % len(self._symbols)]}:{number}" for number in numbers]
            await self._raise(batch)
            self.raised += batch
            await asyncio.sleep(0.15)
        while unsettled := await self._unsettled():
            if not await self._any_waits():  # nobody will bring them unless they are raised once more
                self.again += len(unsettled)
                await self._raise(unsettled)
            await asyncio.sleep(1)
        await self._redis.aclose()

    async def _raise(self, ticks: list[str]) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=True) as batch:
                    for tick in ticks:
                        fields = {"id": tick, "symbol": tick.split(":")[1], "cause": "chaos"}
                        batch.xadd(keys.ticks(0), fields)  # type: ignore[arg-type]
                    await batch.execute()
                    return
            await asyncio.sleep(0.2)

    async def _unsettled(self) -> list[str]:
        while True:
            with contextlib.suppress(TrailError):
                found = await Log(self._redis).settled(self.raised)
                return [tick for tick, index in zip(self.raised, found, strict=True) if index is None]
            await asyncio.sleep(0.2)

    async def _any_waits(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            return bool(await self._redis.xlen(keys.ticks(0)))
        return True
