"""Halt and resume: the keys that every tick reads together with its data, and the notice of who set them and why."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from llmctx import canonical, clock
from llmctx.limits import MAX_BY_CHARS, MAX_WHY_CHARS
from llmctx.schema import keys
from llmctx.trail.log.entry import address
from llmctx.trail.log.lease import redis_errors
from llmctx.worker.ask_owner import have_noted
from llmctx.worker.home import TrailHome

ALL = "all"
"""The name of the halt of everything, beside those of symbols."""


class Control(BaseModel):
    """A halt or its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    act: Literal["halt", "resume"]
    """halt or resume."""
    symbol: str | None = None
    """The symbol that it is about; None for all."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """The person."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """The reason, in their words."""
    at_ms: int = Field(ge=0)
    """The server's time, in milliseconds."""

    @property
    def key(self) -> str:
        """The key that is set during the halt."""
        return keys.halt(self.symbol)

    @property
    def reason(self) -> str:
        """The record's text."""
        done = "halted" if self.act == "halt" else "resumed"
        return f"{self.by} {done} {self.symbol or 'all symbols'}: {self.why}"


async def apply(redis: Redis, control: Control) -> bool:
    """Set or remove the halt key; returns whether that changed anything. An existing halt is never replaced.

    Raises TrailError if the server does not answer.
    """
    said = canonical.dumps({"by": control.by, "why": control.why, "at": clock.iso(control.at_ms)})
    with redis_errors(f"{control.key} could not be written"):
        if control.act == "halt":
            return bool(await redis.set(control.key, said, nx=True))
        return bool(await redis.delete(control.key))


async def note(home: TrailHome, control: Control) -> str:
    """Have the notice appended to the symbol's partition, or to the first one; returns the record's address.

    Raises as `ask_owner` does.
    """
    partition = 0 if control.symbol is None else keys.partition_of(control.symbol, home.instance.partitions)
    said: dict[str, Any] = {"control": control.model_dump(include={"act", "by", "why"})}
    said |= {} if control.symbol is None else {"symbol": control.symbol}
    index = await have_noted(home, partition, control.reason, said)
    return address(index, partition, home.instance.partitions)


async def halted(redis: Redis) -> list[str]:
    """What is halted now: the symbols, preceded by "all" if everything is. Raises TrailError if the server does not
    answer.
    """
    prefix = keys.halt("")
    with redis_errors("The halts could not be read"):
        symbols = [
            key.decode(errors="replace").removeprefix(prefix) async for key in redis.scan_iter(f"{prefix}*", count=1000)
        ]
        return ([ALL] if await redis.exists(keys.halt()) else []) + sorted(symbols)
