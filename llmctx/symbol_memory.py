"""What the owner of a partition remembers of each symbol: the last usable decision, prices believed, stops that wait.

It is kept in the owner's process and read from its own trail, never from a key that others may write: whoever could
write it could have a wrong price believed, or put words into the next prompt.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from llmctx import canonical
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
from llmctx.standing import StandingDecisions
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.reader import LogReader

_log = logging.getLogger(__name__)

MAX_RECORDS_READ = 200
"""How far back a symbol's records are searched; each failed one names the thesis that held then, so one is enough."""

_MAX_READ_FOR_MARKS = 20
_MAX_SYMBOLS, _MAX_BYTES, _EMPTY_BYTES = 20_000, 16 * 2**20, 400


class SymbolMemory:
    """What is known of a partition's symbols; each is read from the log once."""

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
        self.length: MemoryLength = "off"
        """How much of each symbol's packages is remembered."""
        self.standing = StandingDecisions(log, partitions, vouches, self._mapping_of)
        """The decision that stands for each symbol; only a trigger asks for it."""
        self.unconfirmed: dict[str, str] = {}
        """The symbols whose stop was reached by a price that is not believed, each with the reason."""

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
        known = self._known.get(symbol) or Known()
        # a person may have confirmed a price meanwhile; what they said stands
        if package.marks_after is not None and known.marks is package.marks:
            known = known._replace(marks=package.marks_after)
        if (ledger := self._ledger_after(package, verdict, entry)) is not None:
            known = known._replace(ledger=_still_waiting(ledger, package.ledger, known.ledger))
        thesis = None if entry is None else self._thesis_in(entry)
        known = known._replace(thesis=thesis or known.thesis)
        if self.length != "off" and package.refusal is None:
            record = {"verdict": {"action": verdict.action}} if entry is None else entry.record
            known = known._replace(memory=self._remember(package, record, usable=thesis is not None))
        self._keep(symbol, known)
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

    def acknowledge(self, symbol: str, record: str) -> None:
        """Note that something is known of what the record at an address asked for: it may be asked for again."""
        known = self._known.get(symbol)
        if known is not None and known.ledger is not None:
            self._keep(symbol, known._replace(ledger=known.ledger.without(record)))

    async def stand_for(self, entry: Entry, action: str, made: Entry) -> None:
        """Count what a person approved or decided in the place of a record; `made` is the record that says so."""
        try:
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], await self._mapping_of(entry))
            position = build_package(snapshot).position
        except Exception as error:  # noqa: BLE001  what is recorded stands, whatever its evidence says
            _log.warning(f"record {made.index} is not counted in the ledger: {in_short(error)}")
            return
        known = await self.of(snapshot.symbol)
        if known.ledger is not None:
            where = address(made.index, made.partition, self._partitions)
            self._keep(
                snapshot.symbol, known._replace(ledger=known.ledger.after(position, action, snapshot.as_of_ms, where))
            )

    def forget(self) -> None:
        """Forget everything, because the log has lost records."""
        self._known = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)
        self.standing.forget()

    def _keep(self, symbol: str, known: Known) -> None:
        self._known.put(
            symbol, known, _EMPTY_BYTES + len(known.memory) + (0 if known.thesis is None else len(known.thesis.text))
        )

    async def _read(self, symbol: str) -> tuple[Known, str | None]:
        """What the log says of a symbol, and why its stop waits, if it does."""
        state: tuple[Marks, Ledger | None] | None = None
        thesis: LastDecision | None = None
        memory: bytes | None = NOTHING if self.length == "off" else None
        waits: str | None = None
        read, is_newest, is_searching = 0, True, True
        if self._log is None:
            return Known(), None
        try:
            async for entry in self._log.read_back_of(symbol):
                if "tick" in entry.record and entry.record.get("symbol") == symbol and self._vouches(entry):
                    if is_newest:
                        waits, is_newest = _waiting_in(entry), False
                    if memory is None and "snapshot" in entry.pieces:
                        memory = await self._memory_after(entry)
                    if state is None and read < _MAX_READ_FOR_MARKS:
                        state = await self._state_after(entry)
                    if is_searching:
                        thesis = self._thesis_in(entry)
                        reference = None if thesis is not None else _reference(entry)
                        thesis = thesis if reference is None else await self._named(reference)
                        is_searching = thesis is None and reference is None
                read += 1
                if read == MAX_RECORDS_READ or (not is_searching and (state or read >= _MAX_READ_FOR_MARKS)):
                    break
        except AnchorError as error:
            _log.warning(f"{symbol}: its records cannot be vouched for ({in_short(error)}); nothing is known of before")
            return Known(), None
        marks, ledger = state or (Marks(), None)
        return Known(marks, thesis, ledger, memory or NOTHING), waits

    async def _memory_after(self, entry: Entry) -> bytes:
        """What is remembered after a record; nothing if it does not say."""
        try:
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], await self._mapping_of(entry))
            package = build_package(snapshot)
        except Exception as error:  # noqa: BLE001  an unreadable record must not keep its symbol from being decided
            _log.warning(f"record {entry.index}: its package cannot be remembered: {in_short(error)}")
            return NOTHING
        if package.refusal is not None:  # what was remembered before still holds
            return snapshot.sections["memory"].raw or NOTHING if "memory" in snapshot.sections else NOTHING
        return self._remember(package, entry.record, usable=self._thesis_in(entry) is not None)

    def _remember(self, package: Package, record: Mapping[str, Any], *, usable: bool) -> bytes:
        try:
            return memory_after(package, said_in(record, usable=usable), self.length)
        except Exception as error:  # noqa: BLE001  what cannot be remembered must not keep a tick from being settled
            _log.warning(f"{package.symbol}: what was decided cannot be remembered: {in_short(error)}")
            return NOTHING

    def _ledger_after(self, package: Package, verdict: Verdict, entry: Entry | None) -> Ledger | None:
        where = "" if entry is None else address(entry.index, entry.partition, self._partitions)
        return ledger_after(package, verdict.action, where)

    def _thesis_in(self, entry: Entry) -> LastDecision | None:
        try:
            return thesis_of(entry, self._partitions)
        except Exception as error:  # noqa: BLE001  the record is settled, whatever it says
            _log.warning(f"Record {entry.index} cannot be the next thesis ({in_short(error)})")
            return None

    async def _named(self, reference: TrailReference) -> LastDecision | None:
        assert self._log is not None
        entry = await self._log.named(reference.address, reference.leaf_hash, self._partitions)
        if entry is None or not self._vouches(entry):
            return None
        return self._thesis_in(entry)

    async def _state_after(self, entry: Entry) -> tuple[Marks, Ledger | None] | None:
        """What was believed and counted after a record; None if it does not say."""
        try:
            if "snapshot" not in entry.pieces:
                return None
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], await self._mapping_of(entry))
            if snapshot.marks is None:  # made by an older version: its price is the first that is judged
                snapshot = snapshot.model_copy(update={"marks": Marks()})
            package = build_package(snapshot)
            where = address(entry.index, entry.partition, self._partitions)
            ledger = ledger_after(package, entry.record["verdict"]["action"], where)
        except Exception as error:  # noqa: BLE001  an unreadable record must not keep its symbol from being decided
            _log.warning(f"record {entry.index}: what was known after it cannot be read: {in_short(error)}")
            return None
        return None if package.marks_after is None else (package.marks_after, ledger)

    async def _mapping_of(self, entry: Entry) -> dict[str, bytes]:
        """The mapping that a record names, by digest; empty if it names none."""
        digest = entry.record["snapshot"].get("mapping_sha256")
        if digest is None or self._log is None:
            return {}
        if digest not in self._mappings and (blob := await self._log.blob(digest)) is not None:
            self._mappings = {digest: blob}
        return self._mappings


def _reference(entry: Entry) -> TrailReference | None:
    """The record that an entry's own thesis came from."""
    try:
        thesis = canonical.loads(entry.pieces["snapshot"]).get("thesis")
        return None if thesis is None else TrailReference(**thesis)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _waiting_in(entry: Entry) -> str | None:
    """Why a record holds a stop for want of a confirmation; None if it holds none."""
    guards = entry.record["verdict"].get("guards", ())
    return next((guard.get("detail", "") for guard in guards if guard["name"] == STOP_UNCONFIRMED), None)


def _still_waiting(ledger: Ledger, read: Ledger | None, known: Ledger | None) -> Ledger:
    """The ledger without what was acknowledged between the snapshot that `read` it and now."""
    if read is None or known is None:
        return ledger
    waiting = {one.address for one in known.pending}
    for one in read.pending:
        if one.address not in waiting:
            ledger = ledger.without(one.address)
    return ledger
