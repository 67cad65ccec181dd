"""Group commit: records that wait for the disk at the same time are written together, in the order of their index.

Rules of order: a record is on the disk before `durable` covers it, and both before `add` returns; what is durable has
no gap. The disk is written in a thread, so the event loop never waits for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from itertools import takewhile
from pathlib import Path

from llmctx import canonical, clock
from llmctx.errors import ForkError, LeaseError, SpoolError, TrailError
from llmctx.killpoint import reached
from llmctx.tasks import end, pause
from llmctx.trail.disk import write_in_thread
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import reference_of
from llmctx.trail.spool.segment import BLOB, DICTIONARY, Frame, Segment, numbered, record_frame
from llmctx.trail.spool.spool import forget, next_number, prune, segment_files

_log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
"""A segment longer than this is closed and the next one begun."""
KEPT_S = 2 * 86_400
"""How long a segment is kept after its last write, in seconds."""

_RETRY_S = 0.3
_WAIT_FOR_MISSING_S = 0.5
_MAX_BATCH = 2000


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
        fetch: Callable[[], Awaitable[None]],
    ) -> None:
        """`advance` tells Redis how many records are durable; `segment` is this owner's first one. Records that are not
        `anchored` yet are not pruned, if there is an anchor at all. `fetch` copies what others have left in the log, if
        it is one of ours.
        """
        self._directory = directory
        self._segment: Segment | None = segment
        self._number = segment.number
        self._log = log
        self._advance = advance
        self._anchored = anchored
        self._fetch = fetch
        self._waiting: dict[int, Entry] = {}
        self._expected = 0
        self._next = segment.start
        self.durable = 0
        """How many records are on the disk without a gap, as Redis knows too."""
        self._wake = asyncio.Event()
        self._progress = asyncio.Condition()
        self._disk = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._ended: BaseException | None = None

    def start(self, size: int) -> None:
        """Start to write the records from index `size` on; those below are in the spool."""
        self._next = self.durable = size
        self._task = asyncio.create_task(self._run())

    async def add(self, entry: Entry) -> None:
        """Put a record on the disk; returns when it is durable.

        Raises LeaseError if another owner has taken the partition.
        """
        if entry.index >= self._next:
            self._waiting[entry.index] = entry
        self._wake.set()
        async with self._progress:
            while self.durable <= entry.index:
                if self._ended is not None:
                    raise self._ended
                await self._progress.wait()

    def expect(self, size: int) -> None:
        """Note how many records the log has; those that nobody hands over are fetched."""
        if size > self._next:
            self._expected = size
            self._wake.set()

    async def flush(self) -> int:
        """Put the waiting records on the disk without telling Redis, and return the spool's size.

        A log that has forgotten records is refilled from there.
        """
        async with self._disk:
            await self._write(self._next_batch())
            self._wake.set()
            return self._next

    async def copy(self, entries: list[Entry]) -> None:
        """Copy records from the log to the disk."""
        async with self._disk:
            await self._write(entries)
            self._wake.set()

    async def close(self) -> None:
        """Stop; waiting records stay in the log, where the next owner finds them."""
        if self._task is not None:
            await end(self._task)
        async with self._disk:
            if self._segment is not None:
                self._segment.close()

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._commit()
        except (ForkError, LeaseError) as error:
            self._ended = error
        except asyncio.CancelledError:
            self._ended = SpoolError("The spool was closed.", "The next owner copies what waits from the log.")
            raise
        except Exception as error:  # noqa: BLE001  whoever waits in `add` must learn of it
            self._ended = SpoolError(f"The spool stopped: {error!r}.", "This is a defect; please report it.")
        finally:
            async with self._progress:
                self._progress.notify_all()

    async def _commit(self) -> None:
        while self._waiting or self.durable < max(self._next, self._expected):
            async with self._disk:
                await self._write(self._next_batch())
            reached("spooled")
            if self.durable < self._next:
                await self._tell_redis()
            elif not await self._arrives(self._next):
                await self._fetch_missing()

    async def _tell_redis(self) -> None:
        size, is_failing = self._next, False
        while True:
            try:
                await self._advance(size)
                break
            except LeaseError:
                raise
            except TrailError as error:
                if not is_failing:
                    is_failing = True
                    _log.warning(f"{error.what} Nothing is published before that succeeds.")
                await pause(_RETRY_S)
        reached("durable")
        self.durable = size
        async with self._progress:
            self._progress.notify_all()

    async def _arrives(self, index: int) -> bool:
        """Wait a moment for a record that is appended but not handed over yet."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_FOR_MISSING_S):
                while index not in self._waiting:
                    await self._wake.wait()
                    self._wake.clear()
        return index in self._waiting

    async def _fetch_missing(self) -> None:
        """Copy records from the log whose appends lost their replies, or that other owners left there."""
        self._expected = 0
        try:
            await self._fetch()
        except (ForkError, LeaseError):
            raise
        except TrailError:
            await pause(_RETRY_S)

    def _next_batch(self) -> list[Entry]:
        upcoming = range(self._next, self._next + _MAX_BATCH)
        return [self._waiting[index] for index in takewhile(self._waiting.__contains__, upcoming)]

    async def _write(self, entries: list[Entry]) -> None:
        """Put records on the disk, retrying until that succeeds."""
        failing = False
        while entries:
            try:
                segment = self._segment or await self._begin()
                await write_in_thread(self._put, segment, await self._frames(entries, segment))
                break
            except FileExistsError:
                raise self._superseded() from None
            except (OSError, SpoolError) as error:
                if self._segment is not None and not self._segment.has_records:
                    self._segment.path.unlink(
                        missing_ok=True
                    )  # each retry on a full disk would leave another torn file
                self._drop_segment()
                if not failing:
                    failing = True
                    why = error.what if isinstance(error, SpoolError) else f"The spool could not be written: {error}."
                    _log.warning(f"{why} Nothing is published until it can be written; free some disk space.")
                await pause(_RETRY_S)
        if failing:
            _log.info("The spool can be written again; publishing continues.")
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
        """Check that no other owner has begun a segment after ours; from then on ours does not count.

        Raises LeaseError if one has, SpoolError if the disk fails.
        """
        if await asyncio.to_thread(next_number, self._directory) > self._number + 1:
            raise self._superseded()

    def _superseded(self) -> LeaseError:
        return LeaseError(
            f"Another owner has begun a segment in {self._directory}.",
            "That owner continues; this process was too late and starts again.",
        )

    async def _begin(self) -> Segment:
        """Begin the next segment.

        Raises LeaseError or FileExistsError if another owner has begun one.
        """
        await self.check()
        self._number = await asyncio.to_thread(next_number, self._directory)
        self._segment = await asyncio.to_thread(Segment, self._directory, self._number, self._next)
        await self.prune()
        return self._segment

    async def prune(self) -> None:
        """Remove old segments that are no longer needed."""
        with contextlib.suppress(TrailError):  # they can be removed later
            before_s = clock.now_ms() / 1000 - KEPT_S
            size = min(self.durable, await asyncio.to_thread(self._anchored) or self.durable)
            await asyncio.to_thread(prune, self._directory, size, before_s)

    async def forget(self, below: int) -> int:
        """Remove archived records below an index from the disk; returns how many segments changed.

        Raises LeaseError if another owner has taken the partition, SpoolError if the disk fails.
        """
        async with self._disk:
            oldest = (await asyncio.to_thread(segment_files, self._directory))[0]
            if oldest.start >= below:
                return 0
            self._drop_segment()
            try:
                await self._begin()  # the newest segment is not written anew
            except FileExistsError:
                raise self._superseded() from None
            return await asyncio.to_thread(forget, self._directory, min(below, self.durable))

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
            frames.append(record_frame(entry.index, entry.packed, entry.proof))
        return frames
