"""Reserve room for an add in the limits that several positions share, in one call inside the server.

A reservation counts until the position shows its effect, an effect reports that the decision was not carried out, or it
expires. So decisions on several symbols, partitions and workers never exceed a limit together.
"""

import contextlib
import re
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical
from llmctx.context.package import Package
from llmctx.context.section_values import read_values
from llmctx.context.staleness import Status
from llmctx.decision.mandate.mandate import Mandate, Total
from llmctx.decision.mandate.totals import totals_at
from llmctx.decision.reservation import EXPIRY_S, exceeded
from llmctx.decision.verdict import Verdict
from llmctx.errors import in_short
from llmctx.functions import Argument, ServerFunction
from llmctx.schema import keys, values
from llmctx.schema.mapping.sections import Sections

_RESERVE = ServerFunction(Path(__file__).with_name("exposure.lua"))
_POSITIONS = keys.BY_SECTION["position"].key("")
_SPECIAL = re.compile(r"[^A-Za-z0-9*?]")


class Reservations:
    """Reserves room within the totals of a mandate."""

    def __init__(self, redis: Redis, mandate: Mandate | None, sections: Sections | None = None) -> None:
        self._redis = redis
        self._mandate = mandate
        self._sections = sections if sections is not None and sections.is_mapped("position") else None

    async def reserve(self, tick_id: str, package: Package, verdict: Verdict) -> str | None:
        """Reserve room for the add of a tick; returns why there is none. Without a total no call is made."""
        totals = [] if self._mandate is None else totals_at(package, self._mandate)
        if self._mandate is None or not totals or verdict.quantity is None:
            return None
        side, symbol = package.position.side, package.symbol
        value = verdict.quantity * package.price.price.last * (1 if side == "long" else -1)
        expiry_s = self._mandate.limits_of(symbol, side).order_expiry_s or EXPIRY_S
        try:
            positions = await self._mapped_positions()
            args: list[Argument] = [tick_id, symbol, str(value), expiry_s, _POSITIONS, positions]
            args += [argument for total in totals for argument in _arguments(total)]
            said, *about = await _RESERVE(self._redis, [keys.RESERVED, *keys.halts_of(symbol)], args)
        except Exception as error:  # noqa: BLE001  an add that cannot be counted is not made
            return f"no room could be reserved: {in_short(error)}"
        if said == b"ok":
            return None
        if said == b"refused":
            return exceeded(totals[about[0] - 1], about[1].decode())
        key = about[0].decode(errors="replace")
        return f"{key} is set" if said == b"halted" else f"{key} cannot be read, so the total is unknown"

    async def release(self, reserved_by: str) -> None:
        """Free the room of a tick or an act, if it has any; if the server does not answer, the reservation expires."""
        if self._mandate is not None and self._mandate.shares_limits:
            with contextlib.suppress(RedisError):
                await cast("Any", self._redis).hdel(keys.RESERVED, reserved_by)

    async def _mapped_positions(self) -> bytes:
        """The positions of another system, read just before, because only its mapping can interpret them."""
        if self._sections is None:
            return b""
        found: dict[str, dict[str, str]] = {}
        async for each in read_values(self._redis, "position", self._sections):
            content = each.content(self._sections)
            if content.status is not Status.EMPTY:
                found[each.symbol] = _as_arguments(content.value) or {"key": each.raw.key}
        return canonical.wire(found)


def _as_arguments(position: BaseModel | None) -> dict[str, str] | None:
    if not isinstance(position, values.Position) or position.current_price is None:
        return None
    numbers = {"quantity": str(position.quantity), "current_price": str(position.current_price)}
    return numbers | {"side": position.side}


def _arguments(total: Total) -> list[Argument]:
    patterns = [_lua_pattern(pattern) for pattern in total.symbols]
    return [total.kind, str(total.limit), len(patterns), *patterns]


def _lua_pattern(pattern: str) -> str:
    """A pattern such as BTC* as a Lua pattern."""
    escaped = _SPECIAL.sub(lambda found: f"%{found[0]}", pattern)
    return f"^{escaped.replace('*', '.*').replace('?', '.')}$"
