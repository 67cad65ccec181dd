"""Group commit: records that wait for the disk at the same time go there together, in the order of their index.

Rules of order: a record is on the disk before `durable` covers it, and both before `add` returns; what is durable has
no gap. The loop is never held up: the disk is written in a thread.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from llmctx import canonical, clock
from llmctx.connection import end, pause
from llmctx.errors import LeaseError, SpoolError, TrailError
from llmctx.killpoint import reached
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import reference_of
from llmctx.trail.spool.spool import BLOB, DICTIONARY, RECORD, Frame, Segment, next_number, numbered, prune

_log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
"""About how long a segment gets."""
KEPT_S = 2 * 86_400
"""How long a segment stays after its last write, in seconds."""

_PAUSE_S = 0.3
_PATIENCE_S = 0.5
_MOST_AT_ONCE = 2000


class Spooler:
    """Writes one owner's records to the spool."""

    def __init__(
        self,
        directory: Path,
        segment: Segment,
        log: Log,
        advance: Callable[[int], Awaitable[None]],
        *,
        anchored: Callable[[], int] = lambda: 0,
    ) -> None:
        """`advance` tells Redis how much is durable; `segment` is this owner's, begun at the log's size. What is not
        `anchored` is not pruned, where there is an anchor at all.
        """
        self._directory = directory
        self._segment: Segment | None = segment
        self._number = segment.number
        self._log = log
        self._advance = advance
        self._anchored = anchored
        self._waiting: dict[int, Entry] = {}
        self._next = 0
        self._covered = 0
        self._news = asyncio.Event()
        self._moved = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._ended: BaseException | None = None

    @property
    def durable(self) -> int:
        """How many records are on the disk, without a gap, and known to be in Redis."""
        return self._covered

    def start(self, size: int) -> None:
        """Begin behind what is in the spool already."""
        self._next = self._covered = size
        self._task = asyncio.create_task(self._run())

    async def add(self, entry: Entry) -> None:
        """Done when the record is on the disk and durable.

        Raises LeaseError when the partition is another's meanwhile.
        """
        if entry.index >= self._next:
            self._waiting[entry.index] = entry
        self._news.set()
        async with self._moved:
            while self._covered <= entry.index:
                if self._ended is not None:
                    raise self._ended
                await self._moved.wait()

    async def flush(self) -> int:
        """Put what waits on the disk, without telling Redis; how much the spool has then.

        A log that has forgotten records is refilled from there.
        """
        async with self._turn:
            await self._write(self._run_of_waiting())
            self._news.set()
            return self._next

    async def copy(self, entries: list[Entry]) -> None:
        """Put records that stand in the log on the disk as well."""
        async with self._turn:
            await self._write(entries)

    async def close(self) -> None:
        """Stop; what waits stays in the log, where the next owner finds it."""
        if self._task is not None:
            await end(self._task)
        async with self._turn:
            if self._segment is not None:
                self._segment.close()

    async def _run(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await self._commit()
        except LeaseError as error:
            self._ended = error
        except Exception as error:  # noqa: BLE001  whoever waits must be told, whatever it was
            self._ended = SpoolError(f"The spool came to an end: {error!r}.", "This is a defect; please report it.")
        async with self._moved:
            self._moved.notify_all()

    async def _commit(self) -> None:
        while self._waiting or self._covered < self._next:
            async with self._turn:
                await self._write(self._run_of_waiting())
            reached("spooled")
            if self._covered < self._next:
                await self._tell()
            elif self._waiting and not await self._came(self._next):
                await self._fetch_missing()

    async def _tell(self) -> None:
        size = self._next
        while True:
            try:
                await self._advance(size)
                break
            except LeaseError:
                raise
            except TrailError:
                await pause(_PAUSE_S)
        reached("durable")
        self._covered = size
        async with self._moved:
            self._moved.notify_all()

    async def _came(self, index: int) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while index not in self._waiting:
                    await self._news.wait()
                    self._news.clear()
        return index in self._waiting

    async def _fetch_missing(self) -> None:
        """An append whose reply was lost, and whom nobody waits for any more, stands in the log."""
        with contextlib.suppress(TrailError):
            async for entry in self._log.read(self._next, min(self._waiting)):
                self._waiting.setdefault(entry.index, entry)

    def _run_of_waiting(self) -> list[Entry]:
        entries: list[Entry] = []
        while len(entries) < _MOST_AT_ONCE and (entry := self._waiting.get(self._next + len(entries))) is not None:
            entries.append(entry)
        return entries

    async def _write(self, entries: list[Entry]) -> None:
        """Put records on the disk, again and again until it takes them."""
        told = False
        while entries:
            try:
                segment = self._segment or await self._begin()
                frames = await self._frames(entries, segment)
                await _to_the_end(self._put, segment, frames)
                break
            except FileExistsError:
                raise self._superseded() from None
            except (OSError, SpoolError) as error:
                if self._segment is not None and not self._segment.has_records:
                    self._segment.remove()  # a full disk needs no hundred torn beginnings
                self._drop_segment()
                if not told:
                    told = True
                    why = error.what if isinstance(error, SpoolError) else f"The spool could not be written: {error}."
                    _log.warning(f"{why} Nothing is published until it can be; free some space on its disk")
                await pause(_PAUSE_S)
        if told:
            _log.info("the spool can be written again; publishing goes on")
        for entry in entries:
            self._waiting.pop(entry.index, None)
            self._next = max(self._next, entry.index + 1)
        if self._segment is not None and self._segment.size_bytes > SEGMENT_BYTES:
            self._drop_segment()

    def _drop_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _put(self, segment: Segment, frames: list[Frame]) -> None:
        if next_number(self._directory) > self._number + 1:
            raise FileExistsError
        segment.write(frames)

    async def check(self) -> None:
        """See that nobody has begun a segment after ours: what ours says from then on counts for nothing.

        Raises LeaseError where somebody has.
        """
        if await asyncio.to_thread(next_number, self._directory) > self._number + 1:
            raise self._superseded()

    def _superseded(self) -> LeaseError:
        return LeaseError(
            f"Another owner has begun a segment in {self._directory}.",
            "Let it go on; this process was late and begins anew.",
        )

    async def _begin(self) -> Segment:
        """The next segment.

        Raises LeaseError where its number is taken: then another owner has begun one.
        """
        try:
            await self.check()
            self._number = await asyncio.to_thread(next_number, self._directory)
            self._segment = await asyncio.to_thread(Segment, self._directory, self._number, self._next)
        except FileExistsError:
            raise self._superseded() from None
        await self.prune()
        return self._segment

    async def prune(self) -> None:
        """Remove segments that nobody needs any more."""
        with contextlib.suppress(TrailError):  # old segments may stay
            before_s = clock.now_ms() / 1000 - KEPT_S
            size = min(self._covered, await asyncio.to_thread(self._anchored) or self._covered)
            await asyncio.to_thread(prune, self._directory, size, before_s)

    async def _frames(self, entries: list[Entry], segment: Segment) -> list[Frame]:
        frames: list[Frame] = []
        named: set[str] = set()
        for entry in entries:
            dictionary = await self._log.blobs.dictionary(reference_of(entry.packed))
            if dictionary is not None and dictionary.digest not in segment.kept | named:
                named.add(dictionary.digest)
                frames.append(numbered(DICTIONARY, entry.index, dictionary.content))
            for digest in named_blobs(entry.record):
                if digest not in segment.kept | named and (blob := await self._log.blobs.blob(digest)) is not None:
                    named.add(canonical.sha256(blob))
                    frames.append(Frame(BLOB, blob))
            frames.append(numbered(RECORD, entry.index, entry.packed))
        return frames


async def _to_the_end(write: Callable[[Segment, list[Frame]], None], segment: Segment, frames: list[Frame]) -> None:
    """Write without holding up the loop; a cancellation waits until the write is done."""
    writing = asyncio.ensure_future(asyncio.to_thread(write, segment, frames))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise
