"""The door for data that is piped in: JSON Lines on standard input become items on the timeline.

A line is a bar (timestamp, symbol, open, high, low, close, volume), a headline (timestamp, symbol, headline, source,
url, and where the provider has them sentiment_score and sentiment_label), or a reading of the volatility index
(timestamp, vix). Where nothing more comes for a moment, what was held back goes out: a live source is never waited for.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, BinaryIO

from llmctx import canonical
from llmctx.flow.bars import HEADER, BadRow, parse_moment, parse_row
from llmctx.flow.news import headline_of
from llmctx.flow.timeline import Item, Moment, Timeline, Vix, moments

IDLE_S = 0.25
"""How long nothing must come until what was held back goes out, in seconds."""
_CHUNK = 65_536
_CHUNKS_AHEAD = 8
_LONGEST_LINE = 1_000_000


def parse_line(line: bytes, number: int) -> Item:
    """The item that a line says, or why it says none."""
    try:
        document = canonical.loads(line)
    except ValueError as error:
        return BadRow(number, f"no JSON: {error}")
    if not isinstance(document, dict):
        return BadRow(number, "is no JSON object")
    if "headline" in document:
        return headline_of(document, number)
    if "vix" in document:
        return parse_vix(document, number)
    missing = [name for name in HEADER if name not in document]
    if missing:
        return BadRow(number, f"is no bar (without {', '.join(missing)}), no headline and no vix")
    if not isinstance(document["symbol"], str):
        return BadRow(number, "symbol must be a text")
    return parse_row([str(document[name]) for name in HEADER], number)


def parse_vix(document: dict[str, Any], number: int) -> Vix | BadRow:
    """The reading of the volatility index that a JSON object says, or why it says none."""
    value = document["vix"]
    if type(value) not in (int, Decimal) or not 0 < value < 10_000:  # noqa: PLR2004  far above any index
        return BadRow(number, f"vix {value!r} must be a number above 0")
    try:
        return Vix(parse_moment(str(document.get("timestamp"))), Decimal(value))
    except ValueError as error:
        return BadRow(number, f"timestamp {document.get('timestamp')!r}: {error}")


async def read_pipe(stream: BinaryIO, interval: timedelta) -> AsyncIterator[Moment]:
    """The moments of a stream of JSON Lines, until it ends."""
    timeline, number = Timeline(interval), 0
    chunks = _Chunks(stream)
    rest = b""
    while (chunk := await chunks.next(IDLE_S)) != b"":
        if chunk is None:
            for moment in moments(timeline.flush()):
                yield moment
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            number += 1
            yield [BadRow(number, f"a line has more than {_LONGEST_LINE} bytes")]
            rest = b""
        ready: list[Item] = []
        for line in lines:
            number += 1
            if line.strip():
                ready += timeline.push(parse_line(line, number))
        for moment in moments(ready):
            yield moment
    last = timeline.push(parse_line(rest, number + 1)) if rest.strip() else []
    for moment in moments([*last, *timeline.flush()]):
        yield moment


class _Chunks:
    """Reads a blocking stream in a thread of its own, which nobody has to wait for at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        chunk = b" "
        while chunk:
            self._room.acquire()
            try:
                chunk = self._stream.read1(_CHUNK)  # type: ignore[attr-defined]  # buffered streams have it
            except (OSError, ValueError):
                chunk = b""
            try:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:
                return  # the loop is closed: nobody listens any more

    async def next(self, idle_s: float) -> bytes | None:
        """The next bytes, b"" at the end; None where nothing came for a while."""
        try:
            chunk = await asyncio.wait_for(self._chunks.get(), idle_s)
        except TimeoutError:
            return None
        self._room.release()
        return chunk
