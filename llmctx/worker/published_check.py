"""Compare published data with the trail: the stream of decisions, each symbol's latest, and the loaded functions."""

from collections.abc import Sequence
from typing import NamedTuple, cast

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import StreamEntry, read_stream
from llmctx.functions import foreign_libraries
from llmctx.publication import is_said_by, publication
from llmctx.schema import keys, values
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log

_WRONG_TYPE = "a value of another type"
_MAX_WARNINGS = 20
_MAX_SHOWN_CHARS = 160


class Published(NamedTuple):
    """What Redis holds for outside readers. Read before the trail is, because the trail only grows."""

    entries: list[StreamEntry] | None
    """The stream of decisions; None if the key holds another type."""
    latest: dict[str, bytes | None]
    """The newest decision of each symbol; None if the key holds another type."""
    functions: list[str]
    """Libraries that have one of our functions with another source."""


async def read_published(redis: Redis, partition: int) -> Published:
    """Read what is published of a partition.

    Raises TrailError if the server does not answer.
    """
    stream, prefix = keys.decisions(partition), keys.latest(partition, "")
    with redis_errors("What is published could not be read"):
        is_stream = await redis.type(stream) in (b"stream", b"none")
        entries = await read_stream(redis, stream) if is_stream else None
        names = [name.decode(errors="replace") async for name in redis.scan_iter(match=f"{prefix}*", count=1000)]
        latest = {
            name: await redis.get(name) if await redis.type(name) == b"string" else None for name in sorted(names)
        }
        found = {name.removeprefix(prefix): cast("bytes | None", text) for name, text in latest.items()}
        return Published(entries, found, await foreign_libraries(redis))


class PublishedCheck:
    """Compares what is published of one partition with its log."""

    def __init__(
        self,
        log: Log,
        partitions: int,
        published: Published,
        losses: Sequence[tuple[int, int]] = (),
        *,
        archived: int = 0,
    ) -> None:
        """`losses` are the first and last index of each lost range; nobody can tell what those records said.

        Records below `archived` can be checked only in the archive.
        """
        self._log = log
        self._partitions = partitions
        self._published = published
        self._losses = losses
        self._archived = archived
        self.faults: list[Fault] = []
        """What somebody else wrote there: forged entries, each with its key and id."""
        self.missing: list[str] = []
        """Missing decisions; a reader may have deleted them."""

    async def run(self) -> None:
        """Find every fault and what is missing.

        Raises TrailError if the server does not answer.
        """
        for name in self._published.functions:
            self._accuse(0, "functions", f"the functions of this version in library {name}", "another source")
        if self._published.entries is None:
            self._accuse(0, "published", f"a stream at {keys.decisions(self._log.partition)}", _WRONG_TYPE)
        newest = await self._check_stream(self._published.entries or [])
        for symbol, text in self._published.latest.items():
            await self._check_latest(symbol, text, newest.pop(symbol, -1))
        self.missing += [f"{keys.latest(self._log.partition, symbol)} (record {newest[symbol]})" for symbol in newest]

    async def _check_stream(self, entries: list[StreamEntry]) -> dict[str, int]:
        """Compare the stream with the log, reading each record once; returns the newest decision of each symbol."""
        newest: dict[str, int] = {}
        present: dict[int, StreamEntry] = {}
        for found in entries:
            if found.id == f"{found.number}-1" and found.number <= canonical.MAX_SAFE_INTEGER:
                present[found.number] = found
            else:
                self._accuse_entry(found, None)
        if not present:
            return newest
        async for entry in self._log.read(min(present), max(present) + 1):
            if (there := present.pop(entry.index, None)) is not None:
                if self._is_genuine(there, entry):
                    newest[entry.record["symbol"]] = entry.index
            elif newest and (thesis := self._publication(entry)) is not None:  # older ones were trimmed
                newest[thesis.symbol] = entry.index
                self.missing.append(f"{keys.decisions(self._log.partition)} {entry.index}-1")
        for found in present.values():
            if not self._is_lost(found.number) and found.number >= self._archived:
                self._accuse_entry(found, None)
        return newest

    def _is_genuine(self, found: StreamEntry, entry: Entry) -> bool:
        """Whether a stream entry matches its record; nobody can say what an unreadable record published."""
        text = found.fields.get(b"decision", b"") if found.fields.keys() == {b"decision"} else b""
        if self._is_said_by(entry, text):
            return True
        if entry.unreadable is None:
            self._accuse_entry(found, entry)
        return False

    def _accuse_entry(self, found: StreamEntry, entry: Entry | None) -> None:
        where = f"{keys.decisions(self._log.partition)} {found.id}"
        expected = "no such entry" if entry is None else f"what record {entry.index} says"
        self._accuse(found.number if entry else 0, "published", f"{where}: {expected}", _shown(found.fields))

    async def _check_latest(self, symbol: str, text: bytes | None, at_least: int) -> None:
        """Compare a symbol's latest with its record; `at_least` is the symbol's newest index in the stream."""
        key = keys.latest(self._log.partition, symbol)
        index = None if text is None else self._index_in(text)
        if index is not None and index >= at_least and self._is_lost(index):
            return
        entry = None if index is None else await self._log.entry(index)
        if entry is None and index is not None and at_least <= index < self._archived:
            return
        if entry is not None and entry.unreadable is not None:
            return
        if entry is None or text is None or entry.record.get("symbol") != symbol or not self._is_said_by(entry, text):
            shown = _WRONG_TYPE if text is None else _shown(text)
            self._accuse(max(at_least, 0), "published", f"{key}: what a record on {symbol} says", shown)
        elif entry.index < at_least:
            self._accuse(at_least, "published", f"{key}: record {at_least}", f"the older record {entry.index}")

    def _is_lost(self, index: int) -> bool:
        return any(first <= index <= last for first, last in self._losses)

    def _index_in(self, text: bytes) -> int | None:
        try:
            partition, index = parse_address(str(canonical.loads(text)["address"]), self._partitions)
        except Exception:  # noqa: BLE001  whatever is wrong with a forged text, it names no record
            return None
        return index if partition == self._log.partition else None

    def _publication(self, entry: Entry) -> values.Thesis | None:
        try:
            return publication(entry, self._partitions)
        except Exception:  # noqa: BLE001  such a record is not published
            return None

    def _is_said_by(self, entry: Entry, text: bytes) -> bool:
        try:
            return is_said_by(entry, self._partitions, text)
        except Exception:  # noqa: BLE001  such a record is not published
            return False

    def _accuse(self, at: int, rule: str, expected: str, found: str) -> None:
        self.faults.append(Fault(at, rule, expected, found))

    def warnings(self) -> list[str]:
        """Every fault but the first, and what is missing."""
        lines = [f"also {fault}" for fault in self.faults[1:]]
        lines += [f"not published any more: {name}" for name in self.missing]
        more = len(lines) - _MAX_WARNINGS
        return [*lines[:_MAX_WARNINGS], *([f"and {more} more"] if more > 0 else [])]


def _shown(found: object) -> str:
    return repr(found)[:_MAX_SHOWN_CHARS]
