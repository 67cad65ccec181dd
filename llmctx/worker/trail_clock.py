"""The clock of a trail: fixed once, by the setting `clock` or by the first decision, and noted in every partition.

Otherwise a single key, system:state, could make old data look fresh.
"""

import asyncio

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.context.read_rules import Clock, ReadRules
from llmctx.context.snapshot import clock_of
from llmctx.errors import ClockError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import agree, agreed
from llmctx.trail.log.log import Log
from llmctx.worker.owner import Owner

_FIELD = "clock"
_MAX_EXAMINED = 1000


class TrailClock:
    """The clock of a partition that an owner holds."""

    def __init__(self, redis: Redis, owner: Owner) -> None:
        self._redis = redis
        self._owner = owner
        self._fixed: Clock | None = None
        self._turn = asyncio.Lock()

    async def open(self, rules: ReadRules) -> ReadRules:
        """The rules with the trail's clock: the one its records show, or else the one in `rules`, which may be None.

        Raises ClockError if the two differ, TrailError if the server does not answer.
        """
        shown, noted = await _shown_by(self._owner.log)
        if shown is None:
            shown = clock_of(await agreed(self._redis, _FIELD))
        if shown is not None and rules.clock is not None and rules.clock != shown:
            raise ClockError(rules.clock, shown)
        clock = shown or rules.clock
        if noted:
            self._fixed = clock
        elif clock is not None:
            clock = await self.fix(clock)
        return rules.model_copy(update={"clock": clock})

    async def fix(self, clock: Clock) -> Clock:
        """Fix the clock and note it in the trail, unless it is already fixed; returns the one in force.

        Raises TrailError if the server does not answer.
        """
        async with self._turn:
            if self._fixed is None:
                fixed = clock_of(await agree(self._redis, _FIELD, clock)) or clock
                whose = "the server's time" if fixed == "server" else "the time of the bars, as system:state has it"
                await self._owner.note(f"ages are measured against {whose} from here on", clock=fixed)
                self._fixed = fixed
        return self._fixed


async def _shown_by(log: Log) -> tuple[Clock | None, bool]:
    """The clock that the newest records show, and whether a notice has fixed it."""
    examined = 0
    async for entry in log.read_back():
        examined += 1
        if (found := _shown_in(entry)) is not None:
            return found
        if examined == _MAX_EXAMINED:
            break
    return None, False


def _shown_in(entry: Entry) -> tuple[Clock, bool] | None:
    record = entry.record
    if record["kind"] == "notice":
        noted = clock_of(record.get(_FIELD))
        return None if noted is None else (noted, True)
    if record["verdict"]["action"] == "none" or record["kind"] == "skipped" or "snapshot" not in entry.pieces:
        return None
    try:
        snapshot = canonical.loads(entry.pieces["snapshot"])
    except ValueError:
        return None  # `llmctx verify` names it
    if (fixed := clock_of(snapshot.get("trail_clock"))) is not None:
        return fixed, True
    shown = clock_of(snapshot.get("clock"))
    return None if shown is None else (shown, False)
