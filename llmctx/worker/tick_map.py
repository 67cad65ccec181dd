"""The map from ticks to records, held against the records: a tick is settled only if its record says so."""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from redis.asyncio import Redis

from llmctx.functions import ServerFunction
from llmctx.trail.archive.ticks import ArchivedTicks
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.index import index_of
from llmctx.trail.log.lease import HELD, lease_key, redis_errors
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_REPAIR = ServerFunction(Path(__file__).with_name("repair_ticks.lua"), after=[HELD])


class TickMap:
    """The map of one partition, as its owner reads it."""

    def __init__(
        self, redis: Redis, log: Log, owner: str, is_genuine: Callable[[Entry], bool], archived: ArchivedTicks
    ) -> None:
        """`owner` must hold the lease; without it nothing is repaired. `is_genuine` tells whether a record read from
        the log is the one that was recorded there, and `archived` what those settled that are not in the log any more.
        """
        self._redis = redis
        self._log = log
        self._owner = owner
        self._is_genuine = is_genuine
        self._archived = archived
        self._key = log.key("ticks")

    async def settled(self, tick_ids: Collection[str]) -> set[str]:
        """The ticks that a record settles.

        An entry that no record bears out is removed or corrected, which is logged and counted. Without one this takes
        one round trip, and one for each tick that is settled.

        Raises LeaseError or TrailError if it cannot be repaired.
        """
        mapped = await self._mapped(tick_ids)
        borne_out = await asyncio.gather(*(self._is_borne_out(tick, index) for tick, index in mapped.items()))
        wrong = [tick for tick, is_true in zip(mapped, borne_out, strict=True) if not is_true]
        if not wrong:
            return set(mapped)
        true = await self._find(set(wrong))
        await self._repair({tick: mapped[tick] for tick in wrong}, true)
        return mapped.keys() - (set(wrong) - true.keys())

    async def _mapped(self, tick_ids: Collection[str]) -> dict[str, bytes]:
        with redis_errors():
            found = await self._redis.hmget(self._key, list(tick_ids)) if tick_ids else []
        return {tick: index for tick, index in zip(tick_ids, found, strict=True) if isinstance(index, bytes)}

    async def _is_borne_out(self, tick: str, index: bytes) -> bool:
        entry = None if index_of(index) < 0 else await self._log.entry(index_of(index))
        if entry is None and index_of(index) >= 0:
            return await self._archived.settled(tick, index_of(index))
        return entry is not None and tick in entry.ticks and self._is_genuine(entry)

    async def _find(self, ticks: set[str]) -> dict[str, int]:
        """The index of the record that settles each tick, by reading the whole log."""
        found: dict[str, int] = {}
        async for entry in self._log.read():
            if not ticks.isdisjoint(entry.ticks) and self._is_genuine(entry):
                found |= dict.fromkeys(ticks.intersection(entry.ticks), entry.index)
        return found

    async def _repair(self, wrong: dict[str, bytes], true: dict[str, int]) -> None:
        names = [lease_key(self._log.partition), self._key, self._log.key("repairs")]
        with redis_errors("The map of ticks could not be repaired"):
            args = [part for tick, index in wrong.items() for part in (tick, index, true.get(tick, ""))]
            await _REPAIR(self._redis, names, [self._owner, *args])
        for tick, index in wrong.items():
            what = f"its record is {true[tick]}" if tick in true else "no record settles it, so it is decided now"
            _log.error(
                f"{self._key} had tick {tick} at {index.decode(errors='replace')[:40]}, but {what}. "
                "Somebody else writes to it: see who may (docs/threat-model.md)."
            )
