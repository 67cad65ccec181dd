"""What the owner of a partition remembers about each symbol: the last usable decision, believed prices, waiting stops.

It is kept in the owner's process and read from its own trail, never from a key that others can write: whoever could
write it could have a wrong price believed, or put words into the next prompt.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from llmctx.bounded_cache import BoundedCache
from llmctx.context.ledger import Ledger
from llmctx.context.marks import Mark, Marks
from llmctx.context.memory import NOTHING, MemoryLength
from llmctx.context.package import Package, build_package
from llmctx.context.remember import memory_after, said_in
from llmctx.context.snapshot import Known, LastDecision, Snapshot, TrailReference
from llmctx.decision.mandate.case import ledger_after
from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.decision.verdict import Verdict
from llmctx.errors import AnchorError, in_short
from llmctx.publication import thesis_of
from llmctx.symbols.standing import StandingDecisions
from llmctx.symbols.state import State, after_act, merged, reference_in, state_after, waiting_in
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.reader import LogReader

_log = logging.getLogger(__name__)

MAX_RECORDS_READ = 200
"""How far back a symbol's records are searched; each failed one names the thesis of its time, so one is enough."""

_MAX_READ_FOR_MARKS = 20
_MAX_SYMBOLS, _MAX_BYTES, _EMPTY_BYTES = 20_000, 16 * 2**20, 400


@dataclass
class _Found:
    """What the records of a symbol have said so far, read from the newest back."""

    memory: Known | None
    state: State | None = None
    thesis: LastDecision | None = None
    waits: str | None = None
    overrides: list[Entry] = field(default_factory=list)
    is_newest: bool = True
    is_searching: bool = True


class SymbolMemory:
    """What is known about a partition's symbols; each is read from the log once."""

    def __init__(
        self, log: LogReader | None = None, partitions: int = 1, vouches: Callable[[Entry], bool] = lambda _: True
    ) -> None:
        """`vouches` tells whether a record read from the log is the one that was recorded there. Without a log the
        memory begins empty.
        """
        self._log = log
        self._mappings: dict[str, bytes] = {}
        self._partitions = partitions
        self._vouches = vouches
        self._known: BoundedCache[str, Known] = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.length: MemoryLength = "off"
        """How much of each symbol's packages is remembered."""
        self.standing = StandingDecisions(log, partitions, vouches, self._named, self._mapping_of)
        """The decision that stands for each symbol; only a trigger asks for it."""
        self.unconfirmed: dict[str, str] = {}
        """The symbols whose stop was reached by a price that is not believed, each with the reason."""

    def turn(self, symbol: str) -> asyncio.Lock:
        """The lock held while a symbol is decided, so that nobody else decides on it meanwhile."""
        return self._turns.setdefault(symbol, asyncio.Lock())

    async def of(self, symbol: str) -> Known:
        """What is known of a symbol.

        Raises TrailError if the server does not answer.
        """
        if self._known.get(symbol) is None:
            known, waits = await self._read(symbol)
            if self._known.get(symbol) is None:  # a decision may have come meanwhile
                self._keep(symbol, known)
                if waits is not None:
                    self.unconfirmed.setdefault(symbol, waits)
        return self._known.get(symbol) or Known()

    def confirm(self, symbol: str, confirmed: Mark) -> None:
        """Believe a price of a symbol that a person confirmed."""
        known = self._known.get(symbol) or Known()
        self._keep(symbol, known._replace(marks=Marks(confirmed, first_seen=known.marks.first_seen)))

    def add(self, package: Package, verdict: Verdict, entry: Entry | None = None) -> None:
        """Remember a package and its verdict, and the record of them if it is the next thesis."""
        symbol = package.symbol
        try:
            self._keep(symbol, self._known_after(package, verdict, entry))
        except Exception as error:  # noqa: BLE001  the record stands, and says what is to be known
            _log.warning(f"{symbol}: what is known of it is read again ({in_short(error)})")
            self._known.drop(symbol)
        found = [guard.detail for guard in verdict.guards if guard.name == STOP_UNCONFIRMED]
        if found:
            if symbol not in self.unconfirmed:
                _log.warning(
                    f"{symbol}: {found[0]}. The stop is not obeyed before. If the price is right: `llmctx confirm "
                    f"{symbol} --by NAME --why TEXT`; if not, correct the price or the position",
                    extra={"alert": "unconfirmed_stop", "subject": symbol},
                )
            self.unconfirmed[symbol] = found[0]
        else:
            self.unconfirmed.pop(symbol, None)

    def _known_after(self, package: Package, verdict: Verdict, entry: Entry | None) -> Known:
        known = self._known.get(package.symbol) or Known()
        # a person may have confirmed a price meanwhile, and that stands
        if package.marks_after is not None and known.marks is package.marks:
            known = known._replace(marks=package.marks_after)
        if (ledger := ledger_after(package, verdict.order, self._address(entry))) is not None:
            known = known._replace(ledger=merged(ledger, package.ledger, known.ledger))
        thesis = None if entry is None else self._thesis_in(entry)
        known = known._replace(thesis=thesis or known.thesis)
        if self.length != "off" and package.refusal is None and entry is not None:  # what no record says is no memory
            known = self._remember(known, package, entry, usable=thesis is not None)
        return known

    def cancel(self, symbol: str, record: str) -> None:
        """Note that the decision at an address was not carried out, so the same may be asked for again."""
        known = self._known.get(symbol)
        if known is not None and known.ledger is not None:
            self._keep(symbol, known._replace(ledger=known.ledger.without(record)))

    def count(self, package: Package, action: str, made: Entry) -> None:
        """Count what a person approved and the guardrails allowed; `made` is the record of the approval."""
        if (ledger := ledger_after(package, action, self._address(made))) is not None:
            known = self._known.get(package.symbol) or Known()
            self._keep(package.symbol, known._replace(ledger=ledger))

    async def stand_for(self, entry: Entry, made: Entry) -> None:
        """Count what a person decided in place of a record; `made` is the record of the override."""
        symbol = entry.record["symbol"]
        known = await self.of(symbol)
        self._keep(symbol, known._replace(ledger=await self._after_act(known.ledger, entry, made)))

    async def _after_act(self, ledger: Ledger | None, about: Entry | None, made: Entry) -> Ledger | None:
        try:
            return after_act(ledger, about, made, await self._mapping_of(about), self._address(made))
        except Exception as error:  # noqa: BLE001  what is recorded stands, whatever its evidence says
            _log.warning(f"record {made.index} is not counted in the ledger: {in_short(error)}")
            return ledger

    def forget(self) -> None:
        """Forget everything, because the log has lost records."""
        self._known = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)
        self.standing.forget()

    def _keep(self, symbol: str, known: Known) -> None:
        self._known.put(
            symbol, known, _EMPTY_BYTES + len(known.memory) + (0 if known.thesis is None else len(known.thesis.text))
        )

    async def _read(self, symbol: str) -> tuple[Known, str | None]:
        """What the log says about a symbol, and why its stop waits, if it does."""
        if self._log is None:
            return Known(), None
        found, read = _Found(memory=Known() if self.length == "off" else None), 0
        try:
            async for entry in self._log.read_back_of(symbol):
                decides = "tick" in entry.record or entry.record["kind"] in ("approval", "override")
                if decides and entry.record.get("symbol") == symbol and self._vouches(entry):
                    if found.state is None and read < _MAX_READ_FOR_MARKS:
                        found.overrides += [entry] if entry.record["kind"] == "override" else []
                        found.state = await self._state_after(entry)
                    if "tick" in entry.record:
                        await self._learn(entry, found)
                read += 1
                is_known = found.state is not None or read >= _MAX_READ_FOR_MARKS
                if read == MAX_RECORDS_READ or (not found.is_searching and is_known):
                    break
            marks, ledger = found.state or (Marks(), None)
            for made in reversed(found.overrides):
                ledger = await self._after_act(ledger, await self._log.entry(made.record["about"]["index"]), made)
        except AnchorError as error:
            _log.warning(f"{symbol}: its records cannot be vouched for ({in_short(error)}); nothing is known of before")
            return Known(), None
        remembers = found.memory or Known()
        return remembers._replace(marks=marks, thesis=found.thesis, ledger=ledger), found.waits

    async def _learn(self, entry: Entry, found: _Found) -> None:
        """Learn from the record of a tick whatever no newer one has said."""
        if found.is_newest:
            found.waits, found.is_newest = waiting_in(entry), False
        if found.memory is None and "snapshot" in entry.pieces:
            found.memory = await self._memory_after(entry)
        if found.is_searching:
            found.thesis = self._thesis_in(entry)
            reference = None if found.thesis is not None else reference_in(entry)
            named = None if reference is None else await self._named(reference)
            found.thesis = found.thesis if named is None else self._thesis_in(named)
            found.is_searching = found.thesis is None and reference is None

    async def _memory_after(self, entry: Entry) -> Known:
        """The memory after a record, and the record it follows from; empty if it does not say."""
        try:
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], await self._mapping_of(entry))
            package = build_package(snapshot)
        except Exception as error:  # noqa: BLE001  an unreadable record must not keep its symbol from being decided
            _log.warning(f"record {entry.index}: its package cannot be remembered: {in_short(error)}")
            return Known()
        if package.refusal is not None:  # the previous memory still applies
            section = snapshot.sections.get("memory")
            raw = None if section is None else section.raw
            return Known() if raw is None else Known(memory=raw, remembered=snapshot.remembered)
        return self._remember(Known(), package, entry, usable=self._thesis_in(entry) is not None)

    def _remember(self, known: Known, package: Package, entry: Entry, *, usable: bool) -> Known:
        try:
            memory = memory_after(package, said_in(entry.record, usable=usable), self.length)
        except Exception as error:  # noqa: BLE001  what cannot be remembered must not keep a tick from being settled
            _log.warning(f"{package.symbol}: what was decided cannot be remembered: {in_short(error)}")
            return known._replace(memory=NOTHING, remembered=None)
        where = address(entry.index, entry.partition, self._partitions)
        return known._replace(memory=memory, remembered=TrailReference(where, entry.leaf_hash))

    def _address(self, entry: Entry | None) -> str:
        """The address of a record; empty for none."""
        return "" if entry is None else address(entry.index, entry.partition, self._partitions)

    def _thesis_in(self, entry: Entry) -> LastDecision | None:
        try:
            return thesis_of(entry, self._partitions)
        except Exception as error:  # noqa: BLE001  the record is settled, whatever it says
            _log.warning(f"Record {entry.index} cannot be the next thesis ({in_short(error)})")
            return None

    async def _named(self, reference: TrailReference) -> Entry | None:
        """The record that is referred to; None if it is not there, or nobody vouches for it."""
        assert self._log is not None
        entry = await self._log.named(reference.address, reference.leaf_hash, self._partitions)
        return entry if entry is not None and self._vouches(entry) else None

    async def _state_after(self, entry: Entry) -> State | None:
        """What was believed and counted after a record; None if it does not say."""
        try:
            return state_after(entry, await self._mapping_of(entry), self._address(entry))
        except Exception as error:  # noqa: BLE001  an unreadable record must not keep its symbol from being decided
            _log.warning(f"record {entry.index}: what was known after it cannot be read: {in_short(error)}")
            return None

    async def _mapping_of(self, entry: Entry | None) -> dict[str, bytes]:
        """The mapping that a record names, by digest; empty if it names none."""
        digest = None if entry is None else entry.record.get("snapshot", {}).get("mapping_sha256")
        if digest is None or self._log is None:
            return {}
        if digest not in self._mappings and (blob := await self._log.blob(digest)) is not None:
            self._mappings = {digest: blob}
        return self._mappings
