"""Piped data: JSON Lines on standard input become items on the timeline.

A line is a bar (timestamp, symbol, open, high, low, close, volume), a headline (timestamp, symbol, headline, source,
url, and optionally sentiment_score and sentiment_label), a funding rate (timestamp, symbol, funding_rate, and
optionally mark_price), or a reading of the volatility index (timestamp, vix). When the input pauses, items held back
are released: a live source may not send another one for a while.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

from llmctx import canonical, clock
from llmctx.flow.bars import FIELDS, BadRow, Bar, parse_row
from llmctx.flow.funding import funding_of, is_funding
from llmctx.flow.news import headline_of
from llmctx.flow.timeline import Item, Moment, Timeline, Vix, moments
from llmctx.flow.times import parse_moment

_log = logging.getLogger(__name__)

IDLE_S = 0.25
"""Pause in the input after which held items are released, in seconds."""
_CHUNK_BYTES = 65_536
_MAX_CHUNKS_AHEAD = 8
_MAX_LINE_BYTES = 1_000_000
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_MAX_VIX = 10_000  # far above any index


def parse_line(line: bytes, number: int) -> Item:
    """Parse one line of the input."""
    try:
        document = canonical.loads(line)
    except ValueError as error:
        return BadRow(number, f"not valid JSON: {error}")
    if not isinstance(document, dict):
        return BadRow(number, "not a JSON object")
    if "headline" in document:
        return headline_of(document, number)
    if "vix" in document:
        return parse_vix(document, number)
    if is_funding(document):
        return funding_of(document, number)
    missing = [name for name in FIELDS if name not in document]
    if missing:
        return BadRow(number, f"not a bar ({', '.join(missing)} missing), a headline, a funding rate or a vix reading")
    if not isinstance(document["symbol"], str):
        return BadRow(number, "symbol must be a string")
    return parse_row([str(document[name]) for name in FIELDS], number)


def parse_vix(document: dict[str, Any], number: int) -> Vix | BadRow:
    """Build a reading of the volatility index from the JSON object on a line."""
    value = document["vix"]
    if type(value) not in (int, Decimal) or not 0 < value < _MAX_VIX:
        return BadRow(number, f"vix {value!r} must be a number above 0")
    try:
        return Vix(parse_moment(str(document.get("timestamp"))), Decimal(value))
    except ValueError as error:
        return BadRow(number, f"timestamp {document.get('timestamp')!r}: {error}")


def says_complete(line: bytes) -> bool:
    """Whether a bar says of itself that it is complete."""
    return b'"complete"' in line and canonical.loads(line).get("complete") is True


class FormingBars:
    """Holds back the bars of a live source whose end has not passed: it sends the same bar again and again until then.

    A bar is known at its end, so what was said of it before is never passed on: the newest version waits until the end
    has passed, or until the source says that it is complete.
    """

    def __init__(self, interval: timedelta, now: Callable[[], datetime]) -> None:
        self._interval = interval
        self._now = now
        self._held: dict[tuple[str, datetime], Bar] = {}

    def add(self, item: Item, *, complete: bool = False) -> list[Item]:
        """Take an item and return what may be passed on now, the oldest bar first."""
        if not isinstance(item, Bar):
            return [*self.due(), item]
        place = (item.symbol, item.start)
        if not complete and item.end(self._interval) > self._now():
            self._held[place] = item
            return self.due()
        self._held.pop(place, None)
        return [*self.due(), item]

    def due(self) -> list[Item]:
        """The held bars whose end has passed, the oldest first; each is returned once."""
        now = self._now()
        ready = [place for place, bar in self._held.items() if bar.end(self._interval) <= now]
        return [self._held.pop(place) for place in sorted(ready, key=lambda place: place[1])]

    @property
    def unfinished(self) -> list[Bar]:
        """The bars held back."""
        return list(self._held.values())


async def read_pipe(stream: BinaryIO, interval: timedelta, *, live: bool = False) -> AsyncIterator[Moment]:
    """Yield the moments of a stream of JSON Lines until it ends; if it is live, each bar once its end has passed."""
    timeline, number = Timeline(interval), 0
    forming = FormingBars(interval, lambda: clock.from_ms(clock.now_ms()) if live else _END_OF_TIME)
    chunks = _Chunks(stream)
    rest = b""
    while (chunk := await chunks.next(IDLE_S)) != b"":
        if chunk is None:
            late = [released for bar in forming.due() for released in timeline.push(bar)]
            for moment in moments([*late, *timeline.flush()]):
                yield moment
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            number += 1
            yield [BadRow(number, f"a line has more than {_MAX_LINE_BYTES} bytes")]
            rest = b""
        ready: list[Item] = []
        for line in lines:
            number += 1
            if line.strip():
                ready += _pushed(timeline, forming, line, number)
        for moment in moments(ready):
            yield moment
    last = _pushed(timeline, forming, rest, number + 1) if rest.strip() else []
    for moment in moments([*last, *timeline.flush()]):
        yield moment
    for bar in forming.unfinished:
        _log.warning(f"{bar.symbol} at {clock.iso_of(bar.start)}: still forming when the input ended; left out")


def _pushed(timeline: Timeline, forming: FormingBars, line: bytes, number: int) -> list[Item]:
    """What a line releases."""
    item = parse_line(line, number)
    complete = isinstance(item, Bar) and says_complete(line)
    return [released for known in forming.add(item, complete=complete) for released in timeline.push(known)]


class _Chunks:
    """Reads a blocking stream in a daemon thread, which need not be joined at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._free_chunks = threading.Semaphore(_MAX_CHUNKS_AHEAD)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        chunk = b" "
        while chunk:
            self._free_chunks.acquire()
            try:
                chunk = self._stream.read1(_CHUNK_BYTES)  # type: ignore[attr-defined]  # streams here are buffered
            except (OSError, ValueError):
                chunk = b""
            try:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:
                return  # the loop is closed

    async def next(self, idle_s: float) -> bytes | None:
        """The next bytes: b"" at the end of the stream, None after `idle_s` without input."""
        try:
            chunk = await asyncio.wait_for(self._chunks.get(), idle_s)
        except TimeoutError:
            return None
        self._free_chunks.release()
        return chunk
