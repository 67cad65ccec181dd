"""Halt and resume: the keys that every tick reads together with its data, and the record of who set them and why."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis

from llmctx import canonical, clock
from llmctx.errors import TrailError
from llmctx.limits import MAX_BY_CHARS, MAX_WHY_CHARS
from llmctx.schema import keys
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log
from llmctx.trail.proof.request import Request
from llmctx.worker.owner import Owner

REQUEST = "control"
"""The kind of a request to record a halt or its end."""
_MAX_AGE_MS = 3_600_000
"""An older request is refused: whoever can write to Redis could repeat it."""
_MARGIN_MS = 60_000


class Control(BaseModel):
    """A halt or its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    act: Literal["halt", "resume"]
    """Which of the two."""
    symbol: str | None = None
    """The symbol that it is about; None for all."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """Who does it."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """Why, in their words."""
    at_ms: int = Field(ge=0)
    """When, in milliseconds of the server's time."""

    @property
    def key(self) -> str:
        """The key that is set while the halt lasts."""
        return keys.halt(self.symbol)

    @property
    def reason(self) -> str:
        """What the record says."""
        done = "halted" if self.act == "halt" else "resumed"
        return f"{self.by} {done} {self.symbol or 'all symbols'}: {self.why}"


async def apply(redis: Redis, control: Control) -> bool:
    """Set the key that halts, or remove it; returns whether that changed anything. A halt is never replaced.

    Raises TrailError if the server does not answer.
    """
    said = canonical.dumps({"by": control.by, "why": control.why, "at": clock.iso(control.at_ms)})
    with redis_errors(f"{control.key} could not be written"):
        if control.act == "halt":
            return bool(await redis.set(control.key, said, nx=True))
        return bool(await redis.delete(control.key))


async def halted(redis: Redis) -> list[str]:
    """What is halted now: the symbols, and before them "all" if everything is.

    Raises TrailError if the server does not answer.
    """
    prefix = keys.halt("")
    with redis_errors("The halts could not be read"):
        symbols = [key.decode(errors="replace").removeprefix(prefix) async for key in redis.scan_iter(f"{prefix}*")]
        return (["all"] if await redis.exists(keys.halt()) else []) + sorted(symbols)


async def note_once(owner: Owner, request: Request) -> int:
    """Append the notice that a request asks for, unless it stands there; returns its index.

    Raises TrailError if the request is malformed or old; LeaseError if another owner has the partition now.
    """
    try:
        control = Control.model_validate(request.content)
    except ValidationError as error:
        raise TrailError(f"A request to record a halt is malformed: {error}", "Use one version of llmctx.") from error
    if (found := await noted(owner.log, request.id, control.at_ms)) is not None:
        return found
    if control.at_ms < (await owner.metadata()).recorded_at_ms - _MAX_AGE_MS:
        raise TrailError(f"A request to record a halt is of {clock.iso(control.at_ms)}, too old.", "Run it again.")
    said = control.model_dump(include={"act", "by", "why"}) | {"request": request.id}
    named: dict[str, Any] = {} if control.symbol is None else {"symbol": control.symbol}
    return await owner.note(control.reason, control=said, **named)


async def noted(log: Log, request_id: str, at_ms: int) -> int | None:
    """The index of the notice that a request asked for at a time; None if there is none."""
    async for entry in log.read_back():
        if entry.record.get("control", {}).get("request") == request_id and log.vouches(entry):
            return entry.index
        if entry.record.get("recorded_at_ms", at_ms) < at_ms - _MARGIN_MS:
            return None
    return None
