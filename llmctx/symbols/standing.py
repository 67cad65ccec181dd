"""The decision that stands for a symbol while the model is not asked again, and what its package showed.

It is kept in the owner's process and read from its own trail, like everything else known about a symbol.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from llmctx.bounded_cache import BoundedCache
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot, TrailReference
from llmctx.context.tick import Tick
from llmctx.decision.conclude import StandingDecision
from llmctx.decision.decision import Action
from llmctx.decision.trigger import ALWAYS_ASKED, Seen, TriggerPolicy, reason_not_to_ask, seen_in
from llmctx.errors import in_short
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.reader import LogReader

_log = logging.getLogger(__name__)

_MAX_READ = 50
_MAX_SYMBOLS, _MAX_BYTES, _BYTES_EACH = 20_000, 16 * 2**20, 600


class Standing(NamedTuple):
    """A decision that stands, and its package."""

    decision: StandingDecision
    """Its record and action."""
    seen: Seen
    """What its package showed."""


class NotDue(NamedTuple):
    """Why a tick does not deserve a call, and the decision that stands."""

    why: str
    """The reason, in a sentence."""
    decision: StandingDecision
    """The decision."""


class StandingDecisions:
    """The standing decisions of a partition's symbols; each is read from the log once."""

    def __init__(
        self,
        log: LogReader | None,
        partitions: int,
        vouches: Callable[[Entry], bool],
        named: Callable[[TrailReference], Awaitable[Entry | None]],
        blobs_of: Callable[[Entry], Awaitable[Mapping[str, bytes]]],
    ) -> None:
        """`vouches` tells whether a record is the one that was recorded, `named` returns the one that is referred to,
        and `blobs_of` the blobs that a record names.
        """
        self._log, self._partitions, self._vouches, self._named, self._blobs_of = (
            log,
            partitions,
            vouches,
            named,
            blobs_of,
        )
        self._known: BoundedCache[str, Standing] = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)
        self._searched: set[str] = set()

    async def instead_of_asking(self, tick: Tick, package: Package, policy: TriggerPolicy | None) -> NotDue | None:
        """Why a tick does not deserve a call, and what stands instead; None if the model is to be asked.

        Raises TrailError if the server does not answer.
        """
        if policy is None or package.refusal is not None or tick.cause in ALWAYS_ASKED:
            return None
        standing = await self.of(package.symbol)
        if standing is None or standing.decision.action == Action.EXIT:
            return None  # while the position is open, a hold must not follow its exit
        try:
            why = reason_not_to_ask(policy, package, standing.seen)
        except Exception as error:  # noqa: BLE001  whatever a rule does, the model can be asked
            _log.warning(f"{package.symbol}: whether a call is due cannot be told: {in_short(error)}")
            return None
        return None if why is None else NotDue(why, standing.decision)

    async def of(self, symbol: str) -> Standing | None:
        """The standing decision of a symbol; None if there is none, or none among its newest 50 records.

        Raises TrailError if the server does not answer.
        """
        if self._known.get(symbol) is None and symbol not in self._searched and self._log is not None:
            found = await self._read(symbol)
            self._searched.add(symbol)
            if found is not None and self._known.get(symbol) is None:
                self._known.put(symbol, found, _BYTES_EACH)
        return self._known.get(symbol)

    def forget(self) -> None:
        """Forget everything, because the log has lost records."""
        self._known = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)
        self._searched.clear()

    def add(self, entry: Entry, package: Package) -> None:
        """Keep a record that is a decision."""
        if entry.record["kind"] != "decision":
            return
        try:
            self._known.put(package.symbol, self._standing(entry, package), _BYTES_EACH)
        except Exception as error:  # noqa: BLE001  the record stands; without it the model is asked
            _log.warning(f"Record {entry.index} cannot be the standing decision ({in_short(error)})")
            self._known.drop(package.symbol)

    async def _read(self, symbol: str) -> Standing | None:
        assert self._log is not None
        read = 0
        async for entry in self._log.read_back_of(symbol):
            if entry.record.get("symbol") == symbol and self._vouches(entry):
                if entry.record["kind"] == "decision":
                    return await self._standing_in(entry)
                if (standing := entry.record.get("standing")) is not None:
                    found = await self._named(TrailReference(standing["address"], standing["leaf_hash"]))
                    return None if found is None else await self._standing_in(found)
            read += 1
            if read == _MAX_READ:
                break
        return None

    async def _standing_in(self, entry: Entry) -> Standing | None:
        try:
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], await self._blobs_of(entry))
            return self._standing(entry, build_package(snapshot))
        except Exception as error:  # noqa: BLE001  without it the model is asked, which is always right
            _log.warning(f"Record {entry.index} cannot be the standing decision ({in_short(error)})")
            return None

    def _standing(self, entry: Entry, package: Package) -> Standing:
        where = TrailReference(address(entry.index, entry.partition, self._partitions), entry.leaf_hash)
        return Standing(StandingDecision(where, str(entry.record["verdict"]["action"])), seen_in(package))
