"""The last usable decision on each symbol of a partition, from its trail: never from a key that others may write."""

import logging
from collections.abc import Callable

from llmctx import canonical
from llmctx.bounded_cache import BoundedCache
from llmctx.context.snapshot import LastDecision, TrailReference
from llmctx.errors import AddressError, AnchorError, TrailError, in_short
from llmctx.publication import thesis_of
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.trail.log.log import Log

_log = logging.getLogger(__name__)

MAX_RECORDS_READ = 200
"""How far back a symbol's records are searched; each failed one names the thesis that held then, so one is enough."""

_MAX_SYMBOLS, _MAX_BYTES, _EMPTY_BYTES = 20_000, 16 * 2**20, 200


async def read_thesis(
    log: Log, symbol: str, partitions: int, is_genuine: Callable[[Entry], bool] = lambda _: True
) -> LastDecision | None:
    """Find a symbol's last usable decision in the log; None if there is none.

    Records that are not `is_genuine`, and those of other symbols in the symbol's list, are passed over.

    Raises TrailError if the server does not answer.
    """
    read = 0
    async for entry in log.read_back_of(symbol):
        if entry.record.get("symbol") == symbol and is_genuine(entry):
            if (found := thesis_of(entry, partitions)) is not None:
                return found
            if (reference := _reference(entry)) is not None:
                return await _named(log, reference, partitions, is_genuine)
        read += 1
        if read == MAX_RECORDS_READ:
            break
    return None


def _reference(entry: Entry) -> TrailReference | None:
    """The record that an entry's own thesis came from."""
    if "snapshot" not in entry.pieces:
        return None
    thesis = canonical.loads(entry.pieces["snapshot"]).get("thesis")
    return None if thesis is None else TrailReference(**thesis)


async def _named(
    log: Log, reference: TrailReference, partitions: int, is_genuine: Callable[[Entry], bool]
) -> LastDecision | None:
    try:
        _, index = parse_address(reference.address, partitions)
    except AddressError:
        return None
    entry = await log.entry(index)
    if entry is None or entry.leaf_hash != reference.leaf_hash or not is_genuine(entry):
        return None
    return thesis_of(entry, partitions)


class Theses:
    """What the owner of a partition remembers of it; each symbol is looked up once."""

    def __init__(self, log: Log, partitions: int, is_genuine: Callable[[Entry], bool]) -> None:
        """`is_genuine` tells whether a record read from the log is the one that was recorded there."""
        self._log = log
        self._partitions = partitions
        self._is_genuine = is_genuine
        self._known: BoundedCache[str, tuple[LastDecision | None]] = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)

    async def of(self, symbol: str) -> LastDecision | None:
        """A symbol's last usable decision; None if there is none, or if its records cannot be read.

        Raises TrailError if the server does not answer.
        """
        known = self._known.get(symbol)
        if known is None:
            known = (await self._read(symbol),)
            self._keep(symbol, known)
        return known[0]

    async def _read(self, symbol: str) -> LastDecision | None:
        try:
            return await read_thesis(self._log, symbol, self._partitions, self._is_genuine)
        except Exception as error:
            if isinstance(error, TrailError) and not isinstance(error, AnchorError):
                raise
            _log.warning(f"{symbol}: the last decision cannot be read ({in_short(error)}); the prompt goes without it")
            return None

    def add(self, entry: Entry) -> None:
        """Remember a record that has just been settled, if it is usable."""
        symbol = entry.record.get("symbol")
        if symbol is not None and (thesis := self._thesis_of(entry)) is not None:
            self._keep(symbol, (thesis,))

    def _thesis_of(self, entry: Entry) -> LastDecision | None:
        try:
            return thesis_of(entry, self._partitions)
        except Exception as error:  # noqa: BLE001  the record is settled, whatever it says
            _log.warning(f"Record {entry.index} cannot be the next thesis ({in_short(error)})")
            return None

    def forget(self) -> None:
        """Forget everything, because the log may not hold it any more."""
        self._known = BoundedCache(_MAX_SYMBOLS, _MAX_BYTES)

    def _keep(self, symbol: str, thesis: tuple[LastDecision | None]) -> None:
        self._known.put(symbol, thesis, _EMPTY_BYTES + (0 if thesis[0] is None else len(thesis[0].text)))
