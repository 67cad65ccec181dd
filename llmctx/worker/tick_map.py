"""The maps from ticks and ids to records, checked against the records: a tick is settled only if its record says so."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import chain
from pathlib import Path

from redis.asyncio import Redis

from llmctx.functions import ServerFunction
from llmctx.trail.archive.ticks import ArchivedTicks, said_tick
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.index import index_of
from llmctx.trail.log.lease import HELD, lease_key, redis_errors
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

_MAX_REMEMBERED = 10_000
_REPAIR = ServerFunction(Path(__file__).with_name("repair_ticks.lua"), after=[HELD])


class TickMap:
    """The map of one partition, as its owner reads it."""

    name = "ticks"
    """Its key's name."""

    def __init__(
        self, redis: Redis, log: Log, owner: str, is_genuine: Callable[[Entry], bool], archived: ArchivedTicks
    ) -> None:
        """`owner` must hold the lease; without it nothing is repaired.

        `is_genuine` tells whether a record read from the log is the one recorded there, and `archived` what was settled
        by records no longer in the log.
        """
        self._redis = redis
        self._log = log
        self._owner = owner
        self._is_genuine = is_genuine
        self._archived = archived
        self._key = log.key(self.name)
        # Dropping the oldest entry of a plain dict takes longer the more were dropped before.
        self._own: OrderedDict[str, int] = OrderedDict()
        self.recent: dict[str, int] = {}
        """What the newest records had at the start, newest first; the newest record of a tick counts."""
        self.mend: Callable[[], Awaitable[None]] | None = None
        """Has the map say what the log does."""

    @staticmethod
    def ids(entry: Entry) -> list[str]:
        """A record's keys in this map."""
        return entry.ticks

    async def is_archived(self, tick: str, index: int) -> bool:
        """Whether the archived record at an index, or another one of its segment, has this in the map.

        Raises TrailError if the server does not answer.
        """
        return await self._archived.settled(tick, index)

    def add(self, entry: Entry) -> None:
        """Remember the ticks of a record just settled: it is in the spool, whatever a server says."""
        for tick in self.ids(entry):
            self._own[tick] = entry.index
        while len(self._own) > _MAX_REMEMBERED:
            self._own.popitem(last=False)

    def forget(self) -> None:
        """Forget what was settled, because the log has lost records."""
        self._own.clear()
        self.recent = {}

    async def settled(self, tick_ids: Collection[str]) -> set[str]:
        """The ticks that a record settles.

        An entry that no record supports is removed or corrected, and a missing one is restored if a tick of the newest
        records needs it; both are logged and counted. If the map has lost what it must have, it is mended first.
        Without repairs this takes one round trip, plus one for each settled tick.

        Raises LeaseError or TrailError if the map cannot be repaired.
        """
        mapped, recent = await self._whole(tick_ids), self.recent
        own = {tick: self._own[tick] for tick in tick_ids if tick in self._own}
        missing = {tick: b"%d" % recent[tick] for tick in tick_ids if tick in recent and tick not in mapped}
        claims = {tick: index for tick, index in (mapped | missing).items() if tick not in own}
        judged = await asyncio.gather(*(self.is_borne_out(tick, index) for tick, index in claims.items()))
        borne_out = dict(zip(claims, judged, strict=True))
        settled = {tick for tick, is_true in borne_out.items() if is_true}
        wrong = (mapped.keys() & claims.keys()) - settled
        true = await self._find(wrong) if wrong else {}
        true |= {tick: recent[tick] for tick in missing.keys() & settled}
        true |= {tick: index for tick, index in own.items() if mapped.get(tick) != b"%d" % index}
        if wrong or true:
            absent = {tick for tick, is_true in borne_out.items() if is_true is None}
            await self._repair({tick: mapped.get(tick, b"") for tick in wrong | true.keys()}, true, absent)
        return settled | true.keys() | own.keys()

    @property
    def remembered(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """What records had that were settled shortly before the start, and since."""
        return self.recent, self._own

    async def _whole(self, tick_ids: Collection[str]) -> dict[str, bytes]:
        """What the map has of some ticks, once it has the oldest that is remembered: a map that was deleted says of no
        tick that it is settled.
        """
        witness = next(reversed(self.recent), None) or next(iter(self._own), None)
        if witness is None or self.mend is None or not tick_ids:
            return await self.mapped(tick_ids)
        mapped = await self.mapped((*tick_ids, witness))
        if witness not in mapped:
            await self.mend()
            mapped = await self.mapped((*tick_ids, witness))
            if witness not in mapped:  # its record was archived long ago, or is not ours
                self.recent.pop(witness, None)
                self._own.pop(witness, None)
        return {tick: mapped[tick] for tick in tick_ids if tick in mapped}

    async def mapped(self, tick_ids: Collection[str]) -> dict[str, bytes]:
        """What the map has of some ticks.

        Raises TrailError if the server does not answer.
        """
        with redis_errors():
            found = await self._redis.hmget(self._key, list(tick_ids)) if tick_ids else []
        return {tick: index for tick, index in zip(tick_ids, found, strict=True) if isinstance(index, bytes)}

    async def is_borne_out(self, tick: str, index: bytes) -> bool | None:
        """Whether the record at an index settles a tick; None if there is no record."""
        if index_of(index) < 0:
            return False
        entry = await self._log.entry(index_of(index))
        if entry is None:
            return await self.is_archived(tick, index_of(index)) or None
        return tick in self.ids(entry) and self._is_genuine(entry)

    async def _find(self, ticks: set[str]) -> dict[str, int]:
        """The index of the record that settles each tick, by reading the whole log."""
        found: dict[str, int] = {}
        async for entry in self._log.read():
            if not ticks.isdisjoint(self.ids(entry)) and self._is_genuine(entry):
                found |= dict.fromkeys(ticks.intersection(self.ids(entry)), entry.index)
        return found

    async def correct(self, wrong: dict[str, bytes], true: dict[str, int], absent: Collection[str] = ()) -> None:
        """Correct what the map has of ticks, where it has that still; of those not in `true` it has nothing then.

        Raises TrailError if the server does not answer or another owner has the partition.
        """
        names = [lease_key(self._log.partition), self._key, self._log.key("repairs"), self._log.key("log")]
        with redis_errors("The map of ticks could not be repaired"):
            args = [(tick, index, true.get(tick, ""), "1" if tick in absent else "") for tick, index in wrong.items()]
            await _REPAIR(self._redis, names, [self._owner, *chain.from_iterable(args)])

    async def _repair(self, wrong: dict[str, bytes], true: dict[str, int], absent: set[str]) -> None:
        await self.correct(wrong, true, absent)
        for tick, index in wrong.items():
            what = f"its record is {true[tick]}" if tick in true else "no record supports that, so it is recorded now"
            _log.error(
                f"{self._key} had {tick} at {index.decode(errors='replace')[:40] or 'nothing'}, but {what}. "
                "Somebody else writes to it: see who may (docs/threat-model.md).",
                extra={"alert": "foreign", "subject": self._key},
            )


class IdMap(TickMap):
    """The same for the ids of effects and people's statements."""

    name = "effects"

    @staticmethod
    def ids(entry: Entry) -> list[str]:
        """The id that a record has."""
        return entry.said

    async def is_archived(self, tick: str, index: int) -> bool:
        """Whether the archived record at an index, or another one of its segment, has this id."""
        return await self._archived.settled(said_tick(tick), index)
